"""What was exported, used without alexrep: the code on the card, onnxruntime, eval, training."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from drawn_runs import drawn_run, pixels, scored
from recipes import tiny_recipe
from torch import Tensor, nn
from torch.onnx.errors import OnnxExporterError
from typer.testing import CliRunner

from alexrep.config import recipes
from alexrep.config.recipe import Recipe
from alexrep.errors import AlexrepError, DataError
from alexrep.runs import trained
from alexrep.runs.folder import RunFolder
from alexrep.runs.trained import Trained
from alexrep.stages import app
from alexrep.weights import calls, onnx_file

ALONE = """
import sys

class Refuse:
    def find_spec(self, name, *others):
        if name.partition(".")[0] == "alexrep":
            raise ImportError("alexrep is not here")

sys.meta_path.insert(0, Refuse())
try:
    import alexrep
except ImportError:
    pass
else:
    sys.exit("alexrep is here")

import numpy as np

images = np.load(sys.argv[1])
"""

TORCHVISIONS = "resnet18"
SMALL = ("model.side=67", "model.width=0.05")

pytestmark = pytest.mark.usefixtures("one_thread")


def alexrep(*words: object) -> str:
    result = CliRunner().invoke(app, [str(word) for word in words], prog_name="alexrep")
    assert result.exit_code == 0, result.output
    return result.stdout


def narrow(name: str) -> tuple[str, ...]:
    """Return settings that make the network of a recipe small, its form the same."""
    model = recipes.load(name).model
    if name.startswith("cifar10"):
        return ("model.width=0.25",)
    if model.name in ("resnet", "tiny-resnet", "tiny-inception"):
        return ("model.width=16", "model.side=32")
    if model.name == "torchvision":
        return ("model.side=64",)
    return ("model.width=0.05", *(["model.side=96"] if model.side > 96 else []))


def networks() -> list[str]:
    """Return a recipe for every network; one stands for those that lack a layer."""
    named: dict[str, str] = {}
    for name in recipes.names():
        recipe = recipes.load(name, narrow(name))
        # torchvision's are as wide as they are: the smallest stands for all.
        if recipe.model.name == "torchvision" and name != TORCHVISIONS:
            continue
        fields = recipe.model.model_dump(mode="json") | {"without": bool(fields_without(recipe))}
        named.setdefault(json.dumps([fields, recipe.feed.mean, recipe.feed.channels]), name)
    return list(named.values())


def fields_without(recipe: Recipe) -> object:
    return recipe.model.model_dump().get("without")


@pytest.mark.slow
@pytest.mark.parametrize("name", networks())
def test_every_network_gives_its_own_probabilities_as_onnx_and_as_calls(
    name: str, tmp_path: Path
) -> None:
    run = drawn_run(tmp_path / "run", name, *narrow(name))
    out = tmp_path / "out"
    alexrep("export", run.path, out, "--onnx")
    network = trained.load(run.checkpoint("last"))
    for num in (1, 5):
        images = pixels(network.side, num)
        own = scored(network, images)
        assert 0.01 < float(own.std()) < 0.55, "neither even nor sure"
        assert np.abs(onnx_file.run(out / "model.onnx", images.numpy()) - own.numpy()).max() < 1e-5
        assert float((calls.run(out, images) - own).abs().max()) < 1e-5
        assert torch.equal(scored(trained.load(RunFolder(out).checkpoint("last")), images), own)


def test_the_calls_of_a_network_are_those_of_its_forward(tmp_path: Path) -> None:
    run = drawn_run(tmp_path / "run", "cifar10-11pct", "model.width=0.25")
    network = calls.calls(calls.trace(trained.load(run.checkpoint("last"))))
    operators = [operator for _, operator, _, _ in network]
    assert operators.count("conv2d") == 2
    assert operators.count("bmm") == 2
    assert operators[-1] == "softmax"
    assert json.loads(calls.text(network)) == [list(call) for call in network]
    weights = {name for _, _, words, _ in network for name in words if isinstance(name, str)}
    assert {"conv1.weight", "local3.bias", "images", "mean.npy"} <= weights


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an export with ONNX, beside its run; read only."""
    folder = tmp_path_factory.mktemp("export")
    run = drawn_run(folder / "run", "alexnet-caffe", *SMALL)
    alexrep("export", run.path, folder / "out", "--onnx")
    return folder / "out"


def code_of(card: Path, needle: str) -> str:
    """Return the block of code on a card that has some text in it."""
    blocks = re.findall(r"^```python\n(.*?)^```$", card.read_text(), re.MULTILINE | re.DOTALL)
    (block,) = [block for block in blocks if needle in block]
    return str(block)


def alone(code: str, images: Tensor, folder: Path, scratch: Path) -> np.ndarray[Any, Any]:
    """Run code in the exported folder, in a process that has no alexrep; return what it saves."""
    np.save(scratch / "images.npy", images.numpy())
    script = f"{ALONE}\n{code}\nnp.save(sys.argv[2], np.asarray(probabilities))\n"
    command = [sys.executable, "-c", script, str(scratch / "images.npy"), str(scratch / "out.npy")]
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    scores: np.ndarray[Any, Any] = np.load(scratch / "out.npy")
    return scores


@pytest.mark.slow
@pytest.mark.parametrize("needle", ["load_file", "onnxruntime"])
def test_the_code_on_the_card_gives_the_runs_probabilities_without_alexrep(
    written: Path, tmp_path: Path, needle: str
) -> None:
    network = trained.load(RunFolder(written.parent / "run").checkpoint("last"))
    images = pixels(network.side)
    code = code_of(written / "README.md", needle)
    scores = alone(code, images, written, tmp_path)
    assert np.abs(scores - scored(network, images).numpy()).max() < 1e-5


def test_the_code_on_the_card_has_ten_lines_beside_its_imports(written: Path) -> None:
    lines = code_of(written / "README.md", "load_file").splitlines()
    code = [line for line in lines if line and not line.startswith(("import ", "from ", "print("))]
    assert len(code) == 9


@pytest.mark.slow
def test_a_photograph_becomes_an_image_as_the_card_says(
    written: Path, tmp_path: Path, encoded: Callable[..., bytes], picture: Callable[..., Any]
) -> None:
    (tmp_path / "photo.jpg").write_bytes(encoded(picture(90, 160)))
    names: dict[str, Any] = {}
    code = code_of(written / "README.md", "ImageOps").replace("photo.jpg", f"{tmp_path}/photo.jpg")
    exec(compile(code, "README.md", "exec"), names)
    assert names["images"].shape == (1, 75, 75, 3)
    # Red grows with the column: the central square lacks the first and the last 35 of 160.
    assert abs(names["images"][0, 37, 0, 0] - 255 * 35 / 159) < 6


def test_the_onnx_file_names_what_goes_in_and_out_and_no_path_of_here(written: Path) -> None:
    from onnxruntime import InferenceSession

    session = InferenceSession(written / "model.onnx", providers=["CPUExecutionProvider"])
    (images,), (out,) = session.get_inputs(), session.get_outputs()
    assert (images.name, images.type, images.shape) == ("images", "tensor(uint8)", ["N", 75, 75, 3])
    assert (out.name, out.shape) == ("probabilities", ["N", 3])
    classes = session.get_modelmeta().custom_metadata_map["classes"]
    assert json.loads(classes) == ["n00000020", "n00000030", "n01440764"]
    content = (written / "model.onnx").read_bytes()
    assert b".py" not in content
    assert str(Path.cwd()).encode() not in content
    assert content.count(b"stack_trace") == 0


def test_what_onnx_needs_is_asked_for_by_name(
    written: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_file, "find_spec", lambda name: None if name == "onnxscript" else 1)
    words = ["export", str(written.parent / "run"), str(written.parent / "no"), "--onnx"]
    result = CliRunner().invoke(app, words, prog_name="alexrep")
    assert result.exit_code == 1
    assert result.stderr == (
        "alexrep: --onnx: expected the packages onnx, onnxscript, onnxruntime, "
        "found no onnxscript; run ./install.sh export\n"
    )
    with pytest.raises(AlexrepError, match="no onnxscript"):
        onnx_file.require_packages()


def test_an_operator_that_onnx_lacks_is_one_line(
    written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*words: object, **options: object) -> None:
        raise OnnxExporterError("no translation of aten.odd\nand much more")

    monkeypatch.setattr(torch.onnx, "export", fail)
    words = ["export", str(written.parent / "run"), str(tmp_path / "out"), "--onnx"]
    result = CliRunner().invoke(app, words, prog_name="alexrep")
    assert result.exit_code == 1
    assert result.stderr == (
        "alexrep: network of alexnet-caffe: expected operators that ONNX has, "
        "found no translation of aten.odd; leave --onnx out\n"
    )
    assert list(tmp_path.iterdir()) == []


class Undecided(nn.Module):
    """Goes one way or another, by what it sees."""

    def forward(self, images: Tensor) -> Tensor:
        if bool(images.sum() > 0):
            return images.flatten(1)
        return -images.flatten(1)


class Divided(nn.Module):
    """Has an operator with two results."""

    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1).max(dim=1, keepdim=True)[0]


class Typed(nn.Module):
    """Has an argument that is no number."""

    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1).to(torch.float64)


class Constant(nn.Module):
    """Has numbers that are no weights."""

    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1) * torch.tensor([2.0])


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Undecided, r"network 'alexnet': expected one that torch\.export can follow, found Could"),
        (Divided, r"the network: expected operators of torch\.ops\.aten, found .*getitem"),
        (Typed, r"the network: expected numbers and texts as arguments, found torch\.float64; "),
        (Constant, r"the network: expected weights and images only, found the constant "),
    ],
)
def test_a_network_that_cannot_be_written_as_calls_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: Callable[[], nn.Module], message: str
) -> None:
    run = drawn_run(tmp_path / "run", "demo", *SMALL)
    monkeypatch.setattr(Trained, "model", lambda self: model())
    with pytest.raises(DataError, match=message):
        calls.calls(calls.trace(trained.load(run.checkpoint("last"))))


@pytest.mark.slow
def test_eval_predict_and_training_take_what_was_exported(
    data: Path, tmp_path: Path, encoded: Callable[..., bytes], picture: Callable[..., Any]
) -> None:
    (tmp_path / "tiny.toml").write_text(tiny_recipe(1))
    run, out, words = tmp_path / "run", tmp_path / "out", ("--data", data, "--device", "cpu")
    train = ("train", data, "--recipe", tmp_path / "tiny.toml", "--device", "cpu")
    alexrep(*train, "--run", run)
    first = json.loads(alexrep("eval", run, *words, "--ten-crop", "--json"))
    alexrep("export", run, out)
    again = json.loads(alexrep("eval", out, *words, "--ten-crop", "--json"))
    assert again == first
    assert (out / "results" / "val-ten-crop.json").is_file()
    image = tmp_path / "photo.jpg"
    image.write_bytes(encoded(picture(90, 160)))
    told = [json.loads(alexrep("predict", path, image, "--json")) for path in (run, out)]
    assert told[0]["images"] == told[1]["images"]
    said = alexrep("plot", out, "--out", tmp_path / "plots")
    assert f"predictions: {tmp_path}/plots/predictions.png" in said
    assert not (out / "plots").exists()
    assert "expected the log of a run, found none; an exported network has none" in said
    alexrep(*train, "--run", tmp_path / "next", "--weights", out)
    plan = json.loads((tmp_path / "next" / "plan.json").read_text())
    assert plan["inputs"]["weights"] == first["weights"]
