"""The two-tower network: its shapes, its crossings, its orders of layers, its places."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.func import functional_call
from torch.nn import functional

from alexrep import recipe
from alexrep.models import alexnet
from alexrep.models.alexnet import AlexNet
from alexrep.models.dropout import keys, set_keys
from alexrep.models.normalisation import normalise_across_maps
from alexrep.models.tower import map_sides
from alexrep.settings import Model
from alexrep.training.optimiser import Momentum2012, groups

SMALL = Model(side=67, width=0.05, std_factor=4.0)


def small(model: Model = SMALL) -> AlexNet:
    """Return a small network in evaluation mode."""
    network = alexnet.build(model, num_classes=3, seed=1)
    network.eval()
    return network


def patches(num_images: int = 2, side: int = 67) -> Tensor:
    """Return patches of tens of grey levels, the same at each call."""
    return 70 * torch.randn(num_images, 3, side, side, generator=torch.Generator().manual_seed(0))


def outputs(
    network: AlexNet, images: Tensor, values: dict[str, Tensor] | None = None
) -> dict[str, Tensor]:
    """Run `network` and return what each convolution and fully connected layer gave, by name."""
    found: dict[str, Tensor] = {}

    def keep(name: str) -> Callable[[nn.Module, tuple[Tensor], Tensor], None]:
        return lambda module, inputs, out: found.update({name: out.detach()})

    layers = [(n, m) for n, m in network.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    hooks = [module.register_forward_hook(keep(name)) for name, module in layers]
    functional_call(network, values or {}, (images,))
    for hook in hooks:
        hook.remove()
    return found


def test_the_paper_side_gives_55_27_13_6() -> None:
    assert map_sides(224) == (55, 27, 13, 6)


def test_the_demo_side_gives_27_13_6_3() -> None:
    assert map_sides(112) == (27, 13, 6, 3)
    demo = recipe.load("demo").model
    with torch.device("meta"):
        network = AlexNet(demo, 10)
    assert network.get_parameter("towers.1.fc6.weight").shape == (512, 64 * 9)


def test_the_full_network_has_the_shapes_of_the_source() -> None:
    with torch.device("meta"):
        network = AlexNet(Model(), 1000).eval()
        found = outputs(network, torch.empty(2, 3, 224, 224))
    shapes = {name: tuple(out.shape[1:]) for name, out in found.items()}
    tower = {
        "conv1": (48, 55, 55),
        "conv2": (128, 27, 27),
        "conv3": (192, 13, 13),
        "conv4": (192, 13, 13),
        "conv5": (128, 13, 13),
        "fc6": (2048,),
        "fc7": (2048,),
    }
    expected = {f"towers.{k}.{name}": shape for k in (0, 1) for name, shape in tower.items()}
    assert shapes == expected | {"fc8": (1000,)}
    assert network.get_parameter("towers.0.fc6.weight").shape == (2048, 9216)


@pytest.mark.parametrize("side", range(67, 83))
def test_every_side_runs_and_agrees_with_the_arithmetic(side: int) -> None:
    with torch.device("meta"):
        network = AlexNet(Model(side=side, width=0.05), 3).eval()
        found = outputs(network, torch.empty(1, 3, side, side))
    conv1, pool1, pool2, _ = map_sides(side)
    sides = [found[f"towers.0.conv{k}"].shape[-1] for k in (1, 2, 3)]
    assert sides == [conv1, pool1, pool2]


def test_zeros_are_added_at_the_right_and_the_bottom_only() -> None:
    network, images = small(Model(side=224, width=0.02)), patches(1, 224)
    conv1 = network.get_submodule("towers.0.conv1")
    corner = outputs(network, images)["towers.0.conv1"]
    whole = functional.pad(images, (0, 3, 0, 3))
    torch.testing.assert_close(corner[..., :1, :1], conv1(images[..., :11, :11]))
    torch.testing.assert_close(corner[..., -1:, -1:], conv1(whole[..., 216:, 216:]))


@pytest.mark.parametrize("layer", ["conv1", "conv2"])
def test_the_first_two_layers_of_a_tower_reach_the_other_at_conv3(layer: str) -> None:
    network = small()
    before = outputs(network, patches())
    with torch.no_grad():
        network.get_parameter(f"towers.1.{layer}.weight").mul_(1.5)
    after = outputs(network, patches())
    same = {name: torch.equal(before[name], after[name]) for name in before}
    assert same["towers.0.conv1"]
    assert same["towers.0.conv2"]
    assert not any(same[f"towers.0.{name}"] for name in ("conv3", "conv4", "conv5", "fc6", "fc7"))
    assert not same["fc8"]


@pytest.mark.parametrize("layer", ["conv3", "conv4", "conv5"])
def test_the_next_three_layers_of_a_tower_reach_the_other_at_fc6(layer: str) -> None:
    network = small()
    before = outputs(network, patches())
    with torch.no_grad():
        network.get_parameter(f"towers.1.{layer}.weight").mul_(1.5)
    after = outputs(network, patches())
    same = [name for name in before if torch.equal(before[name], after[name])]
    own = [f"towers.0.conv{k}" for k in range(1, 6)]
    assert [name for name in own if name in same] == own
    assert "towers.0.fc6" not in same


def test_fc6_of_a_tower_reaches_the_other_at_fc7() -> None:
    network = small()
    before = outputs(network, patches())
    with torch.no_grad():
        network.get_parameter("towers.1.fc6.weight").mul_(1.5)
    after = outputs(network, patches())
    assert torch.equal(before["towers.0.fc6"], after["towers.0.fc6"])
    assert not torch.equal(before["towers.0.fc7"], after["towers.0.fc7"])


def test_one_step_changes_every_parameter_of_both_towers() -> None:
    network = small().train()
    before = {name: value.detach().clone() for name, value in network.named_parameters()}
    optimiser = Momentum2012([group | {"rate": 0.01} for group in groups(network)])
    set_keys(network, keys(1, 0, np.arange(2)))
    torch.autograd.backward(functional.cross_entropy(network(patches()), torch.tensor([0, 2])))
    optimiser.step()
    same = [n for n, value in network.named_parameters() if torch.equal(before[n], value)]
    assert same == []


def test_dropout_masks_the_two_towers_and_layers_apart() -> None:
    network = small().train()
    set_keys(network, keys(1, 0, np.arange(2)))
    dropouts = [network.get_submodule(f"towers.{k}.dropout{n}") for k in (0, 1) for n in (6, 7)]
    masks = [dropout(torch.ones(2, 64)) for dropout in dropouts]
    assert not any(torch.equal(masks[i], masks[j]) for i in range(4) for j in range(i))


def test_the_source_normalises_signed_values_and_the_paper_rectified_ones() -> None:
    seen: dict[str, Tensor] = {}
    for order in ("lrn-pool-relu", "relu-lrn-pool"):
        network = small(SMALL.model_copy(update={"conv1_order": order}))
        norm1 = network.get_submodule("towers.0.norm1")
        norm1.register_forward_hook(lambda m, x, out, order=order: seen.update({order: x[0]}))
        network(patches())
    assert seen["lrn-pool-relu"].min() < 0
    torch.testing.assert_close(seen["relu-lrn-pool"], seen["lrn-pool-relu"].relu())


@pytest.mark.parametrize("within", [True, False])
def test_conv2_is_rectified_normalised_and_pooled(within: bool) -> None:
    network = small(SMALL.model_copy(update={"conv2_within_map": within}))
    seen: list[Tensor] = []
    network.get_submodule("towers.0.conv3").register_forward_hook(
        lambda module, inputs, out: seen.append(inputs[0])
    )
    maps = normalise_across_maps(outputs(network, patches())["towers.0.conv2"].relu())
    if within:
        mean_square = functional.avg_pool2d(maps**2, 5, 1, 2, count_include_pad=True)
        maps = maps * (1 + 0.001 * mean_square) ** -0.75
    pooled = functional.max_pool2d(maps, 3, 2)
    torch.testing.assert_close(seen[0][:, : pooled.shape[1]], pooled)


def test_the_same_network_in_plain_torch_gives_the_same_logits() -> None:
    network, images = small(SMALL.model_copy(update={"conv2_within_map": False})), patches()
    values = {name: value.detach() for name, value in network.named_parameters()}

    def layer(name: str) -> tuple[Tensor, Tensor]:
        parts = [(f"towers.{k}.{name}.weight", f"towers.{k}.{name}.bias") for k in (0, 1)]
        return torch.cat([values[w] for w, _ in parts]), torch.cat([values[b] for _, b in parts])

    def lrn(maps: Tensor) -> Tensor:
        halves = [functional.local_response_norm(x, 5, 1e-4, 0.75, 2.0) for x in maps.chunk(2, 1)]
        return torch.cat(halves, 1)

    maps = functional.conv2d(functional.pad(images, (0, 0, 0, 0)), *layer("conv1"), stride=4)
    maps = functional.max_pool2d(lrn(maps), 3, 2).relu()
    maps = functional.conv2d(maps, *layer("conv2"), padding=2, groups=2)
    maps = functional.max_pool2d(lrn(maps.relu()), 3, 2)
    maps = functional.conv2d(maps, *layer("conv3"), padding=1).relu()
    maps = functional.conv2d(maps, *layer("conv4"), padding=1, groups=2).relu()
    maps = functional.conv2d(maps, *layer("conv5"), padding=1, groups=2)
    units = functional.max_pool2d(maps, 3, 2).relu().flatten(1)
    for name in ("fc6", "fc7"):
        units = functional.linear(units, *layer(name)).relu() * 0.5
    logits = functional.linear(units, values["fc8.weight"], values["fc8.bias"])
    torch.testing.assert_close(network(images), logits, rtol=1e-4, atol=1e-5)


def test_a_tower_is_placed_whole_and_fc8_with_the_first() -> None:
    network = small()
    network.place(["cpu", "meta"])
    for name, parameter in network.named_parameters():
        assert parameter.device.type == ("meta" if name.startswith("towers.1.") else "cpu")


def test_activations_move_to_the_tower_that_reads_them() -> None:
    network, second = small().train(), "towers.1."
    with FakeTensorMode():
        # Parameters without values on two GPUs, which need not exist.
        values = {
            name: torch.empty(value.shape, device=f"cuda:{int(name.startswith(second))}")
            for name, value in network.named_parameters()
        }
        set_keys(network, torch.zeros(2, dtype=torch.int64, device="cuda:0"))
        images = torch.empty(2, 3, 67, 67, device="cuda:0")
        found = outputs(network, images, values)
    for name, out in found.items():
        assert str(out.device) == ("cuda:1" if name.startswith(second) else "cuda:0")
    assert len(found) == 15


def test_a_tower_without_a_device_is_an_error() -> None:
    with pytest.raises(ValueError, match="devices: expected 2, found 1"):
        small().place(["cpu"])


def test_patches_of_another_side_are_refused() -> None:
    with pytest.raises(ValueError, match=r"expected \(N, 3, 67, 67\), found \(2, 3, 68, 68\)"):
        small()(patches(2, 68))
