"""Stages started one after the other, from any working directory."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from recipes import tiny_recipe
from waiting import PATIENCE_S, wait_until

STAGE = """
import signal, sys, typer
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored if the tests are in background
from alexrep.stages.cli import subprocesses
try:
    subprocesses.start(*{})
except typer.Exit as left:
    sys.exit(left.exit_code)
"""
START = "from alexrep.stages.cli import subprocesses; subprocesses.start('--version')"


@pytest.mark.slow
def test_a_folder_named_like_the_package_is_not_taken_for_it(tmp_path: Path) -> None:
    (tmp_path / "alexrep").mkdir()
    command = [sys.executable, "-P", "-c", START]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert "torchvision" in ended.stdout


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR2])
@pytest.mark.parametrize("send", [os.kill, os.killpg])
def test_a_signal_comes_to_the_stage_once_and_it_saves(
    data: Path, tmp_path: Path, number: signal.Signals, send: Callable[[int, int], None]
) -> None:
    run, recipe = tmp_path / "run", tmp_path / "tiny.toml"
    recipe.write_text(tiny_recipe(100_000))
    words = ["train", str(data), "--run", str(run), "--recipe", str(recipe), "--device", "cpu"]
    command = [sys.executable, "-P", "-c", STAGE.format(words)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, start_new_session=True, stderr=pipe, text=True) as chain:
        wait_until((run / "checkpoints" / "last.pt").exists, "a checkpoint")
        send(chain.pid, number)
        lines = chain.communicate(timeout=PATIENCE_S)[1].splitlines()
    assert chain.returncode == 75
    name = "Ctrl-C" if number == signal.SIGINT else number.name
    wanted = f"alexrep: {name}: stopping after this step; again to end at once"
    assert [line for line in lines if "stopping after" in line] == [wanted]
    assert f": saved; stopped by {name}; start again to go on" in lines[-2]
    assert lines[-1] == "alexrep: stopped: alexrep train left with 75; start again to go on"
