"""Locks of data folders and run folders: one writer, or the parts of an array side by side.

A lock is a file that is made exclusively, whose time its owner renews, and that is removed at the
end. No flock, which network file systems do not all keep. It is taken over only when its owner is
gone: at once if that can be seen on this machine, or if this is a later restart of the owner's
Slurm job; else once it has not been renewed for `GONE_S` seconds. A process that runs on this
machine keeps its lock, whatever the clocks say.

Lock files are named by what they are for, and numbered. Who finds one whose owner is gone makes
the next number and removes the old one, so that of two who try, one wins.
"""

import contextlib
import json
import os
import random
import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

from alexrep import files
from alexrep.errors import AlexrepError, ManifestError, mismatch
from alexrep.owner import Owner, this_process

WHOLE = "run"
"""Kind of the lock that excludes all others; `.lock-run-1`, as every version named it."""
TURN = "turn"
"""Kind of the lock of `in_turn`; the other kinds do not exclude it."""
_NAME = re.compile(r"\.lock-(run|turn|part-.+)-(\d+)")
BEAT_S = 20.0
"""Seconds between two renewals of a lock."""
GONE_S = 120.0
"""Seconds without a renewal after which an owner on another machine is taken to be gone."""


@contextlib.contextmanager
def held(folder: Path, part: str = "", *, me: Owner | None = None) -> Iterator[Callable[[], None]]:
    """Hold the right to write into a folder; yield a function that raises if it was lost.

    Whoever holds the whole folder first removes the partial files that processes left below it
    which are gone, but for folders in which another process is at work; see `files.sweep`.

    Args:
        folder: A data folder or a run folder; it is made if it is not there.
        part: Name of a part of the work. Parts of different names may be at work at the
            same time; the same part twice, or a part beside the whole, may not.
        me: Who wants it; this process if not given.

    Raises:
        ManifestError: If another process holds it.
        DataError: If the folder cannot be made.
    """
    files.make_folder(folder)
    lock = _Lock(folder, f"part-{part}" if part else WHOLE, me or this_process())
    with files.named(folder):
        lock.take()
        with lock.renewed():
            if not part:
                files.sweep(folder, lock.began - GONE_S, is_held)
            try:
                yield lock.require
            except OSError:
                lock.require()  # Who took over may have removed our partial files: then say that.
                raise


@contextlib.contextmanager
def in_turn(folder: Path) -> Iterator[None]:
    """Wait for the others that want the same, then hold the right alone."""
    lock = _Lock(folder, TURN, this_process())
    while True:
        try:
            lock.take()
            break
        except ManifestError:
            time.sleep(0.1)
    with lock.renewed():
        yield


def is_held(folder: Path) -> bool:
    """Tell whether a process writes into the folder now; for readers, which take no lock."""
    me = this_process()
    return any(_is_alive(lock, me) for lock in _locks(folder))


def _is_alive(lock: Path, me: Owner) -> bool:
    owner = _owner(lock)
    runs = owner.runs_beside(me) if owner else None
    if runs is not None:
        return runs
    with contextlib.suppress(FileNotFoundError):
        return abs(time.time() - lock.stat().st_mtime) < GONE_S
    return False


class _Lock:
    """A process's lock on a folder, once `take` has returned."""

    def __init__(self, folder: Path, kind: str, me: Owner) -> None:
        self._folder, self._kind, self._me = folder, kind, me
        self._file = self._numbered(1)

    def _numbered(self, number: int) -> Path:
        return self._folder / f".lock-{self._kind}-{number}"

    def take(self) -> None:
        """Make the lock file.

        Raises:
            ManifestError: If another process holds a lock that excludes this one.
        """
        while not self._try():
            # Another process tried at the same moment: whoever looks again first gets it.
            time.sleep(random.uniform(0.01, 0.1))

    def _try(self) -> bool:
        """Make the lock file, unless another process tries at the same time."""
        former = None
        for lock in self._rivals():
            self._require_gone(lock)
            if _kind(lock) == self._kind:
                former = lock
            else:
                lock.unlink(missing_ok=True)
        self._file = self._numbered(1 if former is None else _number(former) + 1)
        if not self._make():
            return False
        if self._remove(former) and self._rivals() == [self._file]:
            return True
        self._file.unlink(missing_ok=True)
        return False

    def _rivals(self) -> list[Path]:
        """Return the locks that exclude this one, and those of its own kind, by number."""
        return [lock for lock in _locks(self._folder) if _exclude(self._kind, _kind(lock))]

    def _make(self) -> bool:
        """Make the lock file exclusively; tell whether no other process was quicker."""
        try:
            stream = self._file.open("x", encoding="utf-8")
        except FileExistsError:
            return False
        try:
            with stream:
                json.dump(asdict(self._me), stream)
                stream.flush()
                os.fsync(stream.fileno())
        except BaseException:
            self._file.unlink(missing_ok=True)
            raise
        return True

    def _remove(self, former: Path | None) -> bool:
        """Remove the former locks of this kind; tell whether no other process did so before."""
        if former is None:
            return True
        try:
            former.unlink()
        except FileNotFoundError:
            return False
        for lock in self._rivals():
            if _kind(lock) == self._kind and _number(lock) < _number(self._file):
                lock.unlink(missing_ok=True)
        return True

    def _require_gone(self, lock: Path) -> None:
        """Refuse to take over from an owner that may be at work."""
        owner = _owner(lock)
        if owner is not None and owner.was_restarted_as(self._me):
            return
        runs = owner.runs_beside(self._me) if owner else None
        age = self._age(lock) if runs is None else 0.0
        if runs is False or age is None or age > GONE_S:
            return
        who, advice = str(owner or "one that has just begun"), "wait until it ends"
        if runs is None:
            who += self._last_heard(lock, age)
            advice += f", or for {GONE_S:.0f} s if it was killed"
        found = f"another process at work ({who})"
        raise ManifestError(mismatch(self._folder, "one writer", found, advice))

    def _last_heard(self, lock: Path, age: float) -> str:
        """Say when a lock was renewed; one of the future is set to now, so that its age grows.

        An owner that lives renews it, and so cannot lose it by this.
        """
        if age > -BEAT_S:
            return f", last heard of {max(0, age):.0f} s ago"
        said = f", dated {-age:.0f} s in the future"
        try:
            os.utime(lock)
        except OSError:
            return f"{said}: remove {lock} if it was killed"
        return said

    def _age(self, lock: Path) -> float | None:
        """Return the seconds since a file was renewed, by the clock of its disk; None if gone."""
        # The clocks of two machines and of a file server are three clocks.
        probe = files.partial_path(self._folder / f".lock-clock-{self._me.token}")
        try:
            probe.touch()
            return probe.stat().st_mtime - lock.stat().st_mtime
        except FileNotFoundError:
            return None
        finally:
            probe.unlink(missing_ok=True)

    @contextlib.contextmanager
    def renewed(self) -> Iterator[None]:
        """Renew the lock in a thread until the block ends, then give it back."""
        end = threading.Event()
        thread = threading.Thread(target=self._renew, args=(end,), name="lock", daemon=True)
        thread.start()
        try:
            yield
        finally:
            end.set()
            thread.join()
            if self._is_ours():
                self._file.unlink(missing_ok=True)

    def _renew(self, end: threading.Event) -> None:
        while not end.wait(BEAT_S):
            try:
                os.utime(self._file)
            except FileNotFoundError:
                return
            except OSError:
                continue  # A file server that comes back finds the lock as it was.

    def require(self) -> None:
        """Raise AlexrepError, naming who took over, if the lock was lost."""
        if not self._is_ours():
            newest = next(reversed(self._rivals()), None)
            taker = _owner(newest) if newest else None
            found = f"{taker}, which took over" if taker else "the lock removed"
            advice = "leave the folder to it" if taker else "start again to go on"
            raise AlexrepError(mismatch(self._folder, f"only {self._me}", found, advice))

    def _is_ours(self) -> bool:
        owner = _owner(self._file)
        return owner is not None and owner.token == self._me.token

    @property
    def began(self) -> float:
        """When the lock was made, by the clock of its disk, in seconds."""
        return self._file.stat().st_mtime


def _locks(folder: Path) -> list[Path]:
    """Return the lock files of a folder by number."""
    named = (path for path in folder.glob(".lock-*") if _NAME.fullmatch(path.name))
    return sorted(named, key=_number)


def _exclude(kind: str, other: str) -> bool:
    return kind == other or (WHOLE in (kind, other) and TURN not in (kind, other))


def _kind(lock: Path) -> str:
    return _NAME.sub(r"\1", lock.name)


def _number(lock: Path) -> int:
    return int(_NAME.sub(r"\2", lock.name))


def _owner(lock: Path) -> Owner | None:
    """Read who made a lock; None if it is not there, or not written yet."""
    try:
        return Owner(**json.loads(lock.read_text(encoding="utf-8")))
    except (FileNotFoundError, PermissionError, ValueError, TypeError):
        return None
