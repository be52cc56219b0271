"""When a run saves: by steps, by minutes, later when the disk is slow, and what is kept."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch

from alexrep.config import recipes
from alexrep.errors import AlexrepError
from alexrep.feed.dataset import TrainingData
from alexrep.runs.saver import Also, Saver
from alexrep.training.job import Job, Position, generators, set_generators
from alexrep.training.saving import CheckpointPolicy


class Disk:
    """Stands in for the saver: notes what it is given."""

    def __init__(self) -> None:
        self.saved: list[int] = []
        self.also: list[Also] = []
        self.is_idle = True

    def save(self, content: dict[str, Any], also: Also) -> None:
        self.saved.append(content["step"])
        self.also.append(also)

    def poll(self) -> None:
        pass


class Run:
    """A run without a network, of which each step takes half a minute."""

    def __init__(self, *settings: str) -> None:
        self.disk, self.position, self.seconds = Disk(), Position(), 0.0
        state = SimpleNamespace(state_dict=dict)
        chosen = recipes.load("demo", settings)
        job = SimpleNamespace(
            recipe=chosen,
            model=state,
            optimiser=state,
            position=self.position,
            device=torch.device("cpu"),
            average=None,
        )
        data = SimpleNamespace(
            mean=torch.zeros(3).numpy(),
            axes=torch.eye(3).numpy(),
            stds=torch.ones(3).numpy(),
            train=SimpleNamespace(classes=SimpleNamespace(rows=list), side=128, geometry="crop"),
        )
        self.lost: Callable[[], None] | None = None
        self.saving = CheckpointPolicy(
            cast(Job, job),
            cast(TrainingData, data),
            cast(Saver, self.disk),
            {},
            lambda: 7,
            lambda: self.lost() if self.lost else None,
            lambda: self.seconds,
        )

    def go(self, num_steps: int) -> list[int]:
        for _ in range(num_steps):
            self.position.step += 1
            self.position.batch += 1
            self.seconds += 30
            if self.saving.is_due():
                self.saving.save(is_best=False)
        return self.disk.saved


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
    run.saving.save(is_best=True)
    assert run.go(4) == [3, 7]


def test_a_slow_disk_delays_the_next_one_and_loses_none() -> None:
    run = Run("checkpoints.every_steps=4")
    run.disk.is_idle = False
    assert run.go(6) == []
    run.disk.is_idle = True
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
    run = Run("checkpoints.keep_epochs=2")
    run.saving.save(is_best=False)  # before training
    for _ in range(5):
        run.go(3)
        run.saving.save(is_best=False)  # stopped in the epoch
        run.position.epoch, run.position.batch = run.position.epoch + 1, 0
        run.saving.save(is_best=False)  # stopped while val is scored
        run.position.validated = run.position.epoch
        run.saving.save(is_best=False)
    kept = [also.kept_epoch for also in run.disk.also]
    assert [epoch for epoch in kept if epoch is not None] == [2, 4]


def test_generators_of_torch_go_on_where_they_were() -> None:
    cpu = torch.device("cpu")
    before = generators(cpu)
    drawn = torch.rand(3)
    set_generators(before, cpu)
    assert torch.equal(torch.rand(3), drawn)
