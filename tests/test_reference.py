"""The page of all commands and options, and the help that it is made from."""

import re
from pathlib import Path
from typing import Any

import pytest
import typer.main
from typer.testing import CliRunner

from alexrep.stages import app
from alexrep.stages.cli import reference

ROOT = Path(__file__).resolve().parent.parent
ROOT_COMMAND: Any = typer.main.get_command(app)


def paths(group: Any, above: tuple[str, ...] = ()) -> list[tuple[str, ...]]:  # noqa: ANN401
    """Return the words of every command and group below a group, and of the group itself."""
    found = [above]
    for name, command in group.commands.items():
        below = (*above, name)
        found += paths(command, below) if hasattr(command, "commands") else [below]
    return found


def helped(*words: str, columns: int = 100) -> str:
    wide = {"COLUMNS": str(columns)}
    return CliRunner().invoke(app, [*words, "--help"], prog_name="alexrep", env=wide).output


def test_the_page_is_the_one_that_the_help_gives() -> None:
    kept = (ROOT / "docs/cli.md").read_text(encoding="utf-8")
    assert kept == reference.page(), "docs/cli.md is not of this help: run make docs"


def test_the_page_has_every_command_and_option() -> None:
    page = reference.page()
    for words in paths(ROOT_COMMAND):
        command = ROOT_COMMAND
        for word in words:
            command = command.commands[word]
        if not hasattr(command, "commands"):
            part = page.split(f"\n## alexrep {' '.join(words)}\n")[1].split("\n## ")[0]
            for param in command.params:
                assert f"`{param.opts[0]}" in part or f"`{param.metavar}" in part


@pytest.mark.parametrize("columns", [80, 100, 200])
@pytest.mark.parametrize("words", paths(ROOT_COMMAND), ids=" ".join)
def test_help_is_never_cut_and_fits(words: tuple[str, ...], columns: int) -> None:
    text = helped(*words, columns=columns)
    assert "..." not in re.sub(r"\b[A-Z]+\]?\.\.\.", "", text), "but for arguments that repeat"
    assert max(map(len, text.splitlines())) <= min(columns, 100)


@pytest.mark.parametrize("words", [words for words in paths(ROOT_COMMAND) if words], ids=" ".join)
def test_a_first_sentence_fits_the_list_of_commands(words: tuple[str, ...]) -> None:
    lines = " ".join(helped(*words[:-1]).split())
    first = re.split(r"\.\s", " ".join(helped(*words).split("\n\n")[1].split()) + " ")[0]
    assert f" {words[-1]} {first.rstrip('.')}" in lines


def test_help_names_what_is_written_after_an_option() -> None:
    text = helped("train")
    assert "Usage: alexrep train [OPTIONS] DATA\n" in text
    assert "--set PATH=VALUE" in text
    assert re.search(r"--run RUN .*\[required\]", helped("import-caffe"))
    assert re.search(r"-q, --quiet +No progress", text)
