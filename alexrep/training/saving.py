"""When a run saves a checkpoint, and what stands in it."""

import dataclasses
import json
import time
from collections.abc import Callable
from typing import Any

import torch

from alexrep.feed.dataset import TrainingData
from alexrep.runs.resume_conditions import Conditions
from alexrep.runs.saver import Also, Saver
from alexrep.training.job import Job, generators

ASK_S = 5.0
"""Seconds between two looks at the lock while nothing is written."""


class CheckpointPolicy:
    """Saves a job: after each epoch, when stopped, and now and then in between.

    Args:
        job: What to save.
        data: Its inputs, for those who read checkpoints without the data.
        saver: What writes.
        conditions: What the bits depend on.
        log_size: Flushes the log to disk and returns its size in bytes.
        owned: Raises if the folder is no longer ours.
        clock: Seconds since some moment.
    """

    def __init__(
        self,
        job: Job,
        data: TrainingData,
        saver: Saver,
        conditions: Conditions,
        log_size: Callable[[], int],
        owned: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._job, self._data, self._saver, self._conditions = job, data, saver, conditions
        self._log_size, self._owned, self._clock = log_size, owned, clock
        self._rule = job.recipe.checkpoints
        self._is_due = False
        self._saved = self._asked = clock()

    def save(self, is_best: bool) -> None:
        """Begin to save; the saver says when it is on disk."""
        self._is_due, self._saved = False, self._clock()
        self._saver.save(self._content(), Also(is_best, self._kept_epoch()))

    def is_due(self) -> bool:
        """Tell after a step whether a checkpoint is due.

        Raises:
            OSError: If one before could not be written.
            AlexrepError: If another process has taken over the folder.
        """
        self._saver.poll()
        now = self._clock()
        if now - self._asked >= ASK_S:
            self._asked = now
            self._owned()
        if self._rule.every_steps is not None:
            self._is_due |= self._job.position.step % self._rule.every_steps == 0
        else:
            self._is_due |= now - self._saved >= 60 * self._rule.every_minutes
        # A disk that is slower than the rule delays the next one, not the training.
        return self._is_due and self._saver.is_idle

    def _kept_epoch(self) -> int | None:
        position, every = self._job.position, self._rule.keep_epochs
        is_epochs_end = position.batch == 0 and position.validated == position.epoch > 0
        return position.epoch if every and is_epochs_end and position.epoch % every == 0 else None

    def _content(self) -> dict[str, Any]:
        job, data = self._job, self._data
        position = job.position
        content = {
            "state_dict": job.model.state_dict(),
            "epoch": position.epoch,
            "step": position.step,
            "config": json.loads(job.recipe.model_dump_json(exclude_none=True)),
            "classes": data.train.classes.rows(),
            "inputs": {
                "mean": torch.from_numpy(data.mean),
                "axes": data.axes.tolist(),
                "stds": data.stds.tolist(),
                "side": data.train.side,
                "geometry": data.train.geometry,
            },
            "best": {"epoch": position.best_epoch, "val_top1_error": position.best_error},
            "optimizer": job.optimiser.state_dict(),
            "sampler": dataclasses.asdict(position),
            "rng": generators(job.device),
            "conditions": self._conditions,
            "log_size": self._log_size(),
        }
        if job.average is not None:
            content["average"] = job.average.state()
        return content
