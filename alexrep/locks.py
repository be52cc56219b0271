"""The lock of a run folder: a file made exclusively, kept fresh, taken over when its owner is gone.

No flock, which network file systems do not all keep. Lock files are numbered. Who finds none
makes number 1; who finds one whose owner is gone makes the next number and removes the old
one, so that of two who try, one wins. A lock is held as long as its file is there.
"""

import contextlib
import fcntl
import json
import os
import secrets
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from alexrep import files
from alexrep.errors import AlexrepError, ManifestError, mismatch

PREFIX = ".lock-run-"
BEAT_S = 20.0
"""Seconds between two signs of life."""
GONE_S = 120.0
"""Seconds without one after which an owner is taken to be gone."""


@dataclass(frozen=True)
class Owner:
    """A process that may hold a lock."""

    host: str
    pid: int
    began: str
    """What tells the process from others with its number: start of machine and process, and
    the namespace that the number is of."""
    job: str | None = None
    """SLURM_JOB_ID."""
    restart: int = 0
    """SLURM_RESTART_COUNT."""
    token: str = field(default_factory=lambda: secrets.token_hex(8))

    def __str__(self) -> str:
        """Name the process."""
        job = f" of job {self.job}, restart {self.restart}" if self.job else ""
        return f"process {self.pid} on {self.host}{job}"

    def gives_way_to(self, other: "Owner") -> bool:
        """Tell whether `other` may take over at once."""
        if self.job is not None and self.job == other.job and self.restart < other.restart:
            return True
        place = self.began.rpartition(" ")[0]
        is_here = self.host == other.host and place == other.began.rpartition(" ")[0]
        return is_here and _began(self.pid) != self.began


def this_process(environment: Mapping[str, str] = os.environ) -> Owner:
    """Describe this process."""
    restart = environment.get("SLURM_RESTART_COUNT", "")
    return Owner(
        host=socket.gethostname(),
        pid=os.getpid(),
        began=_began(os.getpid()),
        job=environment.get("SLURM_JOB_ID"),
        restart=int(restart) if restart.isdigit() else 0,
    )


def _began(pid: int) -> str:
    """Return machine start, namespace of processes, and start of a process; "" if it has ended."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
        state, *fields = (
            Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        )
        if state in "ZX":
            return ""
        return f"{boot} {os.readlink('/proc/self/ns/pid')} {fields[18]}"
    except OSError:
        return ""


@contextlib.contextmanager
def held(folder: Path, me: Owner | None = None) -> Iterator[Callable[[], None]]:
    """Hold the only right to write into a run folder; yield what raises if it was lost.

    Partial files that killed processes left are removed. The file's time is renewed every
    `BEAT_S` seconds; a killed process keeps the lock until it is found to be gone: at once
    on its own machine or by a restart of its own Slurm job, else after `GONE_S` seconds.

    Args:
        folder: The folder; it is made if it is not there.
        me: Who wants it; this process if not given.

    Raises:
        ManifestError: If another process holds it.
        DataError: If the folder cannot be made.
    """
    files.make_folder(folder)
    lock, end = _Lock(folder, me or this_process()), threading.Event()
    with files.named(folder):
        lock.take()
        beat = threading.Thread(target=lock.keep_fresh, args=(end,), name="lock", daemon=True)
        beat.start()
        try:
            files.sweep(folder)
            yield lock.require
        finally:
            end.set()
            beat.join()
            lock.give_back()


class _Lock:
    """A process's lock on a folder, once `take` has returned."""

    def __init__(self, folder: Path, me: Owner) -> None:
        self._folder, self._me = folder, me
        self._file = folder / f"{PREFIX}1"

    def take(self) -> None:
        """Make the lock file, or raise ManifestError."""
        while True:
            former = _newest(self._folder)
            if former is not None:
                self._require_gone(former)
            number = 1 if former is None else _number(former) + 1
            self._file = self._folder / f"{PREFIX}{number}"
            if self._make() and self._is_alone(former):
                return

    def _make(self) -> bool:
        """Make the lock file exclusively; tell whether no other was quicker."""
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

    def _is_alone(self, former: Path | None) -> bool:
        """Remove the former lock; if that was done before us, give up ours and look again."""
        try:
            if former is not None:
                former.unlink()
            elif _newest(self._folder) != self._file:
                raise FileNotFoundError
        except FileNotFoundError:
            self._file.unlink(missing_ok=True)
            return False
        for path in _locks(self._folder):
            if _number(path) < _number(self._file):
                path.unlink(missing_ok=True)
        return True

    def _require_gone(self, former: Path) -> None:
        owner, age = _owner(former), self._age(former)
        if age is None or age > GONE_S or (owner and owner.gives_way_to(self._me)):
            return
        who = owner or "one that has just begun"
        found = f"another process at work ({who}, last heard of {max(0, age):.0f} s ago)"
        advice = f"wait until it ends, or for {GONE_S:.0f} s if it was killed"
        raise ManifestError(mismatch(self._folder, "one writer", found, advice))

    def _age(self, path: Path) -> float | None:
        """Return the seconds since a file was renewed, by the clock of its disk; None if gone."""
        probe = self._folder / f".{self._me.token}{files.PARTIAL}"
        try:
            # The clocks of two machines and of a file server are three clocks.
            probe.touch()
            return probe.stat().st_mtime - path.stat().st_mtime
        except FileNotFoundError:
            return None
        finally:
            probe.unlink(missing_ok=True)

    def keep_fresh(self, end: threading.Event) -> None:
        """Renew the lock's time until the end, or until it is lost."""
        while not end.wait(BEAT_S):
            try:
                os.utime(self._file)
            except FileNotFoundError:
                return
            except OSError:
                continue  # A file server that comes back finds the lock as it was.

    def require(self) -> None:
        """Raise AlexrepError, naming who took over, if the lock was lost."""
        if not self._is_held():
            newest = _newest(self._folder)
            taker = _owner(newest) if newest else None
            found = f"{taker}, which took over" if taker else "the lock removed"
            advice = "leave the folder to it" if taker else "start again to go on"
            raise AlexrepError(mismatch(self._folder, f"only {self._me}", found, advice))

    def _is_held(self) -> bool:
        owner = _owner(self._file)
        return owner is not None and owner.token == self._me.token

    def give_back(self) -> None:
        """Remove the lock file, if it is ours."""
        if self._is_held():
            self._file.unlink(missing_ok=True)


def _locks(folder: Path) -> list[Path]:
    found = (path for path in folder.iterdir() if path.name.startswith(PREFIX))
    return sorted((path for path in found if path.name[len(PREFIX) :].isdigit()), key=_number)


def _number(lock: Path) -> int:
    return int(lock.name[len(PREFIX) :])


def _newest(folder: Path) -> Path | None:
    return max(_locks(folder), key=_number, default=None)


def _owner(lock: Path) -> Owner | None:
    """Read who made a lock; None if it is not there, or not written yet."""
    try:
        return Owner(**json.loads(lock.read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, TypeError):
        return None


@contextlib.contextmanager
def locked(folder: Path, part: str = "") -> Iterator[None]:
    """Hold the only right to write into `folder`; a killed process loses it.

    Partial files that killed processes left are removed when the whole is locked.

    Args:
        folder: The folder; it is made if it is not there.
        part: Name of a part of the work. Parts of other names may be at work at
            the same time, a whole may not.

    Raises:
        ManifestError: If another process is writing there.
    """
    files.make_folder(folder)
    with contextlib.ExitStack() as stack:
        _lock(stack, folder, ".lock", shared=bool(part))
        if part:
            _lock(stack, folder, f".lock-{part}", shared=False)
        else:
            files.sweep(folder)
        yield


def _lock(stack: contextlib.ExitStack, folder: Path, name: str, shared: bool) -> None:
    stream = stack.enter_context((folder / name).open("a", encoding="utf-8"))
    try:
        fcntl.flock(stream, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ManifestError(
            mismatch(folder, "one writer", "another process at work", "wait until it ends")
        ) from None


@contextlib.contextmanager
def in_turn(folder: Path) -> Iterator[None]:
    """Wait for the others that want the same, then hold the right alone."""
    with (folder / ".lock-turn").open("a", encoding="utf-8") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield
