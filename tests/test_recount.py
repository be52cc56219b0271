"""Mean image and colour axes computed anew by scikit-learn, and compared."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from alexrep import files, manifest, seal
from alexrep.prepare import recount
from alexrep.prepare.prepared import open_prepared
from alexrep.stages import app


@pytest.fixture
def own(data: Path, tmp_path: Path) -> Path:
    """Return a copy of the data folder that the test may damage."""
    return shutil.copytree(data, tmp_path / "data")


def faults(data: Path, sample: int | None = None) -> list[str]:
    progress: list[int] = []
    found = list(recount.compare(open_prepared(data), data, progress.append, sample))
    assert sum(progress) == 18
    return found


@pytest.mark.parametrize("sample", [None, 7, 18])
def test_what_was_computed_agrees(
    data: Path, monkeypatch: pytest.MonkeyPatch, sample: int | None
) -> None:
    monkeypatch.setattr(recount, "BATCH_PIXELS", 5 * 72**2)
    monkeypatch.setattr(recount, "ERRORS", 1e4)  # most of these images are alike
    assert faults(data, sample) == []


@pytest.mark.parametrize("sample", [None, 17])
def test_a_wrong_mean_image_is_found(own: Path, sample: int | None) -> None:
    mean = np.load(own / "mean.npy")
    mean[3, 4:, 1] += 0.01 if sample is None else 100_000
    np.save(own / "mean.npy", mean)
    fault = faults(own, sample)[0]
    assert "mean.npy: mean" in fault
    assert "as scikit-learn has it, found" in fault


@pytest.mark.parametrize(("key", "factor"), [("stds", 1.001), ("axes", 1.01)])
def test_wrong_axes_are_found(own: Path, key: str, factor: float) -> None:
    colours = json.loads((own / "pca.json").read_text())
    colours[key] = (np.array(colours[key]) * factor).tolist()
    files.write_json(own / "pca.json", colours)
    assert all("pca.json: " in fault for fault in faults(own))
    assert faults(own)


def test_a_tar_of_fewer_images_is_found(own: Path) -> None:
    shutil.copy(own / "images/val/00000.tar", own / "images/train/n00000030.tar")
    found = list(recount.compare(open_prepared(own), own, lambda num: None))
    assert "images: expected 18 training images in its tars, found 19; verify --deep" in found[0]


def verify(*words: str | Path) -> Result:
    return CliRunner().invoke(app, ["-q", "verify", *map(str, words)], prog_name="alexrep")


def test_the_command_says_that_they_agree(data: Path) -> None:
    result = verify(data, "--statistics", "--sample", "30")
    assert result.exit_code == 0
    assert "and mean image and colour axes with scikit-learn's; the prepared" in result.stdout


def test_the_command_names_what_it_compared_only(data: Path, tmp_path: Path) -> None:
    own = shutil.copytree(data, tmp_path / "own")
    for path in own.glob("pca.*"):
        path.unlink()
    assert "agrees, and mean image with scikit-learn's; the" in verify(own, "--statistics").stdout
    for path in own.glob("mean.*"):
        path.unlink()
    result = verify(own, "--statistics")
    assert result.exit_code == 1
    assert "expected a mean image or colour axes, found neither; run alexrep mean" in result.stderr


def test_a_mean_that_its_manifest_vouches_for_is_found_all_the_same(own: Path) -> None:
    np.save(own / "mean.npy", np.load(own / "mean.npy") + np.float32(1))
    path = own / f"mean.{manifest.NAME}"
    fields = json.loads(path.read_text())
    fields["outputs"]["mean.npy"] = files.sha256_file(own / "mean.npy")
    files.write_json(path, fields)
    seal.write(path, path.read_bytes())
    assert verify(own).exit_code == 0
    result = verify(own, "--statistics")
    assert result.exit_code == 4
    assert "mean.npy: mean image: expected" in result.stderr


def test_a_sample_without_statistics_is_refused(data: Path) -> None:
    result = verify(data, "--sample", "50")
    assert result.exit_code == 2
    assert "--sample" in result.stderr
