"""The benchmark of the first steps: its recipes, the running loss, its picture."""

import importlib
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from alexrep.config import recipes
from alexrep.config.model import AlexNetModel

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"


@pytest.fixture
def learning(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Return the benchmark as a module; it imports those beside it."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("learning")


@pytest.fixture
def plot(learning: ModuleType) -> ModuleType:
    return importlib.import_module("learning_plot")


def test_at_full_width_only_the_initialisation_and_the_order_are_not_those_of_net_145(
    learning: ModuleType,
) -> None:
    base = recipes.load("alexnet-2012")
    full = recipes.load("alexnet-2012", learning.Size(1.0).settings(2200, "paper", 2))
    assert full.seed == 2
    assert full.model == base.model.model_copy(update={"initialisation": "paper"})
    assert full.schedule.changes == base.schedule.changes[:1]
    assert full.feed.batch_size == base.feed.batch_size
    assert (full.noise, full.optimiser) == (base.noise, base.optimiser)


def test_at_a_quarter_of_the_width_deviations_patch_batch_and_rates_are_scaled(
    learning: ModuleType,
) -> None:
    small = recipes.load("alexnet-2012", learning.Size(0.25).settings(2200, "code", 1))
    assert small.model == AlexNetModel(side=112, width=0.25, std_factor=2)
    assert (small.feed.batch_size, small.limits.steps) == (64, 34)
    (change,) = small.schedule.changes
    assert (change.weights, change.biases) == (0.005, 0.01)
    assert small.schedule.epochs * 34 >= learning.CAP > (small.schedule.epochs - 1) * 34


def test_the_running_loss_is_the_mean_over_a_step_and_those_before_it(plot: ModuleType) -> None:
    curve = plot.running("code", 1, [4.0, 2.0, 3.0, 1.0], window=2)
    np.testing.assert_array_equal(curve.steps, [2, 3, 4])
    np.testing.assert_allclose(curve.losses, [3.0, 2.5, 2.0])


def test_the_first_step_under_the_target_counts_and_may_be_none(plot: ModuleType) -> None:
    curve = plot.running("code", 1, [3.0, 2.0, 1.0, 2.0, 0.0], window=1)
    assert curve.crossing(2.0) == 3
    assert curve.crossing(0.0) is None


def test_the_summary_names_the_steps_and_counts_the_runs_that_never_get_there(
    plot: ModuleType,
) -> None:
    runs = [plot.running(label, 1, [3.0, last], 1) for label, last in (("code", 1), ("paper", 2.5))]
    expected = "first under 1.800 at step: source 2; paper never in 1 of 1 runs"
    assert plot.summary(runs, 1.8) == expected


def test_the_picture_is_the_same_each_time(plot: ModuleType, tmp_path: Path) -> None:
    runs = [plot.running(label, 1, [2.4, 2.0, 1.7], 1) for label in ("code", "paper")]
    for name in ("one.png", "again.png"):
        plot.draw(runs, 1.84, 5000, tmp_path / name)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "again.png").read_bytes()
    assert len(np.unique(np.asarray(Image.open(tmp_path / "one.png").convert("L")))) > 50


def test_logits_of_a_network_with_lower_deviations_vary_less(
    learning: ModuleType, data: Path
) -> None:
    small = ("model.side=67", "model.width=0.1")
    code, paper = (
        learning.logit_std(
            data, recipes.load("alexnet-2012", (*small, f"model.initialisation={i}"))
        )
        for i in ("code", "paper")
    )
    assert 0 < paper < 0.5 * code
