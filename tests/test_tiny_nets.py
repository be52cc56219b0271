"""The networks of the Tiny ImageNet demo: both of its tables, layer by layer."""

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from alexrep.config.networks import TinyInceptionModel, TinyResNetModel
from alexrep.models import count, tiny_nets
from alexrep.models.resnet import Residual

RESNET = {
    "stem": [729],
    "layer1": [776] * 3,
    "layer2": [20_336, *[2_576] * 6],
    "layer3": [80_608, *[9_248] * 4],
    "layer4": [320_960],
    "last": [1_024],
    "head": [15_677],
}
INCEPTION = {
    "stem": [3_387],
    "level1": [3_664] * 2,
    "reduction1": [9_600],
    "level2": [19_824] * 4,
    "reduction2": [118_272],
    "level3": [300_480] * 2,
    "last": [3_072],
    "head": [153_800],
}
"""Parameters of each part, running means and variances among them, as Keras counts."""


def tiny_resnet(num_classes: int = 61, **fields: object) -> nn.Module:
    settings = TinyResNetModel.model_validate({"name": "tiny-resnet", **fields})
    with torch.device("meta"):
        return tiny_nets.make_resnet(settings, num_classes)


def tiny_inception(num_classes: int = 200, **fields: object) -> nn.Module:
    settings = TinyInceptionModel.model_validate({"name": "tiny-inception", **fields})
    with torch.device("meta"):
        return tiny_nets.make_inception(settings, num_classes)


def counted(part: nn.Module) -> int:
    """Count parameters, and running means and variances."""
    values = part.state_dict()
    return sum(each.numel() for name, each in values.items() if "num_batches" not in name)


def table(network: nn.Module) -> dict[str, list[int]]:
    parts = dict(network.named_children())
    levels = {name: [*part.children()] for name, part in parts.items() if name[-1].isdigit()}
    blocks = {name: [part] for name, part in parts.items()} | {
        name: level for name, level in levels.items() if not name.startswith("reduction")
    }
    return {name: [counted(block) for block in level] for name, level in blocks.items()}


def test_tiny_resnet_has_the_table_of_the_demo() -> None:
    network = tiny_resnet()
    assert table(network) == RESNET
    assert counted(network) == 494_110
    assert sum(each.numel() for each in network.parameters()) == 490_446


def test_tiny_inception_has_the_table_of_the_demo() -> None:
    network = tiny_inception()
    assert table(network) == INCEPTION
    assert counted(network) == 975_715
    assert sum(each.numel() for each in network.parameters()) == 966_851


def test_levels_and_width_are_those_that_are_asked_for() -> None:
    network = tiny_resnet(levels=(3, 5, 7), width=16)
    halves = [block.projects for block in network.modules() if isinstance(block, Residual)]
    assert (halves.count(True), halves.count(False)) == (3, 15)


@pytest.mark.parametrize(
    ("stem", "head", "shape"),
    [(True, True, (2, 7)), (False, True, (2, 7)), (True, False, (2, 32, 2, 2))],
)
def test_stem_and_head_may_be_missing(stem: bool, head: bool, shape: tuple[int, ...]) -> None:
    network = tiny_resnet(7, levels=(1, 1, 1), width=4, stem=stem, head=head)
    assert network(torch.empty(2, 3, 16, 16, device="meta")).shape == shape


def test_the_maps_have_the_sides_of_the_table() -> None:
    with torch.device("meta"):
        rows = {row.name: row.shape for row in count.layers(tiny_inception(), 64)}
    assert rows["stem.branches4.0.pointwise"] == (32, 64, 64)
    assert rows["level1.1.up"] == (64, 64, 64)
    assert rows["level2.3.up"] == (192, 32, 32)
    assert rows["level3.1.up"] == (768, 16, 16)
    assert rows["head.fc"] == (200,)


@pytest.mark.parametrize("name", ["tiny-resnet", "tiny-inception"])
def test_a_width_of_broken_bottlenecks_is_refused(name: str) -> None:
    kind = TinyResNetModel if name == "tiny-resnet" else TinyInceptionModel
    with pytest.raises(ValidationError, match="width must be a multiple of"):
        kind.model_validate({"name": name, "width": 30})
