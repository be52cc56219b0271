"""The short form of the chaos benchmark: a run killed six times ends with the same bits."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from recipes import tiny_recipe

TINY = tiny_recipe(60)
CHAOS = Path(__file__).parents[1] / "benchmarks" / "chaos.py"


@pytest.mark.slow
def test_a_run_killed_at_random_moments_ends_with_the_same_bits(data: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "tiny.toml"
    recipe.write_text(TINY)
    words = ("--kills", "6", "--epochs", "60", "--every-steps", "7", "--name", "")
    given = [str(word) for word in (tmp_path, "--data", data, "--recipe", recipe)]
    command = [sys.executable, str(CHAOS), *given, *words]
    alone = os.environ | {"OMP_NUM_THREADS": "1"}
    outcome = subprocess.run(command, check=False, capture_output=True, text=True, env=alone)
    assert outcome.returncode == 0, outcome.stderr
    report = json.loads(outcome.stdout.splitlines()[-1])
    assert report["kills survived"] >= 4
    assert report["digests equal"]
    assert report["left behind"] == []
