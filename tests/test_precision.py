"""How a network is computed: precision, memory layout, and switches that are restored."""

import os
import shutil
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from alexrep.compute import precision
from alexrep.compute.precision import Network, missing_compiler, place, settled
from alexrep.config.model import AlexNetModel
from alexrep.config.recipe import Compute
from alexrep.models.alexnet import network as alexnet

CPU = torch.device("cpu")


class Probe(nn.Module):
    """Records dtype and memory format of its input, and the dtype of its product."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(3, 2)
        self.seen: list[Any] = []

    def forward(self, patches: Tensor) -> Tensor:
        logits: Tensor = self.fc(patches.mean((2, 3)))
        is_last = patches.is_contiguous(memory_format=torch.channels_last)
        self.seen = [logits.dtype, is_last]
        return logits


def patches() -> Tensor:
    """Return patches as the feed makes them, channels last."""
    return torch.arange(2 * 4 * 4 * 3.0).reshape(2, 4, 4, 3).permute(0, 3, 1, 2)


@pytest.mark.parametrize(
    ("settings", "seen"),
    [
        ({}, [torch.float32, True]),
        ({"precision": "bf16"}, [torch.bfloat16, True]),
        ({"precision": "tf32", "channels_last": False}, [torch.float32, False]),
    ],
)
def test_the_network_computes_as_the_recipe_says(settings: dict[str, Any], seen: list[Any]) -> None:
    probe = Probe()
    logits = Network(probe, Compute(**settings), CPU)(patches())
    assert probe.seen == seen
    assert logits.dtype == torch.float32


def test_float64_stays() -> None:
    assert Network(Probe().double(), Compute(), CPU)(patches().double()).dtype == torch.float64


def test_towers_lie_on_the_devices_of_the_recipe_and_patches_on_the_first() -> None:
    compute = Compute(towers=("cpu", "cuda:1"))
    # A device of its own that needs no GPU.
    parted = compute.model_copy(update={"towers": ("cpu", "meta")})
    network = place(alexnet.build(AlexNetModel(side=67, width=0.02), 3, seed=1), parted, CPU)
    on = {name: value.device.type for name, value in network.named_parameters()}
    assert all(on[name] == ("meta" if name.startswith("towers.1.") else "cpu") for name in on)
    assert precision.home(compute, torch.device("cuda:1")) == CPU
    assert precision.home(Compute(), torch.device("cuda:1")) == torch.device("cuda:1")


@pytest.mark.parametrize("form", ["towers", "joined"])
def test_the_form_is_that_of_the_recipe(form: str) -> None:
    network = alexnet.build(AlexNetModel(side=67, width=0.02), 3, seed=1)
    place(network, Compute.model_validate({"form": form}), CPU)
    assert network.form == form


def test_its_parameters_are_those_of_the_network() -> None:
    probe = Probe()
    network = Network(probe, Compute(), CPU)
    assert [id(parameter) for parameter in network.parameters()] == [
        id(parameter) for parameter in probe.parameters()
    ]
    network.eval()
    assert not probe.training


@pytest.mark.parametrize("is_last", [True, False])
def test_kernels_lie_as_the_recipe_says(is_last: bool) -> None:
    net = place(nn.Conv2d(3, 4, 2), Compute(channels_last=is_last), CPU)
    weight = next(net.parameters())
    assert weight.is_contiguous(memory_format=torch.channels_last) == is_last


def switches() -> list[Any]:
    backends: Any = torch.backends
    return [
        backends.cuda.matmul.fp32_precision,
        backends.cudnn.conv.fp32_precision,
        backends.cudnn.benchmark,
        backends.cudnn.deterministic,
        torch.are_deterministic_algorithms_enabled(),
    ]


@pytest.mark.parametrize(
    ("settings", "inside"),
    [
        ({}, ["ieee", "ieee", False, True, True]),
        ({"precision": "tf32"}, ["tf32", "tf32", False, True, True]),
        ({"precision": "bf16", "deterministic": False}, ["tf32", "tf32", True, False, False]),
    ],
)
def test_the_switches_are_set_and_put_back(settings: dict[str, Any], inside: list[Any]) -> None:
    before = switches()
    with settled(Compute(**settings)):
        assert switches() == inside
        if Compute(**settings).deterministic:
            assert os.environ["CUBLAS_WORKSPACE_CONFIG"]
    assert switches() == before


def test_without_a_compiler_the_network_stays_uncompiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    network = Network(Probe(), Compute(compile=True), CPU)
    assert network.missing is not None
    assert "no C++ compiler" in network.missing
    assert network(patches()).shape == (2, 2)
    assert not precision.facts(Compute(compile=True), CPU, 1)["compiled"]


def test_on_one_device_nothing_but_towers_and_compilation_is_left_out() -> None:
    compute = Compute(
        precision="bf16",
        channels_last=False,
        compile=True,
        deterministic=False,
        towers=("cuda:0", "cuda:1"),
    )
    alone = precision.on_one_device(compute)
    assert (alone.compile, alone.towers) == (False, ())
    assert alone.model_copy(update={"compile": True, "towers": compute.towers}) == compute


def test_the_compiler_that_is_named_must_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert missing_compiler(CPU) == "no C++ compiler (no-such-compiler)"


@pytest.mark.parametrize("is_asked", [True, False])
def test_it_is_compiled_if_asked_for(monkeypatch: pytest.MonkeyPatch, is_asked: bool) -> None:
    compiled: list[nn.Module] = []

    def compile_it(model: nn.Module) -> nn.Module:
        compiled.append(model)
        return model

    monkeypatch.setattr(precision, "missing_compiler", lambda device: None)
    monkeypatch.setattr(torch, "compile", compile_it)
    assert Network(Probe(), Compute(compile=is_asked), CPU).is_compiled == is_asked
    assert len(compiled) == is_asked


def test_the_facts_tell_what_the_numbers_depend_on() -> None:
    facts = precision.facts(Compute(precision="bf16", accumulate=2, ema=0.5), CPU, 4)
    assert (facts["precision"], facts["processes"], facts["accumulate"]) == ("bf16", 4, 2)
    assert (facts["device"], facts["deterministic"], facts["ema"]) == ("cpu", True, 0.5)
