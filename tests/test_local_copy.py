"""Packed data copied to a machine's own disk before a training."""

import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from recipes import tiny_recipe
from typer.testing import CliRunner, Result

from alexrep import locks
from alexrep.errors import ConfigError, DataError, Interrupted
from alexrep.feed import dataset, local_copy
from alexrep.feed.local_copy import Order
from alexrep.stages import app

pytestmark = pytest.mark.usefixtures("one_thread")


def never() -> None:
    """Tell of no signal."""


def copy(
    data: Path,
    folder: Path,
    keeps: bool = True,
    signalled: Callable[[], str | None] = never,
) -> list[str]:
    """Copy, open the copy as a training does, and return what was said."""
    said: list[str] = []
    with local_copy.made(Order(data, folder, keeps), said.append, signalled) as place:
        with dataset.open_data(data) as before, dataset.open_data(place) as after:
            assert after.digests == before.digests
            assert after.train.read(0) == before.train.read(0)
        assert not list(place.rglob("test-*"))
    return said


def test_a_copy_is_made_once_and_checked(data: Path, tmp_path: Path) -> None:
    place = Order(data, tmp_path, True).place
    first, second = copy(data, tmp_path), copy(data, tmp_path)
    assert first[-1] == f"{place}: copied and checked"
    assert second == [f"{place}: found whole"]
    (place / "mean.npy").write_bytes(b"changed")
    assert copy(data, tmp_path)[0].startswith("copies ")
    assert copy(data, tmp_path) == second


def test_what_is_finished_later_is_copied_too(data: Path, tmp_path: Path) -> None:
    early = tmp_path / "data"
    shutil.copytree(data, early)
    for path in early.glob("pca.*"):
        path.rename(tmp_path / path.name)
    with local_copy.made(Order(early, tmp_path / "disk", True), print, never) as place:
        assert not (place / "pca.json").exists()
    for path in tmp_path.glob("pca.*"):
        path.rename(early / path.name)
    assert len(copy(early, tmp_path / "disk")) == 2


def test_the_last_one_that_uses_a_copy_removes_it(data: Path, tmp_path: Path) -> None:
    order = Order(data, tmp_path, False)
    copy(data, tmp_path)
    with locks.held(order.place, part="another"):
        copy(data, tmp_path, keeps=False)
        assert order.place.is_dir()
    copy(data, tmp_path, keeps=False)
    assert list(tmp_path.iterdir()) == []


def test_a_stopped_copy_goes_on(data: Path, tmp_path: Path) -> None:
    answers = iter([None, None, "SIGTERM"])
    with pytest.raises(Interrupted, match="stopped by SIGTERM; start again to go on"):
        copy(data, tmp_path, signalled=lambda: next(answers))
    place = Order(data, tmp_path, True).place
    times = {path: path.stat().st_mtime_ns for path in place.rglob("*") if path.is_file()}
    assert len(times) == 2
    copy(data, tmp_path)
    assert times == {path: path.stat().st_mtime_ns for path in times}


def test_a_file_that_is_not_its_manifests_is_refused(data: Path, tmp_path: Path) -> None:
    spoilt = tmp_path / "data"
    shutil.copytree(data, spoilt)
    shard = spoilt / "shards/train-00000.h5"
    content = bytearray(shard.read_bytes())
    content[-1] ^= 1
    shard.write_bytes(content)
    with pytest.raises(DataError, match=r"train-00000.h5: expected SHA-256 \w{12}, found"):
        copy(spoilt, tmp_path / "disk")
    assert not list((tmp_path / "disk").rglob("train*"))


def test_too_little_room_is_one_line(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    with pytest.raises(DataError, match=r"expected room for 0.00 GB, found 0.00 GB; make room"):
        copy(data, tmp_path)


def test_variables_are_those_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OWN_DISK", "/disk/7")
    assert local_copy.expand(Path("$OWN_DISK/x")) == Path("/disk/7/x")
    with pytest.raises(ConfigError, match=r"expected variables that are set, found \$OTHER_DISK"):
        local_copy.expand(Path("$OTHER_DISK"))


def test_a_training_on_a_copy_is_the_same_run(data: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "tiny.toml"
    recipe.write_text(tiny_recipe(1))
    copied = train(data, recipe, tmp_path / "a", "--copy-to", tmp_path / "disk")
    assert copied.exit_code == 0, copied.output
    assert list((tmp_path / "disk").iterdir()) == []
    assert train(data, recipe, tmp_path / "b").exit_code == 0
    names = ("manifest.json", "data.json")
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (("--keep-copy",), "--keep-copy: expected --copy-to beside it, found none"),
        (
            ("--copy-to", "x", "--dry-run"),
            "--copy-to: expected a training, found --evaluate, --dry-run",
        ),
    ],
)
def test_options_that_decide_nothing_are_refused(
    data: Path, tmp_path: Path, words: tuple[str, ...], wanted: str
) -> None:
    result = train(data, "demo", tmp_path / "run", *words)
    assert result.exit_code == 2, result.output
    assert wanted in result.stderr


def train(data: Path, recipe: Path | str, run: Path, *more: object) -> Result:
    words = ("train", data, "--run", run, "--recipe", recipe, "--device", "cpu", *more)
    return CliRunner().invoke(app, list(map(str, words)), prog_name="alexrep")
