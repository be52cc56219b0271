"""A disk that fills up at any moment: one line, nothing half-written, and on to the same bytes."""

import contextlib
import errno
import itertools
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from recipes import tiny_recipe
from typer.testing import CliRunner, Result

from alexrep import files
from alexrep.demo import edition
from alexrep.runs import checkpoint, record
from alexrep.stages import app
from alexrep.stages.cli.shell import explain
from alexrep.training import throughput

PAGE = 4096
"""Bytes of a page: a tmpfs fills up by whole pages."""
ROOM = 1 << 25
"""Size of a disk with room, in bytes; ballast takes most of it."""
FULL = re.compile(
    r"alexrep: (/[^:]+): expected room on the disk, found none; "
    r"make room, then start it again: it goes on where it stopped"
)

TINY = tiny_recipe(2)

LAST = {
    "preprocess": "data/images/manifest.json",
    "mean": "data/mean.manifest.json",
    "pca": "data/pca.manifest.json",
    "pack": "data/shards/manifest.json",
    "extract": "folders/manifest.json",
    "train": "first/manifest.json",
    "eval": "first/results/val-centre.json",
    "plot": "first/plots/manifest.json",
}
"""The file that each stage writes last, which marks it finished."""
LEVELS = {"mean": 40, "train": 20, "plot": 4}
"""Most fill levels at which to try a stage; if not given, every level is tried."""

pytestmark = pytest.mark.usefixtures("one_thread")


def alexrep(*words: str | Path) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words], prog_name="alexrep")


def tree(folder: Path) -> dict[str, str]:
    """Return the digest of each file except locks, event files and the ballast."""
    paths = (path for path in folder.rglob("*") if path.is_file())
    others = (".lock", "events.out", "ballast")
    kept = (path for path in paths if not path.name.startswith(others))
    return {str(path.relative_to(folder)): files.sha256_file(path) for path in kept}


class Disk:
    """A small disk of its own: a tmpfs."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.mount("-t", "tmpfs", "-o", f"size={ROOM}", "tmpfs")

    def mount(self, *options: str) -> None:
        path = Path(shutil.which("mount") or "/bin/mount")
        command = [str(path), *options, str(self.path)]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"no disk could be mounted: {done.stderr.strip()}")

    def change(self, setting: str) -> None:
        """Remount the disk with another size or number of files."""
        self.mount("-o", f"remount,{setting}")

    def free(self) -> int:
        """Return the number of free pages."""
        return os.statvfs(self.path).f_bavail

    def files(self) -> int:
        """Return the number of files and folders."""
        usage = os.statvfs(self.path)
        return usage.f_files - usage.f_ffree

    def leave(self, pages: int) -> None:
        """Fill the disk with ballast up to some free pages."""
        with (self.path / "ballast").open("wb") as stream:
            os.posix_fallocate(stream.fileno(), 0, (self.free() - pages) * PAGE)
        assert self.free() == pages

    def fill(self, before: Path) -> None:
        """Empty the disk, restore its size, and copy a folder to it."""
        for entry in self.path.iterdir():
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        self.change(f"size={ROOM},nr_inodes=100000")
        shutil.copytree(before, self.path, dirs_exist_ok=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """Return a small disk, which only root can mount."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    folder = tmp_path / "disk"
    folder.mkdir()
    made = Disk(folder)
    yield made
    subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the measured speed the same in every run, so that the logs are equal."""
    still(monkeypatch)


def still(patch: pytest.MonkeyPatch) -> None:
    """Advance the clock by a second at each reading, and keep the measured memory constant."""
    ticks = map(float, itertools.count())
    patch.setattr(throughput, "time", SimpleNamespace(perf_counter=lambda: next(ticks)))
    same = SimpleNamespace(ru_maxrss=1)
    patch.setattr("resource.getrusage", lambda _: same)
    same_day = SimpleNamespace(now=lambda _: datetime(2012, 12, 3, tzinfo=UTC))
    patch.setattr(record, "datetime", same_day)


def words(stage: str, raw: Path, folder: Path) -> list[str | Path]:
    """Return the command line of a stage that works in `folder`."""
    data, run, one_worker = folder / "data", folder / "first", ("--workers", "1")
    lines: dict[str, list[str | Path]] = {
        "preprocess": [raw, data, "--partial", "--side", "72", *one_worker],
        "mean": [data, *one_worker],
        "pca": [data, *one_worker],
        "pack": [data, "--shard-images", "8", *one_worker],
        "extract": [data, folder / "folders", *one_worker],
        "train": [data, "--run", run, "--recipe", raw.parent / "tiny.toml", "--device", "cpu"],
        "eval": [run, "--data", data, "--device", "cpu", *one_worker],
        "plot": [run],
    }
    # Without -q, lines that tell how a training goes would stand before the refusal.
    return [stage, *lines[stage], "-q"]


@pytest.fixture(scope="module")
def raw_and_recipe(make_raw: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a tiny raw edition with an image for quarantine, and a recipe beside it."""
    folder = tmp_path_factory.mktemp("tiny")
    (folder / "tiny.toml").write_text(TINY)
    return make_raw(folder / "raw", replaced={"n00000020_12.JPEG": b"no image"})


@pytest.fixture(scope="module")
def states(raw_and_recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return copies of the folder before each stage, by stage, and under "" after the last one."""
    work, folders = tmp_path_factory.mktemp("work"), {}
    with pytest.MonkeyPatch.context() as patch:
        still(patch)
        for stage in LAST:
            folders[stage] = tmp_path_factory.mktemp("states") / stage
            shutil.copytree(work, folders[stage])
            assert alexrep(*words(stage, raw_and_recipe, work)).exit_code in (0, 3)
    return {**folders, "": work}


def stopped(outcome: Result) -> str:
    """Assert that a stage stops for lack of space with one line, and return the file it names."""
    assert outcome.exit_code == 1, outcome.output
    assert isinstance(outcome.exception, SystemExit), outcome.exception
    *remarks, line = outcome.stderr.splitlines()
    assert all(remark.endswith("accepted") for remark in remarks), outcome.stderr
    named = FULL.fullmatch(line)
    assert named, line
    return named[1]


def goes_on(command: list[str | Path], disk: Disk, states: dict[str, Path], make_room: str) -> str:
    """Run a stage that stops for lack of space, make room, and compare what it resumes to.

    Returns:
        The file that it named.
    """
    stage = str(command[0])
    named_file = stopped(alexrep(*command))
    next_stage = list(states)[list(states).index(stage) + 1]
    whole, resumed = tree(states[next_stage]), tree(disk.path)
    other = {name for name in resumed if resumed[name] != whole.get(name)}
    # A run's log grows; its table and its last checkpoints are replaced after each epoch.
    checkpoints = {f"first/checkpoints/{name}.pt" for name in ("last", "previous", "best")}
    # The sums of units are removed once those of all are whole.
    sums = {name for name in resumed if name.startswith("data/statistics/train/")}
    assert other <= {"first/log.jsonl", "first/log.csv", *checkpoints, *sums}
    assert all(checkpoint.is_whole(disk.path / name) for name in checkpoints & resumed.keys())
    assert LAST[stage] not in resumed
    assert resumed.keys() >= tree(states[stage]).keys()
    disk.change(make_room)
    again = alexrep(*command)
    assert again.exit_code == (3 if stage == "preprocess" else 0), again.output
    assert tree(disk.path) == whole
    return named_file


@pytest.mark.slow
@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize("stage", list(LAST))
def test_a_stage_goes_on_from_a_disk_that_was_full(
    disk: Disk,
    raw_and_recipe: Path,
    states: dict[str, Path],
    stage: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # As if the space found by the check were used up a moment later.
    monkeypatch.setattr(files, "require_space", lambda folder, need: None)
    command = words(stage, raw_and_recipe, disk.path)
    disk.fill(states[stage])
    before = disk.free()
    assert alexrep(*command).exit_code in (0, 3)
    need, named_files = before - disk.free(), set()
    levels = range(0, need, -(-need // LEVELS.get(stage, need)))
    for pages in levels:
        disk.fill(states[stage])
        disk.leave(pages)
        named_files.add(goes_on(command, disk, states, make_room=f"size={2 * ROOM}"))
    assert all(Path(name).is_relative_to(disk.path) for name in named_files)
    print(f"\n{stage}: {need} pages, full at {len(levels)} levels, {len(named_files)} files named")


@pytest.mark.slow
@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize("stage", list(LAST))
def test_a_stage_goes_on_from_a_disk_that_could_hold_no_more_files(
    disk: Disk, raw_and_recipe: Path, states: dict[str, Path], stage: str
) -> None:
    command, named_files = words(stage, raw_and_recipe, disk.path), set()
    disk.fill(states[stage])
    before = disk.files()
    assert alexrep(*command).exit_code in (0, 3)
    need = disk.files() - before
    for more in range(0, need, -(-need // LEVELS.get(stage, need))):
        disk.fill(states[stage])
        disk.change(f"nr_inodes={disk.files() + more}")
        named_files.add(goes_on(command, disk, states, make_room="nr_inodes=100000"))
    print(f"\n{stage}: {need} files, {len(named_files)} named")


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["preprocess", "pack", "extract"])
def test_another_program_takes_the_room_after_the_check(
    disk: Disk,
    raw_and_recipe: Path,
    states: dict[str, Path],
    stage: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    check = files.require_space

    def check_in_vain(folder: Path, need: int) -> None:
        check(folder, need)
        if not (disk.path / "ballast").exists():
            disk.leave(9)

    monkeypatch.setattr(files, "require_space", check_in_vain)
    disk.fill(states[stage])
    command = words(stage, raw_and_recipe, disk.path)
    assert re.search(
        "n00000030|train-00001", goes_on(command, disk, states, make_room=f"size={2 * ROOM}")
    )


@pytest.mark.slow
def test_too_little_room_is_refused_with_figures_and_made_later(
    disk: Disk, raw_and_recipe: Path, states: dict[str, Path]
) -> None:
    disk.fill(states["preprocess"])
    disk.leave(100)
    command = words("preprocess", raw_and_recipe, disk.path)
    outcome = alexrep(*command)
    wanted = (
        r"/data/images: expected 1\.\d MB free, found 0\.4 MB; make room or name another folder"
    )
    assert outcome.exit_code == 1
    assert re.search(wanted, outcome.stderr)
    assert "data/images/train/n00000020.tar" not in tree(disk.path)
    disk.change(f"size={2 * ROOM}")
    assert alexrep(*command).exit_code == 3
    assert tree(disk.path) == tree(states["mean"])


@pytest.mark.slow
def test_workers_stop_together_when_the_disk_is_full(
    disk: Disk, raw_and_recipe: Path, states: dict[str, Path]
) -> None:
    disk.fill(states["preprocess"])
    disk.change(f"nr_inodes={disk.files() + 12}")
    command = words("preprocess", raw_and_recipe, disk.path)[:-2]
    full = [sys.executable, "-m", "alexrep.stages", *command, "2"]
    outcome = subprocess.run(full, check=False, capture_output=True, text=True, timeout=60)
    *_, line = outcome.stderr.splitlines()
    assert (outcome.returncode, outcome.stdout) == (1, "")
    assert FULL.fullmatch(line), outcome.stderr
    assert "Traceback" not in outcome.stderr
    assert LAST["preprocess"] not in tree(disk.path)
    disk.change("nr_inodes=100000")
    assert subprocess.run(full, check=False, capture_output=True, timeout=60).returncode == 3
    assert tree(disk.path) == tree(states["mean"])


@pytest.mark.slow
@pytest.mark.parametrize("part", [0.0, 0.5, 0.99])
def test_the_demo_goes_on_with_its_raw_data(
    disk: Disk, whole_demo: Path, part: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("start", "_report"):
        monkeypatch.setattr(f"alexrep.stages.demo.{name}", lambda *words: None)
    need = sum(-(-path.stat().st_size // PAGE) for path in whole_demo.iterdir())
    disk.leave(int(need * part))
    named = Path(stopped(alexrep("demo", disk.path)))
    # With no space at all, it names the folder, as not even the lock can be written.
    assert (named if part == 0.0 else named.parent) == disk.path / "raw"
    disk.change(f"size={2 * ROOM}")
    assert alexrep("demo", disk.path).exit_code == 0
    assert tree(disk.path / "raw") == tree(whole_demo)


@pytest.mark.parametrize("stage", ["train", "plot"])
def test_a_read_only_run_folder_is_one_line(
    disk: Disk, raw_and_recipe: Path, states: dict[str, Path], stage: str
) -> None:
    disk.fill(states[stage])
    (disk.path / "first").mkdir(exist_ok=True)
    before = tree(disk.path)
    disk.change("ro")
    outcome = alexrep(*words(stage, raw_and_recipe, disk.path))
    assert (outcome.exit_code, outcome.stdout) == (1, "")
    wanted = (
        rf"alexrep: {disk.path}/first: expected permission to use it, "
        r"found 'Read-only file system'; change its permissions or name another\n"
    )
    assert re.fullmatch(wanted, outcome.stderr), outcome.stderr
    assert tree(disk.path) == before


def test_a_run_in_a_read_only_folder_is_scored_and_drawn_elsewhere(
    disk: Disk, raw_and_recipe: Path, states: dict[str, Path], tmp_path: Path
) -> None:
    disk.fill(states["eval"])
    before = tree(disk.path)
    disk.change("ro")
    outcome = alexrep(*words("eval", raw_and_recipe, disk.path))
    assert outcome.exit_code == 0
    assert outcome.stdout.startswith("val, centre: top-1 error ")
    wanted = (
        rf"alexrep: {disk.path}/first/results/val-centre\.json: expected permission to write it, "
        r"found 'Read-only file system'; what is printed was not kept\n"
    )
    assert re.fullmatch(wanted, outcome.stderr), outcome.stderr
    elsewhere = alexrep(*words("plot", raw_and_recipe, disk.path), "--out", tmp_path / "plots")
    assert elsewhere.exit_code == 0, elsewhere.output
    assert (tmp_path / "plots" / "curves.png").is_file()
    assert tree(disk.path) == before


@pytest.fixture(scope="module")
def whole_demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the raw data of the demo."""
    folder = tmp_path_factory.mktemp("demo")
    edition.write(folder)
    return folder


@pytest.fixture
def full_device(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Return a function that redirects files of a name to /dev/full."""
    write_bytes, begin = Path.write_bytes, files.whole

    def make(name: str) -> None:
        @contextlib.contextmanager
        def whole(path: Path, *given: Any) -> Iterator[Path]:
            with begin(path, *given) as part:
                if path.name == name:
                    part.symlink_to("/dev/full")
                yield part

        def write(path: Path, content: bytes) -> int:
            if path == files.partial_path(path.with_name(name)) and not path.is_symlink():
                path.symlink_to("/dev/full")
            return write_bytes(path, content)

        monkeypatch.setattr(files, "whole", whole)
        monkeypatch.setattr(Path, "write_bytes", write)

    return make


@pytest.mark.parametrize(
    ("stage", "name"),
    [
        ("preprocess", "plan.json"),
        ("preprocess", "n00000020_12.JPEG"),
        ("preprocess", "n00000030.tar"),
        ("preprocess", "n00000030.jsonl"),
        ("mean", "n00000030.npz"),
        ("mean", "total.npz"),
        ("mean", "mean.npy"),
        ("pca", "pca.json"),
        ("pca", "pca.manifest.json"),
        ("pack", "train-00001.h5"),
        ("extract", "n00000030_5.JPEG"),
        ("train", "mean.npy"),
        ("train", "last.pt"),
        ("train", "best.pt"),
        ("eval", "val-centre.npz"),
    ],
)
def test_the_file_that_finds_the_disk_full_is_named_and_removed(
    raw_and_recipe: Path,
    states: dict[str, Path],
    tmp_path: Path,
    stage: str,
    name: str,
    full_device: Callable[[str], None],
) -> None:
    shutil.copytree(states[stage], tmp_path, dirs_exist_ok=True)
    full_device(name)
    assert Path(stopped(alexrep(*words(stage, raw_and_recipe, tmp_path)))).name == name
    assert not list(tmp_path.rglob(f"*{files.PARTIAL}"))
    assert LAST[stage] not in tree(tmp_path)


def test_a_shard_that_the_disk_loses_while_it_is_read_again_is_named(
    raw_and_recipe: Path, states: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(states["pack"], tmp_path, dirs_exist_ok=True)
    progress: list[int] = []
    flush = os.fsync

    def flush_once_in_vain(descriptor: int) -> None:
        """Report a full disk once, as the kernel does."""
        if ".h5" in os.readlink(f"/proc/self/fd/{descriptor}") and not progress:
            progress.append(descriptor)
            raise OSError(errno.ENOSPC, "full")
        flush(descriptor)

    monkeypatch.setattr(os, "fsync", flush_once_in_vain)
    assert stopped(alexrep(*words("pack", raw_and_recipe, tmp_path))).endswith("train-00000.h5")
    assert not (tmp_path / "data/shards/train-00000.h5").exists()


@pytest.mark.parametrize("kind", [errno.ENOSPC, errno.EDQUOT])
def test_a_quota_is_a_full_disk(tmp_path: Path, kind: int) -> None:
    with pytest.raises(OSError, match="at 'a'") as caught, files.named(tmp_path):
        raise OSError(kind, "found at 'a'")
    assert str(explain(caught.value)).startswith(f"{tmp_path}: expected room on the disk")
    with pytest.raises(OSError, match="of 'b'") as caught, files.named(tmp_path):
        raise OSError(kind, "full", "of 'b'")
    assert str(explain(caught.value)).startswith("of 'b': expected room")


def test_a_full_disk_names_the_copy_and_not_what_is_copied(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="full") as caught, files.named(tmp_path / "copy"):
        raise OSError(errno.ENOSPC, "full", "source", None, "partial")
    assert str(explain(caught.value)).startswith(f"{tmp_path}/copy: expected room")


def test_other_errors_keep_their_words(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"^cannot write mode F as JPEG$"), files.named(tmp_path):
        raise OSError("cannot write mode F as JPEG")
