"""Sheets of input images: what the network saw, with the mean added back."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from sessions import Memory

from alexrep.config import recipes
from alexrep.config.rates import rates_at
from alexrep.feed import draws
from alexrep.feed.batches import Batch
from alexrep.feed.dataset import TrainingData, open_data
from alexrep.runs.session import Session
from alexrep.training import input_images
from alexrep.training.job import Job, Position


@pytest.fixture(scope="module")
def training_data(data: Path) -> Iterator[TrainingData]:
    with closing(open_data(data)) as training_data:
        yield training_data


def a_job(training_data: TrainingData, *settings: str) -> tuple[Job, Any]:
    chosen = recipes.load("demo", ("model.side=67", *settings))
    job: Any = SimpleNamespace(
        recipe=chosen,
        train=training_data.train,
        inputs=training_data.inputs(chosen),
        position=Position(),
        session=Memory(),
    )
    return cast(Job, job), rates_at(chosen.schedule, 0, [])


@pytest.fixture
def batch(training_data: TrainingData) -> Batch:
    side = training_data.train.side
    images = np.random.default_rng(0).integers(0, 256, (18, side, side, 3), np.uint8)
    return Batch(images, np.arange(18), np.arange(18))


QUIET = "noise.scale=0.0"


@pytest.mark.parametrize("more", [(), ("feed.channels='bgr'",), ("feed.mean='crop'",)])
def test_without_noise_they_are_the_patches_of_the_images(
    training_data: TrainingData, batch: Batch, more: tuple[str, ...]
) -> None:
    job, rates = a_job(training_data, QUIET, *more)
    feed, border = job.recipe.feed, training_data.train.side - 67
    drawn = draws.draw(batch.indices, border, feed.draws, feed.reflect, job.recipe.seed, 0)
    images = input_images.inputs(job, batch, rates)
    assert images.shape == (16, 67, 67, 3)
    assert images.dtype == np.uint8
    for number, image in enumerate(images):
        row, column = drawn.offsets[number]
        patch = batch.images[number, row : row + 67, column : column + 67]
        np.testing.assert_array_equal(image, patch[:, ::-1] if drawn.reflect[number] else patch)
    assert drawn.reflect.any()


def test_the_noise_is_seen(training_data: TrainingData, batch: Batch) -> None:
    quiet, noisy = (
        input_images.inputs(*_swap(a_job(training_data, setting), batch))
        for setting in (QUIET, "noise.scale=1.0")
    )
    assert np.abs(quiet.astype(int) - noisy).max() > 10


def _swap(made: tuple[Job, Any], batch: Batch) -> tuple[Job, Batch, Any]:
    return made[0], batch, made[1]


def test_they_are_shown_at_the_first_step_of_every_tenth_epoch(
    training_data: TrainingData, batch: Batch
) -> None:
    job, rates = a_job(training_data)
    for job.position.step in range(60):
        job.position.epoch, job.position.batch = divmod(job.position.step, 3)
        input_images.show(job, batch, rates)
    assert cast(Memory, job.session).shown == [1, 31]


def test_without_a_folder_none_are_made(training_data: TrainingData, batch: Batch) -> None:
    job, rates = a_job(training_data)
    job.session, job.inputs = Session(), cast(Any, None)
    input_images.show(job, batch, rates)


def test_a_process_without_images_shows_none(training_data: TrainingData) -> None:
    job, rates = a_job(training_data)
    side = training_data.train.side
    input_images.show(
        job, Batch(np.zeros((0, side, side, 3), np.uint8), np.arange(0), np.arange(0)), rates
    )
    assert cast(Memory, job.session).shown == []


def test_the_network_sees_what_it_would_without_a_sheet(
    training_data: TrainingData, batch: Batch
) -> None:
    job, rates = a_job(training_data)
    before, state = batch.images.copy(), torch.get_rng_state()
    input_images.inputs(job, batch, rates)
    np.testing.assert_array_equal(batch.images, before)
    assert torch.equal(torch.get_rng_state(), state)
