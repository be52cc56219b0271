"""What becomes a run of a checkpoint of ours, or of an exported folder."""

from pathlib import Path

from alexrep.errors import DataError, mismatch
from alexrep.feed.constants import Constants
from alexrep.runs import checkpoint, exported, trained
from alexrep.runs.folder import RunFolder
from alexrep.weights import caffe, imported
from alexrep.weights.imported import Imported


def is_ours(path: Path) -> bool:
    """Tell whether a folder, or a file with what lies beside it, says itself what it holds."""
    is_exported = path.name == exported.WEIGHTS and RunFolder(path.parent).is_exported
    return path.is_dir() or is_exported or checkpoint.is_ours(path)


def survey(path: Path, data: Path) -> Imported:
    """Gather what makes a run of a checkpoint or an exported folder: they say all of it.

    Args:
        path: The checkpoint or the folder.
        data: A packed data folder.

    Raises:
        ManifestError: If pack has not finished.
        DataError: If the folder is none, or a file is damaged.
        ConfigError: If the patch is larger than the images.
    """
    run = RunFolder(path)
    if path.is_dir() and not run.is_exported:
        wanted, found = "a file of weights or an exported folder", "another folder"
        advice = "a run needs no import: alexrep eval scores it"
        raise DataError(mismatch(path, wanted, found, advice))
    network = trained.load(run.checkpoint("last") if path.is_dir() else path)
    caffe.packed(data, network.recipe.model)
    model, image = network.model(), network.content["inputs"]["mean"].numpy()
    return Imported(
        plan=imported.plan(network.recipe, network.weights, network.classes),
        recipe=network.recipe,
        network=model,
        table=network.classes,
        constants=Constants(image, network.factors),
        geometry=network.geometry,
        mean=image if "mean" in network.recipe.statistics else None,
        preparation=network.preparation,
    )
