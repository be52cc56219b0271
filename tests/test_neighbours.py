"""Nearest features: those of a plain search in float64, equal ones by index, block by block."""

import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from alexrep.errors import DataError
from alexrep.evaluation import feature_file
from alexrep.evaluation.feature_file import FeatureFile, Features
from alexrep.evaluation.neighbours import nearest

MakeFeatures = Callable[[NDArray[np.floating]], FeatureFile]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[MakeFeatures]:
    """Return a function: features (N, D) -> the same as a file."""
    with ExitStack() as stack:

        def write(features: NDArray[np.floating]) -> FeatureFile:
            path = tmp_path / "features.h5"
            path.unlink(missing_ok=True)
            write_features(path, features.astype(np.float16))
            file = stack.enter_context(h5py.File(path))
            return FeatureFile(path, file)

        yield write


def write_features(path: Path, features: Features) -> None:
    blocks = [
        features[start : start + feature_file.BLOCK]
        for start in range(0, len(features), feature_file.BLOCK)
    ]
    with h5py.File(path, "w") as file:
        file["features"] = features
        file["crc32"] = np.array([zlib.crc32(block.tobytes()) for block in blocks], np.uint32)


def plain(features: Features, queries: Features, num: int) -> tuple[list[list[int]], Features]:
    """Search by the definition: float64 differences, a stable sort."""
    differences = queries.astype(np.float64)[:, None] - features.astype(np.float64)[None]
    distances = np.sqrt((differences**2).sum(axis=2))
    order = np.argsort(distances, axis=1, kind="stable")[:, :num]
    return order.tolist(), np.take_along_axis(distances, order, axis=1)


@pytest.mark.parametrize("num", [1, 6, 700])
def test_the_nearest_are_those_of_a_plain_search(
    make: MakeFeatures, monkeypatch: pytest.MonkeyPatch, num: int
) -> None:
    monkeypatch.setattr(feature_file, "BLOCK", 100)
    rng = np.random.default_rng(1)
    features = rng.gamma(0.3, size=(650, 96)).astype(np.float16)
    queries = features[:7] + rng.normal(0, 0.1, (7, 96)).astype(np.float16)
    found = nearest(make(features), queries, num)
    rows, distances = plain(features, queries, num)
    assert found.rows.tolist() == rows
    np.testing.assert_allclose(found.distances, distances, rtol=1e-12)


def test_equally_near_ones_are_told_by_index(
    make: MakeFeatures, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feature_file, "BLOCK", 4)
    features = np.tile(np.array([[3.0, 4.0], [0.0, 0.0], [4.0, 3.0]]), (5, 1))
    found = nearest(make(features), np.zeros((1, 2), np.float16), 8)
    assert found.rows.tolist() == [[1, 4, 7, 10, 13, 0, 2, 3]]
    assert found.distances.tolist() == [[0.0] * 5 + [5.0] * 3]


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.sampled_from([1, 3, 2000]))
def test_near_ties_far_from_zero_do_not_mislead(seed: int, num_rows: int, size: int) -> None:
    rng = np.random.default_rng(seed)
    # One unit in the last place between rows that all lie far away.
    features = (size + rng.integers(0, 2, (num_rows, 8)) * size * 2.0**-9).astype(np.float16)
    queries = features[rng.integers(0, num_rows, 3)]
    found = nearest(_InMemory(features), queries, 5)
    assert found.rows.tolist() == plain(features, queries, 5)[0]


class _InMemory(FeatureFile):
    """Features without a file, in blocks of three."""

    def __init__(self, features: Features) -> None:
        object.__setattr__(self, "_values", features)

    @property
    def num_units(self) -> int:
        return self._values.shape[1]  # type: ignore[attr-defined, no-any-return]

    def blocks(self) -> Iterator[tuple[int, Features]]:
        values: Features = self._values  # type: ignore[attr-defined]
        for start in range(0, len(values), 3):
            yield start, values[start : start + 3]


def test_an_image_of_the_set_is_its_own_nearest(make: MakeFeatures) -> None:
    features = np.random.default_rng(2).normal(0, 60, (50, 64)).astype(np.float16)
    found = nearest(make(features), features[[31, 4]], 1)
    assert found.rows.tolist() == [[31], [4]]
    assert found.distances.tolist() == [[0.0], [0.0]]


def test_fewer_images_than_asked_for_are_all_told(make: MakeFeatures) -> None:
    found = nearest(make(np.ones((2, 3))), np.zeros((1, 3), np.float16), 6)
    assert found.rows.tolist() == [[0, 1]]


def test_memory_does_not_grow_with_the_images(make: MakeFeatures) -> None:
    queries = np.zeros((2, 256), np.float16)
    peaks = []
    for num in (2048, 16384):
        features = make(np.random.default_rng(3).random((num, 256)))
        nearest(features, queries, 6)
        tracemalloc.start()
        nearest(features, queries, 6)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 2**18  # all features are 2**23 bytes


def test_features_whose_bytes_have_changed_are_named(make: MakeFeatures, tmp_path: Path) -> None:
    features = np.random.default_rng(4).random((600, 5)).astype(np.float16)
    write_features(tmp_path / "other.h5", features)
    with h5py.File(tmp_path / "other.h5", "r+") as file:
        file["features"][550, 2] = 7
        damaged = FeatureFile(tmp_path / "other.h5", file)
        with pytest.raises(DataError, match=r"other\.h5: .* others from image 512 on; remove it"):
            nearest(damaged, features[:1], 3)
