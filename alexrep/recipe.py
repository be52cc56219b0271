"""What a run is: frozen, strict models, read from TOML and written back.

A recipe is a TOML file that may name a `base` and then holds only its
differences. Names are looked up among the recipes that ship with alexrep; a
name that ends in .toml is a file.
"""

import json
import tomllib
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

import tomli_w
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from alexrep.errors import ConfigError, examples, mismatch

Rate = Annotated[float, Field(ge=0, le=10)]

SHORT = {
    "epochs": "schedule.epochs",
    "batch_size": "feed.batch_size",
    "seed": "seed",
}
"""Options of `alexrep train` that are other names for fields."""


class Strict(BaseModel):
    """A part of a recipe: unknown keys, wrong types and changes are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Model(Strict):
    """The network."""

    name: str = "alexnet"
    """Name in the registry of models."""
    side: Annotated[int, Field(ge=67, le=1024)] = 224
    """Side of the input patch, in pixels; 224 in the paper, section 3.5."""
    width: Annotated[float, Field(gt=0, le=4)] = 1.0
    """Kernels and units of each layer as a fraction of the paper's; the classes stay."""
    std_factor: Annotated[float, Field(gt=0, le=100)] = 1.0
    """Factor on every initial standard deviation; 1/sqrt(width) keeps the signals' scale. Ours."""
    initialisation: Literal["code", "paper"] = "code"
    """`code`: std 0.03 in conv3 to conv5, else 0.01; `paper`: 0.01 everywhere (FIDELITY D3)."""
    conv1_order: Literal["lrn-pool-relu", "relu-lrn-pool"] = "lrn-pool-relu"
    """Order after conv1: the released source's, or the paper's, sections 3.3 and 3.5 (D1)."""
    conv2_within_map: bool = True
    """Whether the released source's second, within-map normalisation follows conv2's LRN (D2)."""


class Feed(Strict):
    """Order, batches and draws of the training images."""

    batch_size: Annotated[int, Field(ge=1, le=1 << 20)] = 128
    """Images in a training batch, over all processes; 128 in the paper, section 5."""
    order: Literal["shuffled", "fixed"] = "shuffled"
    """A permutation keyed by (seed, epoch), or the shards' order each epoch as in 2012."""
    draws: Literal["image", "group32"] = "image"
    """One offset and reflection per image, or per 32 consecutive images as in 2012."""
    reflect: bool = True
    """Whether half the patches are reflected; section 4.1."""
    shuffle_labels: bool = False
    """Control experiment: permute the training labels, seeded; nothing can be learnt. Ours."""

    @model_validator(mode="after")
    def _groups_need_a_fixed_order(self) -> "Feed":
        if self.draws == "group32" and self.order != "fixed":
            raise ValueError("draws = 'group32' needs order = 'fixed'")
        return self


class Noise(Strict):
    """The colour PCA noise of section 4.1."""

    scale: Annotated[float, Field(ge=0, le=10)] = 0.1
    """Factor on the standard deviations along the colour axes; 0.1 in the paper."""
    divide: bool = True
    """Divide the noisy patch by 1 + scale, as the released source does and the paper omits."""


class Optimiser(Strict):
    """The update rule of section 5; the rates are in the schedule."""

    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """Share of the last step kept; 0.9 in the paper."""
    weight_decay: Annotated[float, Field(ge=0, le=1)] = 0.0005
    """Decay of weights, never of biases; 0.0005 in the paper."""


class Change(Strict):
    """Rates from some epoch on; what is not named stays as it was."""

    epoch: Annotated[int, Field(ge=0)]
    """Number of finished epochs at which the change takes effect."""
    weights: Rate | None = None
    """Learning rate of weights."""
    biases: Rate | None = None
    """Learning rate of biases."""
    noise: bool | None = None
    """Whether the colour noise is on."""
    layers: tuple[str, ...] = ()
    """Layers whose own rates this sets, which then stay their own; empty: all the others."""


class Schedule(Strict):
    """The learning rates, epoch by epoch."""

    epochs: Annotated[int, Field(ge=1, le=100000)]
    """Epochs to train."""
    changes: Annotated[tuple[Change, ...], Field(min_length=1)]
    """Changes in order of their epochs; the first is at epoch 0 and sets both rates."""

    @model_validator(mode="after")
    def _starts_complete_and_rises(self) -> "Schedule":
        first, epochs = self.changes[0], [change.epoch for change in self.changes]
        if first.epoch != 0 or first.layers or first.weights is None or first.biases is None:
            raise ValueError("the first change must be at epoch 0 and set weights and biases")
        if epochs != sorted(epochs):
            raise ValueError("changes must be in order of their epochs")
        return self


class Recipe(Strict):
    """Everything that decides what a training run computes."""

    name: str
    """Name of the recipe."""
    source: str
    """Where its numbers come from."""
    expected: str
    """Errors and time to expect, and who measured them."""
    seed: Annotated[int, Field(ge=0, lt=1 << 63)] = 1
    """Seed of initialisation, order, draws and dropout."""
    model: Model = Model()
    feed: Feed = Feed()
    noise: Noise = Noise()
    optimiser: Optimiser = Optimiser()
    schedule: Schedule


def names() -> list[str]:
    """Return the names of the recipes that ship with alexrep."""
    folder = resources.files("alexrep") / "recipes"
    return sorted(
        entry.name.removesuffix(".toml")
        for entry in folder.iterdir()
        if entry.name.endswith(".toml")
    )


def load(name: str, settings: tuple[str, ...] = ()) -> Recipe:
    """Read the recipe `name`, with `settings` of the form path=value laid over it.

    Raises:
        ConfigError: If there is no such recipe, or a key, type or range is wrong.
    """
    table = _resolve(name, ())
    for setting in settings:
        _set(table, setting)
    return parse(table, name)


def parse(table: dict[str, Any], where: str) -> Recipe:
    """Check a table of fields.

    Raises:
        ConfigError: If a key, type or range is wrong; the key is named.
    """
    try:
        return Recipe.model_validate_json(json.dumps(table, default=str))
    except ValidationError as error:
        raise ConfigError(_explain(where, error)) from None


def dump(recipe: Recipe) -> str:
    """Write a recipe as TOML, fully resolved."""
    return tomli_w.dumps(json.loads(recipe.model_dump_json(exclude_none=True)))


def read(path: Path) -> Recipe:
    """Read a resolved recipe file.

    Raises:
        ConfigError: If it is not one.
    """
    text = _content(path, "name a run or a recipe that is there")
    return parse(_table(text, str(path)), str(path))


def difference(one: Recipe, other: Recipe) -> list[str]:
    """Name the fields in which two recipes differ, as `path: one's value -> other's`."""
    mine, theirs = _flat(one.model_dump()), _flat(other.model_dump())
    return [
        f"{key}: {mine.get(key)!r} -> {theirs.get(key)!r}"
        for key in sorted(mine.keys() | theirs.keys())
        if mine.get(key) != theirs.get(key)
    ]


def _resolve(name: str, above: tuple[str, ...]) -> dict[str, Any]:
    """Read the table of recipe `name`, laid over its base."""
    if name in above:
        chain = " -> ".join((*above, name))
        raise ConfigError(mismatch(name, "a base that ends", chain, "remove the circle"))
    table = _table(_text(name), name)
    base = table.pop("base", None)
    if base is None:
        return table
    if isinstance(base, str) and base.endswith(".toml") and name.endswith(".toml"):
        base = str((Path(name).parent / base).resolve())
    return _merge(_resolve(str(base), (*above, name)), table)


def _text(name: str) -> str:
    if name.endswith(".toml"):
        return _content(Path(name), "name a TOML file or one of: " + ", ".join(names()))
    if name not in names():
        known = ", ".join(names())
        raise ConfigError(
            mismatch(
                f"recipe {name!r}", f"one of {known}", "no such recipe", "or name a .toml file"
            )
        )
    return (resources.files("alexrep") / "recipes" / f"{name}.toml").read_text()


def _content(path: Path, advice: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(mismatch(path, "a recipe file", repr(error), advice)) from None


def _table(text: str, where: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(mismatch(where, "TOML", error, "mend the file")) from None


def _merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merge(merged[key], value) if both else value
    return merged


def _set(table: dict[str, Any], setting: str) -> None:
    """Lay one path=value over `table`; the value is TOML, or text if it is not."""
    path, equals, text = setting.partition("=")
    if not equals or not path.strip():
        raise ConfigError(
            mismatch(f"--set {setting}", "path=value", repr(setting), "as in feed.batch_size=64")
        )
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except (tomllib.TOMLDecodeError, KeyError):
        value = text
    *parents, last = path.strip().split(".")
    for parent in parents:
        table = table.setdefault(parent, {})
        if not isinstance(table, dict):
            raise ConfigError(
                mismatch(f"--set {setting}", "a key of the recipe", f"{path!r}", "see its fields")
            )
    table[last] = value


def _explain(where: str, error: ValidationError) -> str:
    """Turn the first fault into one line that names the key and what it should be."""
    faults = error.errors()
    fault = faults[0]
    key = ".".join(str(part) for part in fault["loc"]) or "the recipe"
    found = fault.get("input")
    if fault["type"] == "extra_forbidden":
        known = examples(sorted(_siblings(fault["loc"])), most=12)
        return mismatch(f"{where}: {key}", "a known key", f"{found!r}", f"known here: {known}")
    if fault["type"] == "missing":
        return mismatch(f"{where}: {key}", "a value", "none", "add the key")
    said = fault["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
    return mismatch(f"{where}: {key}", said, f"{found!r}", "mend the value")


def _siblings(location: tuple[int | str, ...]) -> list[str]:
    """Return the known keys beside an unknown one."""
    model: type[BaseModel] = Recipe
    for part in location[:-1]:
        if isinstance(part, str) and part in model.model_fields:
            kind = model.model_fields[part].annotation
            model = kind if isinstance(kind, type) and issubclass(kind, BaseModel) else Change
    return list(model.model_fields)


def _flat(table: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in table.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat
