"""Caffe's AlexNet weights: read from a file, checked, laid into the two towers.

A grouped convolution's first group is the first tower and its second group the second. conv3,
fc6, fc7 and fc8 read both towers' maps, the first tower's first, as Caffe's read its channels; a
fully connected layer's inputs are in the order channel, row, column in both. Nothing is turned
round but the division: Caffe, like torch, computes a cross-correlation, and conv1 stays BGR.
"""

import io
import itertools
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from alexrep import files
from alexrep.errors import DataError, examples, mismatch
from alexrep.weights import caffemodel
from alexrep.weights.caffemodel import CaffeLayer, Floats
from alexrep.weights.protobuf import WireError

KINDS = ("weight", "bias")
SUFFIXES = (".caffemodel", ".npz")
"""Ends of the names of Caffe's files."""
ADVICE = "name Caffe's bvlc_alexnet.caffemodel, or an .npz of its arrays"


@dataclass(frozen=True)
class Loaded:
    """What a file gave to a network."""

    missing: list[str]
    """Layers, or single parameters of layers, that the file lacks; they kept their values."""
    unknown: list[str]
    """Those that the network has no place for."""


def arrays_of(content: bytes, path: Path) -> dict[str, Floats]:
    """Read the weights of a .caffemodel or an .npz.

    Args:
        content: The file's bytes.
        path: The file, for messages.

    Returns:
        Arrays in Caffe's shapes, float32, by `<layer>.weight` and `<layer>.bias`.

    Raises:
        DataError: If it is damaged, foreign, or of another network that cannot be told from its
            weights (CaffeNet).
    """
    if content.startswith(b"PK"):
        return arrays_of_npz(content, path)
    try:
        layers = caffemodel.layers(content)
    except WireError as error:
        raise DataError(mismatch(path, "a .caffemodel", error, ADVICE)) from None
    _refuse_caffenet(layers, path)
    arrays: dict[str, Floats] = {}
    for layer in layers:
        kinds = itertools.chain(KINDS, map(str, itertools.count(2)))
        for kind, array in zip(kinds, layer.blobs, strict=False):
            name = f"{layer.name}.{kind}"
            if name in arrays:
                wanted = f"one layer {layer.name!r} with weights"
                raise DataError(mismatch(path, wanted, "two of them", ADVICE))
            arrays[name] = array
    return arrays


def content_of(path: Path, advice: str = ADVICE) -> bytes:
    """Read a file; `advice` is what to do if there is none.

    Raises:
        DataError: If there is none.
    """
    try:
        return files.read_bytes(path)
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        raise DataError(mismatch(path, "a file", f"{error.strerror!r}", advice)) from None


def arrays_of_npz(content: bytes, path: Path, advice: str = ADVICE) -> dict[str, Floats]:
    """Read the arrays of an .npz, or the one of an .npy under the name "".

    Raises:
        DataError: If it is damaged, or holds other things than real numbers.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd headers, which nobody here can mend
            loaded = np.load(io.BytesIO(content), allow_pickle=False)
            members = {"": loaded} if isinstance(loaded, np.ndarray) else loaded
            arrays = {name: np.asarray(member) for name, member in members.items()}
    except Exception as error:  # readers raise whatever damaged bytes make them
        said = " ".join(ascii(str(error))[1:-1].split())[:120] or type(error).__name__
        raise DataError(mismatch(path, "arrays of numpy", said, advice)) from None
    for name, array in arrays.items():
        if array.dtype.kind not in "fiu":
            wanted = f"real numbers in {name!r}" if name else "real numbers"
            raise DataError(mismatch(path, wanted, array.dtype, advice))
    with np.errstate(over="ignore"):  # infinities are refused by who uses the array
        return {name: array.astype(np.float32) for name, array in arrays.items()}


def load(network: nn.Module, arrays: Mapping[str, Floats], where: Path) -> Loaded:
    """Lay Caffe's arrays into a network of towers.

    Args:
        network: What lacks in `arrays` keeps its values.
        arrays: As `read` returns them.
        where: The file, for messages.

    Raises:
        DataError: If an array has another shape than its layer, or values that are not finite.
    """
    state = network.state_dict()
    wanted = parameters_of(state)
    with torch.no_grad():
        for name, parts in wanted.items():
            if name not in arrays:
                continue
            whole = torch.cat([state[part] for part in parts])
            fitted = _fit(arrays[name], tuple(whole.shape), f"{where}: {name}")
            for part, values in zip(parts, torch.from_numpy(fitted).chunk(len(parts)), strict=True):
                state[part].copy_(values)
    missing = [name for name in wanted if name not in arrays]
    unknown = [name for name in arrays if name not in wanted]
    return Loaded(_by_layer(missing, list(wanted)), _by_layer(unknown, list(arrays)))


def parameters_of(state: Iterable[str]) -> dict[str, list[str]]:
    """Return Caffe's name of each parameter, and the names of its shares in the towers."""
    shares: dict[str, list[str]] = {}
    for name in state:
        shares.setdefault(".".join(name.split(".")[-2:]), []).append(name)
    return dict(sorted(shares.items()))


def require_all(loaded: Loaded, where: Path) -> None:
    """Refuse a file that is not of this network, all of it and nothing else.

    Raises:
        DataError: If layers are missing or unknown; they are named.
    """
    if not loaded.missing and not loaded.unknown:
        return
    faults = []
    if loaded.missing:
        faults.append("none of " + examples(loaded.missing, 16))
    if loaded.unknown:
        faults.append("the unknown " + examples(loaded.unknown, 16))
    advice = "--allow-missing keeps the initial values of what lacks and leaves out what is unknown"
    wanted = "the weights of every layer"
    raise DataError(mismatch(where, wanted, " and ".join(faults), advice))


def _fit(array: Floats, shape: tuple[int, ...], where: str) -> NDArray[np.float32]:
    """Return `array` in `shape`; Caffe's old blobs have four axes, the first of them 1."""
    if _without_ones(array.shape) != _without_ones(shape):
        wanted, found = (" x ".join(map(str, sizes)) for sizes in (shape, array.shape))
        raise DataError(mismatch(where, wanted, found, ADVICE))
    if not np.isfinite(array).all():
        raise DataError(mismatch(where, "finite numbers", "infinity or NaN", ADVICE))
    return np.ascontiguousarray(array).reshape(shape)


def _without_ones(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(itertools.dropwhile(lambda size: size == 1, shape))


def _by_layer(names: list[str], known: list[str]) -> list[str]:
    """Name layers as such of which all known parameters are among `names`."""
    named: dict[str, None] = {}
    for name in names:
        layer = name.rpartition(".")[0]
        own = [parameter for parameter in known if parameter.rpartition(".")[0] == layer]
        named[layer if set(own) <= set(names) else name] = None
    return list(named)


def _refuse_caffenet(layers: list[CaffeLayer], path: Path) -> None:
    """Refuse CaffeNet: the same shapes, but it pools before it normalises."""
    order = [
        "pool" if layer.is_pool else "norm" for layer in layers if layer.is_pool or layer.is_norm
    ]
    if order[:1] == ["pool"] and "norm" in order:
        wanted = "AlexNet, which normalises before it pools"
        raise DataError(mismatch(path, wanted, "the order of CaffeNet", ADVICE))
