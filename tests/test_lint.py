"""The linters, as part of the tests; each shows what it found."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def passes(*command: str) -> None:
    result = subprocess.run(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if result.returncode:
        pytest.fail(result.stdout, pytrace=False)


def test_ruff_finds_nothing() -> None:
    passes(sys.executable, "-m", "ruff", "check")


def test_every_file_is_formatted() -> None:
    passes(sys.executable, "-m", "ruff", "format", "--check", "--diff")


def test_imports_run_downward_only() -> None:
    passes(str(Path(sys.executable).with_name("lint-imports")), "--no-logo")


@pytest.mark.slow
def test_mypy_strict_finds_nothing() -> None:
    passes(sys.executable, "tests/typecheck.py")
