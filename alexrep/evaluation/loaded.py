"""A trained network on a device, ready to be shown images.

Shapes: N images of a batch, S side of the prepared images, K classes.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from alexrep.compute import precision
from alexrep.compute.precision import Network
from alexrep.config.recipe import Compute
from alexrep.evaluation.evaluate import probabilities, require_finite
from alexrep.feed.normalise import Inputs
from alexrep.feed.preparation import Squares
from alexrep.ilsvrc.classes import ClassTable
from alexrep.prepare.image import Target
from alexrep.runs import trained
from alexrep.runs.folder import RunFolder
from alexrep.runs.trained import Trained

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class LoadedRun:
    """A run's network on a device, and how its images are prepared."""

    folder: RunFolder
    """The run's folder."""
    checkpoint: str
    """Which checkpoint the weights are of, "last" or "best"."""
    trained: Trained
    """The checkpoint: recipe, classes, weights, epoch."""
    compute: Compute
    """How the network is computed, on one device."""
    network: Network
    """The network, in evaluation mode."""
    inputs: Inputs
    """Its normalisation, on its device."""

    @property
    def classes(self) -> ClassTable:
        """The classes, in the order of the logits."""
        return self.trained.classes

    @cached_property
    def class_names(self) -> list[str]:
        """First name of each class, in the order of the logits."""
        return self.classes.short_names()

    @property
    def device(self) -> torch.device:
        """Where the network is computed."""
        return self.network.device

    @property
    def target(self) -> Target:
        """How the images were prepared that it was trained on."""
        return self.trained.target

    def pixels(self, name: str, content: bytes) -> Pixels:
        """Prepare the bytes of an image file as `alexrep preprocess` and `pack` do.

        The square is encoded as a JPEG and decoded again, so that the pixels are those that the
        network was trained on, bit for bit.

        Returns:
            RGB, (S, S, 3).

        Raises:
            UndecodableError: If the bytes are no whole image.
        """
        return Squares(self.target).pixels(name, content)

    @contextlib.contextmanager
    def computing(self) -> Iterator[None]:
        """Compute in the precision and with the determinism of the run's recipe."""
        with precision.settled(self.compute), torch.inference_mode():
            yield

    def probabilities(self, images: Pixels, views: str = "centre") -> NDArray[np.float32]:
        """Return the probability of each class, (N, K).

        Args:
            images: Prepared images, RGB, (N, S, S, 3).
            views: "centre" or "ten-crop".

        Raises:
            AlexrepError: If the network's logits are not finite.
        """
        with self.computing():
            there = torch.from_numpy(images).to(self.device)
            likely: Tensor = probabilities(self.network, there, views, self.inputs).cpu()
            require_finite(likely)
            return cast("NDArray[np.float32]", likely.numpy())


def load(folder: Path, checkpoint: str, device: torch.device) -> LoadedRun:
    """Load a run's network.

    Precision, layout in memory, determinism and form are those of the run's recipe. Nothing is
    compiled and all towers lie on the one device, so that any machine can use any run.

    Args:
        folder: The run's folder.
        checkpoint: "last" or "best".
        device: Where the network is to be computed.

    Raises:
        DataError: If the folder is not a run's, or a file is missing or damaged.
    """
    run = RunFolder(folder)
    content = trained.open_run(run, checkpoint)
    compute = precision.on_one_device(content.recipe.compute)
    with precision.settled(compute):
        model = precision.place(content.model(), compute, device)
        network = Network(model, compute, device).eval()
    return LoadedRun(run, checkpoint, content, compute, network, content.inputs().to(device))
