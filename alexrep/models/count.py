"""What each layer of a network gives, holds and does; nothing is computed."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from math import prod
from typing import Any

from torch import Tensor, nn
from torch.nn.modules import activation
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from alexrep.compute.precision import Towered
from alexrep.models import without_values
from alexrep.models.dropout import MaskDropout

UNLISTED = (nn.Flatten, nn.Identity, nn.modules.dropout._DropoutNd, MaskDropout)
"""Parts that change values one by one, or nothing: no layers of their own. So are activations,
and those of torchvision's parts that have neither parameters nor parts."""
WHOLE = "network"
"""Name of what a network holds and does itself, outside of its parts."""


@dataclass
class Cost:
    """What a layer, or a whole network, holds and does."""

    weights: int = 0
    biases: int = 0
    multiply_adds: int = 0
    """For one image; those of convolutions and products of matrices, attention's among them, so
    that norms and pools have none."""
    fixed: int = 0
    """Numbers that are kept beside the parameters and not trained: the running means and
    variances of batch normalisation."""

    @property
    def parameters(self) -> int:
        """Weights and biases together, all of which are trained."""
        return self.weights + self.biases

    def add(self, other: "Cost") -> None:
        """Add the counts of `other`."""
        self.weights += other.weights
        self.biases += other.biases
        self.multiply_adds += other.multiply_adds
        self.fixed += other.fixed


@dataclass
class LayerRow:
    """A layer, of all towers together."""

    name: str
    shape: tuple[int, ...] = ()
    """Its output for one image: maps, rows and columns, or units. Empty if the network does not
    call it: an auxiliary head, which only training has, or one whose weights another one uses."""
    cost: Cost = field(default_factory=Cost)

    @property
    def activation_bytes(self) -> int:
        """Memory of its output for one image, in float32."""
        return 4 * prod(self.shape) if self.shape else 0


def layers(network: nn.Module, side: int) -> list[LayerRow]:
    """List the layers of `network`: those with parameters, normalisations and pools.

    One image without values goes through parameters without values: it takes milliseconds and
    no memory, at any size and on any device.

    Args:
        network: Takes images (N, 3, side, side).
        side: Side of the patch, in pixels.

    Returns:
        The layers in order of their first use, under their names in the network without that
        of the tower, so that the shares of two towers are one layer. Then those that are not
        called in evaluation.

    Raises:
        ConfigError: If the network cannot be computed at this side.
    """
    rows: dict[str, LayerRow] = {}
    modules = {name: module for name, module in network.named_modules() if _is_layer(module)}
    notes = [_Note(rows, _row_name(name), module) for name, module in modules.items()]
    with ExitStack() as stack:
        products = stack.enter_context(_Products(rows))
        for note in notes:
            stack.callback(note.module.register_forward_pre_hook(products.enter(note.name)).remove)
            stack.callback(note.module.register_forward_hook(note).remove)
            stack.callback(note.module.register_forward_hook(products.leave).remove)
        stack.enter_context(_plain(network))
        without_values.run(network, side)
    for note in notes:
        if not note.is_known and (holds := _holds(note.module)) != Cost():
            rows.setdefault(note.name, LayerRow(note.name)).cost.add(holds)
    return list(rows.values())


def count(network: nn.Module, side: int) -> dict[str, Cost]:
    """Count the layers of `network` that have parameters, as `layers` lists them, by name."""
    return {row.name: row.cost for row in layers(network, side) if row.cost.parameters}


def total(costs: Mapping[str, Cost]) -> Cost:
    """Add up the costs of all layers."""
    everything = Cost()
    for cost in costs.values():
        everything.add(cost)
    return everything


def _is_layer(module: nn.Module) -> bool:
    if any(True for _ in module.parameters(recurse=False)):
        return True
    is_leaf = not any(True for _ in module.children())
    home = type(module).__module__
    is_pointwise = home == activation.__name__ or home.startswith("torchvision.")
    return is_leaf and not is_pointwise and not isinstance(module, UNLISTED)


def _row_name(name: str) -> str:
    return re.sub(r"^towers\.\d+\.", "", name) or WHOLE


def _holds(module: nn.Module) -> Cost:
    """Count a module's own parameters, and the numbers beside them."""
    parameters = dict(module.named_parameters(recurse=False))
    biases = parameters["bias"].numel() if "bias" in parameters else 0
    unsaved = module._non_persistent_buffers_set
    kept = [one for name, one in module._buffers.items() if name not in unsaved]
    fixed = sum(one.numel() for one in kept if one is not None and one.is_floating_point())
    return Cost(sum(one.numel() for one in parameters.values()) - biases, biases, fixed=fixed)


class _Note:
    """A forward hook that notes a layer's output and what it holds in its row."""

    def __init__(self, rows: dict[str, LayerRow], name: str, module: nn.Module) -> None:
        self.rows, self.name, self.module, self.is_known = rows, name, module, False

    def __call__(
        self, module: nn.Module, _inputs: tuple[Tensor, ...], given: Tensor | tuple[Tensor, ...]
    ) -> None:
        out = given if isinstance(given, Tensor) else given[0]
        row = self.rows.setdefault(self.name, LayerRow(self.name))
        if not self.is_known:
            row.cost.add(_holds(module))
            maps = row.shape[0] if row.shape else 0
            row.shape = (maps + out.shape[1], *out.shape[2:])
        self.is_known = True


class _Products(TorchDispatchMode):
    """Adds the multiply-adds of every convolution and product to the innermost layer at work."""

    def __init__(self, rows: dict[str, LayerRow]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.rows, self.at_work = rows, [WHOLE]

    def enter(self, name: str) -> Any:  # noqa: ANN401 (a hook)
        """Return a hook before a layer."""
        return lambda *_: self.at_work.append(name)

    def leave(self, *_: object) -> None:
        """End the layer that was entered last: a hook after it."""
        self.at_work.pop()

    def __torch_dispatch__(
        self,
        func: Any,  # noqa: ANN401 (an operator)
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401 (what that returns)
        """Call an operator, and count it."""
        out = func(*args, **(kwargs or {}))
        formula = flop_registry.get(func._overloadpacket)
        if formula is not None:
            name = self.at_work[-1]
            row = self.rows.setdefault(name, LayerRow(name))
            # Two operations are a multiply-add.
            row.cost.multiply_adds += formula(*args, **(kwargs or {}), out_val=out) // 2
        return out


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
