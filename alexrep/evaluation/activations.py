"""The outputs of a network's hidden layers: what it makes of an image before it names a class.

Shapes: N images of a batch, S side of the prepared images, D numbers of a layer.
"""

from collections.abc import Collection, Sequence
from typing import Protocol, cast, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from alexrep.compute.precision import Network
from alexrep.errors import AlexrepError, ConfigError, examples, mismatch
from alexrep.evaluation.loaded import LoadedRun, Pixels
from alexrep.feed import views
from alexrep.models import count

BEFORE = "before-"
"""Prefix of a layer's name that means what the layer reads, not what it gives."""


@runtime_checkable
class Named(Protocol):
    """A network that names its activations."""

    @property
    def names(self) -> Sequence[str]:
        """The names, in order; the last are the logits."""

    def activations(self, images: Tensor, names: Collection[str]) -> dict[str, Tensor]:
        """Compute some of them."""


class _NamedLayer(nn.Module):
    """One activation of a network that names them."""

    def __init__(self, network: Named, layer: str) -> None:
        super().__init__()
        self._network, self._layer = (network,), layer

    def forward(self, images: Tensor) -> Tensor:
        return self._network[0].activations(images, [self._layer])[self._layer]


class _Part(nn.Module):
    """What one module of any network gives, or reads; the last time if it is used more often."""

    def __init__(self, network: nn.Module, layer: str) -> None:
        super().__init__()
        self._network, self._layer = (network,), layer

    def forward(self, images: Tensor) -> Tensor:
        seen: list[Tensor] = []

        def note(_: nn.Module, read: tuple[Tensor, ...], given: Tensor | tuple[Tensor]) -> None:
            out = given if isinstance(given, Tensor) else given[0]
            # A copy: what comes after may work in place.
            seen.append((read[0] if self._layer.startswith(BEFORE) else out).clone())

        part = self._network[0].get_submodule(self._layer.removeprefix(BEFORE))
        hook = part.register_forward_hook(note)
        try:
            self._network[0](images)
        finally:
            hook.remove()
        return seen[-1]


class Layer:
    """One layer of a run's network, read image by image."""

    def __init__(self, run: LoadedRun, name: str | None = None) -> None:
        """Choose the layer.

        Args:
            run: The network.
            name: Name of the layer; by default the last hidden one: fc7 in the network of 2012.
                Networks that do not name their activations have modules, whose output it is,
                and `before-` a module for what that reads.

        Raises:
            ConfigError: If there is no such layer.
        """
        self._run = run
        known = layer_names(run)
        self.name = name or known[0]
        """The layer's name."""
        if self.name not in known:
            advice = "choose one of them"
            raise ConfigError(mismatch("--layer", examples(known, 20), repr(self.name), advice))
        model = run.network.model
        part = (
            _NamedLayer(model, self.name) if isinstance(model, Named) else _Part(model, self.name)
        )
        self._network = Network(part, run.compute, run.device)
        side = run.trained.side
        self.num_units = self.of(np.zeros((1, side, side, 3), np.uint8)).shape[1]
        """D, the numbers that it has for each image."""

    def of(self, images: Pixels) -> NDArray[np.float16]:
        """Return the activations of the centre patches, (N, D), maps row by row.

        Args:
            images: Prepared images, RGB, (N, S, S, 3).

        Raises:
            AlexrepError: If one is not finite, or too large for float16.
        """
        run = self._run
        with run.computing():
            there = torch.from_numpy(images).to(run.device)
            (patches,) = views.patches(there, "centre", run.inputs)
            found = self._network(patches).flatten(1).half().cpu()
            if not bool(torch.isfinite(found).all()):
                wanted = f"activations of {self.name} within float16"
                raise AlexrepError(
                    mismatch("the network", wanted, "others", "choose another layer")
                )
            return cast("NDArray[np.float16]", found.numpy())


def layer_names(run: LoadedRun) -> list[str]:
    """Return the names of a network's layers, the last hidden one first.

    Of a network that does not name them it is what the last fully connected layer reads: the
    features that it classifies by. Without such a layer, what the last one with weights reads.
    """
    model = run.network.model
    if isinstance(model, Named):
        *hidden, _ = model.names
        return hidden[::-1]
    modules = dict(model.named_modules())
    rows = [row for row in count.layers(model, run.inputs.side) if row.cost.weights]
    rows = [row for row in rows if row.shape and row.name in modules]
    last = rows[-1].name
    for row in rows:
        last = row.name if isinstance(modules.get(row.name), nn.Linear) else last
    return [f"{BEFORE}{last}", *(name for name in modules if name)]
