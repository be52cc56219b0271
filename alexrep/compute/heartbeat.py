"""Signs of life of the processes of a run, so that the dead are named and waited for by none."""

import contextlib
import os
import sys
import threading
import time
from types import TracebackType

from torch.distributed.distributed_c10d import Store

from alexrep.compute.rank import ProcessRank
from alexrep.errors import AlexrepError, mismatch

BEAT_S = 0.5
"""Seconds between two signs of life."""
SILENCE_S = 3.0
"""Seconds without one that show who is dead, when something has failed."""
_ADVICE = "see its own output, then start again to go on"


class _Lost(AlexrepError):
    """Another process has ended; said in every process that was left."""


class Heartbeat:
    """A thread that gives this process's sign of life and looks for those of the others.

    A process that leaves says so. One that falls silent, or fails, ends this one too: with an
    error where a sum has failed (see `blame`), else, as a sum on a GPU may hang for good, by a
    line on stderr and the end of the process.
    """

    def __init__(self, store: Store, process: ProcessRank, patience_s: float) -> None:
        """Take what the processes meet at.

        Args:
            store: Their common store.
            process: Which of them this is.
            patience_s: Seconds of silence after which a process counts as dead.
        """
        # Of its own: another thread may be waiting for a key with the first one.
        self._store = store.clone()
        self._rank, self._patience_s = process.rank, patience_s
        self._others = [rank for rank in range(process.world_size) if rank != process.rank]
        self._beats = dict.fromkeys(self._others, 0)
        self._heard = dict.fromkeys(self._others, time.monotonic())
        self._left: set[int] = set()
        self._is_alone = False
        self._failed_at: float | None = None
        self._leaving = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def __enter__(self) -> "Heartbeat":
        """Start the thread."""
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Say that this process leaves, and why if not all do; see that the others leave too."""
        self._leaving.set()
        self._thread.join()
        # Without the store there is nobody to tell.
        with contextlib.suppress(RuntimeError):
            if isinstance(error, Exception) and not isinstance(error, _Lost):
                number = self._store.add("failed", 1)
                text = " ".join(str(error).split()) or type(error).__name__
                self._store.set(f"failed/{number}", f"rank {self._rank}: {text}")
            self._store.add(f"left/{self._rank}", 1)
            # The first process may hold the store: it stays until the others need it no more.
            while self._rank == 0 and len(self._silent(SILENCE_S)) < len(self._absent()):
                self._listen()
                time.sleep(BEAT_S / 10)

    def blame(self, error: Exception) -> AlexrepError:
        """Wait until it shows who has failed or fallen silent, and return the error to raise."""
        until = time.monotonic() + 3 * SILENCE_S
        text = None
        while text is None and time.monotonic() < until:
            time.sleep(BEAT_S / 5)
            text = self._fault(SILENCE_S)
        if text is None:
            said = " ".join(str(error).split())[:200]
            text = mismatch(f"rank {self._rank}", "to reach the others", said, _ADVICE)
        return _Lost(text)

    def _run(self) -> None:
        while not self._leaving.wait(BEAT_S):
            try:
                if not self._is_alone:
                    self._listen()
            except RuntimeError:
                # Asked again, torch would print its own complaint again.
                self._is_alone, self._failed_at = True, time.monotonic()
            text = self._fault(self._patience_s)
            # What has failed shows in the next sum, too; only where that hangs, end it here.
            if text is not None and self._is_overdue() and not self._leaving.is_set():
                sys.stderr.write(f"alexrep: {text}\n")
                sys.stderr.flush()
                os._exit(1)

    def _is_overdue(self) -> bool:
        return self._failed_at is None or time.monotonic() - self._failed_at > 4 * SILENCE_S

    def _listen(self) -> None:
        """Give a sign of life, and note whose has come."""
        self._store.add(f"beat/{self._rank}", 1)
        for rank in self._absent():
            beats = self._store.add(f"beat/{rank}", 0)
            if beats != self._beats[rank]:
                self._beats[rank], self._heard[rank] = beats, time.monotonic()
            if self._store.add(f"left/{rank}", 0):
                self._left.add(rank)
        if self._failed_at is None and self._store.add("failed", 0):
            self._failed_at = time.monotonic()

    def _absent(self) -> list[int]:
        return [rank for rank in self._others if rank not in self._left]

    def _fault(self, silence_s: float) -> str | None:
        """Say who has failed, or has been silent for so long; None if nobody."""
        if self._failed_at is not None:
            return self._failure()
        silent = self._silent(silence_s)
        if not silent:
            return None
        named = ", ".join(f"rank {rank}" for rank in silent)
        found = f"no sign of life for {max(silent.values()):.0f} s"
        return mismatch(named, "to go on", found, _ADVICE)

    def _silent(self, silence_s: float) -> dict[int, float]:
        """Return the seconds since the last sign of life of those silent for so long."""
        now = time.monotonic()
        silent = {rank: now - self._heard[rank] for rank in self._absent()}
        return {rank: seconds for rank, seconds in silent.items() if seconds > silence_s}

    def _failure(self) -> str:
        if self._is_alone:
            return mismatch("rank 0", "to go on", "it gone, and where all met", _ADVICE)
        said = self._store.get("failed/1").decode()
        rank, _, why = said.partition(": ")
        return mismatch(rank, "to go on", f"its end ({why})", _ADVICE)
