"""The linters, run as tests; each prints what it found."""

import ast
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


def takes_the_locale(call: ast.Call) -> bool:
    """Tell whether a call opens text in the locale's encoding."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else ""
    values = {word.arg: word.value for word in call.keywords}
    if name == "read_text":  # of a path without arguments; files.read_text has one and means UTF-8
        return "encoding" not in values and not call.args
    if name == "write_text":
        return "encoding" not in values
    mode = values.get("mode", call.args[0] if call.args else ast.Constant("r"))
    is_text = isinstance(mode, ast.Constant) and "b" not in str(mode.value)
    of_path = name == "open" and ast.unparse(call.func) not in ("Image.open", "tarfile.open")
    return of_path and is_text and "encoding" not in values


@pytest.mark.parametrize("folder", ["alexrep", "stages", "plots", "benchmarks"])
def test_text_is_read_and_written_in_a_stated_encoding(folder: str) -> None:
    calls = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in (ROOT / folder).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and takes_the_locale(node)
    ]
    assert calls == []
