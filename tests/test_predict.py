"""`alexrep predict`: the answers that eval gives, about any files, whatever is among them."""

import csv
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import simplejpeg
import torch
from recipes import train_tiny
from typer.testing import CliRunner, Result

from alexrep.evaluation import loaded, named_images
from alexrep.evaluation.loaded import LoadedRun
from alexrep.evaluation.named_images import NamedImage, Search
from alexrep.evaluation.predict import Prediction, predict
from alexrep.prepare.image import Target
from alexrep.runs import checkpoint
from alexrep.runs.folder import RunFolder
from alexrep.shards.read import open_split
from alexrep.stages import app

CPU = torch.device("cpu")
TRUNCATED = "DEMO_val_00000005.JPEG"

pytestmark = pytest.mark.usefixtures("one_thread")


def alexrep(*words: str | Path, stdin: bytes | None = None) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words], input=stdin, prog_name="alexrep")


@pytest.fixture(scope="module")
def trained_run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a finished run; read only."""
    return train_tiny(data, tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def network(trained_run: Path) -> LoadedRun:
    return loaded.load(trained_run, "last", CPU)


@pytest.fixture(scope="module")
def raw_val(raw: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the val images as distributed, one of them truncated; read only."""
    folder = tmp_path_factory.mktemp("raw-val")
    with tarfile.open(raw / "DEMO_img_val.tar") as archive:
        archive.extractall(folder, filter="data")
    return folder


@pytest.fixture
def photo(raw_val: Path) -> Path:
    return raw_val / "DEMO_val_00000001.JPEG"


def answers(network: LoadedRun, images: Sequence[NamedImage], **options: Any) -> list[Prediction]:
    return [prediction for prediction, _ in predict(network, images, **options)]


def chances(found: Sequence[Prediction]) -> list[float]:
    return [likely.probability for each in found for likely in each.likely]


@pytest.mark.parametrize("views", ["centre", "ten-crop"])
def test_a_raw_file_has_the_probabilities_that_eval_gives_it_bit_for_bit(
    trained_run: Path, network: LoadedRun, raw_val: Path, data: Path, tmp_path: Path, views: str
) -> None:
    run = shutil.copytree(trained_run, tmp_path / "run")
    words = ("eval", run, "--data", data, "--device", "cpu", "--workers", "1")
    assert alexrep(*words, *(["--ten-crop"] if views == "ten-crop" else [])).exit_code == 0
    with np.load(RunFolder(run).result("val", views).with_suffix(".npz")) as kept:
        names = [name.decode() for name in kept["names"]]
        expected = kept["top5"].tolist(), kept["probabilities"].tolist()
    found = answers(network, [NamedImage(str(raw_val / name)) for name in names], views=views)
    assert [[one.index for one in each.likely] for each in found] == expected[0]
    assert [[one.probability for one in each.likely] for each in found] == expected[1]


def test_the_pixels_are_those_in_the_shards(network: LoadedRun, raw_val: Path, data: Path) -> None:
    split = open_split(data, "val")
    for index, name in enumerate(split.names):
        packed = simplejpeg.decode_jpeg(split.read(index), "RGB")
        raw_bytes = (raw_val / name.decode()).read_bytes()
        assert np.array_equal(network.pixels(name.decode(), raw_bytes), packed)
    split.close()


def test_images_are_prepared_as_the_runs_were(
    trained_run: Path, tmp_path: Path, photo: Path
) -> None:
    run = shutil.copytree(trained_run, tmp_path / "run")
    content = checkpoint.load(run / "checkpoints/last.pt")
    del content["format_version"]
    content["inputs"]["geometry"] = "squash"
    checkpoint.save(run / "checkpoints/last.pt", content)
    details = json.loads((run / "data.json").read_text())
    (run / "data.json").write_text(json.dumps(details | {"quality": 31, "filter": "box"}))
    target = loaded.load(run, "last", CPU).target
    assert target == Target(72, "squash", 31, "box")


def test_a_run_that_does_not_say_the_quality_has_that_of_before(
    trained_run: Path, tmp_path: Path
) -> None:
    run = shutil.copytree(trained_run, tmp_path / "run")
    (run / "data.json").unlink()
    assert loaded.load(run, "last", CPU).target.quality == 90


def test_a_damaged_record_of_the_images_is_named(
    trained_run: Path, tmp_path: Path, photo: Path
) -> None:
    run = shutil.copytree(trained_run, tmp_path / "run")
    (run / "data.json").write_text("[")
    refused = alexrep("predict", run, photo)
    assert refused.exit_code == 1
    assert "data.json: expected what the images are, found" in refused.stderr


@pytest.mark.parametrize("form", ["PNG", "L", "P", "LA", "RGBA", "CMYK"])
def test_any_kind_of_image_is_read(
    network: LoadedRun, picture: Callable[..., Any], tmp_path: Path, form: str
) -> None:
    from PIL import Image

    image = Image.fromarray(picture(90, 120))
    path = tmp_path / ("image.jpg" if form == "CMYK" else "image.png")
    (image if form == "PNG" else image.convert(form)).save(path)
    (found,) = answers(network, [NamedImage(str(path))])
    assert (found.fault, len(found.likely)) == ("", 3)


def test_the_likeliest_come_first_and_probabilities_add_up_to_one(
    network: LoadedRun, photo: Path
) -> None:
    (found,) = answers(network, [NamedImage(str(photo))])
    probabilities = chances([found])
    assert probabilities == sorted(probabilities, reverse=True)
    assert sum(probabilities) == pytest.approx(1)
    names = {one.index: (one.wnid, one.name) for one in found.likely}
    table = {0: ("n00000020", "cat"), 1: ("n00000030", "dog"), 2: ("n00000040", "crane")}
    assert names == table


def test_fewer_classes_are_told_if_asked_for(network: LoadedRun, photo: Path) -> None:
    (found,) = answers(network, [NamedImage(str(photo))], top=2)
    assert len(found.likely) == 2


def test_batches_do_not_change_the_answers(
    network: LoadedRun, raw_val: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = list(Search([str(raw_val)], io.BytesIO()))
    whole = answers(network, images)
    monkeypatch.setattr("alexrep.evaluation.predict.BATCH", 3)
    parts = answers(network, images, threads=2)
    assert [one.image for one in parts] == [one.image for one in whole]
    assert [one.fault for one in parts] == [one.fault for one in whole]
    assert chances(parts) == pytest.approx(chances(whole), abs=1e-6)


def test_no_more_than_a_batch_is_read_ahead(
    network: LoadedRun, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("alexrep.evaluation.predict.BATCH", 4)
    taken = count()
    endless = (NamedImage(str(photo)) for _ in taken)
    next(predict(network, endless))
    assert next(taken) == 4


def test_files_in_folders_are_found_and_others_counted(tmp_path: Path, photo: Path) -> None:
    for name in ("b/z.JPG", "b/a.png", "a.jpeg", ".hidden.jpg", "notes.txt", ".git/x.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(photo, tmp_path / name)
    search = Search([str(tmp_path), str(tmp_path / "notes.txt")], io.BytesIO())
    found = [Path(image.name).relative_to(tmp_path).as_posix() for image in search]
    assert found == ["a.jpeg", "b/a.png", "b/z.JPG", "notes.txt"]
    assert search.num_passed_over == 2


def test_a_folder_of_links_to_itself_ends(tmp_path: Path, photo: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path, target_is_directory=True)
    shutil.copy(photo, tmp_path / "a.jpg")
    assert len(list(Search([str(tmp_path)], io.BytesIO()))) == 1


def test_a_folder_that_may_not_be_listed_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "closed").mkdir()
    scan = os.scandir

    def scandir(path: str) -> "os._ScandirIterator[str]":
        if path.endswith("closed"):
            raise PermissionError(13, "Permission denied", path)
        return scan(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert [Path(one.name).name for one in Search([str(tmp_path)], io.BytesIO())] == ["closed"]


def test_text_names_the_image_and_each_class(trained_run: Path, photo: Path) -> None:
    result = alexrep("predict", trained_run, photo, "--top", "2", "--device", "cpu")
    assert (result.exit_code, result.stderr) == (0, "")
    name, *rows = result.stdout.splitlines()
    assert name == str(photo)
    assert len(rows) == 2
    assert all(row.split()[1] == "%" and row.split()[2].startswith("n000000") for row in rows)


def test_unreadable_files_are_named_and_the_rest_scored(trained_run: Path, raw_val: Path) -> None:
    words = ("predict", trained_run, raw_val, raw_val / "gone.jpg", "--json", "--device", "cpu")
    result = alexrep(*words)
    assert result.exit_code == 3
    document = json.loads(result.stdout)
    assert len(document["images"]) == 7
    first, second = document["unreadable"]
    assert first["image"].endswith(TRUNCATED)
    assert "truncated" in first["fault"]
    assert (Path(second["image"]).name, second["fault"]) == (
        "gone.jpg",
        "no such file or directory",
    )
    assert f"{TRUNCATED}: not readable: image file is truncated" in result.stderr


def test_nothing_readable_is_a_failure(trained_run: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no image")
    result = alexrep("predict", trained_run, tmp_path / "notes.txt", "--device", "cpu")
    assert (result.exit_code, result.stdout) == (1, "")
    said, refused = result.stderr.splitlines()
    assert said.endswith("notes.txt: not readable: neither JPEG nor PNG")
    assert refused.endswith("expected images that can be read, found 1 unreadable; name others")
    empty = alexrep("predict", trained_run, tmp_path, "--json")
    assert empty.exit_code == 1
    assert json.loads(empty.stdout)["passed_over"] == 1
    assert "1 file passed over" in empty.stderr


def test_standard_input_is_an_image(trained_run: Path, photo: Path) -> None:
    words = ("--json", "--device", "cpu")
    named = json.loads(alexrep("predict", trained_run, photo, *words).stdout)
    piped = alexrep("predict", trained_run, "-", *words, stdin=photo.read_bytes())
    (image,) = json.loads(piped.stdout)["images"]
    assert image["image"] == "-"
    assert image["likely"] == named["images"][0]["likely"]
    nothing = alexrep("predict", trained_run, "-", stdin=b"")
    assert nothing.exit_code == 1
    assert "-: not readable: empty file" in nothing.stderr


def test_a_file_without_end_is_not_read_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(named_images, "MAX_BYTES", 1000)
    with pytest.raises(ValueError, match="over 1,000 bytes"):
        NamedImage("/dev/zero").read()


def test_a_url_is_refused_before_anything_is_loaded(tmp_path: Path) -> None:
    refused = alexrep("predict", tmp_path / "no-run", "https://example.org/cat.jpg")
    assert refused.exit_code == 2
    wanted = "IMAGE: expected a file, a folder or -, found https://example.org/cat.jpg"
    assert refused.stderr == f"alexrep: {wanted}; download it, then name the file\n"


def test_csv_has_a_row_for_each_class(trained_run: Path, raw_val: Path, photo: Path) -> None:
    result = alexrep("predict", trained_run, photo, "--csv", "--top", "2", "--device", "cpu")
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    assert [row["rank"] for row in rows] == ["1", "2"]
    assert {row["image"] for row in rows} == {str(photo)}
    assert all(0 <= float(row["probability"]) <= 1 for row in rows)
    assert list(rows[0]) == ["image", "rank", "index", "wnid", "name", "probability"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--json", "--csv"), "--json, --csv: expected one of them, found both; choose one"),
        (("--plot", "x.pdf"), "--plot: expected a .png or .svg file, found x.pdf; name one"),
        (("--checkpoint", "x"), "--checkpoint: expected last or best, found 'x'; choose one"),
    ],
)
def test_wrong_options_are_refused_in_one_line(
    trained_run: Path, photo: Path, words: tuple[str, ...], message: str
) -> None:
    refused = alexrep("predict", trained_run, photo, *words)
    assert (refused.exit_code, refused.stderr) == (2, f"alexrep: {message}\n")


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path, photo: Path) -> None:
    refused = alexrep("predict", tmp_path, photo)
    assert refused.exit_code == 1
    assert "expected a run folder, found no recipe.toml" in refused.stderr
    swapped = alexrep("predict", photo, tmp_path)
    assert f"{photo}: expected a run folder, found a file; name RUN first" in swapped.stderr


def test_the_picture_shows_the_images(trained_run: Path, raw_val: Path, tmp_path: Path) -> None:
    from PIL import Image

    out = tmp_path / "new/out.png"
    result = alexrep("predict", trained_run, raw_val, "--plot", out, "--device", "cpu")
    assert result.exit_code == 3
    with Image.open(out) as drawn:
        assert drawn.format == "PNG"
    assert f"{out}: drawn" in result.stderr


def test_a_network_that_has_diverged_is_named(
    trained_run: Path, tmp_path: Path, photo: Path
) -> None:
    run = shutil.copytree(trained_run, tmp_path / "run")
    content = checkpoint.load(run / "checkpoints/last.pt")
    del content["format_version"]
    content["state_dict"]["fc8.bias"] += torch.nan
    checkpoint.save(run / "checkpoints/last.pt", content)
    refused = alexrep("predict", run, photo, "--device", "cpu")
    assert refused.exit_code == 1
    assert "the network: expected finite logits" in refused.stderr


@pytest.mark.slow
def test_a_reader_that_goes_is_no_fault(trained_run: Path, raw_val: Path) -> None:
    command = [sys.executable, "-m", "alexrep.stages", "predict", str(trained_run)]
    images = [str(raw_val)] * 200  # more than a pipe holds
    with subprocess.Popen(
        [*command, *images, "--device", "cpu"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(10)
        process.stdout.close()
        said = process.stderr.read().decode().splitlines()
    assert [line for line in said if "image file is truncated" not in line] == []


def test_an_exported_network_gives_the_same_answers(
    trained_run: Path, raw_val: Path, tmp_path: Path
) -> None:
    run = shutil.copytree(trained_run, tmp_path / "run")
    details = json.loads((run / "data.json").read_text())
    (run / "data.json").write_text(json.dumps(details | {"quality": 31, "filter": "box"}))
    assert alexrep("export", run, tmp_path / "exported").exit_code == 0
    words = (raw_val, "--json", "--device", "cpu")
    answers = [alexrep("predict", folder, *words) for folder in (run, tmp_path / "exported")]
    assert [answer.exit_code for answer in answers] == [3, 3]
    own, exported = (json.loads(answer.stdout)["images"] for answer in answers)
    assert exported == own
    weights = tmp_path / "exported/model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    refused = alexrep("predict", tmp_path / "exported", *words)
    assert refused.exit_code == 1
    (line,) = refused.stderr.splitlines()
    assert "model.safetensors: expected" in line
