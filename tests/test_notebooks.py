"""The notebooks: stripped in git, and run from top to bottom on a small demo."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

FOLDER = Path(__file__).parent.parent / "notebooks"
NAMES = ("arithmetic", "data", "lesson", "run")
SMALL = ("schedule.epochs=1", "model.width=0.05", "limits.steps=4")
PARAMETERS = {"lesson": {"EPOCHS": "1", "MORE": f"{SMALL[1:]!r}"}}
"""What is set in the cell of parameters, by notebook."""
MACHINE_PATH = re.compile(r"(?<![\w.])/(?:home|root|tmp|work|Users|mnt)/")
PATIENCE_S = 600

every_notebook = pytest.mark.parametrize("name", NAMES)


def read(name: str) -> Any:  # noqa: ANN401
    return nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)  # type: ignore[no-untyped-call]


def test_every_notebook_is_tested() -> None:
    assert sorted(path.stem for path in FOLDER.glob("*.ipynb")) == sorted(NAMES)


@every_notebook
def test_a_notebook_holds_no_output_and_no_path_of_a_machine(name: str) -> None:
    text = (FOLDER / f"{name}.ipynb").read_text(encoding="utf-8")
    assert text.isascii()
    assert not MACHINE_PATH.search(text)
    notebook = json.loads(text)
    nbformat.validate(notebook)
    assert notebook["metadata"].keys() == {"kernelspec", "language_info"}
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            assert (cell["outputs"], cell["execution_count"]) == ([], None), cell["id"]
        assert cell["metadata"].keys() <= {"tags"}


@every_notebook
def test_a_notebook_begins_with_its_title(name: str) -> None:
    first = read(name).cells[0]
    assert first.cell_type == "markdown"
    assert first.source.startswith("# ")


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a demo with a network too small to learn; return the folder that it lies in."""
    place = tmp_path_factory.mktemp("notebooks")
    settings = [word for setting in SMALL for word in ("--set", setting)]
    command = [sys.executable, "-m", "alexrep", "demo", str(place / "alexrep-demo"), *settings]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (place / "notebooks").mkdir()
    return place


@pytest.mark.slow
@every_notebook
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::RuntimeWarning")
def test_a_notebook_runs_from_top_to_bottom(name: str, demo: Path) -> None:
    notebook = read(name)
    for cell in notebook.cells:
        if "parameters" in cell.metadata.get("tags", ()):
            for key, value in PARAMETERS.get(name, {}).items():
                cell.source, times = re.subn(
                    rf"^{key} = .*$", f"{key} = {value}", cell.source, flags=re.MULTILINE
                )
                assert times == 1
    where = {"metadata": {"path": str(demo / "notebooks")}}
    client = NotebookClient(notebook, timeout=PATIENCE_S, kernel_name="python3", resources=where)
    client.execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    assert any("image/png" in output.get("data", {}) for output in outputs)
    said = "".join(output.get("text", "") for output in outputs if output.get("name") == "stderr")
    assert "Warning" not in said
