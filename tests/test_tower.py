"""One tower: its sides and what each of its layers reads."""

import pytest
import torch

from alexrep.config.model import AlexNetModel
from alexrep.models.alexnet.tower import Tower, map_sides, margin


def shapes(model: AlexNetModel) -> dict[str, tuple[int, ...]]:
    """Return the shape of each layer's weights."""
    with torch.device("meta"):
        state = Tower(model, 0).state_dict()
    return {
        name.removesuffix(".weight"): tuple(value.shape)
        for name, value in state.items()
        if name.endswith(".weight")
    }


@pytest.mark.parametrize(
    ("side", "pool", "sides"),
    [
        (224, "3/2", (55, 27, 13, 6)),
        (112, "3/2", (27, 13, 6, 3)),
        (67, "3/2", (15, 7, 3, 1)),
        (224, "2/2", (55, 28, 14, 7)),
        (67, "2/2", (15, 8, 4, 2)),
    ],
)
def test_maps_have_known_sides(side: int, pool: str, sides: tuple[int, ...]) -> None:
    found = map_sides(AlexNetModel.model_validate({"side": side, "pool": pool}))
    assert tuple(found[name] for name in ("conv1", "pool1", "pool2", "pool5")) == sides


def test_the_maps_of_run_147_have_the_sides_of_its_layer_file() -> None:
    model = AlexNetModel(pool="2/2", padding={"conv2": 1, "conv5": 0})
    assert list(map_sides(model).values()) == [55, 28, 26, 13, 13, 13, 11, 6]
    assert shapes(model)["fc6"] == (2048, 9216)


def test_the_sixth_convolution_reads_both_towers_after_the_third_pool() -> None:
    model = AlexNetModel(conv6=True)
    assert list(map_sides(model))[-2:] == ["pool5", "conv6"]
    assert shapes(model)["conv6"] == (128, 256, 3, 3)
    assert shapes(model)["fc6"] == (2048, 9216)


def test_towers_that_meet_nowhere_read_their_own() -> None:
    model = AlexNetModel(crossings=(), kernels={"conv2": 160}, doubled=("fc6",))
    assert shapes(model) == {
        "conv1": (48, 3, 11, 11),
        "conv2": (160, 48, 5, 5),
        "conv3": (192, 160, 3, 3),
        "conv4": (192, 192, 3, 3),
        "conv5": (128, 192, 3, 3),
        "fc6": (4096, 4608),
        "fc7": (2048, 4096),
    }


def test_three_zeros_are_missing_at_the_paper_side() -> None:
    assert [margin(AlexNetModel(side=side)) for side in (224, 227, 223)] == [3, 0, 0]


def test_small_kernels_close_together_give_small_patches_the_maps_of_large_ones() -> None:
    small = AlexNetModel(side=56, conv1=(5, 2))
    assert map_sides(small) == map_sides(AlexNetModel(side=112))
    assert shapes(small)["conv1"] == (48, 3, 5, 5)
    assert (margin(small), small.min_side, AlexNetModel().min_side) == (1, 33, 67)


def test_one_of_two_towers_has_half_of_the_kernels_and_units() -> None:
    assert shapes(AlexNetModel()) == {
        "conv1": (48, 3, 11, 11),
        "conv2": (128, 48, 5, 5),
        "conv3": (192, 256, 3, 3),
        "conv4": (192, 192, 3, 3),
        "conv5": (128, 192, 3, 3),
        "fc6": (2048, 9216),
        "fc7": (2048, 4096),
    }


def test_a_tower_alone_reads_its_own_maps_and_units() -> None:
    alone = shapes(AlexNetModel(num_towers=1))
    assert alone["conv3"] == (192, 128, 3, 3)
    assert (alone["fc6"], alone["fc7"]) == ((2048, 4608), (2048, 2048))


def test_the_one_tower_of_the_paper_keeps_the_last_layers_of_two() -> None:
    assert shapes(AlexNetModel(num_towers=1, doubled=("conv5", "fc6", "fc7"))) == {
        "conv1": (48, 3, 11, 11),
        "conv2": (128, 48, 5, 5),
        "conv3": (192, 128, 3, 3),
        "conv4": (192, 192, 3, 3),
        "conv5": (256, 192, 3, 3),
        "fc6": (4096, 9216),
        "fc7": (4096, 4096),
    }


def test_pools_that_do_not_overlap_leave_larger_maps() -> None:
    # By the released source's rule, not by the paper's sentence about maps of equal size.
    assert shapes(AlexNetModel(pool="2/2"))["fc6"] == (2048, 256 * 7 * 7)


@pytest.mark.parametrize(
    ("without", "layer", "num_read"),
    [
        (("conv3",), "conv4", 256),
        (("conv4",), "conv5", 192),
        (("conv3", "conv4"), "conv5", 256),
        (("conv5",), "fc6", 384 * 36),
        (("conv3", "conv4", "conv5"), "fc6", 256 * 36),
        (("fc6",), "fc7", 9216),
    ],
)
def test_the_layer_after_a_missing_one_has_room_for_what_it_reads(
    without: tuple[str, ...], layer: str, num_read: int
) -> None:
    sizes = shapes(AlexNetModel.model_validate({"without": without}))
    assert not set(without) & sizes.keys()
    assert sizes[layer][1] == num_read
