"""A step's parts meet on the GPU: tensors without values on a device that need not exist."""

import numpy as np
import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.func import functional_call
from torch.nn import functional
from triton_kernels import interpreted

from alexrep.compute.precision import Network
from alexrep.config.model import AlexNetModel
from alexrep.config.recipe import Compute
from alexrep.evaluation.scores import TOP, credit
from alexrep.feed.augment import augment
from alexrep.feed.draws import draw
from alexrep.feed.normalise import make_inputs
from alexrep.kernels import choice
from alexrep.models.alexnet import network as alexnet
from alexrep.models.dropout import set_keys
from alexrep.training.ema import MovingAverage
from alexrep.training.optimiser import Momentum2012

GPU = torch.device("cuda:0")
SIDE = 68


@pytest.mark.parametrize("setting", ["plain", "untried"])
@pytest.mark.parametrize("form", ["towers", "joined"])
def test_a_step_up_to_its_loss_mixes_no_devices(
    form: alexnet.Form, setting: choice.Setting
) -> None:
    model = alexnet.build(AlexNetModel(side=SIDE, width=0.05), 10, seed=1)
    model.form = form
    network = Network(model, Compute(), GPU)
    inputs = make_inputs(np.zeros((80, 80, 3)), np.eye(3), np.ones(3), SIDE, 0.1, divide=True)
    drawn = draw(np.arange(2), 80 - SIDE, "image", True, 1, 0)
    with (
        interpreted(),
        choice.allowed(setting),
        FakeTensorMode(allow_non_fake_inputs=True),
    ):
        values: dict[str, Tensor] = {
            name: torch.nn.Parameter(torch.empty_like(parameter, device=GPU))
            for name, parameter in network.named_parameters()
        }
        images = torch.zeros(2, 80, 80, 3, dtype=torch.uint8, device=GPU)
        set_keys(model, torch.zeros(2, dtype=torch.int64, device=GPU))
        patches = augment(images, drawn, inputs.to(GPU), noisy=True, **network.takes)
        logits = functional_call(network, values, (patches,))
        labels = torch.zeros(2, dtype=torch.int64, device=GPU)
        loss = functional.cross_entropy(logits, labels, reduction="sum")
        credited = [credit(logits.detach(), labels, top) for top in (1, TOP)]
    wide = SIDE + model.margin if setting == "untried" else SIDE
    assert patches.shape == (2, 3, wide, wide)
    assert [each.device for each in (logits, loss, *credited)] == [GPU] * 4
    assert logits.dtype == torch.float32


@pytest.mark.parametrize("setting", ["plain", "untried"])
def test_the_update_and_the_average_stay_on_their_device(setting: choice.Setting) -> None:
    with interpreted(), choice.allowed(setting), FakeTensorMode():
        layer = torch.nn.Linear(3, 2, device=GPU)
        optimiser = Momentum2012([{"params": list(layer.parameters()), "rate": 0.1}])
        average = MovingAverage(layer, 0.9)
        for parameter in layer.parameters():
            parameter.grad = torch.empty_like(parameter)
        optimiser.step()
        average.update()
    kept: list[Tensor] = [*average.state().values(), *layer.parameters()]
    kept += [state["velocity"] for state in optimiser.state.values()]
    assert len(kept) == 6
    assert {each.device for each in kept} == {GPU}
