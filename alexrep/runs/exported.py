"""Reads what `alexrep export` wrote: a trained network as other programs read it.

A folder with `config.json`, which says what the network is and has the digest of every file
that decides its numbers; the weights; the mean image; the layers. The card, README.md, is for
people, who may edit it: it has no digest.
"""

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from alexrep import files
from alexrep.config import recipes
from alexrep.config.recipe import Recipe
from alexrep.errors import DataError, mismatch
from alexrep.ilsvrc import classes
from alexrep.ilsvrc.classes import ClassTable
from alexrep.pixels import rescale

CONFIG, WEIGHTS, MEAN = "config.json", "model.safetensors", "mean.npy"
NETWORK, ONNX, CARD = "network.json", "model.onnx", "README.md"
FORMAT = 1
"""Version of `config.json` and of the files beside it."""


class InputRule(BaseModel):
    """How an image becomes the network's input."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    prepared_side: int
    """S, side of the prepared images, in pixels."""
    geometry: str
    """How an image becomes square: "crop", the shorter side to S and the central square; or
    "squash", both sides to S."""
    quality: int | None = None
    """Quality of the prepared images' JPEGs; unset if nothing recorded it."""
    resampling: str = rescale.FILTER
    """Filter with which they were rescaled, one of pixels.rescale.FILTERS."""
    side: int
    """P, side of the patch that the network sees; the central one, unless views are averaged."""
    mean: str
    """Part of mean.npy that is subtracted: "centre", "crop" or "none", as in the recipe."""
    mean_colour: tuple[float, float, float]
    """Mean of mean.npy over its pixels: red, green, blue, in grey levels."""
    channels: str
    """"rgb" or "bgr": order of the colours at the network's first layer."""
    scale: Literal[1] | tuple[float, float, float] = 1
    """Factor on the differences, which are grey levels, 0 to 255 less the mean; or one factor each
    for red, green and blue."""

    @property
    def factors(self) -> tuple[float, float, float]:
        """The factors on red, green and blue."""
        return (1.0, 1.0, 1.0) if isinstance(self.scale, int) else self.scale


class Exported(BaseModel):
    """The content of `config.json`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = FORMAT
    """Version of the format."""
    program: str
    """What wrote it."""
    name: str
    """Name of the recipe."""
    license: str | None = None
    """License of the weights, if one was given."""
    edition: str | None = None
    """Data set that it was trained on, if the run knows."""
    checkpoint: str
    """"last" or "best"."""
    epoch: int
    """Finished epochs."""
    mid_epoch_step: int | None = None
    """Step of the checkpoint if it was saved in the middle of an epoch."""
    weights: str
    """Digest of names, shapes and bits of the weights, as in results."""
    num_parameters: int
    recipe: dict[str, JsonValue]
    """Every field of the recipe; `model` is the network."""
    departures: list[str]
    """In which points network, training and images differ from those of 2012."""
    classes: list[dict[str, Any]]
    """Rows of the class table, in the order of the probabilities."""
    input: InputRule
    errors: dict[str, dict[str, JsonValue]]
    """Results of these weights by the names of their files; errors are fractions."""
    files: dict[str, str] = {}
    """SHA-256 of each file that decides the numbers, by its name."""
    digest: str = ""
    """SHA-256 of all of the above, as `files.to_json` writes it."""

    def sealed(self, digests: dict[str, str]) -> "Exported":
        """Return it with the digests of the files, and its own."""
        listed = self.model_copy(update={"files": digests})
        return listed.model_copy(update={"digest": _digest(listed.model_dump(mode="json"))})

    def class_table(self, where: object) -> ClassTable:
        """Return the classes, in the order of the probabilities.

        Raises:
            DataError: If they are not a class table.
        """
        return classes.of_rows(self.classes, where)


def read(folder: Path) -> Exported:
    """Read what an exported network is; its other files are left alone.

    Raises:
        DataError: If it is missing, changed, of a later version, or not alexrep's.
    """
    path = folder / CONFIG
    advice = "name a folder made by alexrep export"
    try:
        table = json.loads(files.read_bytes(path), parse_constant=_refuse)
    except FileNotFoundError:
        raise DataError(mismatch(path, "an exported network", "no file", advice)) from None
    except ValueError as error:
        raise DataError(mismatch(path, "JSON", error, "copy or export it again")) from None
    version = table.get("format") if isinstance(table, dict) else None
    if not isinstance(version, int):
        raise DataError(mismatch(path, "an exported network", "something else", advice))
    if version > FORMAT:
        newer = f"format {version}"
        raise DataError(mismatch(path, f"format {FORMAT}", newer, "use a newer alexrep"))
    if table.get("digest") != _digest(table):
        raise DataError(_changed(path))
    try:
        return Exported.model_validate(table)
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise DataError(
            mismatch(path, "an exported network", f"a fault at {where}", advice)
        ) from None


def verify(folder: Path, config: Exported) -> None:
    """Compare every file that the numbers depend on with its digest.

    Raises:
        DataError: If one is missing or changed.
    """
    for name in sorted({WEIGHTS, MEAN, *config.files}):
        path = folder / name
        if not path.is_file():
            listed = f"the file that {CONFIG} lists"
            raise DataError(mismatch(path, listed, "none", "copy or export it again"))
        if files.sha256_file(path) != config.files.get(name):
            raise DataError(_changed(path))


def read_recipe(folder: Path) -> Recipe:
    """Read the recipe of an exported network.

    Raises:
        DataError: As by `read`.
        ConfigError: If this version cannot read it.
    """
    return recipes.parse(dict(read(folder).recipe), str(folder / CONFIG))


def _changed(path: Path) -> str:
    return mismatch(path, "the bytes that were exported", "others", "copy or export it again")


def _refuse(constant: str) -> None:
    raise ValueError(f"no finite number: {constant}")


def _digest(table: dict[str, Any]) -> str:
    """Return the digest of a table but for its entry `digest`."""
    plain = {key: value for key, value in table.items() if key != "digest"}
    return files.sha256_bytes(files.to_json(plain).encode())
