"""Augmentation against a plain loop, on images whose pixels encode their position.

Shapes: N images of a batch, S side of the stored images, P side of the patch.
"""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from alexrep.feed import augment as augmentation
from alexrep.feed import normalise
from alexrep.feed.augment import augment, cut
from alexrep.feed.draws import Draws, draw
from alexrep.feed.normalise import Inputs, make_inputs

Floats = NDArray[np.floating[Any]]

# Shipped with the 2014 code of the paper's author: FIDELITY, section 3.
STDS = np.array([19.7208, 37.0939, 121.7801])
AXES = np.array(
    [[0.41796, -0.71258, -0.56351], [-0.81698, -0.02354, -0.57618], [0.39731, 0.70120, -0.59200]]
)
COVARIANCE = np.array(
    [[5475.9, 4705.5, 4324.5], [4705.5, 5183.9, 4909.7], [4324.5, 4909.7, 5935.5]]
)


def places(num: int, side: int) -> NDArray[np.uint8]:
    """Return images whose red is the column, green the row and blue the image, (N, S, S, 3)."""
    images = np.empty((num, side, side, 3), np.uint8)
    images[..., 0] = np.arange(side)
    images[..., 1] = np.arange(side)[:, None]
    images[..., 2] = np.arange(num)[:, None, None]
    return images


def constants(side: int, patch: int, scale: float = 0.1, divide: bool = True) -> Inputs:
    mean = np.random.default_rng(3).uniform(90, 140, (side, side, 3)).astype(np.float32)
    return make_inputs(mean, AXES, STDS, patch, scale, divide)


def without_mean(side: int, patch: int) -> Inputs:
    return make_inputs(np.zeros((side, side, 3)), AXES, STDS, patch, 0.1, True)


def choices(offsets: list[tuple[int, int]], reflect: list[bool]) -> Draws:
    alphas = np.random.default_rng(5).standard_normal((len(reflect), 3)).astype(np.float32)
    return Draws(np.array(offsets), np.array(reflect), alphas)


def by_loop(images: NDArray[np.uint8], mean: Floats, drawn: Draws, noisy: bool) -> Floats:
    """Cut 32-pixel patches one by one, as section 4.1 and the released source describe."""
    side, middle = 24, mean[4:28, 4:28]
    out = []
    for image, (row, column), reflect, alpha in zip(
        images, drawn.offsets, drawn.reflect, drawn.alphas, strict=True
    ):
        patch = image[row : row + side, column : column + side].astype(np.float64)
        patch = (patch[:, ::-1] if reflect else patch) - middle
        if noisy:
            patch = (patch + 0.1 * AXES @ (STDS * alpha)) / 1.1
        out.append(patch.transpose(2, 0, 1))
    return np.array(out)


@settings(max_examples=20)
@given(st.integers(1, 6), st.integers(0, 50), st.booleans())
def test_augmentation_is_the_plain_loop(num: int, seed: int, noisy: bool) -> None:
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (num, 32, 32, 3), np.uint8)
    mean = rng.uniform(90, 140, (32, 32, 3)).astype(np.float32)
    drawn = draw(np.arange(num), 8, "image", reflect=True, seed=seed, epoch=0)
    inputs = make_inputs(mean, AXES, STDS, 24, 0.1, True)
    patches = augment(torch.from_numpy(images), drawn, inputs, noisy)
    assert patches.dtype == torch.float32
    assert np.allclose(patches.numpy(), by_loop(images, mean, drawn, noisy), atol=1e-4)


def as_in_caffe(images: NDArray[np.uint8], mean: Floats, drawn: Draws) -> Floats:
    """Subtract the whole mean in BGR, then cut, then reflect, one image after the other."""
    out = []
    for image, (row, column), reflect in zip(images, drawn.offsets, drawn.reflect, strict=True):
        whole = image[..., [2, 1, 0]].astype(np.float32) - mean[..., [2, 1, 0]]
        patch = whole[row : row + 24, column : column + 24]
        out.append((patch[:, ::-1] if reflect else patch).transpose(2, 0, 1))
    return np.array(out)


@settings(max_examples=20)
@given(st.integers(1, 6), st.integers(0, 50))
def test_the_mean_at_the_patchs_place_and_bgr_are_caffes_loop(num: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (num, 32, 32, 3), np.uint8)
    mean = rng.uniform(90, 140, (32, 32, 3)).astype(np.float32)
    drawn = draw(np.arange(num), 8, "image", reflect=True, seed=seed, epoch=0)
    inputs = make_inputs(mean, AXES, STDS, 24, 0.0, True, mean="crop", channels="bgr")
    patches = augment(torch.from_numpy(images), drawn, inputs, noisy=False)
    assert np.array_equal(patches.numpy(), as_in_caffe(images, mean, drawn))


def test_bgr_is_the_same_input_with_its_channels_reversed() -> None:
    images = torch.from_numpy(places(4, 40))
    drawn = choices([(0, 0), (1, 7), (8, 3), (8, 8)], [True, False, True, False])
    mean = np.random.default_rng(3).uniform(90, 140, (40, 40, 3)).astype(np.float32)
    rgb, bgr = (
        augment(images, drawn, make_inputs(mean, AXES, STDS, 32, 0.1, True, channels=order), True)
        for order in ("rgb", "bgr")
    )
    assert torch.equal(bgr, rgb.flip(1))


def test_a_mean_that_is_the_image_leaves_nothing_wherever_the_patch_lies() -> None:
    images = torch.from_numpy(places(1, 40)).expand(3, -1, -1, -1)
    inputs = make_inputs(places(1, 40)[0], AXES, STDS, 32, 0.1, True, mean="crop")
    corners = torch.tensor([[0, 0], [3, 8], [8, 1]])
    assert not cut(images, corners, torch.tensor([False, True, True]), inputs).any()


@pytest.mark.parametrize("name", ["mean", "channels"])
def test_an_unknown_mean_or_order_of_colours_is_refused(name: str) -> None:
    wrong: dict[str, Any] = {name: "grb"}
    with pytest.raises(ValueError, match=rf"{name}: expected one of \('.*'\), found 'grb'"):
        make_inputs(np.zeros((8, 8, 3)), AXES, STDS, 4, 0.1, True, **wrong)


@pytest.mark.parametrize("mean", normalise.MEANS)
@pytest.mark.parametrize("channels", normalise.CHANNELS)
@settings(max_examples=20)
@given(num=st.integers(1, 6), seed=st.integers(0, 50), noisy=st.booleans())
def test_one_image_at_a_time_equals_the_whole_batch(
    mean: str, channels: str, num: int, seed: int, noisy: bool
) -> None:
    images = torch.from_numpy(np.random.default_rng(seed).integers(0, 256, (num, 40, 40, 3), "u1"))
    image = np.random.default_rng(3).uniform(90, 140, (40, 40, 3)).astype(np.float32)
    inputs = make_inputs(image, AXES, STDS, 32, 0.1, True, mean=mean, channels=channels)
    drawn = draw(np.arange(num), 8, "image", True, seed, 0)
    offsets, reflect = torch.from_numpy(drawn.offsets), torch.from_numpy(drawn.reflect)
    shift = torch.from_numpy(drawn.alphas) @ inputs.noise.T if noisy else None
    expected = augmentation._whole_batch(images, offsets, reflect, inputs, shift)
    assert torch.equal(augment(images, drawn, inputs, noisy), expected.permute(0, 3, 1, 2))


def test_a_patch_lies_where_its_offset_says() -> None:
    patches = cut(
        torch.from_numpy(places(2, 40)),
        torch.tensor([[3, 7], [8, 0]]),
        torch.tensor([False, False]),
        without_mean(40, 32),
    )
    assert patches[0, 0, 0].tolist() == [7, 3, 0]
    assert patches[0, 31, 31].tolist() == [38, 34, 0]
    assert patches[1, 0, 0].tolist() == [0, 8, 1]


def test_a_reflected_patch_is_the_same_patch_from_right_to_left() -> None:
    images, corner = torch.from_numpy(places(1, 40)), torch.tensor([[3, 5]])
    plain = cut(images, corner, torch.tensor([False]), without_mean(40, 32))
    mirrored = cut(images, corner, torch.tensor([True]), without_mean(40, 32))
    assert torch.equal(mirrored, plain.flip(2))


def test_the_central_mean_is_subtracted_wherever_the_patch_lies() -> None:
    gradient = places(1, 40)[0].astype(np.float32)
    inputs = make_inputs(gradient, AXES, STDS, 32, 0.1, True)
    images = torch.from_numpy(places(1, 40))
    for row, column in (0, 0), (4, 4), (8, 2):
        patch = cut(images, torch.tensor([[row, column]]), torch.tensor([False]), inputs)
        # The mean's own corner is (4, 4): the difference of the two is constant.
        assert (patch[..., 0] == column - 4).all()
        assert (patch[..., 1] == row - 4).all()


def test_the_mean_is_not_reflected_with_the_patch() -> None:
    inputs = make_inputs(places(1, 40)[0].astype(np.float32), AXES, STDS, 32, 0.1, True)
    images = torch.full((1, 40, 40, 3), 100, dtype=torch.uint8)
    patch = cut(images, torch.tensor([[0, 0]]), torch.tensor([True]), inputs)
    assert patch[0, 0, :, 0].tolist() == [100 - column for column in range(4, 36)]


def test_the_noise_is_one_tenth_of_the_colours_own_spread() -> None:
    drawn = draw(np.arange(20_000), 0, "image", reflect=False, seed=1, epoch=0)
    noise = drawn.alphas @ constants(2, 1).noise.numpy().T
    assert np.allclose(np.cov(noise.T), 0.01 * COVARIANCE, rtol=0.04)
    assert np.allclose(noise.std(axis=0), [7.40, 7.20, 7.70], rtol=0.02)


def test_the_constants_hold_the_covariance_exactly() -> None:
    noise = constants(2, 1).noise.numpy().astype(np.float64)
    assert np.allclose(noise @ noise.T, 0.01 * COVARIANCE, rtol=2e-4)
    assert np.sqrt(np.diag(noise @ noise.T)).round(1).tolist() == [7.4, 7.2, 7.7]


@pytest.mark.parametrize(("divide", "divisor"), [(True, 1.21), (False, 1.0)])
def test_dividing_shrinks_the_covariance_of_the_noise(divide: bool, divisor: float) -> None:
    images = torch.full((20_000, 2, 2, 3), 120, dtype=torch.uint8)
    drawn = draw(np.arange(20_000), 1, "image", reflect=True, seed=1, epoch=0)
    inputs = make_inputs(np.zeros((2, 2, 3)), AXES, STDS, 1, 0.1, divide)
    pixels = augment(images, drawn, inputs, noisy=True)[:, :, 0, 0].numpy()
    assert np.allclose(np.cov(pixels.T), 0.01 * COVARIANCE / divisor, rtol=0.04)


def test_the_noise_is_the_same_for_all_pixels_of_an_image() -> None:
    images, drawn = torch.from_numpy(places(3, 40)), choices([(0, 0)] * 3, [False] * 3)
    inputs = constants(40, 32, divide=False)
    noisy, plain = (augment(images, drawn, inputs, noisy) for noisy in (True, False))
    shifts = (noisy - plain).flatten(2)
    assert torch.allclose(shifts, shifts[:, :, :1].expand_as(shifts), atol=1e-4)
    assert len(torch.unique(shifts[:, 0, 0])) == 3


def test_without_noise_nothing_is_divided() -> None:
    images, drawn = torch.from_numpy(places(2, 40)), choices([(1, 2), (3, 4)], [False, True])
    divided, whole = (constants(40, 32, divide=divide) for divide in (True, False))
    first, second = (augment(images, drawn, inputs, noisy=False) for inputs in (divided, whole))
    assert torch.equal(first, second)


def test_a_scale_of_zero_changes_nothing() -> None:
    images, drawn = torch.from_numpy(places(2, 40)), choices([(1, 2), (3, 4)], [False, True])
    inputs = constants(40, 32, scale=0.0)
    assert torch.equal(*(augment(images, drawn, inputs, noisy) for noisy in (True, False)))


def test_an_image_does_not_depend_on_the_others_of_its_batch() -> None:
    images, inputs = torch.from_numpy(places(6, 40)), constants(40, 32)
    numbers = np.arange(6)
    whole = augment(images, draw(numbers, 8, "image", True, 1, 0), inputs, noisy=True)
    part = augment(images[4:], draw(numbers[4:], 8, "image", True, 1, 0), inputs, noisy=True)
    assert torch.equal(part, whole[4:])


def test_the_stored_images_stay_as_they_are() -> None:
    images = torch.from_numpy(places(2, 40))
    augment(images, choices([(0, 0), (8, 8)], [True, False]), constants(40, 32), noisy=True)
    assert np.array_equal(images.numpy(), places(2, 40))


def test_the_whole_image_is_a_patch_too() -> None:
    images = torch.from_numpy(places(1, 40))
    patch = cut(images, torch.tensor([[0, 0]]), torch.tensor([False]), without_mean(40, 40))
    assert torch.equal(patch, images.float())


def test_inputs_move_to_a_device_and_keep_their_divisor() -> None:
    whole = make_inputs(np.zeros((40, 40, 3)), AXES, STDS, 32, 0.1, True, mean="crop")
    kept = whole.to(torch.device("meta"))
    assert (kept.side, kept.follows, kept.is_bgr) == (32, True, False)
    moved = constants(40, 32).to(torch.device("meta"))
    assert (moved.mean.device.type, moved.noise.device.type) == ("meta", "meta")
    assert moved.divisor == pytest.approx(1.1)


def test_patches_lie_in_used_memory_when_nothing_refers_to_the_last_ones() -> None:
    images, inputs = torch.from_numpy(places(2, 40)), without_mean(40, 32)
    corners, plain = torch.tensor([[3, 7], [8, 0]]), torch.tensor([False, False])
    first = cut(images, corners, plain, inputs)
    second = cut(images, corners, plain, inputs)
    address, copy = first.data_ptr(), second.clone()
    assert second.data_ptr() != address
    part = first[:1, :, 3]
    del first
    assert cut(images, corners, plain, inputs).data_ptr() != address
    del part
    assert cut(images, corners, plain, inputs).data_ptr() == address
    assert torch.equal(second, copy)
