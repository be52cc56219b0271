"""Checkpoints saved by a thread: a snapshot, one at a time, and errors reach the caller."""

import errno
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from waiting import PATIENCE_S

from alexrep import files
from alexrep.errors import AlexrepError, Interrupted
from alexrep.runs import checkpoint, saver
from alexrep.runs.folder import RunFolder
from alexrep.runs.saver import Also, Saver


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path / "run")


def content(step: int) -> dict[str, Any]:
    weights = {"fc8.bias": torch.full((3,), float(step))}
    return {"state_dict": weights, "step": step, "optimizer": {"state": {0: torch.ones(2)}}}


def saved(folder: RunFolder) -> dict[str, int]:
    """Return the step of each checkpoint in the folder."""
    paths = sorted(folder.checkpoints.iterdir())
    return {path.name: checkpoint.load(path)["step"] for path in paths}


def begin(
    folder: RunFolder, check: Callable[[], None] = files.nothing, whole: bool = True
) -> Saver:
    return Saver(folder, check, whole)


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Return an event; no checkpoint is written before it is set."""
    opened, save = threading.Event(), checkpoint.save

    def wait(path: Path, content: dict[str, Any], check: Callable[[], None]) -> None:
        assert opened.wait(10)
        save(path, content, check)

    monkeypatch.setattr(checkpoint, "save", wait)
    return opened


def test_the_last_two_and_the_best_stay_and_nothing_else(folder: RunFolder) -> None:
    with begin(folder) as saving:
        for step in range(5):
            saving.save(content(step), Also(is_best=step in (0, 2)))
    assert saved(folder) == {"best.pt": 2, "last.pt": 4, "previous.pt": 3}


def test_those_to_keep_stay(folder: RunFolder) -> None:
    with begin(folder) as saving:
        for step in range(5):
            saving.save(content(step), Also(kept_epoch=step if step % 2 == 0 else None))
    kept = {"epoch-00000.pt": 0, "epoch-00002.pt": 2, "epoch-00004.pt": 4}
    assert saved(folder) == {**kept, "last.pt": 4, "previous.pt": 3}


def test_a_kept_one_has_its_error_in_its_name_and_is_read_back(folder: RunFolder) -> None:
    with begin(folder) as saving:
        saving.save(content(1), Also(kept_epoch=1))  # as versions before named it
        saving.save(content(2), Also(kept_epoch=1, kept_error=0.25))
        saving.save(content(3), Also(kept_epoch=100000, kept_error=1.0))
    first, second = "epoch-00001-top1-error-0.2500.pt", "epoch-100000-top1-error-1.0000.pt"
    assert {path.name for path in folder.checkpoints.glob("epoch-*")} == {first, second}
    kept = folder.epoch_checkpoints()
    assert {epoch: path.name for epoch, path in kept.items()} == {1: first, 100000: second}


def test_the_best_is_without_what_only_a_restart_needs(folder: RunFolder) -> None:
    with begin(folder) as saving:
        saving.save(content(1), Also(is_best=True))
    assert "optimizer" in checkpoint.load(folder.checkpoint("last"))
    assert "optimizer" not in checkpoint.load(folder.checkpoint("best"))


def test_what_is_saved_is_what_was_when_it_was_asked_for(
    folder: RunFolder, gate: threading.Event
) -> None:
    given = content(1)
    with begin(folder) as saving:
        saving.save(given)
        given["state_dict"]["fc8.bias"].zero_()
        given["optimizer"]["state"][0].zero_()
        gate.set()
    loaded = checkpoint.load(folder.checkpoint("last"))
    assert loaded["state_dict"]["fc8.bias"].tolist() == [1, 1, 1]
    assert loaded["optimizer"]["state"][0].tolist() == [1, 1]


def test_a_copy_has_the_same_bits_and_the_same_layout() -> None:
    tensor = torch.randn(2, 3, 4, 5).contiguous(memory_format=torch.channels_last)
    copy = saver.to_host({"a": [tensor, (1, None)]})["a"][0]
    assert copy.stride() == tensor.stride()
    assert torch.equal(copy, tensor)
    assert copy.data_ptr() != tensor.data_ptr()


def test_the_training_goes_on_while_one_is_written(
    folder: RunFolder, gate: threading.Event
) -> None:
    with begin(folder) as saving:
        saving.save(content(1))
        saving.poll()
        assert not saving.is_idle
        assert not folder.checkpoint("last").exists()
        gate.set()
        saving.wait()
        assert saved(folder) == {"last.pt": 1}


def test_there_are_never_two_at_once(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    save, at_work, most = checkpoint.save, [], []

    def watched(*words: Any) -> None:
        at_work.append(words)
        most.append(len(at_work))
        save(*words)
        at_work.pop()

    monkeypatch.setattr(checkpoint, "save", watched)
    with begin(folder) as saving:
        for step in range(20):
            saving.save(content(step), Also(is_best=True))
    assert most == [1] * 40


def save_and(folder: RunFolder, act: Callable[[Saver], None]) -> None:
    """Save once, then do something before the saver is left."""
    with begin(folder) as saving:
        saving.save(content(2))
        act(saving)


def poll_until_idle(saving: Saver) -> None:
    while True:
        saving.poll()


def stop(_: Saver) -> None:
    raise Interrupted


def fail(_: Saver) -> None:
    raise AlexrepError("not finite")


@pytest.mark.parametrize("call", ["poll", "save", "wait", "close"])
def test_an_error_of_the_thread_comes_home(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "full")

    with begin(folder) as saving:
        saving.save(content(1))
    monkeypatch.setattr(checkpoint, "save", full)
    calls: dict[str, Callable[[Saver], None]] = {
        "poll": poll_until_idle,
        "save": lambda saving: saving.save(content(3)),
        "wait": lambda saving: saving.wait(),
        "close": lambda saving: None,
    }
    with pytest.raises(OSError, match="full"):
        save_and(folder, calls[call])
    assert saved(folder) == {"last.pt": 1}


def test_an_interruption_waits_and_does_not_hide_that_nothing_was_saved(
    folder: RunFolder, gate: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate.set()
    with pytest.raises(Interrupted):
        save_and(folder, stop)
    assert saved(folder) == {"last.pt": 2}

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(checkpoint, "save", full)
    with pytest.raises(OSError, match="full"):
        save_and(folder, stop)


def test_another_error_is_not_hidden_and_the_checkpoint_before_it_is_written(
    folder: RunFolder,
) -> None:
    with pytest.raises(AlexrepError, match="not finite"):
        save_and(folder, fail)
    assert saved(folder) == {"last.pt": 2}
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("saver")]


def test_a_damaged_last_one_does_not_become_the_previous(folder: RunFolder) -> None:
    checkpoint.save(folder.checkpoint("previous"), content(1))
    folder.checkpoint("last").write_bytes(b"damaged")
    with begin(folder, whole=False) as saving:
        saving.save(content(2))
        saving.wait()
        assert saved(folder) == {"last.pt": 2, "previous.pt": 1}
        saving.save(content(3))
    assert saved(folder) == {"last.pt": 3, "previous.pt": 2}


def test_a_folder_that_was_taken_over_is_left_as_it_is(folder: RunFolder) -> None:
    lost = threading.Event()

    def check() -> None:
        if lost.is_set():
            raise AlexrepError("taken over")

    with begin(folder, check) as saving:
        saving.save(content(1))
    lost.set()
    with pytest.raises(AlexrepError, match="taken over"), begin(folder, check) as saving:
        saving.save(content(2), Also(is_best=True, kept_epoch=2))
    assert saved(folder) == {"last.pt": 1}


def test_who_takes_over_may_sweep_partial_files_away(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = threading.Event()

    def check() -> None:
        if lost.is_set():
            raise AlexrepError("taken over")

    def swept(*_: Any) -> None:
        lost.set()
        raise FileNotFoundError

    monkeypatch.setattr(checkpoint, "save", swept)
    with pytest.raises(AlexrepError, match="taken over"), begin(folder, check) as saving:
        saving.save(content(2))


@pytest.mark.parametrize("kept", [None, 7])
@pytest.mark.parametrize("number", range(1, 12))
def test_killed_at_any_rename_or_link_the_newest_is_never_lost(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch, number: int, kept: int | None
) -> None:
    """There is always a whole one, no older than before, and never a partial one."""
    with begin(folder) as saving:
        for step in (1, 2):
            saving.save(content(step))
    calls = iter(range(1, 100))
    replace, link = os.replace, os.link

    def killed(act: Callable[..., None]) -> Callable[..., None]:
        def acts(*words: Any) -> None:
            if next(calls) >= number:
                raise KeyboardInterrupt
            act(*words)

        return acts

    monkeypatch.setattr(os, "replace", killed(replace))
    monkeypatch.setattr(os, "link", killed(link))
    with suppress(KeyboardInterrupt), begin(folder) as saving:
        saving.save(content(3), Also(is_best=True, kept_epoch=kept))
    monkeypatch.undo()
    newest = checkpoint.newest(folder)
    assert newest is not None
    assert newest.faults == ()
    assert newest.content["step"] >= 2
    assert len(folder.resumable()) >= 2


def test_a_file_system_without_links_gets_copies(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise PermissionError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", refuse)
    with begin(folder) as saving:
        for step in range(3):
            saving.save(content(step), Also(kept_epoch=step or None))
    kept = {"epoch-00001.pt": 1, "epoch-00002.pt": 2}
    assert saved(folder) == {**kept, "last.pt": 2, "previous.pt": 1}
    shutil.rmtree(folder.path)


SLOW = """
import sys, time
from pathlib import Path
from alexrep.errors import Interrupted
from alexrep.runs import checkpoint
from alexrep.runs.folder import RunFolder
from alexrep.runs.saver import Saver
from alexrep.signals import flagged

def write(*words):
    print("writing", flush=True)
    while signalled() is None:
        time.sleep(0.01)
    print("noted", flush=True)
    time.sleep(600)

checkpoint.save = write
with flagged() as signalled, Saver(RunFolder(Path(sys.argv[1])), lambda: None, True) as saver:
    saver.save({"step": 1})
    raise Interrupted("first signal")
"""


@pytest.mark.slow
@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_at_once_even_while_the_thread_writes(
    tmp_path: Path, second: signal.Signals
) -> None:
    command = [sys.executable, "-c", SLOW, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "writing\n"
        process.send_signal(signal.SIGTERM)
        assert process.stdout.readline() == "noted\n"
        assert process.poll() is None
        process.send_signal(second)
        assert process.wait(timeout=PATIENCE_S) == -second


def test_names_that_a_kill_left_on_one_file_leave_no_third(folder: RunFolder) -> None:
    checkpoint.save(folder.checkpoint("last"), content(1))
    folder.checkpoint("previous").hardlink_to(folder.checkpoint("last"))
    with begin(folder) as session:
        session.save(content(2))
    assert saved(folder) == {"last.pt": 2, "previous.pt": 1}
    assert not list(folder.path.rglob(f"*{files.PARTIAL}"))
