"""Original images scored as they are read: as the weights' makers do, or as preprocess does."""

import contextlib
import io
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from recipes import train_tiny
from torch import Tensor, nn
from torchvision import models
from torchvision.transforms import InterpolationMode, functional
from torchvision.transforms._presets import ImageClassification
from typer.testing import CliRunner, Result

from alexrep import signals
from alexrep.compute.processes import Processes
from alexrep.errors import ConfigError, DataError
from alexrep.evaluation import originals, scoring, text
from alexrep.evaluation.evaluate import Outputs
from alexrep.evaluation.task import Task, opened
from alexrep.feed import views
from alexrep.feed.batches import Reader
from alexrep.feed.preparation import Patches, ResizeAndCrop
from alexrep.ilsvrc import archives, source
from alexrep.ilsvrc.originals import Raw
from alexrep.ilsvrc.unit import Source
from alexrep.pixels.decode import UndecodableError
from alexrep.runs import results, trained
from alexrep.runs.folder import RunFolder
from alexrep.stages import app
from alexrep.weights import torchvision as offers

pytestmark = pytest.mark.usefixtures("one_thread")

Draw = Callable[..., Any]


def alexrep(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words], prog_name="alexrep")


def done(*words: object) -> Result:
    result = alexrep(*words)
    assert result.exit_code == 0, result.output
    return result


def refused(code: int, *words: object) -> str:
    result = alexrep(*words)
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    return result.stderr.splitlines()[-1]


@pytest.fixture(scope="module")
def trained_run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run that was trained here on squares; read only."""
    return train_tiny(data, tmp_path_factory.mktemp("trained"))


@pytest.fixture(scope="module")
def network() -> nn.Module:
    """Return torchvision's SqueezeNet of three classes with drawn weights; read only."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        network: nn.Module = models.squeezenet1_1(num_classes=3)
        return network.eval()


@pytest.fixture(scope="module")
def imported_run(network: nn.Module, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run of its weights, which sees 64 pixels; read only."""
    folder = tmp_path_factory.mktemp("imported")
    torch.save(network.state_dict(), folder / "net.pth")
    words = ("--arch", "squeezenet1_1", "--set", "model.side=64")
    done("import", folder / "net.pth", "--run", folder / "run", "--data", data, *words)
    return folder / "run"


@pytest.fixture
def run(trained_run: Path, tmp_path: Path) -> Path:
    return shutil.copytree(trained_run, tmp_path / "run")


SIZES = [(90, 120), (121, 75), (64, 64), (61, 333), (7, 5)]


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize(
    ("resize", "kind"), [(64, "bilinear"), (75, "bilinear"), (75, "bicubic")], ids=str
)
def test_the_preparation_is_torchvisions_own(
    picture: Draw, encoded: Draw, size: tuple[int, int], resize: int, kind: str
) -> None:
    content, own = encoded(picture(*size, blue=90)), ResizeAndCrop(resize, 64, kind)
    mean, deviation = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    preset = ImageClassification(
        crop_size=64, resize_size=resize, interpolation=InterpolationMode(kind)
    )
    image = Image.open(io.BytesIO(content))
    pixels = torch.from_numpy(Patches(own, has_corners=False).pixels("it", content).copy())
    mine = (pixels.double() / 255 - torch.tensor(mean)) / torch.tensor(deviation)
    torch.testing.assert_close(mine.permute(2, 0, 1).float(), preset(image), rtol=0, atol=1e-6)
    resized = functional.resize(image, [resize], InterpolationMode(kind))  # type: ignore[arg-type]
    top_left, top_right, low_left, low_right, centre = functional.five_crop(resized, [64, 64])
    wanted = np.concatenate([top_left, top_right, centre, low_left, low_right])
    assert np.array_equal(Patches(own, has_corners=True).pixels("it", content), wanted)


def test_every_preparation_of_torchvision_is_read_again_and_crops_what_there_is() -> None:
    for name in models.list_models(module=models):
        offer = offers.offered(f"torchvision:{name}")
        again = ResizeAndCrop.read(offer.preparation.show())
        assert again is not None
        assert again.show() == offer.preparation.show()
        assert again.side <= again.resize
    assert ResizeAndCrop.read("squares of 256") is None


def test_an_image_that_would_be_resized_to_too_many_pixels_is_left_out(encoded: Draw) -> None:
    content = encoded(np.zeros((1, 20_000, 3), np.uint8), "PNG")
    with pytest.raises(UndecodableError, match="20000x1 pixels, too narrow to be resized to 256"):
        Patches(ResizeAndCrop(256, 224, "bilinear"), has_corners=False).pixels("it", content)


def theirs(network: nn.Module, raw: Path, name: str) -> tuple[Tensor, Tensor]:
    """Return torchvision's logits of an image's centre, (1, K), and ten patches, (10, K)."""
    tar = raw / "DEMO_img_val.tar"
    (member,) = [one for one in archives.members(tar) if one.name == name]
    image = Image.open(io.BytesIO(archives.read(tar, member)))
    preset = ImageClassification(crop_size=64, resize_size=256)
    resized = functional.resize(image, [256])  # type: ignore[arg-type]
    five = functional.five_crop(resized, [64, 64])
    ten = [*five, *map(functional.hflip, five)]
    as_is = ImageClassification(crop_size=64, resize_size=64)
    inputs = preset(image)[None], torch.stack([as_is(each) for each in ten])
    centre, patches = (network(each.double()) for each in inputs)
    return centre, patches


@torch.no_grad()
def test_the_logits_of_the_whole_path_are_torchvisions_own(
    network: nn.Module, imported_run: Path, raw: Path
) -> None:
    mine = trained.open_run(RunFolder(imported_run))
    model, inputs = mine.model().double().eval(), mine.inputs()
    task = Task(RunFolder(imported_run), raw, "val", "centre", "last", raw=Raw(raw, None, True))
    exact = network.double()
    with (
        opened(task, mine, ["centre", "ten-crop"]) as found,
        Reader(found.split, 2) as reader,
    ):
        for batch in reader.read([found.indices]):
            images = torch.from_numpy(batch.images)
            for kind, number in ("centre", 0), ("ten-crop", 1):
                corners = views.corners_in(kind, images.shape[1], images.shape[2], inputs.side)
                patches = [views.patch(images, corner, inputs).double() for corner in corners]
                logits = torch.stack([model(patch) for patch in patches]).mean(dim=0)
                for row, index in enumerate(batch.indices.tolist()):
                    name = found.split.names[index].decode()
                    wanted = theirs(exact, raw, name)[number].mean(dim=0)
                    torch.testing.assert_close(logits[row], wanted, rtol=1e-5, atol=1e-5)
    assert len(batch.indices) == 7
    network.float()


@torch.no_grad()
def test_eval_scores_imported_weights_as_their_makers_do(
    network: nn.Module, imported_run: Path, raw: Path, data: Path, tmp_path: Path
) -> None:
    run = shutil.copytree(imported_run, tmp_path / "run")
    words = ("eval", run, "--original", raw, "--partial", "--views", "centre,ten-crop")
    result = done(*words, "--all-probabilities", "--device", "cpu", "--batch-size", "3")
    assert "val, centre, original images: top-1 error" in result.stdout
    assert "(8 images, 1 of them in quarantine, counted as an error)" in result.stdout
    how = "shorter side to 256 pixels (bilinear), as the weights' makers do, patches of 64"
    assert f"original images: {how}" in result.stdout
    assert "centre of 224, from the original; here: patches of 64" in result.stdout
    assert "quarantined: val/DEMO_val_00000005.JPEG: " in result.stderr
    for number, kind in enumerate(("centre", "ten-crop")):
        kept = results.read_scored(RunFolder(run).result("val", kind, "last", "original"))
        names = [name.decode() for name in kept.predictions.names]
        each = [theirs(network.double(), raw, name)[number].softmax(1).mean(0) for name in names]
        wanted = torch.stack(each).topk(3)
        assert np.array_equal(kept.predictions.top5, wanted.indices)
        found = torch.from_numpy(kept.predictions.probabilities)
        torch.testing.assert_close(found, wanted.values.float(), rtol=1e-5, atol=1e-5)
        assert kept.predictions.sheet_images.shape == (7, 64, 64, 3)
    network.float()
    said = done("eval", run, "--data", data, "--device", "cpu").stdout
    assert "kept as JPEG, 64 seen; --original RAW in place of --data scores as they do" in said
    names = sorted(path.name for path in (run / "results").glob("*.json"))
    assert names == [
        *("val-centre-last-original.json", "val-centre.json", "val-ten-crop-last-original.json"),
    ]


@pytest.mark.parametrize("kind", ["centre", "ten-crop"])
def test_a_run_of_squares_has_the_result_of_its_prepared_data(
    run: Path, raw: Path, data: Path, kind: str
) -> None:
    words = ("eval", run, "--views", kind, "--device", "cpu", "--split", "val")
    before = {path: path.stat().st_mtime_ns for path in raw.rglob("*")}
    result = done(*words, "--original", raw, "--partial", "--json", "--workers", "3")
    again = done(*words, "--original", raw, "--partial", "--workers", "1")
    assert "scored before, nothing to do" in again.stderr
    how = "cropped to squares of 72 pixels (bicubic), then JPEG of quality 90"
    assert f"original images: {how}, as alexrep preprocess does" in again.stdout
    assert json.loads(result.stdout)["original"].startswith(how)
    done(*words, "--data", data)
    assert {path: path.stat().st_mtime_ns for path in raw.rglob("*")} == before
    mine, packed = (
        results.read_scored(RunFolder(run).result("val", kind, "last", name))
        for name in ("original", "")
    )
    order = [np.argsort(each.predictions.names) for each in (mine, packed)]
    for field in ("names", "labels", "top5", "probabilities", "label_probabilities", "credit"):
        arrays = [getattr(each.predictions, field) for each in (mine, packed)]
        one, other = (array[rows] for array, rows in zip(arrays, order, strict=True))
        assert np.array_equal(one, other), field
    same = ("num_images", "num_quarantined", "top1_error", "top5_error", "weights", "version")
    assert [getattr(mine.result, name) for name in same] == [
        getattr(packed.result, name) for name in same
    ]
    assert packed.result.original == ""
    assert f"val   {kind}, original images" in text.table([mine.result, packed.result])


def test_of_an_edition_with_a_devkit_the_split_alone_need_be_there(
    run: Path, raw: Path, tmp_path: Path
) -> None:
    few = tmp_path / "few"
    few.mkdir()
    for name in ("DEMO_img_val.tar", "DEMO_devkit.tar.gz", "DEMO_patch_images.tar"):
        shutil.copy(raw / name, few)
    words = ("eval", run, "--original", few, "--device", "cpu")
    assert "DEMO_img_val.tar: expected 300 val images, found 8; " in refused(1, *words)
    result = done(*words, "--partial")
    assert "DEMO_img_val.tar: 8 instead of 300 val images, accepted" in result.stderr
    assert "no DEMO_img_test.tar" not in result.stderr
    line = refused(1, *words, "--partial", "--split", "train")
    assert f"{few}: expected DEMO_img_train.tar, found no such file; " in line
    line = refused(1, *words, "--partial", "--split", "test")
    assert f"{few}: expected DEMO_img_test.tar, found no such file; " in line
    (few / "DEMO_img_val.tar").write_bytes((raw / "DEMO_img_test.tar").read_bytes())
    assert "names like DEMO_val_00000001.JPEG" in refused(1, *words, "--partial")


def class_folders(raw: Path, folder: Path, split: str, change: bytes | None = None) -> Path:
    """Unpack val of the tiny edition into the class folders of a split."""
    wnids = ("n00000020", "n00000030", "n00000040")
    tar = raw / "DEMO_img_val.tar"
    for member in archives.members(tar):
        number = int(member.name.partition(".")[0].rpartition("_")[2])
        path = folder / split / wnids[(number - 1) % 3] / member.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(archives.read(tar, member) if change is None else change)
    return folder


def test_class_folders_are_scored_and_new_ones_are_not_mixed_with_them(
    run: Path, raw: Path, tmp_path: Path
) -> None:
    folder = class_folders(raw, tmp_path / "folders", "val")
    words = ("eval", run, "--original", folder, "--edition", "folder", "--device", "cpu")
    of_folders = json.loads(done(*words, "--json").stdout)
    done("eval", run, "--original", raw, "--partial", "--device", "cpu", "--checkpoint", "best")
    of_tars = results.read(RunFolder(run).result("val", "centre", "best", "original"))
    assert of_folders["top1_error"] == of_tars.top1_error
    assert of_folders["num_quarantined"] == 1
    next((folder / "val" / "n00000020").iterdir()).unlink()
    line = refused(1, *words)
    assert "val-centre-last-original.json: expected images = '" in line
    assert line.endswith("; remove the old result to score anew")
    shutil.rmtree(folder / "val" / "n00000020")
    assert f"{folder}: expected the 3 classes that {run} was trained on, found " in refused(
        1, *words
    )
    assert "competing: the 2 classes" in done(*words, "--subset").stdout
    assert "val-centre-last-original-subset-folders" in {
        path.stem for path in (run / "results").iterdir()
    }


def test_what_cannot_be_scored_is_one_line(
    run: Path, raw: Path, data: Path, tmp_path: Path
) -> None:
    wanted = "alexrep eval: expected one of --data and --original, found "
    assert f"{wanted}neither; name prepared" in refused(2, "eval", run)
    assert f"{wanted}both; " in refused(2, "eval", run, "--data", data, "--original", raw)
    line = refused(2, "eval", run, "--data", data, "--edition", "demo")
    assert "--edition: expected --original RAW, found --data; " in line
    assert "--partial: expected --original RAW" in refused(
        2, "eval", run, "--data", data, "--partial"
    )
    assert f"{tmp_path / 'no'}: " in refused(1, "eval", run, "--original", tmp_path / "no")
    assert "expected a run folder" in refused(1, "eval", raw, "--original", raw)
    noise = class_folders(raw, tmp_path / "noise", "val", b"no image")
    words = ("eval", run, "--original", noise, "--edition", "folder", "--device", "cpu")
    assert f"{noise}: expected val images, found none that can be decoded; " in refused(1, *words)
    assert "expected test images, found none" in refused(1, *words, "--split", "test")
    assert not (run / "results").exists()


def test_images_that_are_read_in_one_piece_are_refused(
    raw: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = source.survey

    def mixed(*args: Any, **words: Any) -> Source:
        found = usual(*args, **words)
        units = [replace(unit, reader=lambda unit: iter([])) for unit in found.units]
        return replace(found, units=tuple(units))

    monkeypatch.setattr(source, "survey", mixed)
    wanted = "expected images that can be read one by one, found DEMO_img_val.tar; prepare them"
    with pytest.raises(DataError, match=wanted):
        Raw(raw, None, True).listed("val")


def test_a_patch_that_is_larger_than_the_resized_image_is_refused(imported_run: Path) -> None:
    network = trained.open_run(RunFolder(imported_run))
    network.content["inputs"]["preparation"] = ResizeAndCrop(60, 60, "bilinear").show()
    with pytest.raises(ConfigError, match=r"model\.side: expected at most 60, the shorter side"):
        originals.rule_of(network, ["centre"])


@pytest.mark.slow
def test_an_export_of_imported_weights_keeps_their_preparation(
    imported_run: Path, raw: Path, tmp_path: Path
) -> None:
    done("export", imported_run, tmp_path / "out")
    words = ("--original", raw, "--partial", "--device", "cpu")
    result = done("eval", tmp_path / "out", *words)
    assert (
        "shorter side to 256 pixels (bilinear), as the weights' makers do, patches of 64"
        in result.stdout
    )


def test_a_signal_leaves_nothing_behind(
    run: Path, raw: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = signals.flagged

    @contextlib.contextmanager
    def came(**of_the_meter: Any) -> Iterator[Callable[[], str | None]]:
        with usual(**of_the_meter) as signalled:
            yield signalled if of_the_meter else lambda: "SIGTERM"

    monkeypatch.setattr(signals, "flagged", came)
    words = ("--original", raw, "--partial", "--device", "cpu", "--batch-size", "2")
    result = alexrep("eval", run, *words)
    assert result.exit_code == 75, result.output
    assert "stopped by SIGTERM, nothing kept; start again" in result.stderr
    assert not (run / "results").exists()


def test_several_networks_are_averaged_on_originals(
    run: Path, trained_run: Path, raw: Path
) -> None:
    result = done("eval", run, trained_run, "--original", raw, "--partial", "--device", "cpu")
    assert "val, centre, original images, mean of 2 networks: top-1 error" in result.stdout
    names = {path.stem for path in (run / "results").glob("*.json")}
    assert any(name.startswith("val-centre-last-original-ensemble-2-") for name in names)
    shutil.rmtree(trained_run / "results")


def test_labels_of_their_own_stand_in_a_result_of_their_own(
    run: Path, raw: Path, tmp_path: Path
) -> None:
    real = tmp_path / "real.json"
    real.write_text(json.dumps([[number % 3] for number in range(8)]))
    words = ("--original", raw, "--partial", "--device", "cpu", "--labels", real)
    assert "val, centre, original images, real: " in done("eval", run, *words).stdout
    assert (run / "results" / "val-centre-last-original-real.json").is_file()


def test_images_that_a_process_could_not_decode_are_missing_from_the_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    group = Processes()
    group.size = 2
    monkeypatch.setattr(group, "_call", lambda function: None)  # the other process has no images
    indices = np.array([3, 8])
    part = Outputs(
        top5=np.array([[1], [2]]),
        probabilities=np.array([[0.5], [0.25]], np.float32),
        label_probabilities=np.array([0.5, np.nan], np.float32),
        credit=np.array([[1.0, 1.0], [np.nan, np.nan]]),
        indices=indices,
    )
    whole = scoring._gathered(part, np.array([3, 5, 8, 9]), group)
    assert np.array_equal(whole.indices, indices)
    assert np.array_equal(whole.top5, part.top5)
    assert np.array_equal(whole.credit, part.credit, equal_nan=True)


def test_a_folder_that_changes_while_it_is_scored_is_named(
    run: Path, raw: Path, tmp_path: Path
) -> None:
    folder = class_folders(raw, tmp_path / "folders", "val")
    task = Task(RunFolder(run), folder, "val", "centre", "last", raw=Raw(folder, "folder"))
    network = trained.open_run(task.run)
    with opened(task, network) as found, Reader(found.split, 1) as reader:
        next((folder / "val" / "n00000020").iterdir()).write_bytes(b"")
        with pytest.raises(DataError, match="leave the folder unchanged and start again"):
            list(reader.read([found.indices]))
