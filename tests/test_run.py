"""A run in its folder: stopped or killed anywhere, it ends with the same bits."""

import contextlib
import errno
import json
import os
import random
import re
import shutil
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from recipes import tiny_recipe
from sessions import stop_at
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor

from alexrep import files, locks, manifest, signals
from alexrep.config import recipes
from alexrep.config.recipe import Recipe
from alexrep.errors import AlexrepError, ConfigError, DataError, Interrupted, ManifestError
from alexrep.feed.dataset import TrainingData, open_data
from alexrep.manifest import Manifest
from alexrep.pool import default_threads
from alexrep.runs import checkpoint, contents, listing, log, table
from alexrep.runs.checkpoint import prunable
from alexrep.runs.folder import RunFolder
from alexrep.runs.saver import Saver
from alexrep.runs.state import TIMES
from alexrep.training import run as training
from alexrep.training.request import Request, Resources, make_plan, require_runnable

TINY = tiny_recipe(4, drop_at=3)
STEPS = 5
"""In an epoch: 18 images by 4."""
CHECKS = 3 + 4 * (STEPS + 3)
"""Times that a run checks for a signal: after each batch, twice over val, after each row."""

FIXED = ("feed.order='fixed'", "feed.draws='group32'")

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]


class Killed(BaseException):
    """Stands in for SIGKILL: nothing catches it."""


@pytest.fixture(scope="module")
def training_data(data: Path) -> Iterator[TrainingData]:
    with closing(open_data(data)) as training_data:
        yield training_data


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recipe") / "tiny.toml"
    path.write_text(TINY)
    return path


@pytest.fixture(scope="module")
def chosen(tiny: Path) -> Recipe:
    return recipes.load(str(tiny))


def start(
    chosen: Recipe,
    training_data: TrainingData,
    path: Path,
    progress: Callable[[int], None] = lambda num: None,
    threads: int = 2,
    before: Callable[[int], None] = lambda num: None,
    say: Callable[[str], None] = lambda text: None,
    device: str = "cpu",
) -> Manifest:
    """Start a run, or start it again, as `alexrep train` does."""
    resources = Resources(torch.device(device), threads, say=say)
    request = Request(chosen, training_data, path, resources)
    record = training.finished(request)
    if record is not None:
        return record
    with signals.flagged() as signal:
        return training.lead(request, signal, progress, before)


@pytest.fixture(scope="module")
def whole(
    chosen: Recipe, training_data: TrainingData, tmp_path_factory: pytest.TempPathFactory
) -> RunFolder:
    """Return a run that was never stopped; read only."""
    path = tmp_path_factory.mktemp("runs") / "whole"
    start(chosen, training_data, path)
    return RunFolder(path)


def rows_of(folder: RunFolder) -> list[dict[str, Any]]:
    """Return the rows of the log without times and rates in images."""
    rows: list[dict[str, Any]] = [dict(row) for row in log.read(folder.log)]
    return [{key: value for key, value in row.items() if key not in TIMES} for row in rows]


def plain(content: object) -> object:
    """Return a checkpoint's content with bytes for tensors, and without the log's size."""
    if isinstance(content, Tensor):
        return content.numpy().tobytes()
    if isinstance(content, Mapping):
        return {key: plain(value) for key, value in content.items() if key != "log_size"}
    return content


def assert_same(path: Path, whole: RunFolder) -> None:
    """Compare manifest, log and checkpoints with those of the run that was never stopped."""
    folder = RunFolder(path)
    assert folder.manifest.read_bytes() == whole.manifest.read_bytes()
    assert rows_of(folder) == rows_of(whole)
    for which in ("last", "best"):
        actual, expected = (
            plain(checkpoint.load(each.checkpoint(which))) for each in (folder, whole)
        )
        assert actual == expected


def test_the_manifest_tells_what_came_of_it(whole: RunFolder) -> None:
    record, last = whole.read_manifest(), checkpoint.load(whole.checkpoint("last"))
    rows = [row for row in rows_of(whole) if row["kind"] == "epoch"]
    assert record.counts["steps"] == 4 * STEPS
    assert (record.counts["val images"], record.counts["val quarantined"]) == (8, 1)
    assert record.details["weights"] == checkpoint.weights_digest(last["state_dict"])
    assert record.details["val_top1_error"] == rows[-1]["val_top1_error"]


def test_a_second_run_gives_the_same_bits(
    chosen: Recipe, training_data: TrainingData, whole: RunFolder, tmp_path: Path
) -> None:
    start(chosen, training_data, tmp_path / "run", threads=5)
    assert_same(tmp_path / "run", whole)


@pytest.mark.parametrize("number", [1, 3, 4, 8, 9, 11, 14, CHECKS])
def test_a_run_stopped_and_started_again_ends_with_the_same_bits(
    chosen: Recipe,
    training_data: TrainingData,
    whole: RunFolder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
) -> None:
    stop_at(monkeypatch, number)
    with pytest.raises(Interrupted, match="saved; stopped by SIGTERM; start again to go on"):
        start(chosen, training_data, tmp_path / "run")
    assert not RunFolder(tmp_path / "run").manifest.exists()
    start(chosen, training_data, tmp_path / "run")
    assert_same(tmp_path / "run", whole)


def test_progress_counts_every_image_once_and_apart_those_of_an_earlier_start(
    chosen: Recipe, training_data: TrainingData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = range(3, 2 * CHECKS, 4)
    stop_at(monkeypatch, *numbers)
    progress, before = list[int](), list[int]()
    for _ in numbers:
        so_far = sum(progress)
        with contextlib.suppress(Interrupted):
            start(chosen, training_data, tmp_path / "run", progress.append, before=before.append)
        assert before[-1] == so_far
    assert sum(progress) == 4 * 18
    assert len(set(before)) > 4


def test_a_run_looks_for_a_signal_as_often_as_these_tests_think(
    chosen: Recipe, training_data: TrainingData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_at(monkeypatch, CHECKS + 1)
    start(chosen, training_data, tmp_path / "run")


def test_a_run_stopped_again_and_again_ends_with_the_same_bits(
    chosen: Recipe,
    training_data: TrainingData,
    whole: RunFolder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    numbers = range(2, 60, 3)
    stop_at(monkeypatch, *numbers)
    for _ in numbers:
        with contextlib.suppress(Interrupted):
            start(chosen, training_data, tmp_path / "run")
    assert_same(tmp_path / "run", whole)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("precision", ["fp32", "tf32", "bf16"])
def test_a_run_on_a_gpu_stopped_again_and_again_ends_with_the_same_bits(
    tiny: Path,
    training_data: TrainingData,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    precision: str,
) -> None:
    chosen = recipes.load(str(tiny), (f"compute.precision={precision}",))
    start(chosen, training_data, tmp_path / "whole", device="cuda:0")
    numbers = range(2, 60, 3)
    stop_at(monkeypatch, *numbers)
    for _ in numbers:
        with contextlib.suppress(Interrupted):
            start(chosen, training_data, tmp_path / "run", device="cuda:0")
    assert_same(tmp_path / "run", RunFolder(tmp_path / "whole"))


def test_a_real_signal_stops_a_run_after_its_step(
    chosen: Recipe, training_data: TrainingData, whole: RunFolder, tmp_path: Path
) -> None:
    steps = count(1)

    def signal_itself(_: int) -> None:
        if next(steps) == 7:
            os.kill(os.getpid(), signal.SIGUSR2)

    with pytest.raises(Interrupted, match="step 7: saved; stopped by SIGUSR2"):
        start(chosen, training_data, tmp_path / "run", signal_itself)
    assert checkpoint.load(RunFolder(tmp_path / "run").checkpoint("last"))["step"] == 7
    start(chosen, training_data, tmp_path / "run")
    assert_same(tmp_path / "run", whole)


@pytest.mark.parametrize("step", [1, 5, 13, 20])
def test_a_run_killed_after_a_step_ends_with_the_same_bits(
    chosen: Recipe, training_data: TrainingData, whole: RunFolder, tmp_path: Path, step: int
) -> None:
    steps = count(1)

    def kill(_: int) -> None:
        if next(steps) == step:
            raise Killed

    with pytest.raises(Killed):
        start(chosen, training_data, tmp_path / "run", kill)
    # The log is ahead of the checkpoint, and its last line was left unfinished.
    with RunFolder(tmp_path / "run").log.open("ab") as stream:
        stream.write(b'{"kind": "st')
    start(chosen, training_data, tmp_path / "run")
    assert_same(tmp_path / "run", whole)


@pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("number", [1, 2, 5])
def test_a_run_killed_at_a_saving_ends_with_the_same_bits(
    chosen: Recipe,
    training_data: TrainingData,
    whole: RunFolder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    late: bool,
) -> None:
    save, calls = checkpoint.save, count(1)

    def killed(path: Path, content: Mapping[str, Any], check: Callable[[], None]) -> None:
        is_last = next(calls) == number
        if not is_last or late:
            save(path, content, check)
        if is_last:
            raise Killed

    monkeypatch.setattr(checkpoint, "save", killed)
    with contextlib.suppress(Killed):
        start(chosen, training_data, tmp_path / "run")
    start(chosen, training_data, tmp_path / "run")
    assert_same(tmp_path / "run", whole)


def test_the_fixed_order_with_shared_draws_resumes_too(
    tiny: Path, training_data: TrainingData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = recipes.load(str(tiny), FIXED)
    start(chosen, training_data, tmp_path / "whole")
    stop_at(monkeypatch, 6, 21)
    for _ in range(2):
        with pytest.raises(Interrupted):
            start(chosen, training_data, tmp_path / "run")
    start(chosen, training_data, tmp_path / "run")
    assert_same(tmp_path / "run", RunFolder(tmp_path / "whole"))


@pytest.mark.parametrize(
    "settings",
    [
        ("compute.ema=0.9",),
        ("optimiser.name=adamw", "optimiser.clip_norm=1", "optimiser.l1=1e-5"),
        ("optimiser.name=sgd", "optimiser.nesterov=true", "schedule.warmup={epochs=3}"),
        ("optimiser.name=rmsprop", "optimiser.momentum=0.5", "optimiser.centred=true"),
        ("compute.accumulate=2", "feed.shuffle_labels=true", "limits.steps=4"),
        ("limits.batches=1", "schedule.stop={metric='train_loss',patience=1}"),
        (
            "schedule.weights={kind='plateau',start=0.01,factor=0.5,patience=1}",
            "schedule.biases={kind='plateau',start=0.02,factor=0.5,patience=1}",
            "schedule.changes=[]",
        ),
    ],
)
def test_whatever_else_a_run_keeps_count_of_resumes_too(
    tiny: Path,
    training_data: TrainingData,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    settings: tuple[str, ...],
) -> None:
    chosen = recipes.load(str(tiny), settings)
    start(chosen, training_data, tmp_path / "whole")
    stop_at(monkeypatch, 6, 21, 26, 40)
    for _ in range(5):
        with contextlib.suppress(Interrupted):
            start(chosen, training_data, tmp_path / "run")
    assert_same(tmp_path / "run", RunFolder(tmp_path / "whole"))


def looks(
    chosen: Recipe, training_data: TrainingData, path: Path, monkeypatch: pytest.MonkeyPatch
) -> int:
    """Train, and return how often the run checked for a signal."""
    calls: list[None] = []

    @contextlib.contextmanager
    def flagged(unit: str = "unit") -> Iterator[Callable[[], str | None]]:
        yield lambda: calls.append(None)

    with monkeypatch.context() as patched:
        patched.setattr(signals, "flagged", flagged)
        start(chosen, training_data, path)
    return len(calls)


EVERYTHING = ("compute.ema=0.9", "schedule.epochs=2", "limits.steps=3")


def test_stopped_anywhere_a_run_with_averages_ends_with_the_same_bits(
    tiny: Path, training_data: TrainingData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also while the averages are scored in place of the weights."""
    chosen, whole = recipes.load(str(tiny), EVERYTHING), RunFolder(tmp_path / "whole")
    num_looks = looks(chosen, training_data, whole.path, monkeypatch)
    assert num_looks > 2 * 3 + 3 * 4  # each step, and val by weights and averages
    for number in range(1, num_looks + 1):
        stop_at(monkeypatch, number)
        with pytest.raises(Interrupted):
            start(chosen, training_data, tmp_path / f"stopped-{number}")
        start(chosen, training_data, tmp_path / f"stopped-{number}")
        assert_same(tmp_path / f"stopped-{number}", whole)
        shutil.rmtree(tmp_path / f"stopped-{number}")


@pytest.mark.parametrize("rule", ["target=1e9", "patience=1,target=1e9"])
def test_a_run_that_its_rule_ended_goes_on_without_the_rule(
    tiny: Path, training_data: TrainingData, tmp_path: Path, whole: RunFolder, rule: str
) -> None:
    stopping = recipes.load(str(tiny), (f"schedule.stop={{metric='train_loss',{rule}}}",))
    record = start(stopping, training_data, tmp_path / "run")
    assert (record.counts["epochs"], bool(record.details["stopped"])) == (1, True)
    record = start(recipes.load(str(tiny)), training_data, tmp_path / "run")
    assert record.counts["epochs"] == 4
    assert "stopped" not in record.details
    assert record.details["weights"] == whole.read_manifest().details["weights"]


def test_a_run_that_its_rule_ended_goes_on_under_a_more_patient_one(
    tiny: Path, training_data: TrainingData, tmp_path: Path
) -> None:
    # Metrics that never fall: a rate of zero leaves the weights as they are.
    still = "schedule.changes=[{epoch=0,weights=0.0,biases=0.0}]"
    epochs = []
    for patience in (1, 3):
        stop = f"schedule.stop={{metric='val_loss',patience={patience}}}"
        record = start(recipes.load(str(tiny), (still, stop)), training_data, tmp_path / "run")
        epochs.append(record.counts["epochs"])
    assert epochs == [1, 3]


def test_no_step_is_missing_from_the_log_and_none_is_there_twice(
    chosen: Recipe, training_data: TrainingData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_at(monkeypatch, 6, 12)
    for _ in range(3):
        with contextlib.suppress(Interrupted):
            start(chosen, training_data, tmp_path / "run")
    rows = rows_of(RunFolder(tmp_path / "run"))
    assert [row["step"] for row in rows if row["kind"] == "step"] == list(range(1, 21))
    assert [row["epoch"] for row in rows if row["kind"] == "epoch"] == list(range(5))


@pytest.mark.parametrize("every", [2, 1000])
def test_curves_and_table_show_each_row_of_the_log_once_after_kills(
    tiny: Path, training_data: TrainingData, whole: RunFolder, tmp_path: Path, every: int
) -> None:
    chosen, folder = (
        recipes.load(str(tiny), (f"checkpoints.every_steps={every}",)),
        RunFolder(tmp_path / "run"),
    )
    for num_steps in (3, 4, 7, 20):
        steps = count(1)

        def kill(num_images: int, steps: Iterator[int] = steps, last: int = num_steps) -> None:
            if num_images <= 4 and next(steps) == last:
                raise Killed

        with contextlib.suppress(Killed):
            start(chosen, training_data, folder.path, kill)
    start(chosen, training_data, folder.path)
    events = EventAccumulator(str(folder.events), size_guidance={"scalars": 0, "images": 0})
    events.Reload()
    rows = log.read(folder.log)
    for tag, kind, key in (("step/loss", "step", "loss"), ("val/loss", "epoch", "val_loss")):
        shown = [(event.step, event.value) for event in events.Scalars(tag)]
        expected = [(row["step"], pytest.approx(row[key])) for row in rows if row["kind"] == kind]
        assert shown == expected
    assert [event.step for event in events.Images("train/inputs")] == [1]
    assert (folder.path / table.NAME).read_text() == table.text(listing.epoch_rows(folder))
    assert rows_of(folder) == rows_of(whole)


def test_a_run_that_goes_on_tells_how_far_it_is(
    chosen: Recipe, training_data: TrainingData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_at(monkeypatch, 14)
    with pytest.raises(Interrupted, match="step 8"):
        start(chosen, training_data, tmp_path / "run")
    progress, before = list[int](), list[int]()
    start(chosen, training_data, tmp_path / "run", progress.append, before=before.append)
    assert before == [18 + 3 * 4]
    assert sum(progress) == 4 * 18 - before[0]


def test_the_best_checkpoint_is_of_the_lowest_error(whole: RunFolder) -> None:
    rows = [row for row in rows_of(whole) if row["kind"] == "epoch"]
    errors = [row["val_top1_error"] for row in rows]
    best, record = checkpoint.load(whole.checkpoint("best")), whole.read_manifest()
    assert best["epoch"] == record.details["best_epoch"] == int(np.argmin(errors))
    assert best["best"]["val_top1_error"] == min(errors)
    assert len(set(errors)) > 1


def test_the_best_survives_a_restart_and_worse_epochs(
    tiny: Path, training_data: TrainingData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At a rate of zero no later epoch is better than the untrained network."""
    chosen = recipes.load(str(tiny), ("schedule.changes=[{epoch=0,weights=0.0,biases=0.0}]",))
    stop_at(monkeypatch, 6)
    with pytest.raises(Interrupted):
        start(chosen, training_data, tmp_path / "run")
    start(chosen, training_data, tmp_path / "run")
    assert checkpoint.load(RunFolder(tmp_path / "run").checkpoint("best"))["epoch"] == 0


def test_a_finished_run_is_left_alone(
    chosen: Recipe, training_data: TrainingData, whole: RunFolder, tmp_path: Path
) -> None:
    path = shutil.copytree(whole.path, tmp_path / "run")
    before = {file: file.stat().st_mtime_ns for file in path.rglob("*")}
    assert start(chosen, training_data, path) == whole.read_manifest()
    assert {file: file.stat().st_mtime_ns for file in path.rglob("*")} == before


@pytest.mark.parametrize("finished", [True, False])
def test_another_recipe_is_refused_with_the_field_named(
    tiny: Path, training_data: TrainingData, whole: RunFolder, tmp_path: Path, finished: bool
) -> None:
    path = shutil.copytree(whole.path, tmp_path / "run")
    if not finished:
        (path / "manifest.json").unlink()
    other = recipes.load(str(tiny), ("feed.batch_size=8",))
    wanted = r"expected settings\.feed\.batch_size = 8, found 4; ask for the same, or"
    with pytest.raises(ManifestError, match=wanted):
        start(other, training_data, path)


def test_other_data_is_refused_with_the_input_named(
    chosen: Recipe, training_data: TrainingData, whole: RunFolder
) -> None:
    plan = make_plan(chosen, training_data)
    other = plan.model_copy(update={"inputs": plan.inputs | {"mean": "0" * 64}})
    with pytest.raises(ManifestError, match=r"expected inputs\.mean = '0000"):
        manifest.begin(other, whole.manifest, whole.plan)


def test_the_folder_holds_what_the_run_is(
    chosen: Recipe, training_data: TrainingData, data: Path, whole: RunFolder
) -> None:
    assert whole.read_recipe() == chosen
    for name in ("mean.npy", "pca.json"):
        assert (whole.path / name).read_bytes() == (data / name).read_bytes()
    table = json.loads((whole.path / "classes.json").read_text())
    assert table == training_data.train.classes.rows()
    assert "torch" in json.loads((whole.path / "environment.json").read_text())


def test_the_table_of_layers_is_there_from_the_start_and_in_the_manifest(
    chosen: Recipe, training_data: TrainingData, whole: RunFolder, tmp_path: Path
) -> None:
    def kill(num: int) -> None:
        raise Killed

    folder, record = RunFolder(tmp_path / "run"), whole.read_manifest()
    with pytest.raises(Killed):
        start(chosen, training_data, folder.path, kill)
    assert folder.layers.read_bytes() == whole.layers.read_bytes()
    assert record.outputs == {"layers.json": files.sha256_file(whole.layers)}
    total = json.loads(whole.layers.read_text())["total"]
    assert total["parameters"] == record.counts["parameters"]


def test_a_checkpoint_is_plain_data_without_the_names_of_wrappers(whole: RunFolder) -> None:
    content = torch.load(whole.checkpoint("last"), weights_only=True)
    assert not [key for key in content["state_dict"] if key.startswith(("module.", "_orig_mod."))]
    assert {"epoch", "step", "config", "classes", "optimizer", "sampler"} <= content.keys()


def test_a_diverged_run_keeps_its_last_checkpoint(
    tiny: Path, training_data: TrainingData, tmp_path: Path
) -> None:
    huge = "schedule.changes=[{epoch=0,weights=0.01,biases=0.02},{epoch=1,weights=10.0}]"
    settings = (huge, "optimiser.weight_decay=1.0", "schedule.epochs=20")
    chosen, folder = recipes.load(str(tiny), settings), RunFolder(tmp_path / "run")
    digests = set()
    for _ in range(2):
        with pytest.raises(AlexrepError, match=r"expected (a )?finite lo(ss|gits), found "):
            start(chosen, training_data, folder.path)
        content = checkpoint.load(folder.checkpoint("last"))
        digests.add(checkpoint.weights_digest(content["state_dict"]))
        assert content["epoch"] >= 1
        assert not folder.manifest.exists()
    assert len(digests) == 1


def unfinished(whole: RunFolder, path: Path) -> RunFolder:
    """Copy a run without its manifest, so that it resumes from its last checkpoint."""
    shutil.copytree(whole.path, path)
    (path / "manifest.json").unlink()
    return RunFolder(path)


def spoil(path: Path, rng: random.Random) -> None:
    """Truncate a file, or change some of its bytes."""
    content = bytearray(path.read_bytes())
    if rng.random() < 0.5:
        del content[rng.randrange(len(content)) :]
    else:
        offset = rng.randrange(len(content) - 64)
        content[offset : offset + 64] = rng.randbytes(64)
    path.write_bytes(content)


@pytest.mark.parametrize("seed", range(8))
def test_a_damaged_last_checkpoint_is_named_and_the_one_before_it_taken(
    chosen: Recipe, training_data: TrainingData, whole: RunFolder, tmp_path: Path, seed: int
) -> None:
    folder = unfinished(whole, tmp_path / "run")
    messages: list[str] = []
    spoil(folder.checkpoint("last"), random.Random(seed))
    start(chosen, training_data, folder.path, say=messages.append)
    (line,) = messages
    assert re.search(r"last\.pt: expected a whole checkpoint, found .*; went on from prev", line)
    rows = rows_of(folder)
    assert [row["text"] for row in rows if row["kind"] == "event"] == messages
    assert [row for row in rows if row["kind"] != "event"] == rows_of(whole)
    assert weights_of(folder) == weights_of(whole)


def weights_of(folder: RunFolder) -> str:
    content = checkpoint.load(folder.checkpoint("last"))
    return checkpoint.weights_digest(content["state_dict"])


def test_a_damaged_checkpoint_never_takes_the_place_of_the_one_before_it(
    chosen: Recipe,
    training_data: TrainingData,
    whole: RunFolder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = unfinished(whole, tmp_path / "run")
    folder.checkpoint("last").write_bytes(b"damaged")
    before = folder.checkpoint("previous").read_bytes()
    stop_at(monkeypatch, 1)
    with pytest.raises(Interrupted):
        start(chosen, training_data, folder.path)
    assert checkpoint.is_whole(folder.checkpoint("last"))
    assert folder.checkpoint("previous").read_bytes() == before


def test_without_a_whole_checkpoint_nothing_is_begun_anew_and_all_is_kept(
    chosen: Recipe, training_data: TrainingData, whole: RunFolder, tmp_path: Path
) -> None:
    folder = unfinished(whole, tmp_path / "run")
    for path in folder.resumable():
        path.write_bytes(path.read_bytes()[:-100])
    before = {path: path.read_bytes() for path in folder.path.rglob("*") if path.is_file()}
    with pytest.raises(DataError, match=r"expected a whole checkpoint, found 2 damaged: .*last"):
        start(chosen, training_data, folder.path)
    assert {path: path.read_bytes() for path in before} == before


def test_a_lost_last_checkpoint_is_no_reason_to_begin_anew(
    chosen: Recipe, training_data: TrainingData, whole: RunFolder, tmp_path: Path
) -> None:
    folder = unfinished(whole, tmp_path / "run")
    folder.checkpoint("last").unlink()
    start(chosen, training_data, folder.path)
    assert_same(folder.path, whole)


EVERY_3 = ("checkpoints.every_steps=3", "checkpoints.keep_epochs=2")


@pytest.mark.parametrize("step", [2, 3, 4, 6, 7, 11, 16, 19])
def test_checkpoints_in_an_epoch_change_nothing_but_what_a_kill_costs(
    tiny: Path,
    training_data: TrainingData,
    whole: RunFolder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    step: int,
) -> None:
    chosen, steps, folder = recipes.load(str(tiny), EVERY_3), count(1), RunFolder(tmp_path / "run")
    # A disk that keeps up with the steps: a slower one would delay the next checkpoint.
    monkeypatch.setattr(Saver, "is_idle", property(lambda saver: saver.wait() is None))

    def kill(_: int) -> None:
        if next(steps) == step:
            raise Killed

    with pytest.raises(Killed):
        start(chosen, training_data, folder.path, kill)
    newest = checkpoint.newest(folder)
    assert newest is not None
    assert step - 3 <= newest.content["step"] < step
    start(chosen, training_data, folder.path)
    assert rows_of(folder) == rows_of(whole)
    assert weights_of(folder) == weights_of(whole)
    assert list(folder.epoch_checkpoints()) == [4, 2]
    assert prunable(folder) == []


def test_kept_checkpoints_are_of_their_epochs_and_serve_when_others_are_damaged(
    tiny: Path, training_data: TrainingData, tmp_path: Path
) -> None:
    chosen, folder = recipes.load(str(tiny), EVERY_3), RunFolder(tmp_path / "run")
    start(chosen, training_data, folder.path)
    weights = weights_of(folder)
    for epoch, path in folder.epoch_checkpoints().items():
        content = checkpoint.load(path)
        assert (content["epoch"], content["step"]) == (epoch, epoch * STEPS)
    # The newest of them is a hard link to the last checkpoint.
    for path in folder.resumable()[:-1]:
        path.write_bytes(b"damaged")
    folder.manifest.unlink()
    start(chosen, training_data, folder.path)
    assert weights_of(folder) == weights


def test_a_disk_that_is_full_in_the_thread_stops_the_run_at_the_next_step(
    chosen: Recipe,
    training_data: TrainingData,
    whole: RunFolder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    save, calls = checkpoint.save, count(1)
    steps: list[int] = []

    def full(path: Path, content: Mapping[str, Any], check: Callable[[], None]) -> None:
        if next(calls) == 4:
            raise OSError(errno.ENOSPC, "full", str(path))
        save(path, content, check)

    monkeypatch.setattr(checkpoint, "save", full)
    with pytest.raises(OSError, match="full"):
        start(chosen, training_data, tmp_path / "run", steps.append)
    assert len(steps) < 4 * STEPS
    start(chosen, training_data, tmp_path / "run")
    assert_same(tmp_path / "run", whole)


def test_a_finished_run_goes_on_with_more_epochs_and_the_log_tells_it(
    tiny: Path, training_data: TrainingData, whole: RunFolder, tmp_path: Path
) -> None:
    path = shutil.copytree(whole.path, tmp_path / "run")
    longer = recipes.load(str(tiny), ("schedule.epochs=6",))
    record = start(longer, training_data, path)
    folder = RunFolder(path)
    assert record.counts["epochs"] == 6
    rows = rows_of(folder)
    assert rows[: len(rows_of(whole))] == rows_of(whole)
    events = [row for row in rows if row["kind"] == "event"]
    text = "the recipe has changed: schedule.epochs: 4 -> 6"
    assert events == [{"kind": "event", "step": 20, "text": text}]
    assert folder.read_recipe() == longer
    plan = manifest.planned(tmp_path / "none", folder.plan)
    assert plan is not None
    assert plan.settings["schedule.epochs"] == 6


def test_a_run_that_goes_on_under_another_name_tells_it(
    tiny: Path, training_data: TrainingData, whole: RunFolder, tmp_path: Path
) -> None:
    path = shutil.copytree(whole.path, tmp_path / "run")
    start(recipes.load(str(tiny), ("schedule.epochs=5", 'name="other"')), training_data, path)
    texts = [row["text"] for row in rows_of(RunFolder(path)) if row["kind"] == "event"]
    assert texts == [
        'the recipe has changed: name: "tiny" -> "other"',
        "the recipe has changed: schedule.epochs: 4 -> 5",
    ]


def test_a_run_that_was_made_longer_is_the_longer_run(
    tiny: Path, training_data: TrainingData, whole: RunFolder, tmp_path: Path
) -> None:
    """Rates by epoch do not depend on the number of epochs."""
    longer = recipes.load(str(tiny), ("schedule.epochs=6",))
    start(longer, training_data, tmp_path / "at once")
    path = shutil.copytree(whole.path, tmp_path / "run")
    start(longer, training_data, path)
    assert weights_of(RunFolder(path)) == weights_of(RunFolder(tmp_path / "at once"))


def test_a_change_of_the_recipe_is_told_again_by_a_run_that_is_killed_before_it_saves(
    tiny: Path, training_data: TrainingData, whole: RunFolder, tmp_path: Path
) -> None:
    path = shutil.copytree(whole.path, tmp_path / "run")
    longer = recipes.load(str(tiny), ("schedule.epochs=6",))

    def kill(num_images: int) -> None:
        if num_images < 18:
            raise Killed

    for _ in range(2):
        with pytest.raises(Killed):
            start(longer, training_data, path, kill)
    start(longer, training_data, path)
    assert sum(row["kind"] == "event" for row in rows_of(RunFolder(path))) == 1


def test_fewer_epochs_than_have_begun_are_refused(
    chosen: Recipe,
    tiny: Path,
    training_data: TrainingData,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stop_at(monkeypatch, 14)
    with pytest.raises(Interrupted, match="step 8"):
        start(chosen, training_data, tmp_path / "run")
    with pytest.raises(
        ConfigError, match=r"schedule\.epochs: expected at least 2, which have begun"
    ):
        start(recipes.load(str(tiny), ("schedule.epochs=1",)), training_data, tmp_path / "run")
    start(chosen, training_data, tmp_path / "run")


def test_other_conditions_are_refused_by_name_unless_the_bits_are_given_up(
    chosen: Recipe,
    tiny: Path,
    training_data: TrainingData,
    whole: RunFolder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = unfinished(whole, tmp_path / "run")
    messages: list[str] = []
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    wanted = r"last\.pt: expected the conditions .*, found torch_threads: 1 -> 3; go on under"
    with pytest.raises(ManifestError, match=wanted):
        start(chosen, training_data, folder.path)
    free = recipes.load(str(tiny), ("compute.deterministic=false", "schedule.epochs=5"))
    start(free, training_data, folder.path, say=messages.append)
    assert messages == [
        "the recipe has changed: compute.deterministic: true -> false",
        "the recipe has changed: schedule.epochs: 4 -> 5",
        "the conditions have changed: torch_threads: 1 -> 3",
    ]


def test_a_checkpoint_of_another_recipe_is_refused(
    chosen: Recipe, tiny: Path, training_data: TrainingData, whole: RunFolder, tmp_path: Path
) -> None:
    other = recipes.load(str(tiny), ("feed.batch_size=8",))
    start(other, training_data, tmp_path / "other")
    folder = unfinished(whole, tmp_path / "run")
    shutil.copy(RunFolder(tmp_path / "other").checkpoint("last"), folder.checkpoint("last"))
    with pytest.raises(ManifestError, match=r"recipe, found feed\.batch_size: 8 -> 4; take"):
        start(chosen, training_data, folder.path)


def test_a_run_that_lost_its_folder_ends_before_it_writes(
    chosen: Recipe, training_data: TrainingData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, looks = tmp_path / "run", count(1)

    def check() -> None:
        if next(looks) > 20:
            raise AlexrepError("taken over")

    @contextlib.contextmanager
    def losing(_: Path) -> Iterator[Callable[[], None]]:
        yield check

    monkeypatch.setattr(locks, "held", losing)
    with pytest.raises(AlexrepError, match="taken over"):
        start(chosen, training_data, path)
    rows = rows_of(RunFolder(path))
    assert 5 < len(rows) < 20
    assert not list(path.rglob("*.partial"))


@pytest.mark.parametrize(
    ("setting", "wanted"),
    [
        ("model.name='lenet'", "model.name: expected one of .*alexnet.*, found 'lenet'"),
        ("model.side=73", "model.side: expected at most 72"),
        ("model.width=0.0001", "model.width: expected a unit per tower or more"),
        ("compute.towers=['cpu']", r"compute.towers: expected 2 devices, found \['cpu'\]"),
        ("compute.towers=['cpu','cuda:99']", "compute.towers: expected cuda:99, found [0-9] GPUs"),
        (
            "compute={form='joined',towers=['cuda:0','cpu']}",
            "compute.towers: expected one device for the joined form",
        ),
        (
            "schedule.changes=[{epoch=0,weights=0.1,biases=0.1},{epoch=1,layers=['conv9']}]",
            "expected layers of conv1, .* found 'conv9'",
        ),
    ],
)
def test_a_recipe_that_cannot_run_is_refused_before_anything_is_written(
    tiny: Path, training_data: TrainingData, setting: str, wanted: str
) -> None:
    with pytest.raises(ConfigError, match=wanted):
        require_runnable(recipes.load(str(tiny), (setting,)), training_data)


def test_a_recipe_that_can_run_passes(chosen: Recipe, training_data: TrainingData) -> None:
    require_runnable(chosen, training_data)


def test_towers_placed_one_by_one_train_to_the_same_bits(
    tiny: Path, training_data: TrainingData, whole: RunFolder, tmp_path: Path
) -> None:
    start(
        recipes.load(str(tiny), ("compute.towers=['cpu','cpu']",)), training_data, tmp_path / "run"
    )
    details = RunFolder(tmp_path / "run").read_manifest().details
    assert details["weights"] == whole.read_manifest().details["weights"]


def test_the_threads_to_use_are_those_at_hand_but_no_more_than_eight() -> None:
    assert default_threads() == min(8, len(os.sched_getaffinity(0)))


def test_a_run_whose_manifest_was_changed_is_told_so(whole: RunFolder, tmp_path: Path) -> None:
    run = RunFolder(shutil.copytree(whole.path, tmp_path / "run"))
    assert contents.read_counts(run.path)["epochs"] > 0
    run.manifest.write_text(run.manifest.read_text().replace('"epochs"', '"epoch"'))
    with pytest.raises(ManifestError, match=r"the manifest of manifest\.sha256, found another"):
        contents.read_counts(run.path)
