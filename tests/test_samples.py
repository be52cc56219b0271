"""The sample images: small, and what their page says of them."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from alexrep.stages import app

ROOT = Path(__file__).parent.parent
SAMPLES = ROOT / "docs/samples"


def alexrep(*words: object) -> str:
    result = CliRunner().invoke(app, [str(word) for word in words], prog_name="alexrep")
    assert result.exit_code == 0, result.output
    return result.output


def test_they_are_few_and_small_and_their_licences_stand_beside_them() -> None:
    files = [path for path in SAMPLES.rglob("*") if path.is_file()]
    assert len(files) < 50
    assert sum(path.stat().st_size for path in files) < 700_000
    page = (SAMPLES / "README.md").read_text()
    for name in ("china.jpg", "flower.jpg", "CC BY 2.0", "CC BY 4.0"):
        assert name in page


def test_the_statistics_are_those_of_the_demo() -> None:
    mean = np.load(SAMPLES / "demo/mean.npy")
    axes = json.loads((SAMPLES / "demo/pca.json").read_text())
    assert (mean.shape, mean.dtype) == ((128, 128, 3), np.float32)
    assert axes["num_pixels"] == 1297 * 128**2
    assert axes["mean"] == pytest.approx(mean.mean(axis=(0, 1)).tolist(), abs=1e-3)
    vectors, stds = np.array(axes["axes"]), np.array(axes["stds"])
    assert vectors @ np.diag(stds**2) @ vectors.T == pytest.approx(np.array(axes["covariance"]))


def test_they_are_prepared_as_the_page_says(tmp_path: Path) -> None:
    data = tmp_path / "data"
    said = alexrep("preprocess", SAMPLES, data, "--side", 128, "--workers", 1)
    for line in ("repaired: CMYK", "repaired: PNG", "repaired: gray"):
        assert line in said
    for stage in ("mean", "pca", "pack"):
        said = alexrep(stage, data, "--workers", 1)
    assert "24 train images, 9 val images" in said
