"""The benchmark of the training step, on tiny networks and images."""

import importlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from alexrep.config.model import AlexNetModel
from alexrep.config.recipe import Compute
from alexrep.demo import pictures
from alexrep.models import registry
from alexrep.models.alexnet import network as alexnet

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
TINY = ("--side", "67", "--width", "0.02", "--batch", "4", "--rounds", "1", "--layout", "last")
NETS = ("alexrep, joined", "alexrep, towers", "naive")


def script(monkeypatch: pytest.MonkeyPatch, name: str) -> Any:  # noqa: ANN401 (a module)
    """Import a benchmark script as if it were run."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module(name)


@pytest.mark.slow
def test_every_part_of_the_benchmark_leaves_its_rows(
    monkeypatch: pytest.MonkeyPatch, data: Path, tmp_path: Path
) -> None:
    step = script(monkeypatch, "step")
    monkeypatch.setattr(step.record, "RESULTS", tmp_path)
    given = ("--data", str(data), "--seconds", "0.1", "--threads", "1", "--compile", "no")
    for rounding in ("bf16", "fp32"):
        words = ("--device", "cpu", "--precision", rounding, "--nets", *NETS)
        step.main([str(tmp_path), *words, *TINY, *given])
    document = json.loads((tmp_path / "step.json").read_text())
    name = "{}, channels last, not compiled, batch 4"
    names = [name.format("bf16"), name.format("fp32")]
    assert list(document["steps"]) == names
    assert list(document["fed"]) == [f"{net}, towers" for net in names]
    row = document["steps"][name.format("fp32")]
    assert tuple(row["images per second"]) == NETS
    assert all(rate > 0 for rate in row["images per second"].values())
    assert document["fed"][f"{names[1]}, towers"]["images_per_s"] > 0
    assert len(document["normalisation"]) == 3


def test_the_naive_network_is_the_same_function(monkeypatch: pytest.MonkeyPatch) -> None:
    nets = script(monkeypatch, "step_nets")
    model = AlexNetModel(side=67, width=0.05, std_factor=4.5, dropout="inverted")
    network, naive = alexnet.build(model, 1000, seed=1).eval(), nets.naive(67, 0.05).eval()
    values = dict(network.named_parameters())
    layers = [module for module in naive if isinstance(module, nn.Conv2d | nn.Linear)]
    names = [*(f"conv{k}" for k in range(1, 6)), "fc6", "fc7"]
    with torch.no_grad():
        for layer, name in zip(layers, names, strict=False):
            for kind in ("weight", "bias"):
                halves = [values[f"towers.{k}.{name}.{kind}"] for k in (0, 1)]
                layer.get_parameter(kind).copy_(torch.cat(tuple(halves)))
        layers[-1].load_state_dict(network.fc8.state_dict())
    images = 70 * torch.randn(2, 3, 67, 67, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(naive(images), network(images), rtol=1e-4, atol=1e-5)


def test_a_network_is_measured_in_its_own_form(monkeypatch: pytest.MonkeyPatch) -> None:
    measure = script(monkeypatch, "step_measure")
    network = registry.build(AlexNetModel(side=67, width=0.02), 1000, seed=1, form="joined")
    images = torch.zeros(2, 3, 67, 67)
    assert measure.bare(network, Compute(), torch.device("cpu"), images, 1)() > 0
    assert isinstance(network, alexnet.AlexNet)
    assert network.form == "joined"


def test_a_step_of_an_image_costs_4_14_gigaflops(monkeypatch: pytest.MonkeyPatch) -> None:
    nets = script(monkeypatch, "step_nets")
    with torch.device("meta"):
        costs = {
            name: nets.operations(make(), 224)
            for name, make in nets.all_of_them(224, 1.0).items()
            if not name.startswith("alexrep")
        }
    naive = 6 * 724_406_816 - 2 * 105_415_200
    # 64 kernels of 11 x 11 x 3 at 55 x 55 places in the first of torchvision's layers.
    assert costs == {"naive": naive, "torchvision": 6 * 714_188_480 - 2 * 70_276_800}


def test_made_images_are_distinct_and_of_20_to_35_kilobytes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    images = script(monkeypatch, "step_images")
    photos = pictures.photographs()
    jpegs = [images.jpeg(photos, number) for number in range(20)]
    assert len(set(jpegs)) == 20
    assert all(20_000 <= len(jpeg) <= 35_000 for jpeg in jpegs)
    assert jpegs[3] == images.jpeg(photos, 3)
