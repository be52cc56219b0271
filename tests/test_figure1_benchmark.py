"""The benchmark of figure 1: which images of the tar it takes."""

import importlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("figure1")


@pytest.fixture
def raw(make_tar: Callable[..., bytes], tmp_path: Path) -> Path:
    """Return an unsorted tar of two classes, seven images each in train and in test."""
    names = [
        f"set/{part}/{name}/{k}.jpg"
        for part in ("train", "test")
        for name in "ab"
        for k in "3140526"
    ]
    (tmp_path / "raw.tar.gz").write_bytes(make_tar(dict.fromkeys(names, b"x"), "w:gz"))
    return tmp_path / "raw.tar.gz"


def test_the_first_images_of_each_class_are_taken_and_a_fifth_as_many_for_the_test(
    benchmark: ModuleType, raw: Path, tmp_path: Path
) -> None:
    benchmark.unpack(raw, tmp_path / "out", 5)
    taken = sorted(str(path.relative_to(tmp_path / "out/set")) for path in tmp_path.rglob("*.jpg"))
    train = [f"train/{name}/{k}.jpg" for name in "ab" for k in range(5)]
    assert taken == ["test/a/0.jpg", "test/b/0.jpg", *train]


def test_all_are_taken_if_no_number_is_given(
    benchmark: ModuleType, raw: Path, tmp_path: Path
) -> None:
    benchmark.unpack(raw, tmp_path / "out", None)
    assert len(list(tmp_path.rglob("*.jpg"))) == 28
