"""The documentation names only what exists, and all of it."""

import ast
import json
import re
import shlex
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from alexrep import errors
from alexrep.config import recipes
from alexrep.config.recipe import Start
from alexrep.stages import app

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
PAGES = [README, ROOT / "devkit/README.md", *sorted((ROOT / "docs").glob("*.md"))]
COMMANDS_PAGE = ROOT / "docs/commands.md"
ARCHITECTURE = ROOT / "docs/architecture.md"
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
FOLDERS = "alexrep|notebooks|stages|plots|tests|slurm|benchmarks|docs|devkit"
ROOT_COMMAND: Any = typer.main.get_command(app)
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def prose(page: Path) -> str:
    """Return a page without its code blocks."""
    return FENCE.sub("", page.read_text(encoding="utf-8"))


def blocks(page: Path, language: str) -> list[str]:
    fences = FENCE.findall(page.read_text(encoding="utf-8"))
    return [text for kind, text in fences if kind == language]


def spans(page: Path) -> list[str]:
    """Return the code spans in the text of a page."""
    return [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", prose(page))]


def slugs(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    heads = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads}


@every_page
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)", prose(page))
    links += [(source, "") for source in re.findall(r'<img src="([^"]+)"', prose(page))]
    for target, anchor in links:
        there = (page.parent / target).resolve() if target else page
        assert there.exists(), target
        assert not anchor or anchor in slugs(there), f"{target}#{anchor}"


@every_page
def test_every_file_of_the_project_that_a_page_names_exists(page: Path) -> None:
    pattern = re.compile(rf"(?:{FOLDERS})/[\w./-]*")
    named = [span for span in spans(page) if pattern.fullmatch(span)]
    assert [name for name in named if not (ROOT / name).exists()] == []


@every_page
def test_a_page_has_no_characters_beyond_ascii(page: Path) -> None:
    assert page.read_bytes().isascii()


def command_at(words: list[str]) -> tuple[str, Any, list[str]]:
    """Return the name of the command that shell words begin with, the command, and the rest."""
    command = ROOT_COMMAND
    path: list[str] = []
    while hasattr(command, "commands"):
        _, words, _ = parser(command).parse_args(words)
        if not words:
            break  # a page may speak of `alexrep runs`
        assert words[0] in command.commands, f"no command {' '.join([*path, words[0]])!r}"
        command, path, words = command.commands[words[0]], [*path, words[0]], words[1:]
    return " ".join(path), command, words


def parser(command: Any) -> Any:  # noqa: ANN401 (Typer's versions have different classes)
    root = ROOT_COMMAND
    above = None if hasattr(command, "commands") else root.context_class(root, info_name="alexrep")
    context = command.context_class(command, info_name="alexrep", parent=above)
    return command.make_parser(context)


def all_commands() -> dict[str, Any]:
    """Return every command by its words after `alexrep`."""
    commands: dict[str, Any] = {}
    for name, command in ROOT_COMMAND.commands.items():
        below = getattr(command, "commands", None)
        commands |= (
            {name: command} if below is None else {f"{name} {k}": v for k, v in below.items()}
        )
    return commands


def shell_lines(page: Path) -> Iterator[list[str]]:
    """Yield the words of each `alexrep` command of a page, from the word after `alexrep`."""
    texts = [line for block in blocks(page, "sh") for line in joined(block)]
    texts += [span for span in spans(page) if span.startswith("alexrep ")]
    for text in texts:
        for part in re.split(r"&&|\|\||;|(?<!\\)\|", text.partition(" #")[0]):
            words = shlex.split(part, comments=True)
            if "alexrep" in words:
                yield words[words.index("alexrep") + 1 :]


def joined(block: str) -> list[str]:
    return block.replace("\\\n", " ").splitlines()


@every_page
def test_every_command_and_option_of_a_page_exists(page: Path) -> None:
    for words in shell_lines(page):
        if "COMMAND" in words or words[:1] in (["--help"], ["--version"], ["--install-completion"]):
            continue
        name, command, rest = command_at(words)
        if rest:  # a page may speak of `alexrep train`
            parsed, left, _ = parser(command).parse_args(rest)
            assert not left, f"alexrep {name}: too many words: {left}"
            require_settings(parsed.get("recipe"), parsed.get("setting") or [])


def require_settings(recipe: str | None, settings: list[str]) -> None:
    """Load a shipped recipe with settings; for the reader's own file, load the demo's."""
    name = recipe if recipe in recipes.names() else "demo"
    recipes.load(name, tuple(settings))


@every_page
def test_every_setting_that_a_page_names_is_one_of_a_recipe(page: Path) -> None:
    for span in spans(page):
        if span.startswith("--set ") and "=" in span and span.lower() != "--set path=value":
            require_settings("alexnet-2012", shlex.split(span)[1:])


@every_page
def test_every_option_that_a_page_names_is_one_of_a_command_or_script(page: Path) -> None:
    known = {"--help", "--version", "-q", "-v", "--quiet", "--verbose", "--install-completion"}
    for command in all_commands().values():
        known |= {
            name for parameter in command.params for name in parameter.opts if name.startswith("-")
        }
    named = {span.split()[0].partition("=")[0] for span in spans(page) if span.startswith("-")}
    assert named - known == set()


@pytest.mark.parametrize("name", all_commands())
def test_every_command_is_in_the_table_of_commands(name: str) -> None:
    assert f"\n| `alexrep {name}" in COMMANDS_PAGE.read_text(encoding="utf-8")


def test_every_exit_code_of_an_error_is_in_the_table() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    codes = {str(kind.exit_code) for kind in kinds if issubclass(kind, errors.AlexrepError)}
    rows = re.findall(r"^\| ([\d, ]+) \|", COMMANDS_PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    listed = {code for row in rows for code in row.split(", ")}
    assert codes | {"0", "3", "130", "143", "140"} == listed


@every_page
def test_every_recipe_that_a_page_names_exists(page: Path) -> None:
    pattern = re.compile(r"(?:alexnet|cifar10)-[\w-]+")
    named = {span for span in spans(page) if pattern.fullmatch(span)}
    assert named - set(recipes.names()) == set()


def test_every_recipe_is_in_the_table_of_the_readme() -> None:
    table = README.read_text(encoding="utf-8").split("\n## Recipes\n")[1].split("\n## ")[0]
    listed = set(re.findall(r"`([\w-]+)`", table))
    assert set(recipes.names()) - listed == set()


MEASURED = (
    ("{:.1f} ms an image", "preprocess", "milliseconds an image", "alexrep"),
    (
        "{:.1f} times as fast as by",
        "preprocess",
        "ratio to plain Pillow (1.6, goal 2)",
    ),
    ("do {:.2f} times the work of one", "preprocess-workers", "two workers against one (1.8)"),
    ("56 to {:.0f} times as fast", "moments", "ratio to its best batch (50, goal 100)"),
    ("{:.0f} to 64 times as fast", "moments", "the same, images fetched from memory"),
    ("{:.2f} ms for `mean` and `pca`", "moments", "milliseconds an image", "whole pass"),
    ("{:.0f} MB/s for `pack`", "pack", "megabytes per second", "pack"),
    ("{:,} images/s and core", "feed", "images per second and core", "augmented"),
    ("{:.1%} ten-crop error", "real-input", "val ten-crop", "top1_error"),
)
"""Text of the README, and where its number is found in which benchmark result."""


@pytest.mark.parametrize(("text", "name", "path"), [(t, n, p) for t, n, *p in MEASURED])
def test_a_measurement_in_the_readme_is_the_one_that_is_kept(
    text: str, name: str, path: list[str]
) -> None:
    kept = json.loads((ROOT / f"benchmarks/results/{name}.json").read_text())
    for key in path:
        kept = kept[key]
    assert text.format(kept).replace("%", " %") in " ".join(README.read_text().split())


@every_page
def test_every_target_of_make_that_a_page_names_exists(page: Path) -> None:
    makefile = (ROOT / "Makefile").read_text()
    (line,) = re.findall(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    of_recipes = {f"{name}-RECIPE" for name in re.findall(r"^(\w+)-%:", makefile, re.MULTILINE)}
    lines = [text for block in blocks(page, "sh") for text in block.splitlines()] + spans(page)
    named = {match[1] for text in lines if (match := re.match(r"make ([\w-]+)", text))}
    assert named - set(line.split()) - of_recipes == set()


def folder_rows(page: Path) -> list[str]:
    return re.findall(r"^\| `([\w/]+)/` \|", page.read_text(encoding="utf-8"), re.MULTILINE)


def test_the_map_of_folders_names_every_package_and_no_other() -> None:
    packages = set(PYPROJECT["tool"]["setuptools"]["packages"])
    mapped = {re.sub(r"^alexrep\.(stages|plots)\b", r"\1", name) for name in packages}
    listed = folder_rows(README)
    assert len(listed) == len(set(listed))
    others = {"alexrep/recipes", "slurm", "benchmarks", "devkit", "docs", "notebooks", "tests"}
    assert {name.replace(".", "/") for name in mapped} | others == set(listed)


def test_the_map_of_folders_names_every_folder_at_the_top() -> None:
    command = ["git", "-C", str(ROOT), "ls-tree", "-d", "--name-only", "HEAD"]
    try:
        shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not in a clone")
    there = {name for name in shown.split() if not name.startswith(".")}
    assert there <= set(folder_rows(README))


def test_a_section_of_the_readme_fits_a_screen() -> None:
    sections = README.read_text(encoding="utf-8").split("\n## ")
    lengths = {text.split("\n")[0]: text.count("\n") for text in sections}
    assert {name: length for name, length in lengths.items() if length > 50} == {}


def test_the_readme_names_the_two_commands_first() -> None:
    first = blocks(README, "sh")[0].splitlines()
    assert [line.split(" #")[0].strip() for line in first] == ["make demo", "make test"]


def test_the_readme_has_the_words_that_people_search_for() -> None:
    text = " ".join(README.read_text(encoding="utf-8").split()).lower()
    wanted = (
        *("incremental pca", "lighting augmentation", "2,048 crops", "ten-crop evaluation"),
        *("(lrn)", "local response normalisation", "two-tower alexnet", "ilsvrc-2012"),
    )
    assert [words for words in wanted if words not in text] == []


@every_page
def test_the_python_and_toml_of_a_page_can_be_read(page: Path) -> None:
    for text in blocks(page, "python"):
        ast.parse(text)
    for text in blocks(page, "toml"):
        tomllib.loads(text)


def test_the_recipe_of_the_page_on_recipes_loads(tmp_path: Path) -> None:
    whole, inputs, listed, part, network, rule, start = blocks(ROOT / "docs/recipes.md", "toml")
    (tmp_path / "my.toml").write_text(whole)
    assert recipes.load(str(tmp_path / "my.toml")).optimiser.weight_decay == 0.001
    (tmp_path / "inputs.toml").write_text(f'base = "alexnet-2012"\n{inputs}')
    assert recipes.load(str(tmp_path / "inputs.toml")).input.divisors != "own"
    (tmp_path / "listed.toml").write_text(
        f'base = "alexnet-2012"\n{listed}\nfeed = {{order = "shuffled", draws = "image"}}'
    )
    assert len(recipes.load(str(tmp_path / "listed.toml")).augmentations) == 4
    (tmp_path / "part.toml").write_text(f'base = "alexnet-2012"\n{part}')
    assert recipes.load(str(tmp_path / "part.toml")).schedule.epochs == 60
    (tmp_path / "network.toml").write_text(f'base = "alexnet-2012"\n{network}')
    assert not recipes.load(str(tmp_path / "network.toml")).model.gives_logits
    (tmp_path / "rule.toml").write_text(f'base = "alexnet-2012"\n{rule}')
    assert recipes.load(str(tmp_path / "rule.toml")).optimiser.name == "sgd"
    (tmp_path / "start.toml").write_text(f'base = "alexnet-2012"\n{start}')
    assert recipes.load(str(tmp_path / "start.toml")).start == Start(fresh=("fc8",))


def test_a_shard_is_read_as_the_page_on_data_says(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(data.parent)
    (code,) = blocks(ROOT / "docs/data.md", "python")
    exec(compile(code, "docs/data.md", "exec"), {})
    assert re.fullmatch(r"n\d+_\d+\.JPEG \d \(72, 72\)\n", capsys.readouterr().out)


@pytest.mark.parametrize("name", ["example_network", "example_optimiser"])
def test_the_page_on_architecture_shows_the_examples_that_a_test_runs(name: str) -> None:
    assert (ROOT / f"tests/{name}.py").read_text() in blocks(ARCHITECTURE, "python")


def test_the_recipe_beside_the_example_is_the_one_that_a_test_trains() -> None:
    (shown,) = blocks(ARCHITECTURE, "toml")
    assert shown in (ROOT / "tests/test_examples.py").read_text()


def test_the_page_on_architecture_has_the_floors_of_the_import_contract() -> None:
    contracts = PYPROJECT["tool"]["importlinter"]["contracts"]
    (floors,) = (contract["layers"] for contract in contracts if contract["type"] == "layers")
    (drawn,) = (text for text in blocks(ARCHITECTURE, "") if "keyed" in text)
    shown = [re.split(r"\s{2,}", line)[0] for line in drawn.splitlines()]
    assert shown[-len(floors) :] == floors


def test_the_gallery_is_small() -> None:
    sizes = [path.stat().st_size for path in (ROOT / "docs/gallery").rglob("*.*")]
    assert sum(sizes) <= 3_000_000
