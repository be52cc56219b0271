"""Features of a split: the network's activations, the same bytes after a kill, never stale."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from recipes import train_tiny

from alexrep import locks
from alexrep.errors import AlexrepError, ConfigError, DataError, ManifestError
from alexrep.evaluation import feature_file, features, loaded, similar
from alexrep.evaluation.activations import Layer
from alexrep.evaluation.features import FeatureTask
from alexrep.evaluation.loaded import LoadedRun
from alexrep.evaluation.match_classes import Matched
from alexrep.feed import views
from alexrep.feed.batches import Reader
from alexrep.models.alexnet.network import AlexNet
from alexrep.runs import checkpoint
from alexrep.shards.read import open_split

CPU = torch.device("cpu")

pytestmark = pytest.mark.usefixtures("one_thread")


def silent(text: str) -> None:
    raise AssertionError(text)


def ignore(num: int) -> None:
    pass


@pytest.fixture(scope="module")
def trained_run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a finished run; read only."""
    return train_tiny(data, tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def network(trained_run: Path) -> LoadedRun:
    return loaded.load(trained_run, "last", CPU)


@pytest.fixture
def train(network: LoadedRun, data: Path) -> Iterator[Matched]:
    with similar.opened(network, data, "train") as images:
        yield images


@pytest.fixture
def task(network: LoadedRun, data: Path, train: Matched, tmp_path: Path) -> FeatureTask:
    return FeatureTask(network, Layer(network), train, data / "shards", tmp_path / "features")


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have blocks of two batches of two images."""
    monkeypatch.setattr(features, "BATCH", 2)
    monkeypatch.setattr(feature_file, "BLOCK", 4)


def made(task: FeatureTask) -> Path:
    features.make(task, 1, ignore).close()
    return task.path


def test_the_file_is_read_with_h5py_alone(
    task: FeatureTask, network: LoadedRun, data: Path
) -> None:
    path = made(task)
    assert path.name == f"train-fc7-last-{network.trained.weights[:12]}.h5"
    with h5py.File(path) as file, closing(open_split(data, "train")) as split:
        assert file["features"].dtype == np.float16
        assert file["features"].shape == (18, task.layer.num_units)
        assert file["names"][:].tolist() == split.names.tolist()
        assert file["labels"][:].tolist() == split.labels.tolist()
        assert file["index"][:].tolist() == list(range(18))
        assert file.attrs["weights"] == network.trained.weights


def test_features_are_the_activations_before_the_last_layer(
    task: FeatureTask, network: LoadedRun, train: Matched
) -> None:
    with Reader(train.split, 1) as reader, torch.inference_mode():
        (batch,) = reader.read([np.arange(18)])
        (patches,) = views.patches(torch.from_numpy(batch.images), "centre", network.inputs)
        model = network.network.model
        assert isinstance(model, AlexNet)
        expected = model.activations(patches, ["fc7"])["fc7"].half().numpy()
    with h5py.File(made(task)) as file:
        assert np.array_equal(file["features"][:], expected)
        assert (expected >= 0).all()
        assert expected.any()


class Killed(BaseException):
    """What ends a process, for a test in the same one."""


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("batches", [1, 2, 3, 5, 8, 9])
def test_killed_it_goes_on_and_ends_with_the_same_bytes(
    task: FeatureTask, data: Path, tmp_path: Path, batches: int
) -> None:
    whole = FeatureTask(task.run, task.layer, task.images, task.shards, tmp_path / "whole")
    left = iter(range(batches - 1))

    def end(num: int) -> None:
        if next(left, None) is None:
            raise Killed

    with pytest.raises(Killed):
        features.make(task, 1, end)
    assert not task.path.exists()
    resumed: list[int] = []
    features.make(task, 1, ignore, resumed.append).close()
    assert resumed == [min(18, batches * 2 // 4 * 4)]
    assert task.path.read_bytes() == made(whole).read_bytes()
    assert [path.name for path in task.folder.iterdir()] == [task.path.name]


@pytest.mark.usefixtures("small_blocks")
def test_what_was_written_past_the_last_whole_block_does_not_count(
    task: FeatureTask, tmp_path: Path
) -> None:
    whole = made(FeatureTask(task.run, task.layer, task.images, task.shards, tmp_path / "whole"))
    left = iter(range(4))

    def end(num: int) -> None:
        if next(left, None) is None:
            raise Killed

    with pytest.raises(Killed):
        features.make(task, 1, end)
    with task.path.with_suffix(".unfinished").open("ab") as stream:
        stream.write(b"half a block")
    assert made(task).read_bytes() == whole.read_bytes()


@pytest.mark.usefixtures("small_blocks")
def test_a_start_with_other_shards_is_not_gone_on_with(
    task: FeatureTask, data: Path, tmp_path: Path
) -> None:
    def end(num: int) -> None:
        raise Killed

    with pytest.raises(Killed):
        features.make(task, 1, end)
    task.path.with_suffix(".blocks.json").write_text('{"attributes": {}, "crc32": [1, 2]}')
    resumed: list[int] = []
    features.make(task, 1, ignore, resumed.append).close()
    assert resumed == [0]


def test_features_that_are_there_are_found(task: FeatureTask) -> None:
    assert features.find(task, silent) is None
    made(task)
    there = features.find(task, silent)
    assert there is not None
    assert (len(there), there.num_units) == (18, task.layer.num_units)
    there.close()


def with_other_weights(run: Path, folder: Path) -> LoadedRun:
    run = shutil.copytree(run, folder)
    content = checkpoint.load(run / "checkpoints/last.pt")
    del content["format_version"]
    content["state_dict"]["fc8.bias"] += 1
    checkpoint.save(run / "checkpoints/last.pt", content)
    return loaded.load(run, "last", CPU)


def test_features_of_other_weights_are_said_and_replaced(
    task: FeatureTask, trained_run: Path, tmp_path: Path
) -> None:
    old = made(task)
    task.path.with_suffix(".unfinished").touch()
    network = with_other_weights(trained_run, tmp_path / "run")
    new = FeatureTask(network, Layer(network), task.images, task.shards, task.folder)
    said: list[str] = []
    assert features.find(new, said.append) is None
    assert said[0] == f"{old}: of other weights; made anew"
    assert [path.name for path in (made(new).parent).iterdir()] == [new.path.name]


def test_features_of_other_shards_are_said_and_replaced(task: FeatureTask, tmp_path: Path) -> None:
    shards = shutil.copytree(task.shards, tmp_path / "shards")
    record = (shards / "manifest.json").read_text()
    (shards / "manifest.json").write_text(record.replace('"seed": 1', '"seed": 2'))
    made(task)
    other = FeatureTask(task.run, task.layer, task.images, shards, task.folder)
    said: list[str] = []
    assert features.find(other, said.append) is None
    assert said == [f"{task.path}: of other shards; made anew"]
    made(other)
    there = features.find(other, silent)
    assert there is not None
    there.close()


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:1000])


def no_hdf5(path: Path) -> None:
    path.write_bytes(b"text")


def lacking_names(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        del file["names"]


def too_few_labels(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        del file["labels"]
        file["labels"] = [1]


@pytest.mark.parametrize("damage", [cut, no_hdf5, lacking_names, too_few_labels])
def test_a_damaged_file_is_named(task: FeatureTask, damage: Callable[[Path], None]) -> None:
    damage(made(task))
    with pytest.raises(DataError, match=r"\.h5: expected features of a split, found .*; remove it"):
        features.find(task, silent)


def test_two_at_once_are_refused(task: FeatureTask) -> None:
    with (
        locks.held(task.folder),
        pytest.raises(ManifestError, match=r"features: expected one writer, found another process"),
    ):
        features.make(task, 1, ignore)


def test_what_another_process_has_just_made_is_taken(
    task: FeatureTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(task)
    monkeypatch.setattr(features, "_write", silent)
    made(task)


def test_any_layer_can_be_named(network: LoadedRun) -> None:
    assert Layer(network).name == "fc7"
    assert Layer(network, "pool5").num_units == Layer(network, "conv5").num_units // 9
    with pytest.raises(ConfigError, match=r"--layer: expected fc7, .*, conv1, found 'fc8'; choose"):
        Layer(network, "fc8")


def test_activations_beyond_float16_are_refused(trained_run: Path, tmp_path: Path) -> None:
    run = shutil.copytree(trained_run, tmp_path / "run")
    content = checkpoint.load(run / "checkpoints/last.pt")
    del content["format_version"]
    for name in content["state_dict"]:
        if name.endswith("fc7.bias"):
            content["state_dict"][name] += 1e6
    checkpoint.save(run / "checkpoints/last.pt", content)
    with pytest.raises(
        AlexrepError, match=r"the network: expected activations of fc7 within float16, found"
    ):
        Layer(loaded.load(run, "last", CPU))
