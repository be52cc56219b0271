"""Checkpoints written by a thread: one at a time, the one before stays until the next is whole.

`last.pt` is the newest and `previous.pt` the one before it; `best.pt` has the lowest val
error, `epoch-00010-top1-error-0.4210.pt` and so on are kept for good.
"""

import contextlib
import os
import shutil
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from torch import Tensor

from alexrep import files
from alexrep.config.recipe import Checkpoints
from alexrep.errors import Interrupted
from alexrep.runs import checkpoint
from alexrep.runs.folder import RunFolder

CHECK_S = 5.0
"""Seconds between two looks at the lock while nothing is written."""


@dataclass(frozen=True)
class Also:
    """What else a checkpoint is saved as, beside the last one."""

    is_best: bool = False
    kept_epoch: int | None = None
    """Number of finished epochs, if it is kept for good; else None."""
    kept_error: float | None = None
    """Val top-1 error after these, for the name of the file."""


class CheckpointPolicy:
    """When checkpoints are due between two epochs, by the rule of a recipe.

    Args:
        rule: The recipe's rule.
        check: Raises if the folder is no longer ours; asked every `CHECK_S` seconds.
        clock: Seconds since some moment.
    """

    def __init__(
        self,
        rule: Checkpoints,
        check: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rule, self._check, self._clock = rule, check, clock
        self._saved_at = self._checked_at = clock()
        self._is_due = False

    def is_due(self, step: int) -> bool:
        """Tell after a step whether a checkpoint is due; it stays due until `restart`."""
        now = self._clock()
        if now - self._checked_at >= CHECK_S:
            self._checked_at = now
            self._check()
        if self._rule.every_steps is not None:
            self._is_due |= step % self._rule.every_steps == 0
        else:
            self._is_due |= now - self._saved_at >= 60 * self._rule.every_minutes
        return self._is_due

    def restart(self) -> None:
        """Count from now on: a checkpoint is being saved."""
        self._is_due, self._saved_at = False, self._clock()


class Saver:
    """Writes the checkpoints of one run; errors of its thread are raised by the next call.

    Left by `with`, it waits until the last one is on disk. Memory: one copy of what is
    saved and its bytes, while it is being written.

    Args:
        folder: The run's folder.
        check: Raises if the folder is no longer ours; asked before each rename.
        is_last_whole: Whether the last checkpoint that is there can be read; a damaged
            one is not to take the place of the one before it.
    """

    def __init__(self, folder: RunFolder, check: Callable[[], None], is_last_whole: bool) -> None:
        self._folder, self._check, self._is_last_whole = folder, check, is_last_whole
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="saver")
        self._writing: Future[None] | None = None

    @property
    def is_idle(self) -> bool:
        """Whether no checkpoint is being written."""
        return self._writing is None or self._writing.done()

    def save(self, content: Mapping[str, Any], also: Also = Also()) -> None:
        """Wait for the checkpoint before, copy this one to host memory, and write it in the thread.

        Raises:
            OSError: If one before could not be written.
            AlexrepError: If another process has taken over the folder.
        """
        self.wait()
        copy = to_host(content)
        self._writing = self._pool.submit(self._write, copy, also)

    def poll(self) -> None:
        """Raise the error of a checkpoint that could not be written, as `save` does."""
        if self.is_idle:
            self.wait()

    def wait(self) -> None:
        """Wait until the checkpoint in flight is on disk; raises as `save` does."""
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.result()

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        """Wait for the last checkpoint; what stopped the run hides an error of writing it.

        An interruption does not: who says that a checkpoint is saved must be right.
        """
        with self._pool:
            if kind is None or issubclass(kind, Interrupted):
                self.wait()

    def _write(self, content: Mapping[str, Any], also: Also) -> None:
        try:
            self._write_all(content, also)
        except OSError:
            # Who takes over sweeps our partial files away: then say that.
            self._check()
            raise

    def _write_all(self, content: Mapping[str, Any], also: Also) -> None:
        """Write the best, the kept and then the last one, which a resume starts from."""
        folder = self._folder
        if also.is_best:
            lean = {k: v for k, v in content.items() if k not in checkpoint.RESUME_ONLY}
            checkpoint.save(folder.checkpoint("best"), lean, self._check)
        if also.kept_epoch is None:
            checkpoint.save(folder.checkpoint("last"), content, self._make_way)
        else:
            kept = folder.epoch_checkpoint(also.kept_epoch, also.kept_error)
            before = folder.epoch_checkpoints().get(also.kept_epoch, kept)
            checkpoint.save(kept, content, self._check)
            if before != kept:  # the epoch came to another error under other conditions
                before.unlink(missing_ok=True)
            with files.whole(folder.checkpoint("last"), self._make_way) as part:
                link(kept, part)
        self._is_last_whole = True

    def _make_way(self) -> None:
        """Link the last checkpoint to previous.pt, just before last.pt is replaced."""
        self._check()
        last = self._folder.checkpoint("last")
        previous = self._folder.checkpoint("previous")
        # After a kill they may be one file; then rename would do nothing, and leave the other name.
        are_same = previous.exists() and last.exists() and previous.samefile(last)
        if self._is_last_whole and last.exists() and not are_same:
            with files.whole(previous, self._check) as part:
                link(last, part)


def to_host(value: Any) -> Any:  # noqa: ANN401 (plain data of any kind)
    """Copy tables, lists and tensors to host memory, so that training may go on."""
    if isinstance(value, Tensor):
        return value.detach().to("cpu", copy=True)
    if isinstance(value, Mapping):
        return {key: to_host(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_host(item) for item in value]
    return value


def link(source: Path, target: Path) -> None:
    """Hard-link a file; copy it where the file system has no hard links."""
    target.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        os.link(source, target)
        return
    shutil.copyfile(source, target)
