"""What becomes a run of weights that Caffe trained: gathered, and checked against the data.

Shapes: S side of the prepared images.
"""

from pathlib import Path

from pydantic import JsonValue

from alexrep import files, manifest
from alexrep.config import recipes
from alexrep.config.model import Model
from alexrep.config.recipe import Recipe
from alexrep.errors import ConfigError, ManifestError, mismatch
from alexrep.feed.constants import constants
from alexrep.ilsvrc import classes
from alexrep.manifest import Manifest, Plan
from alexrep.models import registry
from alexrep.runs.folder import IMPORT_CAFFE as STAGE
from alexrep.shards import layout
from alexrep.weights import caffe_layers, caffe_mean, imported, outputs
from alexrep.weights.caffe_layers import Loaded
from alexrep.weights.caffemodel import Floats
from alexrep.weights.imported import Imported

RECIPE = "alexnet-caffe"
EDITION = "ilsvrc2012"
"""The edition whose classes, sorted, are the outputs of the published networks."""


def survey(
    weights: Path,
    data: Path,
    mean: str | None,
    labels: Path | None,
    allow_missing: bool,
    settings: tuple[str, ...],
) -> Imported:
    """Gather what makes the run.

    Args:
        weights: A .caffemodel, or an .npz.
        data: A packed data folder, whose classes the network knows.
        mean: A file, three numbers (blue, green, red), or none for the data's own mean image.
        labels: One wnid a line, in the order of the network's outputs; none if they are sorted.
        allow_missing: Whether layers may keep their initial values.
        settings: Fields of the recipe that differ, as path=value.

    Raises:
        ManifestError: If pack, or a mean that is asked for, has not finished.
        DataError: If a file is not what it should be, or layers lack and may not.
        ConfigError: If the patch is larger than the images, or the input cannot be made so.
    """
    chosen = recipes.load(RECIPE, settings)
    content = caffe_layers.content_of(weights)
    read = caffe_layers.arrays_of(content, weights)
    record, side = packed(data, chosen.model)
    table = classes.read(data / "shards" / layout.CLASSES)
    order = list(range(len(table))) if labels is None else outputs.order(labels, table)
    image = mean_image(mean, data, record, side)
    own = constants(chosen.input, image, None)
    arrays = _in_order(read, order)
    network = registry.build(chosen.model, len(table), chosen.seed)
    loaded = caffe_layers.load(network, arrays, weights)
    if not allow_missing:
        caffe_layers.require_all(loaded, weights)
    digest = files.sha256_bytes(content)
    inputs = {"weights": digest, "mean": _digest_of(image), "classes": table.digest()}
    settled = _settled(settings, order, allow_missing)
    return Imported(
        plan=Plan(stage=STAGE, settings=settled, seed=chosen.seed, inputs=inputs),
        recipe=_described(chosen, weights, digest, loaded.missing, side),
        network=network,
        table=table,
        constants=own,
        geometry=GEOMETRY,
        mean=image,
        details={"missing": list(loaded.missing), "unknown": list(loaded.unknown)},
        remarks=_remarks(loaded, str(record.details["edition"]), labels),
    )


def _settled(
    settings: tuple[str, ...], order: list[int], allow_missing: bool
) -> dict[str, JsonValue]:
    """Return what the command was asked for, as the plan has it."""
    return {
        "recipe": RECIPE,
        "set": list(settings),
        "order of classes": files.sha256_bytes(files.to_json(order).encode()),
        "allow missing": allow_missing,
    }


def _digest_of(image: Floats) -> str:
    """Return the SHA-256 of the file of a mean image."""
    return files.sha256_bytes(imported.array_bytes(image))


def _remarks(loaded: Loaded, edition: str, labels: Path | None) -> tuple[str, ...]:
    """Say what was taken on trust."""
    said = []
    if labels is None and edition != EDITION:
        said.append(f"outputs are taken for {edition}'s classes in the order of their wnids")
    if loaded.missing:
        said.append(f"missing layers, which keep initial values: {', '.join(loaded.missing)}")
    if loaded.unknown:
        said.append(f"unknown layers, which were left out: {', '.join(loaded.unknown)}")
    return tuple(said)


def _in_order(arrays: dict[str, Floats], order: list[int]) -> dict[str, Floats]:
    """Return the arrays with the last layer's outputs in the order of the classes."""
    sorted_ = dict(arrays)
    for name in ("fc8.weight", "fc8.bias"):
        shape = arrays[name].shape if name in arrays else ()
        # Caffe's old blobs have axes of 1 before the outputs'; other shapes are refused later.
        if len(order) in shape:
            sorted_[name] = arrays[name].take(order, shape.index(len(order)))
    return sorted_


def packed(data: Path, model: Model) -> tuple[Manifest, int]:
    """Return the record of the data's shards, and the side of its images.

    Raises:
        ManifestError: If pack has not finished.
        ConfigError: If the network's patch is larger than the images.
    """
    record = manifest.read(data / "shards" / manifest.NAME, "pack")
    side = record.details["side"]
    assert isinstance(side, int), "written as one"  # noqa: S101
    if model.side > side:
        wanted, advice = f"at most {side}, the side of the prepared images", "prepare larger ones"
        if model.name == "torchvision":  # its networks take patches of other sides, too
            advice += f", or take patches of {side * 7 // 8} with --set model.side={side * 7 // 8}"
        raise ConfigError(mismatch("model.side", wanted, model.side, advice))
    return record, side


def mean_image(text: str | None, data: Path, packed: Manifest, side: int) -> Floats:
    """Return the mean image of a file or of three numbers, or the data's own.

    Args:
        text: A file, three numbers (blue, green, red), or None for the data's own.
        data: The data folder.
        packed: The record of its shards.
        side: S.

    Returns:
        RGB, grey levels, (S, S, 3).

    Raises:
        ManifestError: If the data's own is asked for, and has not been made of these images.
        DataError: If a file is not what it should be.
        ConfigError: If it is neither a file nor three numbers.
    """
    if text is not None:
        numbers = caffe_mean.parse(text)
        if numbers is not None:
            return caffe_mean.even(numbers, side)
        if "," in text and not Path(text).exists():
            advice = "give blue, green, red, as 104,117,123"
            raise ConfigError(mismatch("--mean", "three numbers or a file", repr(text), advice))
        return caffe_mean.read(Path(text), side)
    record = manifest.read(data / f"mean.{manifest.NAME}", "mean")
    if record.inputs.get("images") != packed.inputs.get("images"):
        wanted, advice = "that of the packed images", "run alexrep mean on these images"
        raise ManifestError(mismatch(data / "mean.npy", wanted, "another", advice))
    return caffe_mean.read(data / "mean.npy", side)


GEOMETRY = "squash"
"""How Caffe made the images square that its networks were trained on."""


def _described(chosen: Recipe, weights: Path, digest: str, missing: list[str], side: int) -> Recipe:
    """Return the recipe with what is known of these weights in the place of its source."""
    lack = f"; initial values in {', '.join(missing)}" if missing else ""
    update = {
        "name": "caffe-import",
        "source": f"weights of {weights.name}, sha256 {digest[:12]}{lack}",
        "command": f"alexrep {STAGE}",
        "prepared_side": side,
    }
    return chosen.model_copy(update=update)
