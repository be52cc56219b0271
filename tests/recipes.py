"""The recipe of the tests: the demo's network, narrow enough for steps of milliseconds."""

from pathlib import Path

from typer.testing import CliRunner

from alexrep.config import recipes
from alexrep.config.model import AlexNetModel
from alexrep.stages import app


def alexnet_of(name: str, *settings: str) -> AlexNetModel:
    """Return the settings of the network of 2012 in a recipe."""
    model = recipes.load(name, settings).model
    assert isinstance(model, AlexNetModel)
    return model


def tiny_recipe(epochs: int, drop_at: int | None = None) -> str:
    """Write it as TOML; from epoch `drop_at` on at a tenth of the rate and without noise.

    Of the tiny edition's 18 training images it takes 4 at a time: 5 steps in an epoch, the last
    of 2.
    """
    drop = f", {{ epoch = {drop_at}, weights = 0.001, noise = false }}" if drop_at else ""
    return f"""
base = "demo"
name = "tiny"
prepared_side = 72
model = {{ side = 67, width = 0.05, std_factor = 4.5 }}
feed = {{ batch_size = 4 }}
[schedule]
epochs = {epochs}
changes = [{{ epoch = 0, weights = 0.01, biases = 0.02 }}{drop}]
"""


def train_tiny(data: Path, folder: Path, epochs: int = 1) -> Path:
    """Train by it on the CPU, as the command does; return the run, `folder`/run."""
    (folder / "tiny.toml").write_text(tiny_recipe(epochs))
    words = ["train", str(data), "--run", str(folder / "run"), "--device", "cpu"]
    result = CliRunner().invoke(app, [*words, "--recipe", str(folder / "tiny.toml")])
    assert result.exit_code == 0, result.output
    return folder / "run"
