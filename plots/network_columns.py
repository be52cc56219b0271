"""A network as columns of a drawing: one for each layer with weights, and what follows it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from alexrep.config.model import AlexNetModel, Model
from alexrep.models import count
from alexrep.models.alexnet.layers import layers
from alexrep.models.count import LayerRow

NORMS = ("norm", "within", "bn", "lrn")
"""Beginnings of the names of normalisations."""


@dataclass
class Column:
    """A layer with weights, of all towers together."""

    name: str
    """Its name in the network, as in conv1."""
    shape: tuple[int, ...]
    """Its output for one image: maps, rows and columns, or units."""
    num_parameters: int
    kernel: str = ""
    """Side of its kernels, and their stride; empty if fully connected."""
    num_towers: int = 1
    """Towers that it is divided among."""
    reads_both: bool = False
    """Whether each tower's part reads the maps of both towers."""
    norms: list[str] = field(default_factory=list)
    """Normalisations after it: across maps, or within each."""
    pool: str = ""
    """Side and stride of the pool after it."""
    pooled: int | None = None
    """Side of the maps after the pool."""


def of(network: nn.Module, model: Model) -> list[Column]:
    """Return the columns of a network in the order of its layers.

    Args:
        network: As `registry.build` makes it.
        model: The network's settings: which layers towers share is read from those of 2012's.
    """
    modules = dict(network.named_modules())
    columns: list[Column] = []
    for row in count.layers(network, model.side):
        module = modules.get(f"towers.0.{row.name}", modules.get(row.name))
        is_norm = row.name.rpartition(".")[2].startswith(NORMS)
        is_norm = is_norm or isinstance(module, _BatchNorm)
        if row.cost.parameters and not is_norm:
            columns.append(Column(row.name, row.shape, row.cost.parameters, _window(module)))
        elif columns and is_norm:
            columns[-1].norms.append("within" if "within" in _kind(module, row) else "across")
        elif columns and len(row.shape) == 3:
            columns[-1].pool, columns[-1].pooled = _window(module), row.shape[1]
    if isinstance(model, AlexNetModel) and model.num_towers > 1:
        _divide(columns, model)
    return columns


def _divide(columns: list[Column], model: AlexNetModel) -> None:
    """Say which columns are divided among towers, and which of them read both."""
    crossing: Mapping[str, bool] = {layer.name: layer.reads == "both" for layer in layers(model)}
    for column in columns:
        if column.name in crossing:
            column.num_towers = model.num_towers
            column.reads_both = crossing[column.name]


def _window(module: nn.Module | None) -> str:
    """Return side and stride of a convolution or pool, as in 11/4; empty where there are none."""
    function = getattr(module, "function", None)
    if isinstance(function, partial) and "kind" in function.keywords:
        return f"{function.keywords['kind']} 3/2"
    side = _first(getattr(module, "kernel_size", getattr(module, "size", None)))
    if side is None:
        return ""
    kind = {"MaxPool2d": "max ", "AvgPool2d": "avg "}.get(type(module).__name__, "")
    return f"{kind}{side}/{_first(getattr(module, 'stride', None)) or 1}"


def _first(value: Any) -> int | None:  # noqa: ANN401 (a number, or one for rows and columns)
    first = value[0] if isinstance(value, tuple) else value
    return first if isinstance(first, int) else None


def _kind(module: nn.Module | None, row: LayerRow) -> str:
    """Return the words that tell a normalisation within maps from one across them."""
    function = getattr(module, "function", None)
    inner = function.func.__name__ if isinstance(function, partial) else type(module).__name__
    return f"{inner} {row.name}".lower()
