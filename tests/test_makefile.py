"""The tasks of the Makefile that train, score and show runs."""

import re
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
WAIT_S = 60


def make(*words: str) -> str:
    done = subprocess.run(
        ["make", "-s", "-C", str(ROOT), *words], capture_output=True, text=True, check=True
    )
    return done.stdout


@pytest.mark.parametrize(
    ("task", "words"),
    [
        ("train-demo", "train some data --run R/demo --recipe demo -q"),
        ("resume-demo", "train some data --run R/demo --resume must -q"),
        ("eval-demo", "eval R/demo --data some data --views centre,ten-crop -q"),
        ("report", "report R/one/ --out R/report.html -q"),
        ("visualize", "plot R/one/ --out R/plots -q"),
    ],
)
def test_a_task_is_a_command_with_the_paths_of_its_variables(
    task: str, words: str, tmp_path: Path
) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "one/recipe.toml").touch()
    said = make(task, "alexrep=echo", "DATA=some data", f"RUNS={tmp_path}", "ARGS=-q")
    assert said.strip() == words.replace("R/", f"{tmp_path}/")


def test_help_names_every_task_and_its_paths() -> None:
    said = make("help", "RUNS=elsewhere")
    tasks = re.findall(r"^([a-z]+(?:-%)?):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert {"train-%", "background-%", "resume-%", "eval-%", "tensorboard", "report"} <= set(tasks)
    for task in set(tasks) - {"help"}:
        assert f"make {task.replace('%', 'RECIPE')} " in said
    assert "elsewhere/report.html" in said


def test_a_run_in_the_background_has_a_log_and_tells_its_process(tmp_path: Path) -> None:
    said = make("background-demo", "alexrep=echo", "DATA=d", f"RUNS={tmp_path}/runs")
    found = re.fullmatch(r"process \d+, log (\S+/demo-\d{8}-\d{6}\.log)\n", said)
    assert found
    log, wanted = Path(found[1]), f"train d --run {tmp_path}/runs/demo --recipe demo\n"
    until = time.monotonic() + WAIT_S
    while log.read_text() != wanted and time.monotonic() < until:
        time.sleep(0.01)
    assert log.read_text() == wanted
