"""The loop: one step by hand, the rows it writes, and what stops it."""

import io
import tarfile
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from log_page import require_schema
from PIL import Image
from recipes import tiny_recipe
from sessions import Memory
from torch import Tensor, nn
from torch.nn import functional
from without_float64 import WithoutFloat64

from alexrep.config import recipes
from alexrep.config.optimiser import Momentum2012Rule
from alexrep.config.recipe import Recipe
from alexrep.errors import AlexrepError, ConfigError, Interrupted
from alexrep.feed import augment, draws, order
from alexrep.feed.dataset import TrainingData, open_data
from alexrep.models import dropout, registry
from alexrep.runs.checkpoint import weights_digest
from alexrep.runs.log import Row
from alexrep.runs.saver import Also
from alexrep.training import epoch, loop
from alexrep.training import optimiser as optimisers
from alexrep.training import step as steps
from alexrep.training.job import Job, Position
from alexrep.training.watcher import Watcher

TINY = tiny_recipe(2, drop_at=1)
STEPS = 5
"""In an epoch: 18 images by 4, the last batch of 2."""

ALL_AT_ONCE = ("feed.batch_size=18", "feed.reflect=false", "model.side=72")
"""Every epoch is the same one batch."""

Load = Callable[..., Recipe]
MakeJob = Callable[..., Job]

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]


@pytest.fixture(scope="module")
def training_data(data: Path) -> Iterator[TrainingData]:
    with closing(open_data(data)) as training_data:
        yield training_data


@pytest.fixture
def load(tmp_path: Path) -> Load:
    path = tmp_path / "tiny.toml"
    path.write_text(TINY)
    return lambda *settings: recipes.load(str(path), settings)


@pytest.fixture
def rows() -> list[Row]:
    return []


@pytest.fixture
def make_job(training_data: TrainingData, load: Load, rows: list[Row]) -> MakeJob:
    """Return a function that makes a new job; fields of Job may be given."""

    def make(*settings: str, **fields: Any) -> Job:
        chosen = load(*settings)
        model = registry.build(chosen.model, 3, chosen.seed)
        usual: dict[str, Any] = {
            "recipe": chosen,
            "model": model,
            "optimiser": optimisers.build(chosen.optimiser, model),
            "train": training_data.train,
            "val": training_data.val,
            "inputs": training_data.inputs(chosen),
            "device": torch.device("cpu"),
            "threads": 2,
            "position": Position(),
            "session": Memory(fields.pop("signal", lambda: None), rows),
        }
        return Job(**usual | fields)

    return make


def saved(job: Job) -> list[tuple[int, Also]]:
    """Return the step and roles of each checkpoint that a job saved."""
    assert isinstance(job.session, Memory)
    return job.session.saved


def of_kind(rows: list[Row], kind: str) -> list[dict[str, Any]]:
    return [row for row in rows if row["kind"] == kind]


def signal_at(number: int) -> Callable[[], str | None]:
    """Return a function that reports a signal from its `number`-th call on."""
    calls = count(1)
    return lambda: "SIGTERM" if next(calls) >= number else None


def decoded(
    data: Path, training_data: TrainingData, indices: list[int]
) -> list[np.ndarray[Any, Any]]:
    """Decode images with Pillow, from the prepared tars."""
    images = []
    for name in training_data.train.names[indices]:
        with tarfile.open(data / "images" / "train" / f"{name.decode()[:9]}.tar") as tar:
            stream = tar.extractfile(name.decode())
            assert stream is not None
            images.append(np.asarray(Image.open(io.BytesIO(stream.read()))))
    return images


def batch_by_hand(
    seed: int, epoch: int, number: int, training_data: TrainingData, data: Path
) -> tuple[Tensor, Tensor]:
    """Augment a batch image by image, as section 4.1 and the released source describe."""
    indices = order.epoch_order("shuffled", 18, seed, epoch)[4 * number : 4 * number + 4]
    drawn = draws.draw(indices, 72 - 67, "image", True, seed, epoch)
    middle, patches = training_data.mean[2:69, 2:69], []
    for row, image in enumerate(decoded(data, training_data, indices.tolist())):
        top, left = drawn.offsets[row]
        patch = image[top : top + 67, left : left + 67].astype(np.float32)
        patch = (patch[:, ::-1] if drawn.reflect[row] else patch) - middle
        if epoch == 0:  # in the second epoch the noise is off
            patch = (
                patch + 0.1 * training_data.axes @ (training_data.stds * drawn.alphas[row])
            ) / 1.1
        patches.append(torch.tensor(patch.transpose(2, 0, 1), dtype=torch.float32))
    return torch.stack(patches), torch.from_numpy(training_data.train.labels[indices])


def test_two_epochs_are_the_rule_by_hand(
    make_job: MakeJob, load: Load, training_data: TrainingData, data: Path, rows: list[Row]
) -> None:
    """v <- 0.9 v - 0.0005 r w - r g, then w <- w + v; biases without decay, at twice the rate."""
    chosen, losses = load(), []
    model: nn.Module = registry.build(chosen.model, 3, chosen.seed)
    velocities = {name: torch.zeros_like(w) for name, w in model.named_parameters()}
    for step in range(2 * STEPS):
        epoch, number = divmod(step, STEPS)
        images, labels = batch_by_hand(chosen.seed, epoch, number, training_data, data)
        dropout.set_keys(model, dropout.keys(chosen.seed, step, np.arange(len(labels))))
        loss = functional.cross_entropy(model(images), labels)
        losses.append(loss.item())
        gradients = torch.autograd.grad(loss, list(model.parameters()))
        for (name, weights), gradient in zip(model.named_parameters(), gradients, strict=True):
            rate, decay = (0.02, 0.0) if name.endswith("bias") else ((0.01, 0.001)[epoch], 0.0005)
            velocity = 0.9 * velocities[name] - decay * rate * weights - rate * gradient
            velocities[name] = velocity.detach()
            weights.data += velocities[name]
    job = make_job()
    loop.train(job)
    assert [row["loss"] for row in of_kind(rows, "step")] == pytest.approx(losses, rel=1e-3)
    trained = dict(job.model.named_parameters())
    for name, expected in model.named_parameters():
        assert torch.allclose(trained[name], expected, atol=1e-4), name


def test_every_step_and_epoch_has_its_row(make_job: MakeJob, rows: list[Row]) -> None:
    loop.train(make_job())
    assert [row["step"] for row in of_kind(rows, "step")] == list(range(1, 11))
    assert [row["epoch"] for row in of_kind(rows, "step")] == [0] * STEPS + [1] * STEPS
    epochs = of_kind(rows, "epoch")
    assert [(row["epoch"], row["step"]) for row in epochs] == [(0, 0), (1, 5), (2, 10)]


def test_the_row_before_training_has_val_only(make_job: MakeJob, rows: list[Row]) -> None:
    loop.train(make_job())
    row = of_kind(rows, "epoch")[0]
    assert row["val_loss"] == pytest.approx(np.log(3), abs=0.05)
    empty = {key for key, value in row.items() if value is None}
    rates = {"weights_rate", "biases_rate", "noise"}
    speed = {"images_per_s", "seconds", "feed_wait_share"}
    assert empty == rates | speed | {"train_loss", "train_error", "train_top5_error"}


def test_the_rows_tell_the_rates_of_the_epoch_that_ended(
    make_job: MakeJob, rows: list[Row]
) -> None:
    loop.train(make_job())
    rates = [(r["weights_rate"], r["biases_rate"], r["noise"]) for r in of_kind(rows, "epoch")]
    assert rates == [(None, None, None), (0.01, 0.02, True), (0.001, 0.02, False)]


def test_the_training_loss_is_the_mean_over_images(make_job: MakeJob, rows: list[Row]) -> None:
    loop.train(make_job())
    losses = [row["loss"] for row in of_kind(rows, "step")][:STEPS]
    weighted = np.average(losses, weights=[4, 4, 4, 4, 2])
    assert of_kind(rows, "epoch")[1]["train_loss"] == pytest.approx(weighted)


def test_a_long_epoch_has_at_most_some_forty_step_rows(
    make_job: MakeJob, rows: list[Row], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(epoch, "ROWS_AN_EPOCH", 2)
    loop.train(make_job())
    assert [row["step"] for row in of_kind(rows, "step")] == [2, 4, 7, 9]


def test_the_scores_returned_are_those_of_the_last_row(make_job: MakeJob, rows: list[Row]) -> None:
    scores = loop.train(make_job())
    last = of_kind(rows, "epoch")[-1]
    assert (scores.top1_error, scores.loss) == (last["val_top1_error"], last["val_loss"])
    assert scores.num_images == 8


def test_progress_tells_every_image(make_job: MakeJob) -> None:
    progress: list[int] = []
    loop.train(make_job(progress=progress.append))
    assert progress == [4, 4, 4, 4, 2] * 2


def test_the_number_of_decoding_threads_changes_nothing(make_job: MakeJob, rows: list[Row]) -> None:
    digests = set()
    for threads in (1, 4):
        job = make_job(threads=threads)
        loop.train(job)
        digests.add(weights_digest(job.model.state_dict()))
    losses = [row["loss"] for row in of_kind(rows, "step")]
    assert len(digests) == 1
    assert losses[:10] == losses[10:]


def test_torchs_own_generator_changes_nothing(make_job: MakeJob) -> None:
    digests = set()
    for seed in (1, 2):
        torch.manual_seed(seed)
        job = make_job()
        loop.train(job)
        digests.add(weights_digest(job.model.state_dict()))
    assert len(digests) == 1


def test_the_seed_changes_the_weights(make_job: MakeJob) -> None:
    digests = set()
    for seed in (1, 2):
        job = make_job(f"seed={seed}")
        loop.train(job)
        digests.add(weights_digest(job.model.state_dict()))
    assert len(digests) == 2


def test_one_batch_over_and_over_is_learnt(make_job: MakeJob, rows: list[Row]) -> None:
    rates = "schedule.changes=[{epoch=0,weights=0.01,biases=0.02,noise=false}]"
    loop.train(make_job(*ALL_AT_ONCE, rates, "schedule.epochs=40"))
    losses = [row["loss"] for row in of_kind(rows, "step")]
    assert np.mean(losses[-5:]) < 0.6 * np.mean(losses[:5])
    assert of_kind(rows, "epoch")[-1]["train_error"] < of_kind(rows, "epoch")[1]["train_error"]


def test_at_a_rate_of_zero_the_weights_stay(make_job: MakeJob) -> None:
    job = make_job("schedule.changes=[{epoch=0,weights=0.0,biases=0.0}]")
    before = weights_digest(job.model.state_dict())
    loop.train(job)
    assert weights_digest(job.model.state_dict()) == before


def test_shuffled_labels_are_those_of_the_images_permuted(
    make_job: MakeJob, training_data: TrainingData
) -> None:
    job = make_job("feed.shuffle_labels=true")
    assert not np.array_equal(job.labels, training_data.train.labels)
    assert np.array_equal(np.sort(job.labels), np.sort(training_data.train.labels))
    assert np.array_equal(make_job().labels, training_data.train.labels)


def test_shuffled_labels_are_what_is_learnt_and_val_keeps_its_own(
    make_job: MakeJob, rows: list[Row]
) -> None:
    for shuffle in ("true", "false"):
        loop.train(make_job(f"feed.shuffle_labels={shuffle}"))
    shuffled, plain = rows[: len(rows) // 2], rows[len(rows) // 2 :]
    assert shuffled[0]["val_loss"] == plain[0]["val_loss"]
    assert shuffled[1]["loss"] != plain[1]["loss"]


@pytest.mark.parametrize("settings", [(), ALL_AT_ONCE], ids=["small batches", "one batch"])
def test_a_loss_that_is_not_finite_stops_the_run(
    make_job: MakeJob, rows: list[Row], settings: tuple[str, ...]
) -> None:
    job = make_job(
        *settings,
        "schedule.changes=[{epoch=0,weights=10.0,biases=10.0}]",
        # The weights grow ninefold with each step, whatever the gradient.
        "optimiser.weight_decay=1.0",
        "schedule.epochs=60",
    )
    wanted = r"^(step \d+|the network): expected (a )?finite .*; train another run at a lower rate$"
    with pytest.raises(AlexrepError, match=wanted):
        loop.train(job)
    assert len(saved(job)) == len(of_kind(rows, "epoch")) > 0


def test_the_step_whose_loss_is_not_finite_is_named_and_not_made(make_job: MakeJob) -> None:
    job = make_job(position=Position(validated=0, step=6))
    with torch.no_grad():
        for parameter in job.model.parameters():
            parameter.fill_(torch.nan)
    wanted = r"step 7: expected a finite loss, found nan \(the last finite one: none since"
    with pytest.raises(AlexrepError, match=wanted):
        loop.train(job)
    assert job.position.step == 6
    assert not job.optimiser.state


def test_a_layer_that_the_network_has_not_is_refused_before_the_first_step(
    make_job: MakeJob, rows: list[Row]
) -> None:
    changes = "schedule.changes=[{epoch=0,weights=0.1,biases=0.1},{epoch=1,layers=['conv9']}]"
    with pytest.raises(ConfigError, match=r"expected layers of conv1, .*, found 'conv9'"):
        loop.train(make_job(changes))
    assert rows == []


@pytest.mark.parametrize(
    ("number", "step", "validated"),
    [(1, 0, -1), (2, 0, -1), (3, 0, 0), (4, 1, 0), (8, 5, 0), (9, 5, 0), (11, 5, 1), (19, 10, 2)],
)
def test_a_signal_is_seen_after_every_batch_of_train_and_val(
    make_job: MakeJob, number: int, step: int, validated: int
) -> None:
    job = make_job(signal=signal_at(number))
    wanted = f"step {step}: saved; stopped by SIGTERM; start again to go on"
    with pytest.raises(Interrupted, match=wanted):
        loop.train(job)
    assert (job.position.step, job.position.validated) == (step, validated)
    # Once for each row of an epoch, and once more unless it came right after one.
    assert len(saved(job)) == validated + 1 + (number not in (3, 11, 19))


def test_a_signal_leaves_the_network_in_training_mode(make_job: MakeJob) -> None:
    job = make_job(signal=signal_at(1))
    with pytest.raises(Interrupted):
        loop.train(job)
    assert job.model.training


def test_the_best_is_told_only_when_the_error_falls(make_job: MakeJob, rows: list[Row]) -> None:
    job = make_job("schedule.epochs=6")
    loop.train(job)
    errors = [row["val_top1_error"] for row in of_kind(rows, "epoch")]
    bests = [also.is_best for _, also in saved(job)]
    assert bests == [error < min([2.0, *errors[:index]]) for index, error in enumerate(errors)]
    assert job.position.best_epoch == int(np.argmin(errors))
    assert job.position.best_error == min(errors)


def test_a_run_that_has_ended_is_only_scored(make_job: MakeJob, rows: list[Row]) -> None:
    job = make_job(position=Position(epoch=2, step=10, validated=2))
    scores = loop.train(job)
    assert scores.num_images == 8
    assert rows == []


def test_the_rate_in_images_is_of_this_start_only(make_job: MakeJob, rows: list[Row]) -> None:
    resumed = Position(batch=4, step=4, seen=16, loss_sum=16.0, validated=0)
    loop.train(make_job("schedule.epochs=1", position=resumed))
    row = of_kind(rows, "epoch")[0]
    assert row["images_per_s"] * row["seconds"] == pytest.approx(2)


def test_after_a_stop_at_the_last_batch_no_rate_is_told(make_job: MakeJob, rows: list[Row]) -> None:
    resumed = Position(batch=5, step=5, seen=18, loss_sum=18.0, validated=0)
    loop.train(make_job("schedule.epochs=1", position=resumed))
    row = of_kind(rows, "epoch")[0]
    assert (row["train_loss"], row["images_per_s"], row["weights_rate"]) == (1.0, None, 0.01)


def weights_after(job: Job) -> dict[str, Tensor]:
    loop.train(job)
    return {name: parameter.detach().clone() for name, parameter in job.model.named_parameters()}


@pytest.mark.parametrize("pieces", [2, 3, 9])
def test_in_pieces_a_batch_gives_the_same_weights(make_job: MakeJob, pieces: int) -> None:
    """Pieces are unequal: 4 images in 3, and 2 in as many as there are."""
    whole = weights_after(make_job())
    in_pieces = weights_after(make_job(f"compute.accumulate={pieces}"))
    for name, weights in whole.items():
        assert torch.allclose(in_pieces[name], weights, rtol=1e-3, atol=1e-5), name


@pytest.mark.parametrize(
    "settings", [(), ("augmentations=[{kind='resized-patch'}, {kind='reflection'}]",)]
)
def test_a_step_on_an_apple_gpu_needs_no_float64(
    make_job: MakeJob, monkeypatch: pytest.MonkeyPatch, settings: tuple[str, ...]
) -> None:
    """Played by the CPU, with the whole batch augmented at once as on a GPU."""
    learn = steps._learn

    def learn_without(*arguments: Any) -> Tensor:
        with pytest.MonkeyPatch.context() as patch, WithoutFloat64():  # type: ignore[no-untyped-call]
            for name in ("training.step", "evaluation.scores", "feed.cuts"):
                patch.setattr(f"alexrep.{name}.widest_float", lambda _: torch.float32)
            return learn(*arguments)

    monkeypatch.setattr(steps, "_learn", learn_without)
    monkeypatch.setattr(augment, "_patches", augment._whole_batch)
    loop.train(make_job("schedule.epochs=1", *settings))


def test_in_pieces_the_loss_is_still_the_mean_over_images(
    make_job: MakeJob, rows: list[Row]
) -> None:
    for pieces in (1, 3):
        loop.train(make_job(f"compute.accumulate={pieces}", "schedule.epochs=1"))
    whole, in_pieces = (of_kind(some, "step") for some in (rows[: STEPS + 2], rows[STEPS + 2 :]))
    assert [row["loss"] for row in in_pieces] == pytest.approx(
        [row["loss"] for row in whole], rel=1e-4
    )


def test_bf16_is_near_and_not_the_same(make_job: MakeJob, rows: list[Row]) -> None:
    for name in ("fp32", "bf16"):
        loop.train(make_job(f"compute.precision='{name}'", "schedule.epochs=1"))
    first, second = of_kind(rows, "epoch")[1::2]
    assert first["val_loss"] != second["val_loss"] == pytest.approx(first["val_loss"], rel=0.02)


@pytest.mark.parametrize("setting", ["channels_last", "deterministic"])
def test_layout_and_determinism_are_rounding_at_most(make_job: MakeJob, setting: str) -> None:
    job, other = (
        make_job("schedule.epochs=1"),
        make_job(f"compute.{setting}=false", "schedule.epochs=1"),
    )
    assert loop.train(job).loss == pytest.approx(loop.train(other).loss, rel=1e-4)


def test_the_average_is_scored_beside_the_weights(make_job: MakeJob, rows: list[Row]) -> None:
    """An average this slow still equals the initial weights, with the error before training."""
    job = make_job("compute.ema=0.9999999", "schedule.epochs=3")
    loop.train(job)
    require_schema([row | {"clock": "2012"} for row in rows])
    epochs = of_kind(rows, "epoch")
    assert {row["val_top1_error_ema"] for row in epochs} == {epochs[0]["val_top1_error"]}
    assert job.position.best_error == min(row["val_top1_error"] for row in epochs)


def test_the_average_changes_nothing_else(make_job: MakeJob) -> None:
    jobs = make_job(), make_job("compute.ema=0.5")
    for job in jobs:
        loop.train(job)
    first, second = (weights_digest(job.model.state_dict()) for job in jobs)
    assert first == second


def test_a_missing_compiler_is_said_and_logged_once(
    make_job: MakeJob, rows: list[Row], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    messages: list[str] = []
    job = make_job("compute.compile=true", "schedule.epochs=1", say=messages.append)
    loop.train(job)
    (event,) = of_kind(rows, "event")
    assert event["text"] == "not compiled: no C++ compiler (no-such-compiler); the run goes on"
    assert messages == [event["text"]]
    require_schema([row | {"clock": "2012"} for row in rows])


def test_the_first_batches_come_over_and_over(
    make_job: MakeJob, training_data: TrainingData
) -> None:
    job = make_job("limits.batches=2")
    planned = epoch.batches(job.recipe, training_data.train, 1)
    assert [batch.tolist() for batch in planned] == [
        [0, 1, 2, 3],
        [4, 5, 6, 7],
        [0, 1, 2, 3],
        [4, 5, 6, 7],
        [0, 1, 2, 3],
    ]
    assert epoch.num_images(job.recipe, training_data.train) == 20


def test_one_batch_is_overfit(make_job: MakeJob, rows: list[Row]) -> None:
    rates = "schedule.changes=[{epoch=0,weights=0.01,biases=0.02,noise=false}]"
    loop.train(make_job("limits.batches=1", "feed.reflect=false", "schedule.epochs=20", rates))
    losses = [row["train_loss"] for row in of_kind(rows, "epoch")[1:]]
    assert losses[-1] < 0.85 * losses[0]


def test_an_epoch_may_have_fewer_steps(make_job: MakeJob, rows: list[Row]) -> None:
    progress: list[int] = []
    job = make_job("limits.steps=2", progress=progress.append)
    loop.train(job)
    assert progress == [4, 4] * 2
    assert [row["step"] for row in of_kind(rows, "epoch")] == [0, 2, 4]


def test_an_epoch_may_have_more_steps_than_the_data_has_batches(make_job: MakeJob) -> None:
    job = make_job("limits.steps=12")
    planned = epoch.batches(job.recipe, job.train, 0)
    once = epoch.batches(make_job().recipe, job.train, 0)
    assert len(planned) == 12 > len(once)
    assert all((batch == once[number % len(once)]).all() for number, batch in enumerate(planned))


def test_of_some_classes_only_these_are_trained_and_scored(
    make_job: MakeJob, data: Path, rows: list[Row]
) -> None:
    with closing(open_data(data, ("n00000020", "n00000040"))) as training_data:
        model = registry.build(make_job().recipe.model, 2, 1)
        progress: list[int] = []
        job = make_job(
            model=model,
            optimiser=optimisers.build(Momentum2012Rule(), model),
            train=training_data.train,
            val=training_data.val,
            progress=progress.append,
        )
        scores = loop.train(job)
    assert sum(progress) == 2 * 12
    # Of 8 val images 3 are of the other class, one of them in quarantine.
    assert (scores.num_images, scores.num_quarantined) == (5, 0)
    assert of_kind(rows, "epoch")[0]["val_loss"] == pytest.approx(np.log(2), abs=0.1)


def test_a_run_that_has_reached_its_target_ends_well(make_job: MakeJob, rows: list[Row]) -> None:
    stop = "schedule.stop={metric='train_loss',target=1e9}"
    job = make_job(stop, "schedule.epochs=9")
    scores = loop.train(job)
    assert [row["epoch"] for row in of_kind(rows, "epoch")] == [0, 1]
    assert rows[-1]["kind"] == "event"
    assert "stopped after epoch 1: train_loss" in str(rows[-1]["text"])
    assert "has reached 1e+09" in job.position.stopped
    assert scores.num_images == 8
    # When started again, it does not continue.
    again = make_job(stop, "schedule.epochs=9", position=job.position)
    loop.train(again)
    assert saved(again) == []


def test_step_rows_tell_rates_speed_and_memory(make_job: MakeJob, rows: list[Row]) -> None:
    loop.train(make_job())
    for row in of_kind(rows, "step"):
        assert (row["weights_rate"], row["biases_rate"]) == ((0.01, 0.02), (0.001, 0.02))[
            row["epoch"]
        ]
        assert 0 <= row["feed_wait_share"] <= 1
        assert row["images_per_s"] > 0
        assert row["memory_bytes"] > 1 << 20


def test_a_checkpoint_is_made_when_it_is_due(make_job: MakeJob) -> None:
    job = make_job()
    cast(Memory, job.session).every = 3
    loop.train(job)
    assert [step for step, _ in saved(job)] == [0, 3, 5, 6, 9, 10]


def test_the_last_finite_loss_is_named(make_job: MakeJob, rows: list[Row]) -> None:
    job = make_job("schedule.epochs=1")

    def spoil(num: int) -> None:
        if job.position.step == 3:
            nn.init.constant_(next(job.model.parameters()), torch.nan)

    job.progress = spoil
    with pytest.raises(AlexrepError, match=r"^step 4: expected a finite loss, found nan") as error:
        loop.train(job)
    last = of_kind(rows, "step")[-1]
    assert f"the last finite one: {last['loss']:.4f}" in str(error.value)


def test_a_rehearsal_trains_a_little_and_writes_nothing(make_job: MakeJob, rows: list[Row]) -> None:
    job = make_job()
    rehearsal = loop.rehearse(job)
    assert (rehearsal["steps"], rows, saved(job)) == (5, [], [])
    assert rehearsal["loss"] == pytest.approx(np.log(3), abs=0.2)


def test_a_rehearsal_warms_up_and_gives_a_range(
    make_job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends = iter([0.0, 100.0, 101.0, 104.0, 106.0])
    monkeypatch.setattr(loop, "time", SimpleNamespace(perf_counter=lambda: next(ends)))
    rehearsal = loop.rehearse(make_job())
    # The first two steps, one of 100 s among them, do not count.
    times = [rehearsal[key] for key in ("seconds_least", "seconds", "seconds_most")]
    assert times == [1.0, 2.0, 3.0]


@pytest.mark.parametrize(("steps", "is_timed"), [(1, False), (2, True)])
def test_a_rehearsal_of_few_steps_times_what_there_is(
    make_job: MakeJob, steps: int, is_timed: bool
) -> None:
    rehearsal = loop.rehearse(make_job(f"limits.steps={steps}"))
    assert (rehearsal["seconds"] is not None) == is_timed


def test_the_training_errors_are_those_of_one_and_of_five_places(
    make_job: MakeJob, rows: list[Row], monkeypatch: pytest.MonkeyPatch
) -> None:
    loop.train(make_job())
    three_classes = [row["train_top5_error"] for row in of_kind(rows, "epoch")]
    assert three_classes == [None, 0.0, 0.0]
    rows.clear()
    monkeypatch.setattr("alexrep.training.step.TOP", 1)
    loop.train(make_job())
    for row in of_kind(rows, "epoch")[1:]:
        assert row["train_top5_error"] == row["train_error"] > 0


def test_what_an_older_checkpoint_has_not_counted_is_no_error(
    make_job: MakeJob, rows: list[Row]
) -> None:
    position = Position(batch=1, step=1, seen=4, validated=0, errors=[0.6])
    older = {key: value for key, value in vars(position).items() if "top5" not in key}
    loop.train(make_job(position=Position.restored(older)))
    assert [row["train_top5_error"] for row in of_kind(rows, "epoch")] == [None, 0.0]
    assert Position.restored(older | {"seen": 0}).top5_credit_sum == 0.0


def test_a_watcher_is_told_what_happens_in_its_order(make_job: MakeJob) -> None:
    told: list[str] = []

    class Notes(Watcher):
        def trains(self, epoch: int, rate: float) -> None:
            told.append(f"trains {epoch} {rate:g}")

        def loss(self, loss: float) -> None:
            told.append("loss")

        def validates(self, epoch: int, num_images: int) -> None:
            told.append(f"validates {epoch} {num_images}")

        def scored(self, num_images: int) -> None:
            told.append(f"scored {num_images}")

        def row(self, row: Row) -> None:
            told.append(f"row {row['epoch']}")

    job = make_job("limits.steps=2", watcher=Notes())
    num_val = len(job.val)
    loop.train(job)
    scored = [f"scored {min(4, num_val - at)}" for at in range(0, num_val, 4)]
    epochs = [[f"validates {epoch} {num_val}", *scored, f"row {epoch}"] for epoch in range(3)]
    rates = [job.recipe.schedule.changes[0].weights, 0.001]
    assert told[: len(epochs[0])] == epochs[0]
    assert told[len(epochs[0]) :][:3] == [f"trains 0 {rates[0]:g}", "loss", "loss"]
    assert told[-len(epochs[2]) :] == epochs[2]
    assert [text.split()[0] for text in told].count("trains") == 2
