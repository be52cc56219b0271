"""The views of a test image: the ten crops of 2012, written out."""

import numpy as np
import pytest
import torch
from torch import Tensor

from alexrep.feed import views
from alexrep.feed.normalise import Inputs, make_inputs

TEN_OF_256 = [
    (0, 0, False),
    (0, 32, False),
    (16, 16, False),
    (32, 0, False),
    (32, 32, False),
    (0, 0, True),
    (0, 32, True),
    (16, 16, True),
    (32, 0, True),
    (32, 32, True),
]

# The ten 4 x 4 patches of a 6 x 6 image whose pixels are numbered from left to right.
TEN_OF_6X6 = [
    [[0, 1, 2, 3], [6, 7, 8, 9], [12, 13, 14, 15], [18, 19, 20, 21]],
    [[2, 3, 4, 5], [8, 9, 10, 11], [14, 15, 16, 17], [20, 21, 22, 23]],
    [[7, 8, 9, 10], [13, 14, 15, 16], [19, 20, 21, 22], [25, 26, 27, 28]],
    [[12, 13, 14, 15], [18, 19, 20, 21], [24, 25, 26, 27], [30, 31, 32, 33]],
    [[14, 15, 16, 17], [20, 21, 22, 23], [26, 27, 28, 29], [32, 33, 34, 35]],
    [[3, 2, 1, 0], [9, 8, 7, 6], [15, 14, 13, 12], [21, 20, 19, 18]],
    [[5, 4, 3, 2], [11, 10, 9, 8], [17, 16, 15, 14], [23, 22, 21, 20]],
    [[10, 9, 8, 7], [16, 15, 14, 13], [22, 21, 20, 19], [28, 27, 26, 25]],
    [[15, 14, 13, 12], [21, 20, 19, 18], [27, 26, 25, 24], [33, 32, 31, 30]],
    [[17, 16, 15, 14], [23, 22, 21, 20], [29, 28, 27, 26], [35, 34, 33, 32]],
]


def inputs_of(side: int, patch: int, mean: float = 0.0) -> Inputs:
    return make_inputs(np.full((side, side, 3), mean), np.eye(3), np.ones(3), patch, 0.1, True)


@pytest.fixture
def numbered() -> Tensor:
    """Return two 6 x 6 images of numbered pixels; green continues where red ends."""
    red = torch.arange(36, dtype=torch.uint8).reshape(6, 6)
    channels = torch.stack([red, red + 36, red + 72], dim=2)
    return torch.stack([channels, channels + 100])


def test_the_ten_corners_are_those_of_2012() -> None:
    assert views.corners("ten-crop", 256 - 224) == TEN_OF_256


def test_the_corners_of_227_are_29_pixels_apart_and_its_centre_is_at_14() -> None:
    five = [(0, 0), (0, 29), (14, 14), (29, 0), (29, 29)]
    corners = views.corners("ten-crop", 256 - 227)
    assert corners == [(*corner, reflect) for reflect in (False, True) for corner in five]
    assert views.corners("centre", 29) == [(14, 14, False)]


def test_the_centre_is_one_patch_16_pixels_from_each_edge() -> None:
    assert views.corners("centre", 32) == [(16, 16, False)]


@pytest.mark.parametrize("border", [0, 1, 15])
def test_no_corner_leaves_the_image(border: int) -> None:
    for row, column, _ in views.corners("ten-crop", border):
        assert 0 <= row <= border
        assert 0 <= column <= border


def test_ten_patches_of_a_6x6_image(numbered: Tensor) -> None:
    patches = list(views.patches(numbered, "ten-crop", inputs_of(6, 4)))
    assert [patch[0, 0].int().tolist() for patch in patches] == TEN_OF_6X6
    assert all(patch.shape == (2, 3, 4, 4) for patch in patches)


def test_channels_and_images_keep_their_order(numbered: Tensor) -> None:
    first = next(iter(views.patches(numbered, "ten-crop", inputs_of(6, 4))))
    assert first[:, :, 0, 0].tolist() == [[0, 36, 72], [100, 136, 172]]


def test_the_last_five_are_the_first_five_reflected(numbered: Tensor) -> None:
    ten = torch.stack(list(views.patches(numbered, "ten-crop", inputs_of(6, 4))))
    assert torch.equal(ten[5:], ten[:5].flip(4))


def test_the_centre_is_the_third_of_the_ten(numbered: Tensor) -> None:
    (centre,) = views.patches(numbered, "centre", inputs_of(6, 4))
    ten = list(views.patches(numbered, "ten-crop", inputs_of(6, 4)))
    assert torch.equal(centre, ten[2])


def test_views_have_no_noise_and_are_not_divided(numbered: Tensor) -> None:
    (centre,) = views.patches(numbered, "centre", inputs_of(6, 4, mean=10.0))
    assert torch.equal(centre, numbered[:, 1:5, 1:5].permute(0, 3, 1, 2) - 10.0)


def test_the_mean_of_the_centre_is_subtracted_from_every_view(numbered: Tensor) -> None:
    mean = numbered[0].float().numpy()
    inputs = make_inputs(mean, np.eye(3), np.ones(3), 4, 0.1, True)
    first, *_, last = views.patches(numbered[:1], "ten-crop", inputs)
    assert (first[0, 0] == 0 - 7).all()
    assert last[0, 0, 0].tolist() == [17 - 7, 16 - 8, 15 - 9, 14 - 10]


def test_the_mean_at_the_views_place_is_reflected_with_it(numbered: Tensor) -> None:
    mean = numbered[0].float().numpy() - 5
    inputs = make_inputs(mean, np.eye(3), np.ones(3), 4, 0.1, True, mean="crop", channels="bgr")
    for patch in views.patches(numbered[:1], "ten-crop", inputs):
        assert patch.shape == (1, 3, 4, 4)
        assert (patch == 5).all()


def test_bgr_views_have_blue_first(numbered: Tensor) -> None:
    inputs = make_inputs(np.zeros((6, 6, 3)), np.eye(3), np.ones(3), 4, 0.1, True, channels="bgr")
    for patch, red in zip(views.patches(numbered, "ten-crop", inputs), TEN_OF_6X6, strict=True):
        assert patch[0, 2].int().tolist() == red
        assert patch[0, 0].int().tolist() == [[number + 72 for number in row] for row in red]


def test_unknown_views_are_refused() -> None:
    wanted = r"views: expected one of \('centre', 'ten-crop'\), found 'five-crop'"
    with pytest.raises(ValueError, match=wanted):
        views.corners("five-crop", 32)
