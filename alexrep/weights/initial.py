"""Weights that a training starts from, by whatever names them."""

from pathlib import Path

from torch import Tensor

from alexrep.config.input import Input
from alexrep.config.recipe import Recipe
from alexrep.models import registry
from alexrep.runs import trained
from alexrep.runs.folder import RunFolder
from alexrep.weights import caffe_layers, ours, state_dicts
from alexrep.weights import torchvision as offers


def read(source: str, recipe: Recipe) -> dict[str, Tensor]:
    """Read parameters and buffers by name.

    Args:
        source: A run, whose last checkpoint is taken; a checkpoint; an exported folder; a file of
            another program; or what torchvision offers, as `torchvision:resnet50`.
        recipe: The recipe; Caffe's weights are laid into its network.

    Raises:
        ConfigError: If torchvision offers nothing of this name.
        DataError: If a file is missing or damaged, or a folder is no run.
    """
    if source.startswith(offers.PREFIX):
        offer = offers.offered(source)
        return state_dicts.read(offer.find(), offer.digest)
    path = Path(source)
    if path.suffix in caffe_layers.SUFFIXES:
        return _of_caffe(path, recipe)
    if path.is_file() and not ours.is_ours(path):
        return state_dicts.read(path)
    weights: dict[str, Tensor] = trained.load(_checkpoint(path)).content["state_dict"]
    return weights


def input_of(source: str) -> Input | None:
    """Return the input that weights were trained on; None where they do not say it.

    Args:
        source: As in `read`.

    Raises:
        ConfigError: If torchvision offers nothing of this name.
        DataError: If a file is missing or damaged, or a folder is no run.
    """
    if source.startswith(offers.PREFIX):
        return offers.input_of(offers.offered(source).preparation)
    path = Path(source)
    if not source or path.suffix in caffe_layers.SUFFIXES or not ours.is_ours(path):
        return None
    return trained.load(_checkpoint(path)).recipe.input


def _checkpoint(path: Path) -> Path:
    """Return the file that a run, a folder of checkpoints or an exported folder means."""
    if not path.is_dir():
        return path
    if (path / "last.pt").is_file():
        return path / "last.pt"
    run = RunFolder(path)
    run.read_recipe()
    return run.checkpoint("last")


def _of_caffe(path: Path, recipe: Recipe) -> dict[str, Tensor]:
    """Lay Caffe's weights into the recipe's network, with as many outputs as they have."""
    arrays = caffe_layers.arrays_of(caffe_layers.content_of(path), path)
    num_outputs = arrays["fc8.bias"].size if "fc8.bias" in arrays else 1
    network = registry.build(recipe.model, num_outputs, recipe.seed)
    caffe_layers.require_all(caffe_layers.load(network, arrays, path), path)
    state: dict[str, Tensor] = network.state_dict()
    return state
