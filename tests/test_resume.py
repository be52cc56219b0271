"""Resuming a run: which folders and which changes are accepted."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch

from alexrep import manifest
from alexrep.compute import precision
from alexrep.config import recipes
from alexrep.config.recipe import Recipe
from alexrep.errors import ConfigError, DataError, ManifestError
from alexrep.manifest import Plan
from alexrep.runs import checkpoint, resume_conditions
from alexrep.runs.folder import RunFolder
from alexrep.training import resume
from alexrep.training.job import Position

SETTINGS: dict[str, Any] = {
    "feed.batch_size": 4,
    "schedule.epochs": 5,
    "checkpoints.every_minutes": 10.0,
    "compute.deterministic": True,
}
PLAN = Plan(stage="train", settings=SETTINGS, seed=1, inputs={"shards": "a", "mean": "b"})


def changed(**settings: object) -> Plan:
    named = {key.replace("__", "."): value for key, value in settings.items()}
    return PLAN.model_copy(update={"settings": SETTINGS | named})


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    """Return a folder in which a run has begun."""
    resume.begin(PLAN, RunFolder(tmp_path))
    return RunFolder(tmp_path)


def finish(folder: RunFolder) -> None:
    checkpoint.save(folder.checkpoint("last"), {})
    manifest.finish(PLAN, folder.manifest, {"epochs": 5}, {})


def plan_of(folder: RunFolder) -> Plan:
    return Plan.model_validate_json(folder.plan.read_bytes())


@pytest.mark.parametrize("mode", ["auto", "never"])
def test_an_empty_folder_is_begun_in(tmp_path: Path, mode: str) -> None:
    assert resume.begin(PLAN, RunFolder(tmp_path), mode) is None
    assert plan_of(RunFolder(tmp_path)) == PLAN


def test_never_refuses_a_run_that_has_begun(folder: RunFolder) -> None:
    with pytest.raises(ManifestError, match="expected no run, found one that has begun; name ano"):
        resume.begin(PLAN, folder, "never")


def test_must_refuses_a_folder_without_a_checkpoint(folder: RunFolder) -> None:
    with pytest.raises(ManifestError, match="expected a run to go on with, found one without a"):
        resume.begin(PLAN, folder, "must")


@pytest.mark.parametrize("name", ["last", "previous", "epoch-00010"])
def test_must_goes_on_from_any_checkpoint(folder: RunFolder, name: str) -> None:
    checkpoint.save(folder.checkpoint(name), {})
    assert resume.begin(PLAN, folder, "must") is None


def test_must_is_content_with_a_finished_run(folder: RunFolder) -> None:
    finish(folder)
    assert resume.begin(PLAN, folder, "must") is not None


def old_plan(chosen: Recipe) -> Plan:
    """Return the plan of a small net's run in version 1's format."""
    old = {key: value for key, value in recipes.fields(chosen).items() if key not in LATER}
    foreign = recipes.fields(recipes.load("alexnet-2012"))
    old |= {key: value for key, value in foreign.items() if key in FOREIGN}
    return PLAN.model_copy(update={"settings": old})


LATER = ("optimiser.name", "optimiser.decay_biases", "optimiser.decay_norms")
FOREIGN = ("model.num_towers", "model.conv1_order", "model.pool", "model.without", "model.dropout")


def test_a_plan_of_the_first_version_is_the_same_plan(tmp_path: Path) -> None:
    chosen, folder = recipes.load("cifar10-80sec"), RunFolder(tmp_path)
    old = old_plan(chosen)
    resume.begin(old, folder)
    checkpoint.save(folder.checkpoint("last"), {})
    manifest.finish(old, folder.manifest, {"epochs": 20}, {})
    new = {"settings": recipes.fields(chosen), "defaults": recipes.defaults(chosen)}
    assert resume.begin(PLAN.model_copy(update=new), folder) is not None
    assert plan_of(folder) == old
    new["settings"] = new["settings"] | {"optimiser.decay_norms": True}
    with pytest.raises(ManifestError, match=r"settings.optimiser.decay_norms = True, found False"):
        resume.begin(PLAN.model_copy(update=new), folder)


def test_another_word_is_refused(folder: RunFolder) -> None:
    with pytest.raises(ConfigError, match="--resume: expected auto or never or must, found 'yes'"):
        resume.begin(PLAN, folder, "yes")


@pytest.mark.parametrize(
    "settings",
    [
        {"schedule__epochs": 3},
        {"schedule__weights.start": 0.1},
        {"checkpoints__every_minutes": 1.0},
        {"compute__deterministic": False},
    ],
)
def test_what_may_change_changes_the_plan(folder: RunFolder, settings: dict[str, object]) -> None:
    assert resume.begin(changed(**settings), folder) is None
    assert plan_of(folder) == changed(**settings)


@pytest.mark.parametrize(
    ("plan", "named"),
    [
        (changed(feed__batch_size=8), r"settings\.feed\.batch_size = 8, found 4"),
        (changed(feed__batch_size=8, schedule__epochs=9), r"settings\.feed\.batch_size = 8"),
        (changed(model__width=2.0), r"settings\.model\.width = 2\.0, found None"),
        (PLAN.model_copy(update={"seed": 2}), "seed = 2, found 1"),
        (PLAN.model_copy(update={"inputs": {"shards": "c", "mean": "b"}}), r"inputs\.shards = 'c'"),
    ],
)
@pytest.mark.parametrize("is_finished", [False, True])
def test_what_may_not_is_refused_by_name_and_the_plan_stays(
    folder: RunFolder, plan: Plan, named: str, is_finished: bool
) -> None:
    if is_finished:
        finish(folder)
    with pytest.raises(ManifestError, match=f"expected {named}"):
        resume.begin(plan, folder)
    assert plan_of(folder) == PLAN


def test_a_run_that_gave_up_its_bits_does_not_get_them_back(folder: RunFolder) -> None:
    resume.begin(changed(compute__deterministic=False), folder)
    with pytest.raises(ManifestError, match="deterministic = True, found False"):
        resume.begin(PLAN, folder)


def test_a_finished_run_goes_on_with_more_epochs_only(folder: RunFolder) -> None:
    finish(folder)
    with pytest.raises(ManifestError, match=r"schedule\.epochs = 4, found 5"):
        resume.begin(changed(schedule__epochs=4), folder)
    with pytest.raises(ManifestError, match=r"schedule\.weights\.start = 0.1, found None"):
        resume.begin(changed(**{"schedule__weights.start": 0.1}), folder)
    assert resume.begin(changed(checkpoints__every_minutes=1.0), folder) is not None
    assert resume.begin(changed(schedule__epochs=6), folder) is None
    assert not folder.manifest.exists()
    assert plan_of(folder).settings["schedule.epochs"] == 6


@pytest.mark.parametrize("plan", [PLAN, changed(checkpoints__every_minutes=1.0)])
@pytest.mark.parametrize("is_there", [True, False])
def test_a_finished_run_goes_on_where_its_last_checkpoint_is_damaged_or_gone(
    folder: RunFolder, plan: Plan, is_there: bool
) -> None:
    finish(folder)
    assert resume.begin(plan, folder) is not None
    checkpoint.save(folder.checkpoint("previous"), {})
    if is_there:
        folder.checkpoint("last").write_bytes(b"damaged")
    else:
        folder.checkpoint("last").unlink()
    assert resume.begin(plan, folder) is None
    assert plan_of(folder) == plan
    assert not folder.manifest.exists()


def test_a_finished_run_without_any_checkpoint_is_not_called_finished(folder: RunFolder) -> None:
    finish(folder)
    folder.checkpoint("last").unlink()
    message = r"last\.pt: expected the checkpoint of a finished run, found none; .* remove .*manif"
    with pytest.raises(DataError, match=message):
        resume.begin(PLAN, folder)
    folder.manifest.unlink()  # as it says
    assert resume.begin(PLAN, folder) is None


def test_a_run_without_its_last_checkpoint_says_where_it_starts(folder: RunFolder) -> None:
    assert resume.remark(folder) is None  # nothing has been trained
    folder.log.touch()
    message = (
        "last.pt: expected the last checkpoint of a run that has begun, found none; begins anew"
    )
    assert str(resume.remark(folder)).endswith(message)
    checkpoint.save(folder.checkpoint("previous"), {})
    assert str(resume.remark(folder)).endswith("; goes on from previous.pt")
    checkpoint.save(folder.checkpoint("last"), {})
    assert resume.remark(folder) is None


@pytest.mark.parametrize(("step", "is_refused"), [(0, False), (7, True)])
def test_other_threads_are_named_and_refused_once_something_is_trained(
    folder: RunFolder, step: int, is_refused: bool
) -> None:
    chosen = recipes.load("demo")
    now = resume_conditions.describe(chosen, torch.device("cpu"))
    content = {
        "step": step,
        "config": json.loads(chosen.model_dump_json(exclude_none=True)),
        "conditions": now | {"torch_threads": 63},
        "sampler": asdict(Position(step=step)),
    }
    checkpoint.save(folder.checkpoint("last"), content)
    difference = f"torch_threads: 63 -> {torch.get_num_threads()}"
    if is_refused:
        advice = r"go on under those \(OMP_NUM_THREADS=63\), or with --set"
        with pytest.raises(ManifestError, match=f"found {difference}; {advice}"):
            resume.find(chosen, folder, now)
    else:
        resumed = resume.find(chosen, folder, now)
        assert resumed is not None
        assert resumed.remarks == (f"the conditions have changed: {difference}",)


def test_a_refused_plan_does_not_wait_for_a_checkpoint_to_be_read(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish(folder)
    monkeypatch.delattr(checkpoint, "newest")
    with pytest.raises(ManifestError):
        resume.begin(changed(feed__batch_size=8), folder)


def test_conditions_are_of_what_changes_bits() -> None:
    chosen, cpu = recipes.load("demo"), torch.device("cpu")
    conditions = resume_conditions.describe(chosen, cpu, num_processes=2)
    assert conditions["torch_threads"] == torch.get_num_threads()
    assert conditions["processes"] == 2
    assert resume_conditions.difference(conditions, conditions) == []
    other = resume_conditions.describe(chosen, cpu)
    assert resume_conditions.difference(conditions, other) == ["processes: 2 -> 1"]
    assert resume_conditions.difference(conditions, {}) == sorted(
        f"{k}: {v!r} -> None" for k, v in conditions.items()
    )


@pytest.mark.parametrize("has_compiler", [True, False])
def test_conditions_tell_whether_it_was_compiled_not_the_wish(
    monkeypatch: pytest.MonkeyPatch, has_compiler: bool
) -> None:
    missing = None if has_compiler else "no compiler"
    monkeypatch.setattr(precision, "missing_compiler", lambda device: missing)
    chosen = recipes.load("demo", ("compute.compile=true",))
    assert resume_conditions.describe(chosen, torch.device("cpu"))["compiled"] is has_compiler


@pytest.mark.parametrize(
    ("wish", "is_compiled", "others"),
    [
        (False, False, []),
        (False, True, ["compiled: False -> True"]),
        (True, True, []),
        (True, False, []),  # a compiler may have been missing then, too
    ],
)
def test_conditions_of_older_checkpoints_which_had_the_wish_are_compared(
    wish: bool, is_compiled: bool, others: list[str]
) -> None:
    now = resume_conditions.describe(recipes.load("demo"), torch.device("cpu"))
    before = {key: value for key, value in now.items() if key != "compiled"} | {"compile": wish}
    assert resume_conditions.difference(before, now | {"compiled": is_compiled}) == others


def test_older_checkpoints_had_no_fused_kernels() -> None:
    now = resume_conditions.describe(recipes.load("demo"), torch.device("cpu"))
    before = {key: value for key, value in now.items() if key != "fused"}
    assert resume_conditions.difference(before, now) == []
    others = resume_conditions.difference(before, now | {"fused": ["dropout"]})
    assert others == ["fused: [] -> ['dropout']"]
