"""Exact sums, the covariance from them, and the colour axes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.decomposition import IncrementalPCA

from alexrep.errors import DataError
from alexrep.pixels import moments
from alexrep.pixels.moments import Moments, colour_axes

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float64]


def noise(num_images: int, side: int, seed: int = 0) -> Pixels:
    """Return correlated colours, (N, side, side, 3)."""
    rng = np.random.default_rng(seed)
    mix = [[50, 40, 45], [-20, 0, 15], [3, -8, 4]]
    return (rng.normal(0, 1, (num_images, side, side, 3)) @ mix + 120).clip(0, 255).astype(np.uint8)


def moments_of(images: Pixels) -> Moments:
    total = Moments.zero(images.shape[1])
    for image in images:
        total.add(image)
    return total


def planted(stds: tuple[float, ...], seed: int = 3) -> tuple[Floats, Floats]:
    """Return a covariance of the given standard deviations, and its axes as columns."""
    axes, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    return axes @ np.diag(np.square(stds)) @ axes.T, axes


def test_two_pixels_by_hand() -> None:
    image = np.array([[[0, 10, 255], [2, 10, 253]], [[4, 10, 251], [6, 10, 249]]], np.uint8)
    sums = moments_of(image[None])
    assert (sums.num_images, sums.num_pixels) == (1, 4)
    np.testing.assert_array_equal(sums.channel_means(), [3, 10, 252])
    variance = (9 + 1 + 1 + 9) / 3
    expected = [[variance, 0, -variance], [0, 0, 0], [-variance, 0, variance]]
    np.testing.assert_array_equal(sums.covariance(), expected)


def test_sums_are_those_of_integers() -> None:
    images = noise(12, 16)
    sums, whole = moments_of(images), images.astype(np.int64)
    np.testing.assert_array_equal(sums.sums, whole.sum(axis=0))
    flat = whole.reshape(-1, 3)
    np.testing.assert_array_equal(sums.products, flat.T @ flat)
    assert sums.sums.dtype == np.dtype(np.int64) == sums.products.dtype


@pytest.mark.parametrize("side", [1, 16, 37, 181, 182])
def test_sums_of_any_side_are_those_of_integers_with_a_byte_to_spare_or_without(side: int) -> None:
    images = noise(2, side)
    spare = np.concatenate([images, noise(2, side, seed=1)[..., :1]], axis=3)
    flat = images.reshape(-1, 3).astype(np.int64)
    for sums in (moments_of(images), moments_of(spare)):
        np.testing.assert_array_equal(sums.products, flat.T @ flat)
        np.testing.assert_array_equal(sums.sums, images.astype(np.int64).sum(axis=0))


def test_the_largest_values_stay_exact_on_the_largest_side() -> None:
    white = np.full((2048, 2048, 3), 255, np.uint8)
    white[0, 0] = (254, 255, 255)
    products = moments_of(white[None]).products
    assert products[1, 1] == 2048 * 2048 * 255 * 255
    assert products[0, 0] == 2048 * 2048 * 255 * 255 - 255 * 255 + 254 * 254
    assert products[0, 1] == 2048 * 2048 * 255 * 255 - 255


def test_sums_may_be_read_between_images_and_when_a_float_is_full(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(moments, "_MOST_PENDING", 3)
    images, total = noise(8, 40), Moments.zero(40)
    for num, image in enumerate(images, start=1):
        total.add(image)
        if num in (1, 2, 6):
            np.testing.assert_array_equal(total.sums, images[:num].astype(np.int64).sum(axis=0))
    np.testing.assert_array_equal(total.sums, images.astype(np.int64).sum(axis=0))


@pytest.mark.parametrize("num", [256, 257, 258, 515])
def test_as_many_white_images_as_may_wait_are_summed_exactly(num: int) -> None:
    total = moments_of(np.full((num, 1, 1, 3), 255, np.uint8))
    assert total.sums.tolist() == [[[num * 255] * 3]]
    assert (total.products == num * 255 * 255).all()


@pytest.mark.parametrize("side", [1, 31, 32, 33, 56])
def test_white_images_of_any_side_are_summed_exactly(side: int) -> None:
    white = np.full((side, side, 3), 255, np.uint8)
    assert (moments_of(white[None]).products == side * side * 255 * 255).all()


def test_an_image_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match=r"image: expected shape \(8, 8, 3\), found \(8, 9, 3\)"):
        Moments.zero(8).add(np.zeros((8, 9, 3), np.uint8))


def test_the_mean_image_is_the_mean_of_each_place() -> None:
    images = noise(7, 10)
    mean = moments_of(images).mean_image()
    assert mean.dtype == np.float32
    np.testing.assert_allclose(mean, images.mean(axis=0, dtype=np.float64), rtol=1e-7)


@settings(max_examples=20)
@given(st.integers(1, 6), st.integers(2, 12), st.integers(0, 2**32 - 1))
def test_covariance_is_that_of_numpy(num_images: int, side: int, seed: int) -> None:
    images = noise(num_images, side, seed)
    sums, flat = moments_of(images), images.reshape(-1, 3)
    np.testing.assert_allclose(sums.covariance(), np.cov(flat, rowvar=False), rtol=1e-9)
    np.testing.assert_allclose(sums.channel_means(), flat.mean(axis=0), rtol=1e-12)


def test_covariance_is_exact_where_floats_cancel() -> None:
    # 1.28 million images that differ by one level in one pixel of each: variance = 1 / 65536.
    images, side = 1_281_167, 256
    num = images * side * side
    total = Moments(images, np.full((side, side, 3), 254 * images, np.int64), np.zeros((3, 3), int))
    total.sums[0, 0] += images
    square = num * 254 * 254 + images * (255 * 255 - 254 * 254)
    total.products[:] = square
    share = 1 / 65536
    expected = share * (1 - share) * num / (num - 1)
    np.testing.assert_allclose(total.covariance(), np.full((3, 3), expected), rtol=1e-12)


@settings(max_examples=20)
@given(st.lists(st.integers(0, 9), max_size=4), st.randoms(use_true_random=False))
def test_parts_in_any_order_add_up_to_the_whole(cuts: list[int], random: object) -> None:
    images = noise(9, 8)
    parts = [moments_of(part) for part in np.split(images, sorted(cuts))]
    random.shuffle(parts)  # type: ignore[attr-defined]
    total = Moments.zero(8)
    for part in parts:
        total += part
    whole = moments_of(images)
    assert total.num_images == whole.num_images
    np.testing.assert_array_equal(total.sums, whole.sums)
    assert total.covariance().tobytes() == whole.covariance().tobytes()


def test_moments_read_back_equal(tmp_path: Path) -> None:
    saved = moments_of(noise(3, 8))
    saved.save(tmp_path / "train" / "n1.npz")
    loaded = Moments.load(tmp_path / "train" / "n1.npz")
    assert loaded.num_images == 3
    np.testing.assert_array_equal(loaded.sums, saved.sums)
    np.testing.assert_array_equal(loaded.products, saved.products)


@pytest.mark.parametrize("content", [b"", b"text", b"PK\3\4"])
def test_a_damaged_file_is_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "n1.npz").write_bytes(content)
    with pytest.raises(
        DataError, match=r"n1\.npz: expected the sums of a unit, found .*; remove it"
    ):
        Moments.load(tmp_path / "n1.npz")


def test_planted_axes_are_recovered() -> None:
    covariance, axes = planted((70.0, 20.0, 9.0))
    recovered = colour_axes(covariance)
    np.testing.assert_allclose(recovered.stds, (70, 20, 9), rtol=1e-12)
    np.testing.assert_allclose(np.abs(np.sum(recovered.axes * axes, axis=0)), 1, rtol=1e-12)
    np.testing.assert_allclose(recovered.axes.T @ recovered.axes, np.eye(3), atol=1e-14)


def test_axes_are_columns() -> None:
    covariance, _ = planted((30.0, 20.0, 10.0))
    axes = colour_axes(covariance)
    for index in range(3):
        stretched = covariance @ axes.axes[:, index]
        np.testing.assert_allclose(stretched, axes.stds[index] ** 2 * axes.axes[:, index])


def test_standard_deviations_are_not_variances() -> None:
    axes = colour_axes(np.diag([9.0, 4.0, 1.0]))
    np.testing.assert_allclose(axes.stds, [3, 2, 1])
    np.testing.assert_allclose(axes.axes, np.eye(3))


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1))
def test_the_largest_component_of_each_axis_is_positive(seed: int) -> None:
    covariance, _ = planted((30.0, 20.0, 10.0), seed)
    for column in colour_axes(covariance).axes.T:
        assert column[np.abs(column).argmax()] > 0


def test_a_covariance_of_lower_rank_has_no_negative_variance() -> None:
    axes = colour_axes(np.full((3, 3), 100.0))
    assert axes.stds[0] == pytest.approx(np.sqrt(300))
    assert (axes.stds[1:] >= 0).all()
    assert (axes.stds[1:] < 1e-5).all()


def test_axes_signs_and_variances_are_those_of_incremental_pca() -> None:
    images = noise(20, 16)
    axes = colour_axes(moments_of(images).covariance())
    peer: Any = IncrementalPCA(n_components=3, batch_size=16 * 16)
    peer.fit(images.reshape(-1, 3).astype(np.float64))
    np.testing.assert_allclose(axes.stds**2, peer.explained_variance_, rtol=1e-9)
    np.testing.assert_allclose(axes.axes.T, peer.components_, atol=1e-6)
