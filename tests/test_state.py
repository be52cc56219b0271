"""Digests of a run's outputs: equal for equal runs, different for any changed number."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from alexrep.runs import checkpoint, state
from alexrep.runs.folder import RunFolder

ROW: dict[str, Any] = {"kind": "epoch", "epoch": 1, "val_loss": 0.5}


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    folder = RunFolder(tmp_path)
    write_log(folder)
    write_checkpoint(folder)
    (tmp_path / "recipe.toml").write_text('name = "demo"\n')
    (tmp_path / "results").mkdir()
    np.savez(tmp_path / "results" / "val-centre.npz", labels=np.arange(3))
    return folder


def write_log(folder: RunFolder, **other: object) -> None:
    row = ROW | {"images_per_s": 1000.0, "seconds": 1.5} | other
    folder.log.write_text(json.dumps(row) + "\n")


def write_checkpoint(folder: RunFolder, **other: object) -> None:
    content = {"state_dict": {"fc8.bias": torch.zeros(3)}, "log_size": 80}
    checkpoint.save(folder.checkpoint("last"), content | other)


def changed(before: dict[str, str], folder: RunFolder) -> set[str]:
    after = state.digests(folder)
    return {name for name in before | after if before.get(name) != after.get(name)}


def test_every_file_that_is_there_has_a_digest(folder: RunFolder) -> None:
    names = {"log.jsonl", "checkpoints/last.pt", "recipe.toml", "results/val-centre.npz"}
    assert state.digests(folder).keys() == names


def test_a_folder_of_nothing_has_none(tmp_path: Path) -> None:
    assert state.digests(RunFolder(tmp_path)) == {}


def test_times_do_not_count(folder: RunFolder) -> None:
    before = state.digests(folder)
    write_log(folder, images_per_s=999.123, seconds=2)
    write_checkpoint(folder, log_size=83)
    assert changed(before, folder) == set()


def test_every_other_number_does(folder: RunFolder) -> None:
    before = state.digests(folder)
    write_log(folder, val_loss=0.51)
    assert changed(before, folder) == {"log.jsonl"}
    write_checkpoint(folder, state_dict={"fc8.bias": torch.ones(3)})
    assert changed(before, folder) == {"log.jsonl", "checkpoints/last.pt"}


def test_a_new_result_counts(folder: RunFolder) -> None:
    before = state.digests(folder)
    np.savez(folder.path / "results" / "test-centre.npz", labels=np.arange(3))
    assert changed(before, folder) == {"results/test-centre.npz"}


def test_a_damaged_file_has_a_digest_too(folder: RunFolder) -> None:
    before = state.digests(folder)
    folder.log.write_text("no json\n")
    folder.checkpoint("last").write_text("no checkpoint")
    assert changed(before, folder) == {"log.jsonl", "checkpoints/last.pt"}
