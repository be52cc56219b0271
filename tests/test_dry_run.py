"""`alexrep train --dry-run`: prints what a run would do, and writes nothing."""

import re
from pathlib import Path

import pytest
from recipes import tiny_recipe
from sessions import stop_at
from typer.testing import CliRunner, Result

from alexrep.stages import app

TINY = tiny_recipe(2)

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.toml"
    path.write_text(TINY)
    return path


def train(data: Path, run: Path, recipe: Path, *more: str) -> Result:
    words = ["train", str(data), "--run", str(run), "--recipe", str(recipe), "--device", "cpu"]
    return CliRunner().invoke(app, [*words, *more], prog_name="alexrep")


def test_a_dry_run_tells_what_a_run_takes_and_makes_no_folder(
    data: Path, recipe: Path, tmp_path: Path
) -> None:
    result = train(data, tmp_path / "run", recipe, "--dry-run")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith(
        "begins: from nothing\n"
        "recipe: tiny, batches of 4 images, rate of weights 0.01\n"
        "train: 18 images an epoch, 5 steps\n"
    )
    assert (
        "\nval: 8 images (1 of them in quarantine)\nkernels: plain forms: no GPU\n" in result.stdout
    )
    assert re.search(r"\nloss: \d\.\d{4} after 5 steps\nmemory: \d\.\d\d GB\n", result.stdout)
    number, time = r"[\d.,]+", r"\d:\d\d"
    speed = rf"{number} images/s \({number} to {number}\); 2 epochs without val: {time} to {time}"
    assert re.search(rf"\nspeed: {speed}\n", result.stdout)
    assert not (tmp_path / "run").exists()


def test_a_dry_run_of_a_begun_a_finished_and_another_run_changes_no_byte(
    data: Path, recipe: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    assert train(data, run, recipe).exit_code == 0

    def bytes_of() -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}

    whole = bytes_of()
    words = ("--dry-run", "--weights", str(run), "--set", 'start.frozen=["conv1"]')
    begun = train(data, tmp_path / "other", recipe, *words)
    assert begun.stdout.startswith(f"begins: from the weights of {run}\nnot trained: conv1\n")
    assert "nothing to do" in train(data, run, recipe, "--dry-run").stdout
    refused = train(data, run, recipe, "--dry-run", "--batch-size", "2")
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert "settings.feed.batch_size = 2, found 4" in refused.stderr
    # More epochs of a finished run: its plan would be changed, and is not.
    longer = train(data, run, recipe, "--dry-run", "--epochs", "3")
    assert longer.stdout.startswith("begins: from epoch 2, step 10\n"), longer.output
    assert bytes_of() == whole


def test_a_lack_of_memory_names_batch_pieces_and_workers(
    data: Path, recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def make(*_: object) -> None:
        raise RuntimeError("CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has")

    monkeypatch.setattr("alexrep.training.step.make", make)
    words = ("--dry-run", "--workers", "3", "--set", "compute.accumulate=2")
    refused = train(data, tmp_path / "run", recipe, *words)
    assert refused.exit_code == 1
    assert refused.stderr == (
        "alexrep: memory: expected enough for batches of 4 images, in 2 pieces "
        "(feed.batch_size 4, compute.accumulate 2) with 3 workers on cpu, "
        "found none left on the GPU for 20.00 MiB more; "
        "raise compute.accumulate or lower --batch-size; --workers if the machine is short\n"
    )


def test_a_dry_run_heeds_what_resume_asks_for(data: Path, recipe: Path, tmp_path: Path) -> None:
    refused = train(data, tmp_path / "run", recipe, "--dry-run", "--resume", "must")
    assert refused.exit_code == 1
    assert "a run to go on with" in refused.stderr


def test_a_signal_ends_a_dry_run_after_its_step(
    data: Path, recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_at(monkeypatch, 1)
    told = train(data, tmp_path / "run", recipe, "--dry-run")
    assert (told.exit_code, told.stdout) == (75, "")
    assert "step 1: stopped by SIGTERM; start again to go on" in told.stderr
    assert not (tmp_path / "run").exists()
