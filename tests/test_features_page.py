"""docs/features.md: every feature has a place and a test, and these exist."""

import ast
import re
from pathlib import Path

import pytest

from alexrep.config import explain

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs/features.md").read_text(encoding="utf-8")
FEATURES, _, NOT_DONE = PAGE.partition("\n## Left out")
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in FEATURES.splitlines()
    if line.startswith("| ") and not line.startswith(("| --- ", "| what "))
]
NAMED = re.findall(r"tests/\w+\.py::\w+", FEATURES)


def test_every_feature_has_a_place_and_tests_of_its_own() -> None:
    assert len(ROWS) > 100
    for what, place, tests in ROWS:
        assert what
        assert "`" in place or "](" in place, what
        assert all(f"`{name}`" in tests for name in re.findall(r"tests/[^`]+", tests)), what
        assert "::test_" in tests, what


def test_no_feature_is_named_twice() -> None:
    names = [what for what, _, _ in ROWS]
    assert sorted(set(names)) == sorted(names)


@pytest.mark.parametrize("file", sorted({name.partition("::")[0] for name in NAMED}))
def test_every_test_that_the_page_names_exists(file: str) -> None:
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    there = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    wanted = {name.partition("::")[2] for name in NAMED if name.startswith(f"{file}::")}
    assert wanted - there == set()


def test_every_field_of_a_recipe_that_the_page_names_exists() -> None:
    known = {field.path for field in explain.fields()}
    known |= {path.rpartition(".")[0].removesuffix("[]") for path in known}
    groups = {path.partition(".")[0] for path in known} - {"log"}  # log.csv is a file
    spans = re.findall(r"`(?:--set )?(\w+\.[\w.]+)(?:=\w+)?`", PAGE)
    named = {span for span in spans if span.partition(".")[0] in groups}
    assert len(named) > 20
    assert named - known == set()


def test_what_is_not_done_has_reasons() -> None:
    left_out, _, not_yet = NOT_DONE.partition("\n## Not yet\n")
    rows = re.findall(r"^\| (?!what|---)(.+) \| (.+) \|$", left_out, re.MULTILINE)
    assert len(rows) > 5
    assert all(len(why.split()) > 4 for _, why in rows)
    assert "\n- " in not_yet or "Nothing" in not_yet
