"""The joined form of the towers, against separate towers."""

import numpy as np
import pytest
import torch
from torch import Tensor

from alexrep.config.model import AlexNetModel
from alexrep.models.alexnet import network as alexnet
from alexrep.models.alexnet.network import AlexNet
from alexrep.models.dropout import keys, set_keys

VARIANTS: list[dict[str, object]] = [
    {},
    {"num_towers": 1},
    {"norm_scope": "joint"},
    {"doubled": ("conv4", "fc6")},
    {"crossings": (), "kernels": {"conv2": 160}, "doubled": ("fc6",)},
    {"crossings": ("fc7",), "conv6": True},
    {"conv6": True},
    {"padding": {"conv2": 1, "conv5": 0}, "pool": "2/2"},
    {"norm": "none", "activation": "tanh", "pool": "2/2"},
    {"without": ("conv3", "fc6"), "dropout": "inverted", "norm": "caffe"},
    {"without": ("conv4", "conv5", "fc7"), "conv1_order": "relu-lrn-pool"},
]


def both(fields: dict[str, object]) -> tuple[AlexNet, AlexNet]:
    """Return a small network in each form, ready for a training step on four images."""
    small = {"side": 67, "width": 0.05, "std_factor": 4.5}
    model = AlexNetModel.model_validate(small | fields)
    towers, joined = (alexnet.build(model, 5, seed=1) for _ in range(2))
    joined.form = "joined"
    for network in (towers, joined):
        set_keys(network, keys(1, 0, np.arange(4)))
    return towers, joined


def patches() -> Tensor:
    """Return patches of tens of grey levels, the same at each call."""
    return 70 * torch.randn(4, 3, 67, 67, generator=torch.Generator().manual_seed(0))


def assert_equal_step(joined: AlexNet, other: AlexNet, logits: Tensor, known: Tensor) -> None:
    """Compare logits, and the gradients of the sum of their squares."""
    torch.testing.assert_close(logits, known)
    torch.autograd.backward([logits, known], [logits.detach(), known.detach()])
    for mine, theirs in zip(joined.parameters(), other.parameters(), strict=True):
        assert mine.grad is not None
        assert theirs.grad is not None
        scale = theirs.grad.abs().max().item()
        torch.testing.assert_close(mine.grad, theirs.grad, rtol=1e-4, atol=1e-5 * scale)


@pytest.mark.parametrize("fields", VARIANTS, ids=str)
def test_outputs_and_gradients_of_both_forms_are_equal(fields: dict[str, object]) -> None:
    towers, joined = both(fields)
    assert_equal_step(joined, towers, joined(patches()), towers(patches()))


def test_activations_of_both_forms_are_equal() -> None:
    towers, joined = both({})
    activations, expected = (
        net.eval().activations(patches(), net.names) for net in (joined, towers)
    )
    assert list(activations) == list(expected)
    for name, out in expected.items():
        torch.testing.assert_close(activations[name], out)


def test_towers_of_the_joined_form_are_not_parted() -> None:
    _, joined = both({})
    with pytest.raises(ValueError, match="expected one for the joined form, found"):
        joined.place(["cpu", "meta"])
    joined.place(["meta", "meta"])
    assert {value.device.type for value in joined.parameters()} == {"meta"}


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
@pytest.mark.parametrize("fields", [{}, {"norm_scope": "joint"}], ids=str)
@pytest.mark.parametrize("form", ["towers", "joined"])
def test_a_compiler_takes_the_step_as_one_graph_and_once(
    backend: str, form: alexnet.Form, fields: dict[str, object]
) -> None:
    torch.compiler.reset()
    towers, network = both(fields)
    network.form = form
    compiled = torch.compile(network, backend=backend, fullgraph=True)
    for step in range(2):
        for net in (towers, network):
            net.zero_grad()
            set_keys(net, keys(1, step, np.arange(4)))
        with torch._dynamo.config.patch(error_on_recompile=True):
            logits = compiled(patches())
        assert_equal_step(network, towers, logits, towers(patches()))
