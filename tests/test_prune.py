"""What prune may remove: never the newest whole checkpoint, the best, or a kept one."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alexrep.config import recipes
from alexrep.errors import DataError
from alexrep.runs import checkpoint
from alexrep.runs.checkpoint import prunable
from alexrep.runs.folder import RunFolder

NAMES = ("last", "previous", "best", *(f"epoch-{epoch:05}" for epoch in range(1, 7)))


def make(path: Path, checkpoints: dict[str, bool], keep_epochs: int | None) -> RunFolder:
    """Make a run with these checkpoints, each whole or damaged."""
    folder = RunFolder(path)
    for old in folder.checkpoints.glob("*"):
        old.unlink()
    path.mkdir(exist_ok=True)
    given = (f"checkpoints.keep_epochs={keep_epochs}",) if keep_epochs else ()
    folder.recipe.write_text(recipes.dump(recipes.load("demo", given)))
    for name, is_whole in checkpoints.items():
        checkpoint.save(folder.checkpoint(name), {"state_dict": {}})
        if not is_whole:
            folder.checkpoint(name).write_bytes(b"damaged")
    return folder


def names(paths: list[Path]) -> list[str]:
    return [path.stem for path in paths]


def test_of_a_run_as_it_was_trained_nothing_may_go(tmp_path: Path) -> None:
    checkpoints = dict.fromkeys(("last", "previous", "best", "epoch-00002", "epoch-00004"), True)
    assert prunable(make(tmp_path, checkpoints, keep_epochs=2)) == []


def test_what_another_rule_kept_may_go(tmp_path: Path) -> None:
    folder = make(tmp_path, dict.fromkeys(NAMES, True), keep_epochs=3)
    assert names(prunable(folder)) == ["epoch-00005", "epoch-00004", "epoch-00002", "epoch-00001"]


def test_where_the_last_ones_are_damaged_the_newest_kept_ones_stay(tmp_path: Path) -> None:
    checkpoints = dict.fromkeys(NAMES, True) | {
        "last": False,
        "previous": False,
        "epoch-00006": False,
    }
    left = prunable(make(tmp_path, checkpoints, keep_epochs=None))
    spoilt = ["last", "previous", "epoch-00006"]
    assert names(left) == [*spoilt, "epoch-00003", "epoch-00002", "epoch-00001"]


def test_where_none_is_whole_all_stay(tmp_path: Path) -> None:
    checkpoints = dict.fromkeys(NAMES, False) | {"best": True}
    assert prunable(make(tmp_path, checkpoints, keep_epochs=None)) == []


def test_other_files_are_not_ours_to_remove(tmp_path: Path) -> None:
    folder = make(tmp_path, {"last": True}, keep_epochs=None)
    for name in ("mine.pt", "epoch-1.pt", "epoch-00001.pt.bak", "notes.txt"):
        (folder.checkpoints / name).write_text("")
    assert prunable(folder) == []


def test_a_folder_that_is_no_runs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected a run folder"):
        prunable(RunFolder(tmp_path))


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    checkpoints=st.dictionaries(st.sampled_from(NAMES), st.booleans()),
    keep_epochs=st.sampled_from([None, 1, 2, 3]),
)
def test_what_is_left_is_enough(
    tmp_path: Path, checkpoints: dict[str, bool], keep_epochs: int | None
) -> None:
    folder = make(tmp_path / "run", checkpoints, keep_epochs)
    whole = [path for path in folder.resumable() if checkpoint.is_whole(path)]
    left = prunable(folder)
    for path in left:
        path.unlink()
    assert [path for path in whole[:2] if not path.exists()] == []
    assert bool(whole) == any(checkpoint.is_whole(path) for path in folder.resumable())
    assert folder.checkpoint("best").exists() or not checkpoints.get("best")
    if keep_epochs and whole:
        kept = {epoch for epoch in range(1, 7) if epoch % keep_epochs == 0}
        there = {epoch for epoch in kept if checkpoints.get(f"epoch-{epoch:05}")}
        assert there <= folder.epoch_checkpoints().keys()
    assert prunable(folder) == []
