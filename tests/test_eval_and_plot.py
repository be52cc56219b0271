"""`alexrep eval` and `plot`: both checkpoints, beside a training, on read-only folders."""

import errno
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from recipes import tiny_recipe
from sessions import stop_at
from typer.testing import CliRunner, Result

from alexrep.files import PARTIAL
from alexrep.stages import app

HOLD = """
import sys
from pathlib import Path
from alexrep import locks
with locks.held(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""

pytestmark = pytest.mark.usefixtures("one_thread")


def alexrep(*words: str | Path) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words], prog_name="alexrep")


def done(*words: str | Path) -> Result:
    result = alexrep(*words)
    assert result.exit_code == 0, result.output
    return result


def files_of(folder: Path) -> dict[str, bytes]:
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


@pytest.fixture(scope="module")
def trained_run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a finished run; read only."""
    folder = tmp_path_factory.mktemp("runs")
    (folder / "tiny.toml").write_text(tiny_recipe(2))
    words = ("--recipe", folder / "tiny.toml", "--device", "cpu")
    done("train", data, "--run", folder / "run", *words)
    return folder / "run"


@pytest.fixture
def run(trained_run: Path, tmp_path: Path) -> Path:
    return shutil.copytree(trained_run, tmp_path / "run")


@pytest.fixture
def locked_run(run: Path) -> Iterator[Path]:
    """Return a run that another process holds the lock of."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(run)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    with process:
        assert process.stdout.readline() == b"held\n"
        yield run
        process.stdin.close()
    assert process.returncode == 0


@pytest.fixture
def read_only(run: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a run whose folder refuses every change; permissions would not stop root."""
    make, rename, opened = Path.mkdir, os.replace, Path.open

    def refuse(path: Path) -> None:
        if path.is_relative_to(run):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    def mkdir(path: Path, mode: int = 0o777, parents: bool = False, exist_ok: bool = False) -> None:
        if not path.is_dir():
            refuse(path)
        make(path, mode, parents, exist_ok)

    def replace(source: Path, target: Path) -> None:
        refuse(target)
        rename(source, target)

    def open_it(path: Path, mode: str = "r", *words: object, **others: object) -> object:
        if set(mode) & set("wax+"):
            refuse(path)
        return opened(path, mode, *words, **others)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "mkdir", mkdir)
    monkeypatch.setattr(os, "replace", replace)
    monkeypatch.setattr(Path, "open", open_it)
    return run


def test_best_is_scored_after_last_and_both_results_stay(run: Path, data: Path) -> None:
    words = ("eval", run, "--data", data, "--device", "cpu")
    last, best = done(*words), done(*words, "--checkpoint", "best")
    assert last.stdout.startswith("val, centre: top-1 error ")
    assert best.stdout.startswith("val, centre, best: top-1 error ")
    assert best.stderr == ""
    assert {"val-centre.json", "val-centre-best.json"} <= files_of(run / "results").keys()
    assert done(*words).stdout == last.stdout
    shown = json.loads(done("runs", "show", run, "--json").stdout)["results"]
    assert {name: result["checkpoint"] for name, result in shown.items()} == {
        "val-centre": "last",
        "val-centre-best": "best",
    }


def test_a_checkpoint_in_the_middle_of_an_epoch_is_named(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, recipe = tmp_path / "run", tmp_path / "tiny.toml"
    recipe.write_text(tiny_recipe(2))
    with monkeypatch.context() as patch:
        stop_at(patch, 12)
        stopped = alexrep("train", data, "--run", run, "--recipe", recipe, "--device", "cpu")
    assert stopped.exit_code == 75, stopped.output
    (step,) = {int(number) for number in re.findall(r"step (\d): saved", stopped.stderr)}
    assert step % 5, "five steps are an epoch"
    moment = f"step {step}, in the middle of epoch {step // 5 + 1}"
    words = ("eval", run, "--data", data, "--device", "cpu")
    assert f"  checkpoint last: of {moment}; the log's last errors" in done(*words).stdout
    table = json.loads(done(*words, "--json").stdout)
    assert (table["epoch"], table["mid_epoch_step"]) == (step // 5, step)
    image = next((data / "images" / "val").glob("*.tar"))
    with tarfile.open(image) as tar:
        tar.extractall(tmp_path / "val", filter="data")
    told = done("predict", run, tmp_path / "val", "--device", "cpu", "--json")
    assert f"{run}: checkpoint last is of {moment}\n" in told.stderr
    assert json.loads(told.stdout)["mid_epoch_step"] == step
    done("export", run, tmp_path / "out")
    assert f"saved at step {step}, in the middle" in (tmp_path / "out" / "README.md").read_text()
    table = json.loads(done("eval", tmp_path / "out", *words[2:], "--json").stdout)
    assert table["mid_epoch_step"] == step


def test_a_run_that_has_trained_on_is_scored_anew(run: Path, data: Path) -> None:
    words = ("eval", run, "--data", data, "--device", "cpu", "--json")
    first = json.loads(done(*words).stdout)
    recipe = run.parent / "more.toml"
    recipe.write_text(tiny_recipe(3))
    done("train", data, "--run", run, "--recipe", recipe, "--device", "cpu")
    again = done(*words)
    assert (first["epoch"], json.loads(again.stdout)["epoch"]) == (2, 3)
    (line,) = again.stderr.splitlines()
    assert "val-centre.json: expected weights " in line
    assert line.endswith(" of epoch 2; scored anew, and the old result is replaced")


def test_a_run_is_scored_and_drawn_while_another_process_writes_to_it(
    locked_run: Path, data: Path
) -> None:
    done("eval", locked_run, "--data", data, "--device", "cpu")
    done("plot", locked_run)
    assert {"val-centre.json", "val-centre.npz"} == files_of(locked_run / "results").keys()
    assert (locked_run / "plots" / "predictions.png").is_file()


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_result_that_cannot_be_kept_is_printed(read_only: Path, data: Path, form: str) -> None:
    before = files_of(read_only)
    words = ("eval", read_only, "--data", data, "--device", "cpu")
    result = done(*words, *(["--json"] if form == "json" else []))
    assert "top1_error" in result.stdout if form == "json" else "top-1 error" in result.stdout
    (line,) = result.stderr.splitlines()
    assert line.endswith("found 'Read-only file system'; what is printed was not kept")
    assert files_of(read_only) == before


@pytest.mark.usefixtures("few_pictures")
def test_what_was_scored_and_drawn_is_said_of_a_read_only_folder(
    run: Path, data: Path, request: pytest.FixtureRequest
) -> None:
    words = ("eval", run, "--data", data, "--device", "cpu")
    first = done(*words)
    done("plot", run)
    request.getfixturevalue("read_only")
    again = done(*words)
    assert (again.stdout, "nothing to do" in again.stderr) == (first.stdout, True)
    assert "nothing to do" in done("plot", run).stdout


@pytest.mark.usefixtures("few_pictures")
def test_pictures_go_to_another_folder_if_one_is_named(read_only: Path, tmp_path: Path) -> None:
    out = tmp_path / "pictures"
    refused = alexrep("plot", read_only)
    assert refused.exit_code == 1
    assert "expected permission to use it, found 'Read-only file system'" in refused.stderr
    assert f"{out}/curves.png" in done("plot", read_only, "--out", out).stdout
    assert (out / "curves.png").is_file()
    assert "nothing to do" in done("plot", read_only, "--out", out).stdout


@pytest.mark.parametrize("folder", ["", "checkpoints", "checkpoints/new", "events", "results"])
def test_pictures_do_not_go_among_the_files_of_a_run(
    run: Path, tmp_path: Path, folder: str
) -> None:
    other = shutil.copytree(run, tmp_path / "other")
    (other / "manifest.json").unlink()
    for of_run in (run, other):
        before, out = files_of(of_run), of_run / folder
        refused = alexrep("plot", run, "--out", out)
        assert refused.exit_code == 2
        wanted = f"expected a folder apart from {of_run}, found {out}; name a folder of its own"
        assert refused.stderr == f"alexrep: --out: {wanted}\n"
        assert files_of(of_run) == before


@pytest.mark.usefixtures("few_pictures")
def test_what_a_killed_process_left_is_swept(run: Path, data: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        pass
    left = f"x.{os.uname().nodename}-{ended.pid}{PARTIAL}"
    of_another = f"x.elsewhere-1{PARTIAL}"
    for folder in ("results", "plots"):
        (run / folder).mkdir()
        for name in (left, of_another):
            (run / folder / name).touch()
    done("eval", run, "--data", data, "--device", "cpu")
    done("plot", run)
    names = {str(path.relative_to(run)) for path in run.rglob(f"*{PARTIAL}")}
    assert names == {f"results/{of_another}", f"plots/{of_another}"}


def test_all_probabilities_are_kept_and_need_no_second_scoring(run: Path, data: Path) -> None:
    words = ("eval", run, "--data", data, "--device", "cpu")
    done(*words, "--all-probabilities")
    before = files_of(run / "results")
    assert "nothing to do" in done(*words).stderr
    assert files_of(run / "results") == before


def test_a_lack_of_memory_names_batch_and_workers(
    data: Path, trained_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lack(*_: object, **__: object) -> None:
        raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has")

    monkeypatch.setattr("alexrep.evaluation.evaluate.probabilities_of_views", lack)
    words = ("--batch-size", "32", "--workers", "2", "--device", "cpu", "--views", "ten-crop")
    result = alexrep("eval", trained_run, "--data", data, *words)
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1] == (
        "alexrep: memory: expected enough for batches of 32 images (--batch-size) with 2 workers "
        "on cpu, found none left on the GPU for 2.00 GiB more; "
        "lower --batch-size, or --workers for the machine's memory"
    )
