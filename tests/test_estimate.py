"""The quick estimate of the moments."""

from pathlib import Path

import numpy as np
import pytest
import simplejpeg

from alexrep import files
from alexrep.prepare import image_statistics
from alexrep.prepare.estimate import SHARES, estimate
from alexrep.prepare.image import Verdict
from alexrep.prepare.prepared import jpegs, open_prepared, read_at


def test_a_sample_of_all_images_is_exact_and_marked(data: Path, tmp_path: Path) -> None:
    images = open_prepared(data)
    exact = image_statistics.moments(images, tmp_path, 1, lambda num: None)
    estimated = estimate(images, 10_000, seed=1)
    assert estimated["estimate"] is True
    assert (estimated["num_images"], estimated["of"]) == (18, 18)
    assert estimated["mean"] == exact.channel_means().tolist()
    assert estimated["covariance"] == exact.covariance().tolist()


def test_a_sample_draws_so_many_by_seed_and_lies_near(data: Path) -> None:
    images = open_prepared(data)
    first, again, other = (estimate(images, 9, seed) for seed in (1, 1, 2))
    assert first["num_images"] == 9
    assert first == again
    assert first["mean"] != other["mean"]
    whole = estimate(images, 18, 1)
    assert np.abs(np.subtract(first["mean"], whole["mean"])).max() < 30  # type: ignore[arg-type]


def test_a_sample_reads_only_the_images_drawn(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []

    def watched(descriptor: int, verdict: Verdict, tar: Path) -> bytes:
        read.append(verdict.name)
        return read_at(descriptor, verdict, tar)

    monkeypatch.setattr("alexrep.prepare.estimate.read_at", watched)
    estimate(open_prepared(data), 5, seed=3)
    assert len(set(read)) == len(read) == 5


def test_a_sample_writes_nothing(data: Path) -> None:
    before = {path: files.sha256_file(path) for path in data.rglob("*") if path.is_file()}
    estimate(open_prepared(data), 3, seed=1)
    after = {path: files.sha256_file(path) for path in data.rglob("*") if path.is_file()}
    assert before == after


def test_deviations_and_quantiles_are_those_of_numpy(data: Path) -> None:
    images = open_prepared(data)
    pixels = np.concatenate(
        [
            simplejpeg.decode_jpeg(jpeg, "RGB").reshape(-1, 3)
            for unit in images.units("train")
            for _, jpeg in jpegs(images, unit)
        ]
    )
    estimated = estimate(images, 18, seed=1)
    assert estimated["deviation"] == pytest.approx(pixels.std(axis=0, ddof=1).tolist())
    expected = np.quantile(pixels, SHARES, axis=0, method="inverted_cdf")
    assert list(estimated["quantiles"].values()) == expected.tolist()  # type: ignore[union-attr]
    assert list(estimated["quantiles"]) == [f"{share:g}" for share in SHARES]  # type: ignore[arg-type]
