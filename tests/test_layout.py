"""The layout: what may import what, what ships, and what no file may do."""

import ast
import graphlib
import re
import shutil
import subprocess
import sys
import tomllib
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path

import constraints
import pytest

ROOT = Path(__file__).resolve().parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
MAPPED = {"alexrep.stages": "stages", "alexrep.plots": "plots"}
SHELL = {"__init__", "__main__"}


def sources(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def imported(path: Path) -> Iterator[str]:
    """Yield the modules that a source imports, relative ones with their dots."""
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            yield base
            dot = "" if base.endswith(".") else "."
            yield from (f"{base}{dot}{alias.name}" for alias in node.names)


def defines_command(path: Path) -> bool:
    body = ast.parse(path.read_bytes()).body
    return any(isinstance(node, ast.FunctionDef) and node.name == "command" for node in body)


def installed_name(path: Path) -> str:
    """Return the installed path of a source, relative to site-packages."""
    relative = path.relative_to(ROOT).as_posix()
    return relative if relative.startswith("alexrep/") else f"alexrep/{relative}"


def shipped() -> set[str]:
    """Return every file that must be installed."""
    whole = ROOT / "alexrep"
    names = ("py.typed", "ilsvrc/synsets.txt", "weights/card.md.jinja")
    data = [*(whole / name for name in names), *(whole / "recipes").glob("*.toml")]
    data += (ROOT / "plots/report").glob("page.*")
    return {installed_name(path) for path in [*sources("alexrep", "stages", "plots"), *data]}


def test_every_package_folder_is_listed() -> None:
    folders = {path.parent for path in sources("alexrep", "stages", "plots")}
    packages = {installed_name(folder / "x").rsplit("/", 1)[0] for folder in folders}
    listed = PYPROJECT["tool"]["setuptools"]["packages"]
    assert sorted(name.replace("/", ".") for name in packages) == sorted(listed)


def test_every_package_folder_has_an_init() -> None:
    folders = {path.parent for path in sources("alexrep", "stages", "plots")}
    assert [str(folder) for folder in folders if not (folder / "__init__.py").exists()] == []


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel through the sdist, by the setuptools that is installed."""
    tmp_path = tmp_path_factory.mktemp("wheel")
    tree = tmp_path / "tree"
    for name in ("alexrep", "stages", "plots"):
        leave = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, tree / name, ignore=leave)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree)
    build("sdist", tree, tmp_path)
    shutil.unpack_archive(next(tmp_path.glob("*.tar.gz")), tmp_path / "sdist", filter="data")
    build("wheel", next((tmp_path / "sdist").iterdir()), tmp_path)
    return next(tmp_path.glob("*.whl"))


@pytest.mark.slow
def test_the_wheel_built_through_the_sdist_ships_every_module(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name for name in names if ".dist-info/" not in name} == shipped()


@pytest.mark.slow
def test_the_wheel_works_in_an_environment_of_its_own(wheel: Path, tmp_path: Path) -> None:
    """The other libraries are seen from where the tests have them; alexrep is the wheel's."""
    home = tmp_path / "venv"
    venv.create(home, with_pip=False, symlinks=True)
    pip = [sys.executable, "-m", "pip", "--python", str(home / "bin/python"), "install", "-q"]
    run(*pip, "--no-deps", "--no-index", str(wheel))
    (packages,) = home.glob("lib/python*/site-packages")
    # Plain folders: a .pth in them, as an editable alexrep has, is not followed.
    folders = [path for path in sys.path if path.endswith("site-packages")]
    (packages / "libraries.pth").write_text("\n".join(folders) + "\n")
    alexrep = str(home / "bin/alexrep")
    assert "Usage: alexrep" in run(alexrep, "--help", cwd=tmp_path)
    assert "input.kind" in run(alexrep, "recipes", "--fields", cwd=tmp_path)
    code = "import alexrep, alexrep.plots; print(alexrep.__file__, alexrep.plots.__file__)"
    for place in run(str(home / "bin/python"), "-c", code, cwd=tmp_path).split():
        assert Path(place).is_relative_to(packages)


def run(*command: str, cwd: Path = ROOT) -> str:
    result = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout


def build(kind: str, tree: Path, out: Path) -> None:
    code = f"from setuptools import build_meta; build_meta.build_{kind}({str(out)!r})"
    command = [sys.executable, "-W", "ignore", "-c", code]
    run(*command, cwd=tree)


def test_the_constraints_name_one_version_of_what_is_needed_and_no_address() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    head, *rest = lines
    assert head.startswith("# The versions that the tests ran on, with Python 3.")
    assert all(re.fullmatch(r"[a-z0-9-]+==[0-9][0-9a-z.]*", line) for line in rest)
    versions = dict(line.split("==") for line in rest)
    assert len(versions) == len(rest)
    for need in constraints.wanted():
        # Of both pillows none is named, and these two were not there.
        if need.name not in {*constraints.PILLOWS, "coverage", "pytest-randomly"}:
            assert need.specifier.contains(versions[need.name]), need


def test_the_constraints_hold_what_the_needed_libraries_need_and_no_pillow() -> None:
    names = {line.split("==")[0] for line in constraints.constraints()}
    assert {"torch", "sympy", "pytest", "tornado", "pydantic-core"} <= names
    assert not names & {*constraints.PILLOWS, "alexrep"}


def test_no_module_shadows_the_standard_library() -> None:
    names = {path for path in sources("alexrep", "stages", "plots") if path.stem not in SHELL}
    shadows = [str(path) for path in names if path.stem in sys.stdlib_module_names]
    assert shadows == []


@pytest.mark.parametrize("path", sources("alexrep", "plots"), ids=installed_name)
def test_the_library_and_the_plots_know_no_stage(path: Path) -> None:
    lower = path.is_relative_to(ROOT / "alexrep")
    above = ("typer", "alexrep.stages", *(["alexrep.plots"] if lower else []))
    assert [name for name in imported(path) if name.startswith(above)] == []


@pytest.mark.parametrize("path", sources("plots"), ids=installed_name)
def test_plots_read_a_run_through_its_readers(path: Path) -> None:
    runs = {name for name in imported(path) if name.startswith("alexrep.runs.")}
    readers = ("contents", "description", "history", "results", "trained")
    assert [name for name in runs if name.split(".")[2] not in readers] == []


@pytest.mark.parametrize("path", sources("stages"), ids=installed_name)
def test_stages_meet_in_the_application_only(path: Path) -> None:
    commands = {
        f"{dots}{other.stem}"
        for other in sources("stages")
        if defines_command(other)
        for dots in (".", "..")
    }
    named = set(imported(path))
    assert not {name for name in named if name.startswith("alexrep.stages")}
    assert path.stem in SHELL or not commands & named


@pytest.mark.parametrize("path", sources("stages"), ids=installed_name)
def test_a_stage_is_under_60_lines(path: Path) -> None:
    assert not defines_command(path) or len(path.read_text().splitlines()) < 60


def test_every_command_is_registered() -> None:
    application = set(imported(ROOT / "stages" / "__init__.py"))
    commands = {f".{path.stem}" for path in sources("stages") if defines_command(path)}
    assert commands <= application


def test_init_files_export_nothing() -> None:
    for path in sources("alexrep", "plots"):
        if path.name == "__init__.py":
            body = ast.parse(path.read_bytes()).body
            allowed = 2 if path.parent == ROOT / "alexrep" else 1
            assert len(body) == allowed, path
            assert isinstance(body[0], ast.Expr), path


def test_no_source_has_characters_beyond_ascii() -> None:
    lines = [
        str(path)
        for path in sources("alexrep", "stages", "plots", "tests")
        if not path.read_bytes().isascii()
    ]
    assert lines == []


def test_the_readme_is_there_and_the_changelog_knows_the_version() -> None:
    version = ast.literal_eval(
        (ROOT / "alexrep/__init__.py").read_text().split("__version__ = ")[1]
    )
    assert (ROOT / "README.md").stat().st_size > 0
    assert f"## [{version}]" in (ROOT / "CHANGELOG.md").read_text()
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text()


def test_no_module_waits_for_one_that_waits_for_it() -> None:
    names = {
        installed_name(path).removesuffix(".py").replace("/", "."): path
        for path in sources("alexrep")
    }
    waits = {
        name: {
            f"{node.module}.{alias.name}" if f"{node.module}.{alias.name}" in names else node.module
            for node in ast.parse(path.read_bytes()).body
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
        }
        for name, path in names.items()
    }
    graphlib.TopologicalSorter(waits).prepare()  # raises CycleError, which names the modules
