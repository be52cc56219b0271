"""`alexrep similar`: neighbours of files and of a split's own images, text, JSON and a picture."""

import json
import shutil
import tarfile
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from recipes import train_tiny
from torch import nn
from typer.testing import CliRunner, Result

from alexrep.compute.precision import Network
from alexrep.config.torchvision import TorchvisionModel
from alexrep.evaluation import loaded, similar
from alexrep.evaluation.activations import Layer, layer_names
from alexrep.models import registry
from alexrep.plots import style
from alexrep.runs.contents import name_of
from alexrep.stages import app

CPU = torch.device("cpu")

pytestmark = pytest.mark.usefixtures("one_thread")


def alexrep(*words: str | Path, stdin: bytes | None = None) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words], input=stdin, prog_name="alexrep")


@pytest.fixture(scope="module")
def trained_run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a finished run; read only."""
    return train_tiny(data, tmp_path_factory.mktemp("runs"))


@pytest.fixture
def run(trained_run: Path, tmp_path: Path) -> Path:
    return shutil.copytree(trained_run, tmp_path / "run")


@pytest.fixture(scope="module")
def raw_train(raw: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the training images of one class as distributed; read only."""
    folder = tmp_path_factory.mktemp("raw-train")
    with tarfile.open(raw / "DEMO_img_train.tar") as outer:
        inner = outer.extractfile("n00000020.tar")
        with tarfile.open(fileobj=inner) as archive:
            archive.extractall(folder, filter="data")
    return folder


def document(*words: str | Path) -> dict[str, Any]:
    result = alexrep("similar", *words, "--json", "--device", "cpu")
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_a_training_image_is_nearest_to_itself(run: Path, data: Path, raw_train: Path) -> None:
    found = document(run, "--data", data, "--query", raw_train, "--num", "2")
    assert (found["split"], found["layer"], found["unreadable"]) == ("train", "fc7", [])
    assert len(found["queries"]) == 6
    for query in found["queries"]:
        first, second = query["nearest"]
        assert (first["image"], first["wnid"]) == (Path(query["image"]).name, "n00000020")
        assert first["distance"] == 0 < second["distance"]


def test_without_queries_images_of_another_split_are_taken(run: Path, data: Path) -> None:
    result = alexrep("similar", run, "--data", data, "--num", "3", "--device", "cpu")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    queries = [line for line in lines if not line.startswith(" ")]
    assert len(queries) == 5
    assert all(line.startswith("DEMO_val_") and line.endswith(")") for line in queries)
    assert len(lines) == 5 * 4
    again = alexrep("similar", run, "--data", data, "--num", "3", "--device", "cpu")
    assert (again.stdout, again.stderr) == (result.stdout, "")
    assert "train-fc7-last-" in result.stderr


def test_another_split_can_be_searched_by_the_best_checkpoint(run: Path, data: Path) -> None:
    found = document(run, "--data", data, "--split", "val", "--checkpoint", "best")
    assert found["queries"][0]["image"].startswith("DEMO_test_")
    assert found["queries"][0]["nearest"][0]["image"].startswith("DEMO_val_")
    (file,) = (run / "features").glob("*.h5")
    assert file.name.startswith("val-fc7-best-")


def test_features_can_be_kept_elsewhere(run: Path, data: Path, tmp_path: Path) -> None:
    document(run, "--data", data, "--features", tmp_path / "kept")
    assert not (run / "features").exists()
    assert len(list((tmp_path / "kept").glob("*.h5"))) == 1


def test_unreadable_queries_are_named(run: Path, data: Path, raw_train: Path) -> None:
    image = raw_train / "n00000020_5.JPEG"
    words = ("similar", run, "--data", data, "--device", "cpu", "--query")
    some = alexrep(*words, image, "--query", "gone.jpg")
    assert some.exit_code == 3
    assert "gone.jpg: not readable: no such file or directory" in some.stderr
    assert some.stdout.splitlines()[0] == str(image)
    shutil.rmtree(run / "features")
    none = alexrep(*words, "gone.jpg")
    assert (none.exit_code, none.stdout) == (1, "")
    assert not (run / "features").exists()
    refused = alexrep(*words, "ftp://x.org/y.jpg")
    assert refused.exit_code == 2


def test_too_many_queries_are_refused(
    run: Path, data: Path, raw_train: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(similar, "MOST_QUERIES", 3)
    refused = alexrep("similar", run, "--data", data, "--query", raw_train, "--device", "cpu")
    assert refused.exit_code == 2
    wanted = "--query: expected at most 3 images, found more; name fewer at a time"
    assert refused.stderr == f"alexrep: {wanted}\n"


def test_data_of_another_side_is_refused(
    run: Path, raw: Path, prepare: Callable[..., Path], pack: Callable[..., Path], tmp_path: Path
) -> None:
    other = pack(prepare(raw, tmp_path / "other", side=80))
    refused = alexrep("similar", run, "--data", other, "--device", "cpu")
    assert refused.exit_code == 1
    assert "expected images of side 72, as in training, found 80" in refused.stderr


def test_the_picture_has_a_row_for_each_query(run: Path, data: Path, tmp_path: Path) -> None:
    words = ("similar", run, "--data", data, "--device", "cpu", "--plot")
    sizes = []
    for name, more in {"all.png": (), "few.png": ("--num", "2", "--split", "val")}.items():
        assert alexrep(*words, tmp_path / name, *more).exit_code == 0
        with Image.open(tmp_path / name) as drawn:
            sizes.append(drawn.size)
    (width, height), (same, less) = sizes
    assert same == width
    assert less < height  # of test there are four images
    assert alexrep(*words, tmp_path / "all.svg").exit_code == 0
    assert (tmp_path / "all.svg").read_text().startswith("<?xml")


def test_the_picture_says_the_run_and_the_checkpoint(
    run: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    titles: list[tuple[str, ...]] = []

    def title(_: object, *lines: str) -> None:
        titles.append(lines)

    monkeypatch.setattr(style, "title", title)
    words = ("--data", data, "--device", "cpu", "--plot", tmp_path / "near.png")
    assert alexrep("similar", run, *words).exit_code == 0
    assert titles[0][0] == f"{name_of(run)}: nearest training images"
    assert titles[0][1].endswith("of fc7; checkpoint last, epoch 1")


def test_features_are_not_copied_with_a_run(run: Path, data: Path, tmp_path: Path) -> None:
    document(run, "--data", data)
    assert alexrep("runs", "copy", run, tmp_path / "copy").exit_code == 0
    assert not (tmp_path / "copy" / "features").exists()


def test_a_network_that_names_no_layers_has_what_its_last_one_reads(
    trained_run: Path,
) -> None:
    run = loaded.load(trained_run, "last", CPU)
    parts = {"conv1": nn.Conv2d(3, 16, 5, 4), "relu2": nn.ReLU(inplace=True)}
    parts |= {"pool2": nn.AdaptiveAvgPool2d(1), "flat": nn.Flatten(), "fc3": nn.Linear(16, 3)}
    model = nn.Sequential(OrderedDict(parts))
    other = loaded.LoadedRun(
        run.folder,
        run.checkpoint,
        run.trained,
        run.compute,
        Network(model, run.compute, CPU),
        run.inputs,
    )
    assert layer_names(other) == ["before-fc3", *parts]
    images = torch.randint(256, (2, 72, 72, 3), dtype=torch.uint8).numpy()
    features, pooled = Layer(other).of(images), Layer(other, "pool2").of(images)
    assert features.shape == (2, 16)
    assert (features == pooled).all()
    assert (Layer(other, "conv1").of(images) < 0).any()
    head: nn.Module = model.get_submodule("fc3")
    logits = head(torch.from_numpy(features).float()).softmax(1).detach().numpy()
    assert logits == pytest.approx(other.probabilities(images), abs=2e-3)


def test_a_network_of_torchvisions_has_what_its_last_full_layer_reads(
    trained_run: Path,
) -> None:
    run = loaded.load(trained_run, "last", CPU)
    for arch, layer, num in (
        ("mobilenet_v3_small", "before-classifier.3", 1024),
        ("squeezenet1_1", "before-classifier.1", 512 * 4 * 4),
    ):
        model = registry.build(TorchvisionModel(arch=arch, side=67), 3, seed=1)
        other = replace(run, network=Network(model, run.compute, CPU))
        assert layer_names(other)[0] == layer
        assert Layer(other).num_units == num
