"""Runs whose weights are drawn, not trained: what eval, predict and export need, in a second."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from alexrep import files
from alexrep.config import recipes
from alexrep.evaluation.evaluate import probabilities
from alexrep.ilsvrc import classes
from alexrep.models import registry
from alexrep.runs import checkpoint, trained
from alexrep.runs.folder import RunFolder

LEAVES = (
    ("n00000020", 3, "cat, feline", 6),
    ("n00000030", 1, "dog", 6),
    ("n01440764", 2, "n01440764", 6),
)
MARGIN = 8
"""Pixels by which the prepared images are larger than the patch, if the recipe has no side."""


def drawn_run(path: Path, name: str, *settings: str) -> RunFolder:
    """Write a run of a shipped recipe; its probabilities are neither even nor sure."""
    recipe, folder = recipes.load(name, settings), RunFolder(path)
    table = classes.of_leaves(LEAVES)
    side = recipe.model.side + MARGIN
    mean = np.random.default_rng(1).uniform(80, 150, (side, side, 3)).astype(np.float32)
    content = {
        "state_dict": {},
        "epoch": 7,
        "step": 70,
        "config": json.loads(recipe.model_dump_json(exclude_none=True)),
        "classes": table.rows(),
        "inputs": {
            "mean": torch.from_numpy(mean),
            "axes": np.eye(3).tolist(),
            "stds": [1.0, 1.0, 1.0],
            "side": side,
            "geometry": "crop",
        },
    }
    content["state_dict"] = _weights(trained.Trained(path, content))
    files.write_bytes(folder.recipe, recipes.dump(recipe).encode())
    files.write_json(path / "classes.json", table.rows())
    np.save(path / "mean.npy", mean)
    checkpoint.save(folder.checkpoint("last"), content)
    return folder


def pixels(side: int, num: int = 4) -> torch.Tensor:
    """Draw images, uint8 (N, side, side, 3)."""
    drawn = np.random.default_rng(2).integers(0, 256, (num, side, side, 3), np.uint8)
    return torch.from_numpy(drawn)


def scored(network: trained.Trained, images: torch.Tensor, views: str = "centre") -> torch.Tensor:
    """Compute the probabilities of images as eval does."""
    with torch.no_grad():
        return probabilities(network.model().eval(), images, views, network.inputs())


@torch.no_grad()
def _weights(network: trained.Trained) -> dict[str, torch.Tensor]:
    """Draw weights that keep the signals' scale, and logits of a deviation of 1."""
    recipe = network.recipe
    model: Any = registry.build(recipe.model, len(LEAVES), recipe.seed).eval()
    generator = torch.Generator().manual_seed(3)
    for weight in model.parameters():
        fan_in = weight[0].numel() if weight.dim() != 3 else weight.shape[1]
        weight.normal_(0, (2 / fan_in) ** 0.5 if weight.dim() > 1 else 0.1, generator=generator)
    side = recipe.model.side
    logits = model(torch.randn(8, 3, side, side, generator=generator) * 75)
    *_, last = (module for module in model.modules() if isinstance(module, torch.nn.Linear))
    last.weight.div_(logits.std())
    state: dict[str, torch.Tensor] = model.state_dict()
    return state
