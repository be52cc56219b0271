"""Caffe weights imported as a run: what is written, how eval scores it, what is refused."""

import json
import re
import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from typer.testing import CliRunner, Result

from alexrep import files, locks, seal
from alexrep.config import recipes
from alexrep.config.model import AlexNetModel
from alexrep.evaluation.evaluate import probabilities
from alexrep.feed.batches import Reader
from alexrep.models import registry
from alexrep.runs import checkpoint
from alexrep.runs.folder import RunFolder
from alexrep.runs.trained import Trained
from alexrep.shards.read import open_split
from alexrep.stages import app
from alexrep.weights import initial

Caffe = Any
"""What the fixture `caffe` returns."""
Floats = NDArray[Any]

LINE = re.compile(r"alexrep: [^\n]+: expected [^\n]+, found [^\n]+; [^\n]+\n")
"""The whole text of an expected error."""

REMARK = "alexrep: outputs are taken for demo's classes in the order of their wnids\n"
SMALL = ("--set", "model.side=67", "--set", "model.width=0.05")
SHAPES = {
    "conv1": (4, 3, 11, 11),
    "conv2": (12, 2, 5, 5),
    "conv3": (20, 12, 3, 3),
    "conv4": (20, 10, 3, 3),
    "conv5": (12, 10, 3, 3),
    "fc6": (204, 12),
    "fc7": (204, 204),
    "fc8": (3, 204),
}

pytestmark = pytest.mark.usefixtures("one_thread")


def drawn() -> dict[str, Floats]:
    """Draw Caffe's arrays at a twentieth of the width, for side 67 and three classes."""
    rng, out = np.random.default_rng(1), {}
    for layer, shape in SHAPES.items():
        std = np.sqrt(2 / np.prod(shape[1:]))
        out[f"{layer}.weight"] = rng.normal(0, std, shape).astype(np.float32)
        out[f"{layer}.bias"] = rng.normal(0, 1, shape[:1]).astype(np.float32)
    return out


@pytest.fixture(scope="module")
def squashed(
    raw: Path,
    prepare: Callable[..., Path],
    pack: Callable[..., Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """Return a packed data folder of squashed images, side 72, three classes; read only."""
    return pack(prepare(raw, tmp_path_factory.mktemp("made") / "data", geometry="squash"))


@pytest.fixture
def weights(caffe: Caffe, tmp_path: Path) -> Path:
    path = tmp_path / "net.caffemodel"
    path.write_bytes(caffe.net(drawn(), old=True, legacy=True))
    return path


def alexrep(*words: str | Path) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words], prog_name="alexrep")


def imports(weights: Path, data: Path, *words: str | Path) -> Result:
    """Import into a run beside the weights."""
    run, mean = weights.with_name("run"), () if "--mean" in words else ("--mean", "104,117,123")
    return alexrep("import-caffe", weights, "--run", run, "--data", data, *SMALL, *mean, *words)


def refused(result: Result, code: int = 1) -> str:
    assert result.exit_code == code, result.output
    assert LINE.fullmatch(result.stderr), result.stderr
    assert result.stdout == ""
    return result.stderr


def imported(weights: Path) -> dict[str, Any]:
    """Load the imported run's checkpoint."""
    return checkpoint.load(RunFolder(weights.with_name("run")).checkpoint("last"))


def test_the_run_has_caffes_rules(weights: Path, squashed: Path) -> None:
    result = imports(weights, squashed)
    assert result.exit_code == 0, result.output
    assert re.search(r"run: [\d,]+ parameters\n", result.stdout)
    assert result.stderr == REMARK
    chosen = RunFolder(weights.with_name("run")).read_recipe()
    model, feed = chosen.model, chosen.feed
    assert isinstance(model, AlexNetModel)
    assert (model.norm, model.norm_scope, model.conv1_order) == ("caffe", "joint", "relu-lrn-pool")
    assert (model.conv2_within_map, model.dropout) == (False, "inverted")
    assert (model.initialisation, feed.mean, feed.channels) == ("caffe", "crop", "bgr")
    assert recipes.load("alexnet-caffe").model.side == 227
    assert chosen.source.startswith("weights of net.caffemodel, sha256 ")
    assert chosen == Trained(weights, imported(weights)).recipe


def test_the_run_has_the_datas_classes_and_the_mean_asked_for(
    weights: Path, squashed: Path
) -> None:
    imports(weights, squashed)
    run = weights.with_name("run")
    shards = squashed / "shards" / "classes.json"
    assert (run / "classes.json").read_text() == shards.read_text()
    mean = np.load(run / "mean.npy")
    assert mean.shape == (72, 72, 3)
    assert (mean == (123, 117, 104)).all()
    assert np.array_equal(imported(weights)["inputs"]["mean"].numpy(), mean)
    assert {"recipe.toml", "environment.json", "manifest.json"} <= {p.name for p in run.iterdir()}


def test_a_training_may_start_from_it(weights: Path, squashed: Path) -> None:
    imports(weights, squashed)
    chosen = recipes.load("alexnet-caffe", ("model.side=67", "model.width=0.05"))
    state = initial.read(str(weights), chosen)
    assert checkpoint.weights_digest(state) == checkpoint.weights_digest(
        imported(weights)["state_dict"]
    )


@pytest.mark.parametrize("views", [(), ("--ten-crop",)])
def test_eval_scores_it_and_names_no_geometry(
    weights: Path, squashed: Path, views: tuple[str, ...]
) -> None:
    imports(weights, squashed)
    run = weights.with_name("run")
    result = alexrep("eval", run, "--data", squashed, "--device", "cpu", *views)
    assert result.exit_code == 0, result.output
    assert re.fullmatch(
        r"val, (centre|ten-crop): top-1 error .*\(8 images.*\)\n( .*\n)*", result.stdout
    )


def test_eval_on_cropped_images_says_so(weights: Path, data: Path) -> None:
    imports(weights, data)
    result = alexrep("eval", weights.with_name("run"), "--data", data, "--device", "cpu")
    warning = "\nval: cropped to a square; the network was trained on squashed images\n"
    assert warning in result.stdout


@torch.no_grad()
def test_eval_feeds_it_bgr_less_the_mean_at_each_patchs_place(
    weights: Path, squashed: Path, tmp_path: Path
) -> None:
    mean = np.random.default_rng(2).uniform(80, 150, (3, 72, 72)).astype(np.float32)
    np.save(tmp_path / "mean.npy", mean)
    imports(weights, squashed, "--mean", tmp_path / "mean.npy")
    content = imported(weights)
    model = Trained(weights, content).model().eval()
    with closing(open_split(squashed, "val")) as split, Reader(split, 1) as reader:
        images = torch.from_numpy(next(reader.read([np.arange(4)])).images)
    whole = images.flip(3).permute(0, 3, 1, 2).float() - torch.from_numpy(mean)
    corners = [(0, 0), (0, 5), (2, 2), (5, 0), (5, 5)]
    patches = [whole[:, :, row : row + 67, column : column + 67] for row, column in corners]
    ten = [model(each).softmax(1) for patch in patches for each in (patch, patch.flip(3))]
    scores = probabilities(model, images, "ten-crop", Trained(weights, content).inputs())
    assert torch.allclose(scores, torch.stack(ten).mean(0), atol=1e-5)


def test_the_datas_own_mean_is_taken_if_none_is_named(weights: Path, data: Path) -> None:
    words = ("--run", weights.with_name("run"), "--data", data, *SMALL)
    assert alexrep("import-caffe", weights, *words).exit_code == 0
    assert np.array_equal(
        np.load(weights.with_name("run") / "mean.npy"), np.load(data / "mean.npy")
    )


def test_without_any_mean_it_is_asked_for(weights: Path, squashed: Path) -> None:
    words = ("--run", weights.with_name("run"), "--data", squashed, *SMALL)
    line = refused(alexrep("import-caffe", weights, *words))
    assert (
        "mean.manifest.json: expected a finished mean, found no manifest; run alexrep mean" in line
    )


def test_a_mean_of_other_images_is_refused(weights: Path, data: Path, tmp_path: Path) -> None:
    other = shutil.copytree(data, tmp_path / "data")
    record = json.loads((other / "mean.manifest.json").read_text())
    record["inputs"]["images"] = "0" * 64
    (other / "mean.manifest.json").write_text(json.dumps(record))
    seal.path_of(other / "mean.manifest.json").unlink()
    words = ("--run", weights.with_name("run"), "--data", other, *SMALL)
    assert "mean.npy: expected that of the packed" in refused(
        alexrep("import-caffe", weights, *words)
    )


def test_other_outputs_come_into_the_order_of_the_classes(weights: Path, squashed: Path) -> None:
    labels = weights.with_name("synset_words.txt")
    labels.write_text("n00000040 crane\nn00000020 cat, feline\nn00000030 dog\n")
    result = imports(weights, squashed, "--labels", labels)
    assert (result.exit_code, result.stderr) == (0, "")
    state, order = imported(weights)["state_dict"], [1, 2, 0]
    assert np.array_equal(state["fc8.bias"].numpy(), drawn()["fc8.bias"][order])
    assert np.array_equal(state["fc8.weight"].numpy(), drawn()["fc8.weight"][order])


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("n00000020\nn00000030\n", "2 lines, 2 of them"),
        ("n00000020\nn00000030\nn00000030\nn00000040", "4 lines, 3 of them"),
        ("n00000020\nn00000030\nn00000050\n", "3 lines, 2 of them"),
        ("", "0 lines, 0 of them"),
    ],
)
def test_labels_of_other_classes_are_refused(
    weights: Path, squashed: Path, text: str, found: str
) -> None:
    labels = weights.with_name("labels.txt")
    labels.write_text(text)
    line = refused(imports(weights, squashed, "--labels", labels))
    assert (
        f"expected the 3 wnids of the data, each on a line of its own, once, found {found}" in line
    )


def test_what_lacks_is_refused_and_named(caffe: Caffe, weights: Path, squashed: Path) -> None:
    arrays = {name: array for name, array in drawn().items() if not name.startswith("fc8")}
    weights.write_bytes(caffe.net(arrays))
    assert "found none of fc8; --allow-missing" in refused(imports(weights, squashed))
    assert not weights.with_name("run").exists()
    assert imports(weights, squashed, "--allow-missing").exit_code == 0


def test_what_lacks_keeps_its_initial_values_if_that_is_allowed(
    caffe: Caffe, weights: Path, squashed: Path
) -> None:
    arrays = {name: array for name, array in drawn().items() if not name.startswith("fc8")}
    order = [(name, "Convolution") for name in (*SHAPES, "fc8_flowers")]
    weights.write_bytes(caffe.net(arrays | {"fc8_flowers.bias": np.zeros(2)}, order=order))
    result = imports(weights, squashed, "--allow-missing")
    assert result.stderr == (
        f"{REMARK}alexrep: missing layers, which keep initial values: fc8\n"
        "alexrep: unknown layers, which were left out: fc8_flowers\n"
    )
    content = imported(weights)
    chosen = Trained(weights, content).recipe
    initial = registry.build(chosen.model, 3, chosen.seed).state_dict()
    assert torch.equal(content["state_dict"]["fc8.weight"], initial["fc8.weight"])
    assert not torch.equal(
        content["state_dict"]["towers.0.fc7.weight"], initial["towers.0.fc7.weight"]
    )
    assert chosen.source.endswith("; initial values in fc8")


def test_a_second_start_does_nothing_and_says_so(weights: Path, squashed: Path) -> None:
    first = imports(weights, squashed)
    path = RunFolder(weights.with_name("run")).checkpoint("last")
    before = path.stat().st_mtime_ns
    second = imports(weights, squashed)
    assert second.exit_code == 0
    assert "nothing to do" in second.stdout
    assert second.stdout.splitlines()[1:] == first.stdout.splitlines()
    assert path.stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("words", "difference"),
    [
        (("--mean", "1,2,3"), "inputs.mean = '"),
        (("--allow-missing",), "settings.allow missing = True, found False"),
        (("--set", "seed=2"), "seed = 2, found 1"),
        (("--set", "noise.divide=true"), "settings.set = ['model.side=67', "),
    ],
)
def test_other_settings_are_refused_with_the_difference_named(
    weights: Path, squashed: Path, words: tuple[str, ...], difference: str
) -> None:
    imports(weights, squashed)
    assert f"expected {difference}" in refused(imports(weights, squashed, *words))


def test_another_file_is_refused(weights: Path, squashed: Path, caffe: Caffe) -> None:
    imports(weights, squashed)
    weights.write_bytes(caffe.net(drawn()))
    assert "expected inputs.weights = '" in refused(imports(weights, squashed))


def test_it_cannot_be_trained_on(weights: Path, data: Path) -> None:
    imports(weights, data)
    small = (*SMALL, "--set", "prepared_side=72")
    words = ("--run", weights.with_name("run"), "--recipe", "alexnet-quarter", *small)
    line = refused(alexrep("train", data, *words, "--device", "cpu"))
    assert "expected stage 'train', found 'import-caffe'; name another folder" in line


def test_its_pictures_are_drawn(weights: Path, squashed: Path) -> None:
    imports(weights, squashed)
    run = weights.with_name("run")
    assert alexrep("eval", run, "--data", squashed, "--device", "cpu").exit_code == 0
    result = alexrep("plot", run)
    assert result.exit_code == 0, result.output
    for name in ("kernels", "mean-image", "predictions"):
        assert f"{name}.png" in result.stdout
    for name in ("log.jsonl", "pca.json"):
        wanted = rf"{name}: .*found none; a network that was imported has none\)\n"
        assert re.search(wanted, result.stdout)


def test_a_picture_of_what_it_should_have_is_not_said_to_be_impossible(
    weights: Path, squashed: Path
) -> None:
    imports(weights, squashed)
    weights.with_name("run").joinpath("mean.npy").unlink()
    stdout = alexrep("plot", weights.with_name("run")).stdout
    assert re.search(r"mean\.npy: .*found none; run alexrep mean", stdout)


def test_a_patch_larger_than_the_images_is_refused(weights: Path, squashed: Path) -> None:
    words = ("--run", weights.with_name("run"), "--data", squashed)
    line = refused(alexrep("import-caffe", weights, *words), code=2)
    assert "model.side: expected at most 72, the side of the prepared images, found 227" in line


@pytest.mark.parametrize(
    ("option", "advice"), [("--labels", "a file such as"), ("--mean", "a .npy, .npz")]
)
def test_other_files_that_are_not_there_are_named(
    weights: Path, squashed: Path, option: str, advice: str
) -> None:
    line = refused(imports(weights, squashed, option, weights.with_name("none")))
    assert "none: expected a file, found 'No such file" in line
    assert f"; name {advice}" in line


@pytest.mark.parametrize("content", [b"", b"no network", bytes(100)])
def test_foreign_files_give_one_line(weights: Path, squashed: Path, content: bytes) -> None:
    weights.write_bytes(content)
    assert "net.caffemodel: expected a .caffemodel, found " in refused(imports(weights, squashed))


def test_a_file_or_folder_that_is_not_there_is_named(weights: Path, tmp_path: Path) -> None:
    line = refused(imports(weights, tmp_path / "none"))
    assert f"{tmp_path / 'none'}: expected a folder of prepared data, found no such folder" in line


def test_weights_that_are_not_there_are_named(weights: Path, squashed: Path) -> None:
    weights.unlink()
    assert "net.caffemodel: expected a file, found 'No such file" in refused(
        imports(weights, squashed)
    )


def test_a_folder_that_another_process_writes_to_is_refused(weights: Path, squashed: Path) -> None:
    with locks.held(weights.with_name("run")):
        line = refused(imports(weights, squashed))
    assert "expected one writer, found another process at work" in line


def test_an_import_into_another_run_is_refused_before_anything_is_removed(
    weights: Path, squashed: Path, left_partial: Callable[[Path], Path]
) -> None:
    run = weights.with_name("run")
    imports(weights, squashed)
    parts = [of(run / "checkpoints" / "last.pt") for of in (files.partial_path, left_partial)]
    with locks.held(run) as check:
        for part in parts:
            part.touch()
        assert "expected settings.allow missing = True, found False" in refused(
            imports(weights, squashed, "--allow-missing")
        )
        check()
    assert [part.exists() for part in parts] == [True, True]


def test_a_finished_import_takes_no_lock(weights: Path, squashed: Path) -> None:
    imports(weights, squashed)
    with locks.held(weights.with_name("run")):
        assert "nothing to do" in imports(weights, squashed).stdout


@pytest.mark.parametrize("mean", ["104,117", "a,b,c"])
def test_a_mean_that_is_neither_numbers_nor_a_file_is_one_line(
    weights: Path, squashed: Path, mean: str
) -> None:
    line = refused(imports(weights, squashed, "--mean", mean), code=2)
    assert f"--mean: expected three numbers or a file, found '{mean}'; give blue, green" in line
