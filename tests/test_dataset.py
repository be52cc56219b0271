"""The data of a run: shards, mean image and colour axes, checked against each other."""

import json
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from alexrep import files, seal
from alexrep.config import recipes
from alexrep.errors import ConfigError, DataError, ManifestError
from alexrep.feed.dataset import TrainingData, open_data

STAGES = [("mean", "mean.npy"), ("pca", "pca.json")]


@pytest.fixture
def training_data(data: Path) -> Iterator[TrainingData]:
    with closing(open_data(data)) as training_data:
        yield training_data


@pytest.fixture
def own(data: Path, tmp_path: Path) -> Path:
    """Return a copy of the data folder that the test may damage."""
    return shutil.copytree(data, tmp_path / "data")


def test_the_inputs_are_those_of_the_files(training_data: TrainingData, data: Path) -> None:
    colours = json.loads((data / "pca.json").read_text())
    assert np.array_equal(training_data.mean, np.load(data / "mean.npy"))
    assert training_data.mean.shape == (72, 72, 3)
    assert training_data.axes.tolist() == colours["axes"]
    assert training_data.stds.tolist() == colours["stds"]
    assert (
        len(training_data.train),
        len(training_data.val),
        training_data.val.num_quarantined,
    ) == (18, 7, 1)


def test_the_digests_are_those_of_the_files(training_data: TrainingData, data: Path) -> None:
    assert training_data.digests == {
        "shards": files.sha256_file(data / "shards" / "manifest.json"),
        "mean": files.sha256_file(data / "mean.npy"),
        "pca": files.sha256_file(data / "pca.json"),
    }


def test_the_mean_and_the_colours_follow_the_recipe(training_data: TrainingData) -> None:
    settings = ("model.side=68", "feed.mean=crop", "feed.channels=bgr")
    inputs = training_data.inputs(recipes.load("demo", settings))
    assert np.array_equal(inputs.mean.numpy(), training_data.mean[..., ::-1])
    assert (inputs.side, inputs.follows, inputs.is_bgr) == (68, True, True)


def test_the_constants_follow_the_recipe(training_data: TrainingData) -> None:
    chosen = recipes.load("demo", ("model.side=68", "noise.scale=0.2", "noise.divide=false"))
    inputs = training_data.inputs(chosen)
    assert np.array_equal(inputs.mean.numpy(), training_data.mean[2:70, 2:70])
    assert np.allclose(inputs.noise.numpy(), training_data.axes * training_data.stds * 0.2)
    assert inputs.divisor == 1


def test_a_patch_as_large_as_the_images_is_possible(training_data: TrainingData) -> None:
    assert training_data.inputs(recipes.load("demo", ("model.side=72",))).mean.shape == (72, 72, 3)


def test_a_patch_larger_than_the_images_is_refused(training_data: TrainingData) -> None:
    wanted = "model.side: expected at most 72, the side of the prepared images, found 73; prepare"
    with pytest.raises(ConfigError, match=wanted):
        training_data.inputs(recipes.load("demo", ("model.side=73",)))


@pytest.mark.parametrize(
    ("manifest", "stage"),
    [
        ("shards/manifest.json", "pack"),
        ("mean.manifest.json", "mean"),
        ("pca.manifest.json", "pca"),
    ],
)
def test_a_stage_that_has_not_finished_is_named(own: Path, manifest: str, stage: str) -> None:
    (own / manifest).unlink()
    wanted = f"expected a finished {stage}, found no manifest; run alexrep {stage} first"
    with pytest.raises(ManifestError, match=wanted):
        open_data(own)


@pytest.mark.parametrize(("stage", "name"), STAGES)
def test_what_was_computed_of_other_images_is_refused(own: Path, stage: str, name: str) -> None:
    path = own / f"{stage}.manifest.json"
    record = json.loads(path.read_text())
    record["inputs"]["images"] = "0" * 64
    path.write_text(files.to_json(record))
    seal.write(path, path.read_bytes())
    with pytest.raises(ManifestError, match=f"{name}: expected that of the packed images, found"):
        open_data(own)


@pytest.mark.parametrize(("stage", "name"), STAGES)
def test_a_file_that_changed_since_its_stage_is_refused(own: Path, stage: str, name: str) -> None:
    content = bytearray((own / name).read_bytes())
    content[-2] ^= 1
    (own / name).write_bytes(content)
    with pytest.raises(
        DataError, match=f"{name}: expected the file of its manifest, found another"
    ):
        open_data(own)


@pytest.mark.parametrize(("stage", "name"), STAGES)
def test_a_file_that_is_gone_is_named(own: Path, stage: str, name: str) -> None:
    (own / name).unlink()
    with pytest.raises(DataError, match=f"{name}: expected the file of its manifest"):
        open_data(own)


def test_a_missing_shard_is_named(own: Path) -> None:
    (own / "shards" / "train-00001.h5").unlink()
    with pytest.raises(DataError, match=r"train-00001\.h5: expected a shard, found "):
        open_data(own)


def test_the_raw_images_are_not_needed(own: Path) -> None:
    shutil.rmtree(own / "images")
    shutil.rmtree(own / "statistics")
    open_data(own).close()


def test_a_folder_without_data_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        ManifestError,
        match=r"nowhere: expected a folder of prepared data, found no such folder; name",
    ):
        open_data(tmp_path / "nowhere")


def test_shards_of_images_that_were_prepared_anew_are_refused(own: Path) -> None:
    path = own / "images" / "manifest.json"
    path.write_text(path.read_text() + " ")
    seal.write(path, path.read_bytes())
    message = r"shards/manifest\.json: expected shards of the prepared images, found others; remove"
    with pytest.raises(ManifestError, match=message):
        open_data(own)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"stage": "preprocess"}'])
def test_a_damaged_manifest_of_the_images_is_not_blamed_on_the_shards(
    own: Path, content: str
) -> None:
    (own / "images" / "manifest.json").write_text(content)
    with pytest.raises(ManifestError, match=r"images/manifest\.json: expected a manifest, found a"):
        open_data(own)


def test_prepared_images_may_be_gone(own: Path) -> None:
    shutil.rmtree(own / "images")
    open_data(own).close()


@pytest.mark.parametrize(
    ("name", "group", "key"),
    [
        ("mean.manifest.json", "inputs", "images"),
        ("mean.manifest.json", "outputs", "mean.npy"),
        ("shards/manifest.json", "counts", "val quarantined"),
        ("shards/manifest.json", "inputs", "images"),
    ],
)
def test_a_manifest_of_before_that_lacks_a_field_is_one_line(
    own: Path, name: str, group: str, key: str
) -> None:
    path = own / name
    seal.path_of(path).unlink()
    record = json.loads(path.read_text())
    del record[group][key]
    path.write_text(json.dumps(record))
    with pytest.raises((DataError, ManifestError), match=": expected "):
        open_data(own)
