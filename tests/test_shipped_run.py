"""The trained network in docs/runs: whole, small, and scored by the ordinary commands."""

import json
import re
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from alexrep.config import recipes
from alexrep.runs import exported
from alexrep.stages import app

SHIPPED = Path(__file__).parent.parent / "docs/runs/cifar10-80sec"
CLASSES = (
    *("airplane", "automobile", "bird", "cat", "deer"),
    *("dog", "frog", "horse", "ship", "truck"),
)

Picture = Callable[..., Any]
Encode = Callable[..., bytes]


def alexrep(*words: object) -> str:
    result = CliRunner().invoke(app, [str(word) for word in words], prog_name="alexrep")
    assert result.exit_code == 0, result.output
    return result.stdout


def last_epoch() -> dict[str, Any]:
    """Return what the training logged after its last epoch."""
    rows = (json.loads(line) for line in (SHIPPED / "log.jsonl").read_text().splitlines())
    found: dict[str, Any] = [row for row in rows if row["kind"] == "epoch"][-1]
    return found


def copied(folder: Path) -> Path:
    """Return a copy, as results are kept beside what is scored."""
    return shutil.copytree(SHIPPED, folder / "shipped")


def test_it_is_whole_and_small() -> None:
    config = exported.read(SHIPPED)
    exported.verify(SHIPPED, config)
    assert [row["wnid"] for row in config.classes] == list(CLASSES)
    assert (SHIPPED / exported.WEIGHTS).stat().st_size < 1_000_000


def test_its_recipe_is_the_one_of_its_name() -> None:
    assert recipes.read(SHIPPED / "cifar10-80sec.toml") == recipes.load("cifar10-80sec")
    assert exported.read_recipe(SHIPPED) == recipes.load("cifar10-80sec")


def test_card_and_log_have_the_same_error() -> None:
    error = last_epoch()["val_top1_error"]
    result = exported.read(SHIPPED).errors["val-centre"]
    assert result["top1_error"] == error
    card = (SHIPPED / exported.CARD).read_text(encoding="utf-8")
    assert f"{error:.2%}".replace("%", " %") in card
    assert re.search(rf"\b{1 - error:.4f}\b", card)


def test_it_is_scored_on_class_folders(tmp_path: Path, picture: Picture, encoded: Encode) -> None:
    for split in ("train", "test"):
        for number, name in enumerate(CLASSES):
            folder = tmp_path / "raw" / split / name
            folder.mkdir(parents=True)
            (folder / "0.jpg").write_bytes(encoded(picture(32, 32, blue=20 * number)))
    data = tmp_path / "data"
    alexrep("preprocess", tmp_path / "raw", data, "--side", 32, "--workers", 1)
    alexrep("mean", data)
    alexrep("pca", data)
    alexrep("pack", data)
    row = json.loads(alexrep("eval", copied(tmp_path), "--data", data, "--json"))
    assert row["num_images"] == len(CLASSES)


@pytest.mark.slow
def test_its_error_is_that_of_its_log(tmp_path: Path, real_data: Path) -> None:
    with tarfile.open(real_data / "cifar10.tar.gz") as tar:
        tar.extractall(tmp_path / "raw", filter="data")
    data = tmp_path / "data"
    alexrep("preprocess", tmp_path / "raw/cifar10", data, "--side", 32)
    for stage in ("mean", "pca", "pack"):
        alexrep(stage, data)
    row = json.loads(alexrep("eval", copied(tmp_path), "--data", data, "--json"))
    assert abs(row["top1_error"] - last_epoch()["val_top1_error"]) <= 0.001
