"""Signs of life of the processes of a run, so that the dead are named and waited for by none.

torchrun, srun and gloo notice a process that has ended. None of them notices one that is stopped:
the others wait for it until a collective times out. torch's monitored_barrier names it, but never
rank 0, and is one more collective in each step.
"""

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
    """Two threads: one gives this process's sign of life and looks for those of the others.

    A process that leaves says so. One that falls silent, or fails, ends this one too: with an
    error where a sum has failed (see `blame`), else, as a sum on a GPU may hang for good, by a
    line on stderr and the end of the process. The process that holds the store may be stopped
    as well as any other; then the first thread hangs in the store, and the second one sees it.
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
        self._silence_s = dict.fromkeys(self._others, 0.0)
        self._listened_at = time.monotonic()
        self._unanswered_s = 0.0
        self._left: set[int] = set()
        self._failure: str | None = None
        self._failed_at: float | None = None
        self._error: BaseException | None = None
        self._leaving = threading.Event()
        self._listener = threading.Thread(target=self._beat, name="heartbeat", daemon=True)
        self._watcher = threading.Thread(target=self._watch, name="watcher", daemon=True)

    def __enter__(self) -> "Heartbeat":
        """Start the threads."""
        self._listener.start()
        self._watcher.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Say that this process leaves, and why if not all do; see that the others leave too."""
        self._error = error
        self._leaving.set()
        self._watcher.join()
        # A store that no longer answers is not waited for.
        while self._listener.is_alive() and self._unanswered_s <= self._patience_s:
            self._listener.join(BEAT_S)
            self._unanswered_s += BEAT_S

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

    def _beat(self) -> None:
        """Be in touch with the others until this process leaves; all talk to the store is here."""
        try:
            while not self._leaving.wait(BEAT_S):
                self._listen()
            self._leave()
        except RuntimeError:  # asked again, torch would print its own complaint again
            self._fail(mismatch("rank 0", "to go on", "it gone, and where all met", _ADVICE))

    def _watch(self) -> None:
        """End this process if another one has failed or fallen silent, and nothing else does."""
        while not self._leaving.wait(BEAT_S):
            # Counted, not taken from a clock: while this process is stopped, nobody answers it.
            self._unanswered_s += BEAT_S
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
        now = time.monotonic()
        # While this process was stopped, the others may have been too, as a suspended job is.
        passed_s = min(now - self._listened_at, 2 * BEAT_S)
        self._listened_at = now
        for rank in self._absent():
            beats = self._store.add(f"beat/{rank}", 0)
            is_silent = beats == self._beats[rank]
            self._silence_s[rank] = self._silence_s[rank] + passed_s if is_silent else 0.0
            self._beats[rank] = beats
            if self._store.add(f"left/{rank}", 0):
                self._left.add(rank)
        if self._failure is None and self._store.check(["failed/1"]):
            rank_name, _, why = self._store.get("failed/1").decode().partition(": ")
            self._fail(mismatch(rank_name, "to go on", f"its end ({why})", _ADVICE))
        self._unanswered_s = 0.0

    def _leave(self) -> None:
        """Say that this process leaves; the first one may hold the store, and stays for others."""
        if isinstance(self._error, Exception) and not isinstance(self._error, _Lost):
            number = self._store.add("failed", 1)
            text = " ".join(str(self._error).split()) or type(self._error).__name__
            self._store.set(f"failed/{number}", f"rank {self._rank}: {text}")
        self._store.add(f"left/{self._rank}", 1)
        while self._rank == 0 and len(self._silent(SILENCE_S)) < len(self._absent()):
            self._listen()
            time.sleep(BEAT_S / 10)

    def _fail(self, text: str) -> None:
        """Note the first failure; its time before its text, which is looked at first."""
        if self._failure is None:
            self._failed_at = time.monotonic()
            self._failure = text

    def _absent(self) -> list[int]:
        return [rank for rank in self._others if rank not in self._left]

    def _fault(self, silence_s: float) -> str | None:
        """Say who has failed, or has been silent for so long; None if nobody."""
        if self._failure is not None:
            return self._failure
        silent = self._silent(silence_s)
        if silent:
            named = ", ".join(f"rank {rank}" for rank in silent)
            found = f"no sign of life for {max(silent.values()):.0f} s"
            return mismatch(named, "to go on", found, _ADVICE)
        if self._unanswered_s > silence_s:
            where = "from the store that it, or its torchrun, keeps"
            found = f"no answer for {self._unanswered_s:.0f} s {where}"
            return mismatch("rank 0", "to go on", found, _ADVICE)
        return None

    def _silent(self, silence_s: float) -> dict[int, float]:
        """Return the seconds of silence, when last asked, of those silent for so long."""
        silence = {rank: self._silence_s[rank] for rank in self._absent()}
        return {rank: seconds for rank, seconds in silence.items() if seconds > silence_s}
