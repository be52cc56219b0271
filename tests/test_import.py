"""Weights from elsewhere as a run: every form of file, its equality with torchvision, refusals."""

import hashlib
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torchvision import models
from typer.testing import CliRunner, Result

from alexrep.runs import checkpoint, results, trained
from alexrep.runs.folder import RunFolder
from alexrep.stages import app
from alexrep.weights import fit, state_dicts
from alexrep.weights import torchvision as offers

LINE = re.compile(r"alexrep: [^\n]+: expected [^\n]+, found [^\n]+; [^\n]+\n")
"""The whole text of an expected error."""
SMALL = ("--set", "model.side=64")

pytestmark = pytest.mark.usefixtures("one_thread")


def alexrep(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words], prog_name="alexrep")


def refused(result: Result, code: int = 1) -> str:
    assert result.exit_code == code, result.output
    assert LINE.fullmatch(result.stderr), result.stderr
    assert result.stdout == ""
    return result.stderr


@pytest.fixture(scope="module")
def network() -> nn.Module:
    """Return torchvision's SqueezeNet of three classes with drawn weights; read only."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        network: nn.Module = models.squeezenet1_1(num_classes=3)
        return network


@pytest.fixture
def weights(network: nn.Module, tmp_path: Path) -> Path:
    """Return its state dict in a file whose name ends in its digest."""
    return digested(network.state_dict(), tmp_path)


def digested(content: object, folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    torch.save(content, folder / "new")
    digest = hashlib.sha256((folder / "new").read_bytes()).hexdigest()
    # The digits of a date are none; ten digits have a letter but for one in a hundred.
    return (folder / "new").rename(folder / f"squeezenet1_1-{digest[:32]}.pth")


def imports(source: object, run: Path, data: Path, *words: object) -> Result:
    return alexrep("import", source, "--run", run, "--data", data, *SMALL, *words)


def digest_of(run: Path) -> str:
    return trained.open_run(RunFolder(run)).weights


ARCH = ("--arch", "squeezenet1_1")


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: {"state_dict": {f"module.{name}": state[name] for name in state}},
        lambda state: {"model": {f"_orig_mod.{name}": state[name] for name in state}, "epoch": 9},
        lambda state: {"model_state_dict": state, "optimizer": {"lr": 0.1}},
    ],
    ids=["state_dict", "model", "model_state_dict"],
)
def test_checkpoints_of_other_programs_are_unwrapped(
    network: nn.Module, tmp_path: Path, wrap: Callable[[object], object]
) -> None:
    torch.save(wrap(network.state_dict()), tmp_path / "net.pth.tar")
    state = state_dicts.read(tmp_path / "net.pth.tar")
    assert checkpoint.weights_digest(state) == checkpoint.weights_digest(network.state_dict())


@pytest.mark.parametrize("form", ["new", "legacy", "safetensors"])
def test_every_form_of_file_gives_the_same_run(
    network: nn.Module, data: Path, tmp_path: Path, form: str
) -> None:
    path, state = tmp_path / f"net.{form}", network.state_dict()
    if form == "safetensors":
        save_file(state, path)
    else:
        torch.save(state, path, _use_new_zipfile_serialization=form == "new")
    result = imports(path, tmp_path / "run", data, *ARCH)
    assert result.exit_code == 0, result.output
    assert digest_of(tmp_path / "run") == checkpoint.weights_digest(state)
    assert "outputs are the 3 classes in the order of their wnids" in result.stderr
    assert "nothing to do" in imports(path, tmp_path / "run", data, *ARCH).stdout


@torch.no_grad()
def test_the_logits_are_torchvisions_own(
    network: nn.Module, weights: Path, data: Path, tmp_path: Path
) -> None:
    assert imports(weights, tmp_path / "run", data, *ARCH).exit_code == 0
    mine = trained.open_run(RunFolder(tmp_path / "run"))
    images = torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8)
    usual = models.SqueezeNet1_1_Weights.IMAGENET1K_V1.transforms(crop_size=64, resize_size=64)
    wanted = network.double().eval()(usual(images.permute(0, 3, 1, 2)).double())
    inputs = mine.inputs()
    assert inputs.factors is not None
    found = (images.flatten(2) - inputs.mean.flatten(1)) * inputs.factors
    patches = found.unflatten(2, (64, 3)).permute(0, 3, 1, 2).double()
    torch.testing.assert_close(mine.model().double().eval()(patches), wanted, rtol=1e-5, atol=1e-5)
    network.float()


def test_eval_export_and_import_of_the_export_work(
    weights: Path, data: Path, tmp_path: Path
) -> None:
    run, out, again = tmp_path / "run", tmp_path / "out", tmp_path / "again"
    assert imports(weights, run, data, *ARCH).exit_code == 0
    result = alexrep("eval", run, "--data", data, "--device", "cpu")
    assert result.exit_code == 0, result.output
    assert "shorter side to 256 pixels (bilinear), centre of 224" in result.stdout
    kept = results.read(RunFolder(run).result("val", "centre", "last"))
    assert "squares of 72 pixels" in kept.prepared_otherwise
    result = alexrep("export", run, out)
    assert result.exit_code == 0, result.output
    result = alexrep("import", out, "--run", again, "--data", data)
    assert result.exit_code == 0, result.output
    assert digest_of(again) == digest_of(run)
    assert alexrep("eval", again, "--data", data, "--device", "cpu").exit_code == 0


def test_an_imported_network_is_not_held_against_a_recipe_of_its_name(
    weights: Path, data: Path, tmp_path: Path
) -> None:
    assert imports(weights, tmp_path / "run", data, *ARCH, "--set", "name=demo").exit_code == 0
    said = alexrep("runs", "show", tmp_path / "run").stdout
    assert said.startswith(f"{tmp_path / 'run'}: demo, ")
    assert "expected" not in said
    assert "differs" not in said


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Path]:
    """Return the folder of the cache of torch's hub, empty."""
    before = torch.hub.get_dir()
    torch.hub.set_dir(tmp_path / "hub")
    yield tmp_path / "hub" / "checkpoints"
    torch.hub.set_dir(before)


def offer(monkeypatch: pytest.MonkeyPatch, content: object, hub: Path) -> Path:
    """Have torchvision offer a file of drawn weights, which lies in the cache."""
    hub.mkdir(parents=True)
    path = digested(content, hub)
    kind = models.SqueezeNet1_1_Weights.IMAGENET1K_V1
    monkeypatch.setattr(kind.value, "url", f"https://example.org/{path.name}", raising=False)
    return path


def of_1000() -> dict[str, Tensor]:
    """Return drawn weights of torchvision's SqueezeNet for 1,000 classes."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        state: dict[str, Tensor] = models.squeezenet1_1().state_dict()
        return state


TORCHVISION = "torchvision:squeezenet1_1"


def test_weights_of_torchvision_lie_in_the_cache_or_are_named(
    network: nn.Module, hub: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = offer(monkeypatch, network.state_dict(), hub)
    result = imports(TORCHVISION, tmp_path / "run", data)
    assert result.exit_code == 0, result.output
    run = RunFolder(tmp_path / "run")
    assert digest_of(run.path) == checkpoint.weights_digest(network.state_dict())
    source = run.read_recipe().source
    assert source.startswith("torchvision:squeezenet1_1:IMAGENET1K_V1, sha256 ")
    assert "shorter side to 256 pixels (bilinear), centre of 224" in source
    elsewhere = path.rename(tmp_path / "mine.pth")
    line = refused(imports(TORCHVISION, tmp_path / "other", data))
    assert (
        f"found none; put {path.name} there, or name the file (alexrep import: with --file)" in line
    )
    assert imports(TORCHVISION, tmp_path / "other", data, "--file", elsewhere).exit_code == 0
    elsewhere.write_bytes(elsewhere.read_bytes()[:-9])
    line = refused(imports(TORCHVISION, tmp_path / "third", data, "--file", elsewhere))
    assert "expected SHA-256 " in line


def test_outputs_of_more_classes_are_refused_or_named(data: Path, tmp_path: Path) -> None:
    path = digested(of_1000(), tmp_path)
    line = refused(imports(path, tmp_path / "run", data, *ARCH), code=2)
    assert f"expected outputs for the 3 classes of {data}, found 1,000; name its classes" in line
    wnids = [f"n{number:08}" for number in range(999, -1, -1)]
    (tmp_path / "words.txt").write_text("".join(f"{wnid} thing, {wnid}\n" for wnid in wnids))
    named = ("--labels", tmp_path / "words.txt")
    result = imports(path, tmp_path / "run", data, *ARCH, *named)
    assert result.exit_code == 0, result.output
    mine = trained.open_run(RunFolder(tmp_path / "run"))
    assert [synset.wnid for synset in mine.classes.synsets] == sorted(wnids)
    head = mine.content["state_dict"]["classifier.1.bias"]
    assert torch.equal(head, of_1000()["classifier.1.bias"].flip(0))
    scored = alexrep("eval", mine.path.parent.parent, "--data", data, "--subset", "--device", "cpu")
    assert scored.exit_code == 0, scored.output


@pytest.mark.parametrize(
    ("change", "words", "wanted"),
    [
        ("cut", ARCH, "expected a whole file of weights, found one that was cut short"),
        ("noise", ARCH, "expected plain weights, found a damaged or another file"),
        ("pickled", ARCH, "expected plain weights, found pickled objects; save the network's"),
        ("renamed", ARCH, "expected SHA-256 deadbeef, found "),
        ("nan", ARCH, "expected finite numbers, found others in classifier.1.weight"),
        ("list", ARCH, "expected a state dict, found list"),
        ("mixed", ARCH, "expected tensors by name, found 'a', int"),
        ("empty", ARCH, "expected a state dict, found no weights"),
        ("", (), "expected the network of the weights, found none; name it with --arch"),
        ("", ("--arch", "resnet18"), "no conv1.weight (64, 3, 7, 7), no bn1.weight (64,), no bn1"),
        ("", ("--arch", "squeezenet1_0"), "features.0.weight (64, 3, 3, 3) for (96, 3, 7, 7), "),
        ("", ("--recipe", "demo", "--set", "model.conv1=[5,2]"), "no towers.0.conv1.weight "),
        ("", ("--arch", "resnet"), "a network of torchvision or a recipe, found"),
        (
            "",
            ("--arch", "squeezenet1"),
            "'squeezenet1'; did you mean squeezenet1_0 or squeezenet1_1",
        ),
        (
            "",
            (*ARCH, "--set", "model.side=80"),
            "larger ones, or take patches of 63 with --set model.side=63",
        ),
        ("gone", ARCH, "expected a file of weights, found no file"),
        ("folder", ARCH, "expected a file of weights or an exported folder, found another"),
    ],
)
def test_what_does_not_fit_is_one_line(
    network: nn.Module, data: Path, tmp_path: Path, change: str, words: tuple[str, ...], wanted: str
) -> None:
    path = tmp_path / "net.pth"
    torch.save(spoilt(network, change), path)
    content = path.read_bytes()
    if change == "cut":
        path.write_bytes(content[:-4000])
    if change == "noise":
        path.write_bytes(bytes(range(256)) * 40)
    if change in ("gone", "folder"):
        path.unlink()
    if change == "folder":
        path.mkdir()
    if change == "renamed":
        path = path.rename(tmp_path / "net-deadbeef.pth")
    result = imports(path, tmp_path / "run", data, *words)
    assert wanted in refused(result, result.exit_code)
    assert result.exit_code in (1, 2)
    assert not (tmp_path / "run").exists()


def test_one_tower_of_torchvision_does_not_fit_into_two(data: Path, tmp_path: Path) -> None:
    with torch.device("meta"):
        names = models.alexnet(weights=None).state_dict()
    # A number for each parameter, seen as so many: the file is small.
    state = {name: torch.zeros(()).expand(part.shape) for name, part in names.items()}
    path = tmp_path / "alexnet.pth"
    torch.save(state, path)
    sides = ("model.side=67", "prepared_side=72", "model.width=0.05")
    words = [word for side in sides for word in ("--set", side)]
    result = imports(path, tmp_path / "run", data, "--recipe", "alexnet-2012", *words)
    missing = "no towers.0.conv1.weight (2, 3, 11, 11), no towers.0.conv1.bias (2,), no towers.0."
    assert missing in refused(result, code=2)


def spoilt(network: nn.Module, change: str) -> object:
    state = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    if change == "nan":
        state["classifier.1.weight"][0, 0] = torch.nan
    contents: dict[str, object] = {"pickled": network, "list": [1], "mixed": {"a": 1}, "empty": {}}
    return contents.get(change, state)


def test_old_names_of_densenets_are_read(tmp_path: Path) -> None:
    names = {
        "features.denseblock1.denselayer1.norm.1.weight": torch.ones(1),
        "features.denseblock1.denselayer1.conv2.weight": torch.ones(1),
    }
    torch.save(names, tmp_path / "old.pth")
    stem = "features.denseblock1.denselayer1"
    wanted = [f"{stem}.norm1.weight", f"{stem}.conv2.weight"]
    assert list(state_dicts.read(tmp_path / "old.pth")) == wanted


def test_old_files_lack_the_count_of_steps() -> None:
    own = nn.BatchNorm1d(3).state_dict()
    old = {name: tensor for name, tensor in own.items() if name != "num_batches_tracked"}
    assert fit.compare(own, old, 7).differences == ()


def test_every_offer_of_torchvision_has_a_recipe() -> None:
    for arch in ("googlenet", "vit_h_14", "efficientnet_v2_l", "vgg16"):
        for one in models.get_model_weights(arch):
            offer = offers.offered(f"torchvision:{arch}:{one.name}")
            assert len(offer.digest) >= 8
            assert offer.preparation.side == one.transforms.keywords["crop_size"]
    assert offers.offered("torchvision:resnet50:DEFAULT").name.endswith(":IMAGENET1K_V2")
    assert offers.offered("torchvision:resnet50").name.endswith(":IMAGENET1K_V1")
    chosen = offers.settings("googlenet", offers.offered("torchvision:googlenet").preparation)
    assert chosen["model"]["arguments"] == {"transform_input": True}


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ("torchvision:resnet5", "expected a network of torchvision, found 'resnet5'; did you mean"),
        ("torchvision:resnet50:V3", "expected weights DEFAULT or IMAGENET1K_V1 or IMAGENET1K_V2"),
    ],
)
def test_unknown_offers_are_one_line(source: str, wanted: str, data: Path, tmp_path: Path) -> None:
    assert wanted in refused(imports(source, tmp_path / "run", data), code=2)


@pytest.mark.parametrize(
    ("source", "words", "wanted"),
    [
        (TORCHVISION, ARCH, "--arch: expected a file that does not say its network, found "),
        (TORCHVISION, ("--recipe", "demo"), "--recipe: expected a file that does not say its"),
        ("net.caffemodel", ARCH, "--arch: expected a file that does not say its network, found "),
        ("net.pth", (*ARCH, "--recipe", "demo"), "--recipe: expected no --arch beside it, found "),
        ("net.pth", (*ARCH, "--file", "a.pth"), "--file: expected weights of torchvision:NAME "),
    ],
)
def test_options_that_decide_nothing_are_refused(
    data: Path, tmp_path: Path, source: str, words: tuple[str, ...], wanted: str
) -> None:
    line = refused(imports(source, tmp_path / "run", data, *words), code=2)
    assert wanted in line
    assert "leave " in line


def test_a_training_starts_from_an_imported_run(data: Path, tmp_path: Path) -> None:
    path, run, new = digested(of_1000(), tmp_path), tmp_path / "run", tmp_path / "new"
    wnids = [f"n{number:08}\n" for number in range(1000)]
    (tmp_path / "wnids.txt").write_text("".join(wnids))
    result = imports(path, run, data, *ARCH, "--labels", tmp_path / "wnids.txt")
    assert result.exit_code == 0, result.output
    words = ("--weights", run, "-a", "squeezenet1_1", "--epochs", 1, "-b", 9, "--device", "cpu")
    result = alexrep("train", data, "--run", new, *words, "--set", 'start.frozen=["features.0"]')
    assert result.exit_code == 0, result.output
    assert "classifier.1 is drawn anew" in result.output
    mine, theirs = (trained.open_run(RunFolder(one)).content["state_dict"] for one in (new, run))
    assert mine["classifier.1.weight"].shape == (3, 512, 1, 1)
    kept = {name for name in theirs if torch.equal(mine[name], theirs[name])}
    assert kept == {"features.0.weight", "features.0.bias"}
    assert RunFolder(new).read_recipe().statistics == ()
    scored = alexrep("eval", new, "--data", data, "--device", "cpu")
    assert "own preparation" not in scored.stdout


def test_a_file_that_is_not_caffes_is_said_before_the_data_is_looked_at(
    data: Path, tmp_path: Path
) -> None:
    path = tmp_path / "junk.caffemodel"
    path.write_bytes(bytes(range(256)) * 40)
    for name in ("import", "import-caffe"):
        line = refused(alexrep(name, path, "--run", tmp_path / "run", "--data", data))
        assert line.startswith(f"alexrep: {path}: expected ")


def test_caffes_files_are_imported_by_either_name(tmp_path: Path, data: Path) -> None:
    words = (tmp_path / "none.caffemodel", "--run", tmp_path / "run", "--data", data)
    lines = [refused(alexrep(name, *words)) for name in ("import", "import-caffe")]
    assert lines[0] == lines[1]
