"""The two-tower network: shapes, cross connections, orders of layers, devices."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from recipes import alexnet_of
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.func import functional_call
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from alexrep.config.model import AlexNetModel
from alexrep.config.optimiser import Momentum2012Rule
from alexrep.errors import ConfigError
from alexrep.models.alexnet import network as alexnet
from alexrep.models.alexnet.network import AlexNet
from alexrep.models.alexnet.tower import map_sides
from alexrep.models.dropout import keys, set_keys
from alexrep.models.normalisation import normalise_across_maps
from alexrep.training import optimiser as optimisers

SMALL = AlexNetModel(side=67, width=0.05, std_factor=4.0)

KINDS = ("weight", "bias")

SWITCHES: list[dict[str, object]] = [
    {},
    {"num_towers": 1},
    {"activation": "tanh"},
    {"conv1_order": "relu-lrn-pool"},
    {"norm": "paper"},
    {"norm": "caffe"},
    {"norm": "none"},
    {"norm_scope": "joint"},
    {"conv2_norm": False},
    {"conv2_within_map": False},
    {"conv2_norm": False, "conv2_within_map": False},
    {"pool": "2/2"},
    {"without": ("conv3",)},
    {"without": ("conv4",)},
    {"without": ("conv5",)},
    {"without": ("fc6",)},
    {"without": ("fc7",)},
    {"without": ("conv3", "conv4", "conv5", "fc6", "fc7")},
    {"num_towers": 1, "doubled": ("conv5", "fc6", "fc7")},
    {"doubled": ("conv3",)},
    {"dropout": "none"},
    {"initialisation": "caffe"},
]
"""Each departure of a network from net 145 that shows in its evaluation."""


def small(model: AlexNetModel = SMALL) -> AlexNet:
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
    """Run `network`; return the output of each convolution and fully connected layer by name."""
    by_name: dict[str, Tensor] = {}

    def keep(name: str) -> Callable[[nn.Module, tuple[Tensor], Tensor], None]:
        return lambda module, inputs, out: by_name.update({name: out.detach()})

    layers = [(n, m) for n, m in network.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    hooks = [module.register_forward_hook(keep(name)) for name, module in layers]
    functional_call(network, values or {}, (images,))
    for hook in hooks:
        hook.remove()
    return by_name


def test_the_demo_network_reads_maps_of_side_3() -> None:
    demo = alexnet_of("demo")
    with torch.device("meta"):
        network = AlexNet(demo, 10)
    assert network.get_parameter("towers.1.fc6.weight").shape == (512, 64 * 9)


def test_the_full_network_has_the_shapes_of_the_source() -> None:
    with torch.device("meta"):
        network = AlexNet(AlexNetModel(), 1000).eval()
        by_layer = outputs(network, torch.empty(2, 3, 224, 224))
    shapes = {name: tuple(out.shape[1:]) for name, out in by_layer.items()}
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
    model = AlexNetModel(side=side, width=0.05)
    with torch.device("meta"):
        network = AlexNet(model, 3).eval()
        maps = network.activations(torch.empty(1, 3, side, side), network.names)
    for name, wanted in map_sides(model).items():
        assert maps[name].shape[-1] == wanted


def test_zeros_are_added_at_the_right_and_the_bottom_only() -> None:
    network, images = small(AlexNetModel(side=224, width=0.02)), patches(1, 224)
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
    optimiser = optimisers.build(Momentum2012Rule(), network)
    for group in optimiser.param_groups:
        group["rate"] = 0.01
    set_keys(network, keys(1, 0, np.arange(2)))
    torch.autograd.backward(functional.cross_entropy(network(patches()), torch.tensor([0, 2])))
    optimiser.step()
    same = [n for n, value in network.named_parameters() if torch.equal(before[n], value)]
    assert same == []


def test_dropout_masks_the_two_towers_and_layers_apart() -> None:
    network = small().train()
    set_keys(network, keys(1, 0, np.arange(2)))
    dropouts = [network.get_submodule(f"towers.{k}.dropout_fc{n}") for k in (0, 1) for n in (6, 7)]
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


def plain(model: AlexNetModel, values: dict[str, Tensor], images: Tensor) -> Tensor:
    """Compute the logits with torch's own functions, layer by layer, in evaluation mode."""
    neuron = torch.tanh if model.activation == "tanh" else torch.relu
    alpha, base = {"code": (1e-4, 2.0), "paper": (5e-4, 2.0), "caffe": (1e-4, 1.0)}.get(
        model.norm, (0.0, 1.0)
    )
    num_towers = model.num_towers

    def layer(name: str) -> tuple[Tensor, Tensor]:
        towers = [f"towers.{k}.{name}" for k in range(num_towers)]
        weights, biases = ([values[f"{tower}.{kind}"] for tower in towers] for kind in KINDS)
        return torch.cat(weights), torch.cat(biases)

    def convolve(name: str, maps: Tensor, **options: int) -> Tensor:
        weight, bias = layer(name)
        groups = maps.shape[1] // weight.shape[1]
        return functional.conv2d(maps, weight, bias, groups=groups, **options)

    def lrn(maps: Tensor) -> Tensor:
        groups = maps.chunk(1 if model.norm_scope == "joint" else num_towers, 1)
        return torch.cat(
            [functional.local_response_norm(x, 5, alpha, 0.75, base) for x in groups], 1
        )

    def within(maps: Tensor) -> Tensor:
        return maps * (1 + 0.001 * functional.avg_pool2d(maps**2, 5, 1, 2)) ** -0.75

    def pool(maps: Tensor) -> Tensor:
        return functional.max_pool2d(maps, int(model.pool[0]), 2, ceil_mode=True)

    maps = convolve("conv1", images, stride=4)
    is_first = model.conv1_order == "relu-lrn-pool"
    maps = pool(lrn(neuron(maps))) if is_first else neuron(pool(lrn(maps)))
    maps = neuron(convolve("conv2", maps, padding=2))
    maps = lrn(maps) if model.conv2_norm else maps
    maps = within(maps) if model.conv2_within_map and model.norm != "none" else maps
    maps = pool(maps)
    for name in ("conv3", "conv4"):
        maps = maps if name in model.without else neuron(convolve(name, maps, padding=1))
    has_conv5 = "conv5" not in model.without
    maps = neuron(pool(convolve("conv5", maps, padding=1))) if has_conv5 else pool(maps)
    units = maps.flatten(1)
    for name in ("fc6", "fc7"):
        if name not in model.without:
            units = neuron(functional.linear(units, *layer(name)))
            units = units * 0.5 if model.dropout == "mask" else units
    return functional.linear(units, values["fc8.weight"], values["fc8.bias"])


@pytest.mark.parametrize("fields", SWITCHES, ids=str)
def test_every_switch_gives_the_logits_of_the_same_network_in_plain_torch(
    fields: dict[str, object],
) -> None:
    model = AlexNetModel.model_validate(SMALL.model_dump() | fields)
    network, images = small(model), patches()
    values = {name: value.detach() for name, value in network.named_parameters()}
    torch.testing.assert_close(network(images), plain(model, values, images), rtol=1e-4, atol=1e-5)


def test_every_switch_changes_the_logits() -> None:
    images, seen = patches(), set()
    for fields in SWITCHES:
        logits = small(AlexNetModel.model_validate(SMALL.model_dump() | fields))(images)
        seen.add(tuple(logits.flatten().tolist()))
    # Without fc6 or without fc7 is the same network: one hidden layer on pool5.
    assert len(seen) == len(SWITCHES) - 1


def test_a_joint_normalisation_changes_the_four_maps_at_the_border_of_the_towers() -> None:
    fields = {"side": 67, "width": 0.25}
    apart, joint = (
        small(AlexNetModel.model_validate(fields | {"norm_scope": scope}))
        for scope in ("tower", "joint")
    )
    first, second = (net.activations(patches(), ["norm1"])["norm1"] for net in (apart, joint))
    changed = (first != second).any(0).any(1).any(1).nonzero().flatten().tolist()
    assert changed == [10, 11, 12, 13]


def test_a_tower_is_placed_whole_and_fc8_with_the_first() -> None:
    network = small()
    network.place(["cpu", "meta"])
    for name, parameter in network.named_parameters():
        assert parameter.device.type == ("meta" if name.startswith("towers.1.") else "cpu")


class Transfers(TorchDispatchMode):
    """Records the channels or units moved from one device to another, and where to."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.found: list[tuple[int, str]] = []

    def __torch_dispatch__(
        self,
        func: Callable[..., object],
        types: object,
        args: tuple[object, ...] = (),
        kwargs: dict[str, object] | None = None,
    ) -> object:
        out = func(*args, **(kwargs or {}))
        source = args[0] if args else None
        if isinstance(source, Tensor) and isinstance(out, Tensor) and source.device != out.device:
            self.found.append((out.shape[1] if out.dim() > 1 else 0, str(out.device)))
        return out


def placed(network: AlexNet, first: str, second: str) -> dict[str, Tensor]:
    """Return parameters without values, the second tower's on the device `second`."""
    on_second = {name: name.startswith("towers.1.") for name, _ in network.named_parameters()}
    return {
        name: torch.empty(
            value.shape, device=second if on_second[name] else first, requires_grad=True
        )
        for name, value in network.named_parameters()
    }


@pytest.mark.parametrize("scope", ["tower", "joint"])
def test_activations_move_to_the_tower_that_reads_them(scope: str) -> None:
    network = small(SMALL.model_copy(update={"norm_scope": scope})).train()
    # Tensors without values on two GPUs, which need not exist; mixed devices are an error.
    with FakeTensorMode():
        values = placed(network, "cuda:0", "cuda:1")
        set_keys(network, torch.zeros(2, dtype=torch.int64, device="cuda:0"))
        images = torch.empty(2, 3, 67, 67, device="cuda:0")
        with Transfers() as transfers:
            by_layer = outputs(network, images, values)
    for name, out in by_layer.items():
        assert str(out.device) == ("cuda:1" if name.startswith("towers.1.") else "cuda:0")
    assert len(by_layer) == 15
    crossing = [2, 2, 6, 6, 102] if scope == "joint" else [6, 6, 102]
    both = [(num, device) for num in crossing for device in ("cuda:0", "cuda:1")]
    images_and_keys = [(3, "cuda:1"), (0, "cuda:1"), (0, "cuda:1")]
    assert sorted(transfers.found) == sorted([*both, *images_and_keys, (102, "cuda:0")])


@pytest.mark.parametrize("scope", ["tower", "joint"])
def test_gradients_move_back_the_same_way(scope: str) -> None:
    network = small(SMALL.model_copy(update={"norm_scope": scope})).train()
    # The gradients of cuda tensors need a GPU even without values; "meta" is a device too.
    with FakeTensorMode():
        values = placed(network, "cpu", "meta")
        set_keys(network, torch.zeros(2, dtype=torch.int64))
        logits = functional_call(network, values, (torch.empty(2, 3, 67, 67),))
        with Transfers() as transfers:
            gradients = torch.autograd.grad(logits.sum(), list(values.values()))
    for value, gradient in zip(values.values(), gradients, strict=True):
        assert gradient.device == value.device
    crossing = [2, 2, 6, 6, 102] if scope == "joint" else [6, 6, 102]
    both = [(num, device) for num in crossing for device in ("cpu", "meta")]
    assert sorted(transfers.found) == sorted([*both, (102, "meta")])


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_tower_on_a_gpu_and_one_on_the_cpu_give_the_logits_of_one_device() -> None:
    network, images = small(), patches()
    known = network(images)
    network.place(["cuda:0", "cpu"])
    logits = network(images.to("cuda:0"))
    assert logits.device.type == "cuda"
    torch.testing.assert_close(logits.cpu(), known, rtol=1e-3, atol=1e-4)
    torch.autograd.backward(logits.sum())
    assert all(
        parameter.grad is not None and parameter.grad.device == parameter.device
        for parameter in network.parameters()
    )


def test_a_tower_without_a_device_is_an_error() -> None:
    with pytest.raises(ValueError, match="devices: expected 2, found 1"):
        small().place(["cpu"])


def test_patches_of_another_side_are_refused() -> None:
    with pytest.raises(ValueError, match=r"expected \(N, 3, 67, 67\), found \(2, 3, 68, 68\)"):
        small()(patches(2, 68))


def test_activations_have_the_shapes_of_the_source() -> None:
    with torch.device("meta"):
        network = AlexNet(AlexNetModel(), 1000).eval()
        activations = network.activations(torch.empty(2, 3, 224, 224), network.names)
    assert {name: tuple(out.shape[1:]) for name, out in activations.items()} == {
        "conv1": (96, 55, 55),
        "norm1": (96, 55, 55),
        "pool1": (96, 27, 27),
        "conv2": (256, 27, 27),
        "norm2": (256, 27, 27),
        "within2": (256, 27, 27),
        "pool2": (256, 13, 13),
        "conv3": (384, 13, 13),
        "conv4": (384, 13, 13),
        "conv5": (256, 13, 13),
        "pool5": (256, 6, 6),
        "fc6": (4096,),
        "fc7": (4096,),
        "fc8": (1000,),
    }


def test_an_activation_comes_after_the_neuron_of_its_layer() -> None:
    network = small()
    activations = network.activations(patches(), network.names)
    is_signed = {name for name, out in activations.items() if out.min() < 0}
    assert is_signed == {"conv1", "norm1", "conv5", "fc8"}
    pooled = functional.max_pool2d(activations["norm1"], 3, 2, ceil_mode=True)
    assert torch.equal(activations["pool1"], pooled.relu())


def test_an_activation_holds_the_first_tower_first() -> None:
    network, images = small(), patches()
    own = outputs(network, images)
    activations = network.activations(images, ["fc6", "conv1"])
    for name, neuron in (("conv1", nn.Identity()), ("fc6", nn.ReLU())):
        towers = [neuron(own[f"towers.{k}.{name}"]) for k in (0, 1)]
        assert torch.equal(activations[name], torch.cat(towers, 1))


def test_the_activation_fc8_is_the_logits() -> None:
    network = small()
    assert torch.equal(network.activations(patches(), ["fc8"])["fc8"], network(patches()))


@pytest.mark.parametrize("name", ["conv6", "neuron_conv1", "dropout_fc6", "flatten6", "norm2"])
def test_an_unknown_activation_is_answered_with_the_known_ones(name: str) -> None:
    network = small(SMALL.model_copy(update={"conv2_norm": False}))
    with pytest.raises(ValueError, match=rf"expected any of conv1, norm1, .* found '{name}'"):
        network.activations(patches(), ["conv1", name])


def test_a_patch_of_which_a_layer_leaves_nothing_is_refused() -> None:
    model = AlexNetModel(side=67, width=0.05, padding={"conv2": 0, "conv3": 0})
    message = r"model\.side: expected maps of a pixel or more in conv3, found 67; take a larger"
    with pytest.raises(ConfigError, match=message):
        alexnet.build(model, 3, seed=1)
