"""`alexrep.api`: the answers of the commands, without a command line and without plots."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from recipes import train_tiny

from alexrep import api
from alexrep.errors import ConfigError, DataError
from alexrep.evaluation.loaded import LoadedRun

pytestmark = pytest.mark.usefixtures("one_thread")

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def folder(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a finished run; read only."""
    return train_tiny(data, tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def run(folder: Path) -> LoadedRun:
    return api.load_run(folder, device="cpu")


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a photograph of noise, without loss."""
    path = tmp_path_factory.mktemp("photos") / "photo.png"
    pixels = np.random.default_rng(1).integers(0, 256, (90, 130, 3), np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def test_an_image_may_come_in_any_form(run: LoadedRun, photo: Path) -> None:
    with Image.open(photo) as picture:
        forms: list[api.Picture] = [
            photo,
            str(photo),
            photo.read_bytes(),
            picture,
            np.asarray(picture),
        ]
        found = api.predict(run, forms)
    assert [one.image for one in found] == [str(photo), str(photo), "image 2", "image 3", "image 4"]
    assert len({one.likely for one in found}) == 1
    (alone,) = api.predict(run, photo, top=1, ten_crop=True)
    assert len(alone.likely) == 1


def test_an_image_that_cannot_be_read_is_an_error(run: LoadedRun) -> None:
    with pytest.raises(DataError, match=r"gone\.jpg: expected an image that can be read, found no"):
        api.predict(run, ["gone.jpg"])
    with pytest.raises(DataError, match=r"image 0: .* found neither JPEG nor PNG; leave it out"):
        api.predict(run, b"text")


def test_evaluate_gives_what_eval_prints_and_writes_nothing(
    run: LoadedRun, folder: Path, data: Path
) -> None:
    result = api.evaluate(run, data, "val", ten_crop=True)
    assert not (folder / "results").exists()
    assert (result.split, result.views, result.num_images) == ("val", "ten-crop", 8)
    assert result.top1_error is not None
    assert 1 / 8 <= result.top1_error <= 1


def test_batches_are_what_the_network_is_scored_on(run: LoadedRun, data: Path) -> None:
    found = list(api.batches(run, data, "val", batch_size=4))
    assert [tuple(images.shape) for images, _ in found] == [(4, 3, 67, 67), (3, 3, 67, 67)]
    with torch.inference_mode():
        right = sum(
            int((run.network(images).argmax(1) == labels).sum()) for images, labels in found
        )
    error = api.evaluate(run, data).top1_error
    assert error == pytest.approx((8 - right) / 8)  # one image is in quarantine


def test_a_checkpoint_can_be_chosen(folder: Path) -> None:
    assert api.load_run(folder, "best", "cpu").checkpoint == "best"
    with pytest.raises(DataError, match=r"first\.pt: expected a checkpoint, found no file"):
        api.load_run(folder, "first", "cpu")
    with pytest.raises(ConfigError, match="--device"):
        api.load_run(folder, device="tpu")


@pytest.mark.parametrize("code", ["import alexrep.api", "import alexrep"])
def test_nothing_of_the_command_line_or_the_plots_is_imported(code: str) -> None:
    heavy = ["typer", "click", "matplotlib", "alexrep.stages", "alexrep.plots"]
    heavy += ["torch", "numpy", "pydantic"] if code == "import alexrep" else []
    check = f"import sys; {code}; print([name for name in {heavy} if name in sys.modules])"
    ended = subprocess.run(
        [sys.executable, "-c", check], capture_output=True, text=True, check=True
    )
    assert ended.stdout == "[]\n"


def test_the_page_on_python_is_true(
    folder: Path,
    data: Path,
    photo: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs/x").symlink_to(folder)
    (tmp_path / "data").symlink_to(data)
    (tmp_path / "photo.jpg").symlink_to(photo)
    monkeypatch.chdir(tmp_path)
    blocks = (ROOT / "docs/python.md").read_text().split("```python\n")[1:]
    for block in blocks:
        exec(compile(block.split("```")[0], "docs/python.md", "exec"), {})
    said = capsys.readouterr().out.splitlines()
    assert len(blocks) == len(said) == 3
    assert said[0].startswith("photo.jpg ")
    assert said[1].endswith(" 8")
    assert said[2].startswith("tensor(")
