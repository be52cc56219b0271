"""When a run saves: by steps, by minutes, later when the disk is slow, and what is kept."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from sessions import Memory

from alexrep.compute.processes import Processes
from alexrep.config import recipes
from alexrep.errors import AlexrepError
from alexrep.runs.saver import CheckpointPolicy
from alexrep.training import generators, saving
from alexrep.training.job import Job, Position


class Run:
    """A run of which each step takes half a minute."""

    def __init__(self, *settings: str) -> None:
        self.step, self.seconds = 0, 0.0
        self.lost: Callable[[], None] | None = None
        rule = recipes.load("demo", settings).checkpoints
        self.policy = CheckpointPolicy(rule, self._check, lambda: self.seconds)

    def _check(self) -> None:
        if self.lost:
            self.lost()

    def go(self, num_steps: int, is_idle: bool = True) -> list[int]:
        """Make steps; return those after which a checkpoint is due and the disk is idle."""
        saved = []
        for _ in range(num_steps):
            self.step += 1
            self.seconds += 30
            if self.policy.is_due(self.step) and is_idle:
                saved.append(self.step)
                self.policy.restart()
        return saved


def test_every_so_many_steps() -> None:
    assert Run("checkpoints.every_steps=4").go(13) == [4, 8, 12]


def test_every_so_many_minutes() -> None:
    assert Run("checkpoints.every_minutes=2.0").go(13) == [4, 8, 12]


def test_every_ten_minutes_if_nothing_is_said() -> None:
    assert Run().go(45) == [20, 40]


def test_steps_have_precedence() -> None:
    assert Run("checkpoints.every_minutes=1.0", "checkpoints.every_steps=10").go(25) == [10, 20]


def test_minutes_count_from_the_last_checkpoint_of_any_kind() -> None:
    run = Run("checkpoints.every_minutes=2.0")
    run.go(3)
    run.policy.restart()
    assert run.go(4) == [7]


def test_a_slow_disk_delays_the_next_one_and_loses_none() -> None:
    run = Run("checkpoints.every_steps=4")
    assert run.go(6, is_idle=False) == []
    assert run.go(2) == [7, 8]


def test_the_lock_is_looked_at_between_checkpoints() -> None:
    run = Run()
    run.go(1)

    def lost() -> None:
        raise AlexrepError("taken over")

    run.lost = lost
    with pytest.raises(AlexrepError, match="taken over"):
        run.go(1)


def test_every_k_th_epoch_is_kept_when_it_has_been_scored() -> None:
    position, session = Position(), Memory()
    state = SimpleNamespace(state_dict=dict)
    chosen = recipes.load("demo", ("checkpoints.keep_epochs=2",))
    fields: dict[str, Any] = {"recipe": chosen, "position": position, "session": session}
    fields |= {"model": state, "optimiser": state, "constants": {}, "average": None}
    fields |= {"device": torch.device("cpu"), "processes": Processes()}
    job = cast(Job, SimpleNamespace(**fields))
    saving.save(job)  # before training
    for _ in range(5):
        position.batch = 3
        saving.save(job)  # stopped in the epoch
        position.epoch, position.batch = position.epoch + 1, 0
        saving.save(job)  # stopped while val is scored
        position.validated = position.epoch
        saving.save(job)
    kept = [also.kept_epoch for _, also in session.saved]
    assert [epoch for epoch in kept if epoch is not None] == [2, 4]


def test_generators_of_torch_go_on_where_they_were() -> None:
    cpu = torch.device("cpu")
    before = generators.states(cpu)
    drawn = torch.rand(3)
    generators.restore(before, cpu)
    assert torch.equal(torch.rand(3), drawn)
