"""What each layer of a network gives, holds and does, as a table; nothing is computed."""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from alexrep import files
from alexrep.compute.precision import Towered
from alexrep.models.dropout import MaskDropout

UNLISTED = (nn.ReLU, nn.Tanh, nn.Flatten, nn.Identity, nn.Dropout, MaskDropout)
"""Parts that change values one by one, or nothing: no layers of their own."""


@dataclass
class Cost:
    """What a layer, or a whole network, holds and does."""

    weights: int = 0
    biases: int = 0
    multiply_adds: int = 0
    """For one image; of weights only, so that norms and pools have none."""

    @property
    def parameters(self) -> int:
        """Weights and biases together."""
        return self.weights + self.biases

    def add(self, other: "Cost") -> None:
        """Add the counts of `other`."""
        self.weights += other.weights
        self.biases += other.biases
        self.multiply_adds += other.multiply_adds


@dataclass
class LayerRow:
    """A layer, of all towers together."""

    name: str
    shape: tuple[int, ...] = ()
    """Its output for one image: maps, rows and columns, or units."""
    cost: Cost = field(default_factory=Cost)

    @property
    def activation_bytes(self) -> int:
        """Memory of its output for one image, in float32."""
        return 4 * prod(self.shape)


def layers(network: nn.Module, side: int) -> list[LayerRow]:
    """List the layers of `network`: those with parameters, normalisations and pools.

    One image without values goes through parameters without values: it takes milliseconds and
    no memory, at any size and on any device.

    Args:
        network: Takes images (N, 3, side, side).
        side: Side of the patch, in pixels.

    Returns:
        The layers in order of their first use, under their names in the network without that
        of the tower, so that the shares of two towers are one layer.
    """
    rows: dict[str, LayerRow] = {}
    hooks = []
    for name, module in network.named_modules():
        if _is_layer(module):
            note = _Note(rows, re.sub(r"^towers\.\d+\.", "", name))
            hooks.append(module.register_forward_hook(note))
    try:
        with _plain(network):
            _run_without_values(network, side)
    finally:
        for hook in hooks:
            hook.remove()
    return list(rows.values())


def count(network: nn.Module, side: int) -> dict[str, Cost]:
    """Count the layers of `network` that have parameters, as `layers` lists them, by name."""
    return {row.name: row.cost for row in layers(network, side) if row.cost.parameters}


def total(costs: dict[str, Cost]) -> Cost:
    """Add up the costs of all layers."""
    everything = Cost()
    for cost in costs.values():
        everything.add(cost)
    return everything


def _is_layer(module: nn.Module) -> bool:
    has_own = any(True for _ in module.parameters(recurse=False))
    is_leaf = not any(True for _ in module.children())
    return has_own or (is_leaf and not isinstance(module, UNLISTED))


class _Note:
    """A forward hook that notes a layer's output and costs in its row."""

    def __init__(self, rows: dict[str, LayerRow], name: str) -> None:
        self.rows, self.name, self.is_known = rows, name, False

    def __call__(
        self, module: nn.Module, _inputs: tuple[Tensor, ...], given: Tensor | tuple[Tensor, ...]
    ) -> None:
        out = given if isinstance(given, Tensor) else given[0]
        row = self.rows.setdefault(self.name, LayerRow(self.name))
        parameters = dict(module.named_parameters(recurse=False))
        weights = sum(one.numel() for name, one in parameters.items() if name != "bias")
        # A kernel's weights are used once at each place of its map, (1, C, H, W) or (1, U);
        # weights that a layer does not share between places, at their own place only.
        is_shared = getattr(module, "shares_weights", True)
        uses = prod(out.shape[2:]) if is_shared else 1
        row.cost.add(Cost(0, 0, weights * uses))
        if not self.is_known:
            biases = parameters["bias"].numel() if "bias" in parameters else 0
            row.cost.add(Cost(weights, biases))
            maps = row.shape[0] if row.shape else 0
            row.shape = (maps + out.shape[1], *out.shape[2:])
        self.is_known = True


@contextmanager
def _plain(network: nn.Module) -> Iterator[None]:
    """Have `network` in evaluation, each layer by itself, and put it back."""
    modes = {module: module.training for module in network.modules()}
    form = network.form if isinstance(network, Towered) else None
    network.eval()
    if isinstance(network, Towered):
        network.form = "towers"
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training
        if isinstance(network, Towered) and form is not None:
            network.form = form


@torch.no_grad()
def _run_without_values(network: nn.Module, side: int) -> None:
    state = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    shapes = {name: tensor.to("meta") for name, tensor in state.items()}
    functional_call(network, shapes, (torch.empty(1, 3, side, side, device="meta"),))


HEADER = ("layer", "output", "parameters", "multiply-adds", "activation bytes")


def save(
    path: Path,
    network: nn.Module,
    side: int,
    check: Callable[[], None] = files.nothing,
) -> None:
    """Write the table of `network` to `path` as JSON, whole or not at all.

    Args:
        path: RUN/layers.json.
        network: Takes images (N, 3, side, side).
        side: Side of the patch, in pixels.
        check: As for `files.whole`.
    """
    files.write_json(path, document(layers(network, side)), check)


def document(rows: Sequence[LayerRow]) -> dict[str, Any]:
    """Return the table as plain data: `layers`, and their `total`; all for one image."""
    table = [
        {
            "name": row.name,
            "output": list(row.shape),
            **_numbers(row.cost),
            "activation_bytes": row.activation_bytes,
        }
        for row in rows
    ]
    num_bytes = sum(row.activation_bytes for row in rows)
    return {"layers": table, "total": {**_numbers(_total(rows)), "activation_bytes": num_bytes}}


def text(rows: Sequence[LayerRow]) -> str:
    """Return the table as lines: a row for each layer, and the total."""
    table = [
        (row.name, " x ".join(map(str, row.shape)), *_amounts(row.cost, row.activation_bytes))
        for row in rows
    ]
    last = ("total", "", *_amounts(_total(rows), sum(row.activation_bytes for row in rows)))
    width = max(10, *(len(row.name) + 1 for row in rows))
    return "\n".join(_line(cells, width) for cells in (HEADER, *table, last))


def _total(rows: Sequence[LayerRow]) -> Cost:
    return total({row.name: row.cost for row in rows})


def _numbers(cost: Cost) -> dict[str, int]:
    return {
        "weights": cost.weights,
        "biases": cost.biases,
        "parameters": cost.parameters,
        "multiply_adds": cost.multiply_adds,
    }


def _amounts(cost: Cost, num_bytes: int) -> tuple[str, str, str]:
    return f"{cost.parameters:,}", f"{cost.multiply_adds:,}", f"{num_bytes:,}"


def _line(cells: Sequence[str], width: int) -> str:
    name, shape, *numbers = cells
    return f"{name:<{width}}{shape:<16}" + "".join(f"{number:>18}" for number in numbers)
