"""Every command from outside: what it prints, its exit code, a second start, wrong input."""

import contextlib
import errno
import fcntl
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from recipes import tiny_recipe
from scipy.io import savemat
from typer.testing import CliRunner, Result
from waiting import PATIENCE_S

from alexrep import files, locks, seal
from alexrep.runs import log, state
from alexrep.runs.folder import RunFolder
from alexrep.stages import app

LINE = re.compile(r"alexrep: [^\n]+: expected [^\n]+, found [^\n]+; [^\n]+\n")
"""The whole text of an expected error."""

TINY = tiny_recipe(2)

PREPARATION = ("preprocess", "mean", "pca", "pack", "verify", "extract")
STAGES = (*PREPARATION, "train", "eval", "plot")
QUARANTINED = "alexrep: quarantined: val/DEMO_val_00000005.JPEG: "

pytestmark = pytest.mark.usefixtures("one_thread")


def alexrep(*words: str | Path) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words], prog_name="alexrep")


def refused(*words: str | Path, code: int = 1) -> str:
    """Run a command that must fail with one line and nothing else; return the line."""
    result = alexrep(*words)
    assert result.exit_code == code, result.output
    # What --partial accepted is printed before the error.
    line = "".join(
        text for text in result.stderr.splitlines(True) if not text.endswith("accepted\n")
    )
    assert LINE.fullmatch(line), result.stderr
    assert result.stdout == ""
    return line


def contents(folder: Path) -> dict[Path, tuple[int, str]]:
    """Return modification time and digest of every file in a folder."""
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {path: (path.stat().st_mtime_ns, files.sha256_file(path)) for path in paths}


class Chain:
    """A folder in which every stage has run once."""

    def __init__(self, folder: Path, raw: Path) -> None:
        self.folder, self.raw = folder, raw
        self.data, self.run = folder / "data", folder / "run"
        self.recipe = folder / "tiny.toml"
        self.recipe.write_text(TINY)
        self.given = contents(raw)
        self.first = {stage: alexrep(*self.words(stage)) for stage in STAGES}

    def words(self, stage: str) -> list[str | Path]:
        """Return the command line of a stage."""
        data, run, device = self.data, self.run, ("--device", "cpu")
        lines: dict[str, list[str | Path]] = {
            "preprocess": ["preprocess", self.raw, data, "--partial", *self.sized],
            "mean": ["mean", data, "--workers", "1"],
            "pca": ["pca", data, "--workers", "1"],
            "pack": ["pack", data, "--shard-images", "8", "--workers", "1"],
            "verify": ["verify", data, "--deep"],
            "extract": ["extract", data, self.folder / "folders", "--workers", "1"],
            "train": ["train", data, "--run", run, "--recipe", self.recipe, *device],
            "eval": ["eval", run, "--data", data, "--ten-crop", *device],
            "plot": ["plot", run],
        }
        return lines[stage]

    @property
    def sized(self) -> tuple[str, ...]:
        """Return the options of preprocess that are not its paths."""
        return ("--side", "72", "--workers", "1")

    def written(self) -> dict[Path, int]:
        """Return every file with its modification time."""
        paths = [path for path in self.folder.rglob("*") if path.is_file()]
        return {path: path.stat().st_mtime_ns for path in paths}


@pytest.fixture(scope="module")
def chain(raw: Path, tmp_path_factory: pytest.TempPathFactory) -> Chain:
    """Return the folder of all stages; read only."""
    return Chain(tmp_path_factory.mktemp("chain"), raw)


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.toml"
    path.write_text(TINY)
    return path


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_ends_well(chain: Chain, stage: str) -> None:
    result = chain.first[stage]
    assert result.exit_code == (3 if stage == "preprocess" else 0), result.output
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("stage", "pattern"),
    [
        ("preprocess", r"images +18 +8 +4"),
        ("mean", "mean.npy: "),
        ("pca", "pca.json: "),
        ("pack", r"8 val images \(1 of them in quarantine\), "),
        ("verify", "every digest and count of "),
        ("extract", "18 train images"),
        ("train", "10 steps"),
        ("eval", r"error .* \(8 images, 1 of them in quarantine, counted as an error\)"),
        ("plot", r"predictions: .*predictions\.png"),
    ],
)
def test_every_stage_tells_what_it_made(chain: Chain, stage: str, pattern: str) -> None:
    assert re.search(pattern, chain.first[stage].stdout)


def test_the_quarantined_image_is_named(chain: Chain) -> None:
    assert QUARANTINED in chain.first["preprocess"].stderr


@pytest.mark.parametrize("stage", STAGES)
def test_a_second_start_does_nothing_and_says_so(chain: Chain, stage: str) -> None:
    before = chain.written()
    result = alexrep(*chain.words(stage))
    assert result.exit_code == chain.first[stage].exit_code
    message = "every digest and count of " if stage == "verify" else "nothing to do"
    assert message in result.output
    assert chain.written() == before


def test_nothing_is_written_where_the_raw_files_lie(chain: Chain) -> None:
    assert contents(chain.raw) == chain.given


def test_a_second_preprocess_names_the_quarantined_image_again(chain: Chain) -> None:
    assert QUARANTINED in alexrep(*chain.words("preprocess")).stderr


@pytest.mark.parametrize("stage", ["preprocess", "pack", "train"])
def test_a_second_start_prints_the_same_counts(chain: Chain, stage: str) -> None:
    counts = chain.first[stage].stdout.splitlines()
    assert alexrep(*chain.words(stage)).stdout.splitlines()[1:] == counts


def test_the_number_of_workers_is_no_setting(chain: Chain) -> None:
    for stage in ("mean", "pca", "pack", "train", "eval"):
        assert alexrep(*chain.words(stage), "--workers", "2").exit_code == 0


@pytest.mark.parametrize(
    ("stage", "option", "difference"),
    [
        ("preprocess", ("--side", "80"), "settings.side = 80, found 72"),
        ("preprocess", ("--geometry", "squash"), "settings.geometry = 'squash', found 'crop'"),
        ("pack", ("--seed", "2"), "seed = 2, found 1"),
        ("pack", ("--shard-images", "9"), "settings.shard images = 9, found 8"),
        ("train", ("--seed", "2"), "seed = 2, found 1"),
        ("train", ("--epochs", "1"), "settings.schedule.epochs = 1, found 2"),
        ("train", ("--batch-size", "2"), "settings.feed.batch_size = 2, found 4"),
        ("train", ("--set", "noise.scale=0.2"), "settings.noise.scale = 0.2, found 0.1"),
    ],
)
def test_other_settings_are_refused_with_the_difference_named(
    chain: Chain, stage: str, option: tuple[str, ...], difference: str
) -> None:
    before = chain.written()
    assert f"expected {difference}; " in refused(*chain.words(stage), *option)
    assert chain.written() == before


def test_what_a_recipe_says_of_itself_is_no_difference(chain: Chain, tmp_path: Path) -> None:
    words = [
        tmp_path / "own.toml" if word == chain.recipe else word for word in chain.words("train")
    ]
    fields = 'name = "own"\nsource = "ours"\nexpected = "nothing"\ncommand = "none"'
    (tmp_path / "own.toml").write_text(TINY.replace('name = "tiny"', fields))
    assert "nothing to do" in alexrep(*words).stdout
    assert "expected settings.noise.scale = 0.2, " in refused(*words, "--set", "noise.scale=0.2")


def test_a_folder_of_other_images_is_refused(
    chain: Chain, make_raw: Callable[..., Path], tmp_path: Path
) -> None:
    other = make_raw(tmp_path / "raw")
    line = refused("preprocess", other, chain.data, "--partial", *chain.sized)
    assert "expected inputs.DEMO_img_train.tar = '" in line


@pytest.mark.parametrize("stage", ["mean", "pca", "pack", "extract"])
def test_what_was_made_of_other_images_is_refused(chain: Chain, tmp_path: Path, stage: str) -> None:
    data = shutil.copytree(chain.data, tmp_path / "data")
    record = data / "images" / "manifest.json"
    record.write_text(record.read_text().replace('"program": "', '"program": "0'))
    seal.write(record, record.read_bytes())
    words = [data if word == chain.data else word for word in chain.words(stage)]
    assert "expected inputs.images = '" in refused(*words)


def test_a_run_on_other_data_is_refused(chain: Chain, tmp_path: Path) -> None:
    other = shutil.copytree(chain.data, tmp_path / "data")
    shutil.rmtree(other / "shards")
    assert alexrep("pack", other, "--seed", "5", "--workers", "1").exit_code == 0
    words = ("train", other, "--run", chain.run, "--recipe", chain.recipe)
    assert "expected inputs.shards = '" in refused(*words)


@pytest.mark.parametrize("stage", PREPARATION)
def test_a_finished_stage_takes_no_lock_and_makes_no_file(chain: Chain, stage: str) -> None:
    for lock in chain.folder.rglob(".lock*"):
        lock.unlink()
    with locks.held(chain.data), locks.held(chain.folder / "folders"):
        before = {path: path.stat().st_mtime_ns for path in chain.folder.rglob("*")}
        result = alexrep(*chain.words(stage))
        assert result.exit_code == chain.first[stage].exit_code
        # A folder's modification time changes when a file in it is made or removed.
        assert {path: path.stat().st_mtime_ns for path in chain.folder.rglob("*")} == before


@pytest.mark.parametrize("stage", ["preprocess", "mean", "pca", "pack", "extract"])
def test_a_stage_with_work_to_do_needs_the_lock(chain: Chain, tmp_path: Path, stage: str) -> None:
    data, out = shutil.copytree(chain.data, tmp_path / "data"), tmp_path / "folders"
    for lost in ("images/train/n00000030.tar", "mean.npy", "pca.json", "shards/val-00000.h5"):
        if stage == "preprocess" or not lost.startswith("images"):
            (data / lost).unlink()
    moved = {chain.data: data, chain.folder / "folders": out}
    words = [
        moved.get(word, word) if isinstance(word, Path) else word for word in chain.words(stage)
    ]
    with locks.held(data), locks.held(out):
        assert "expected one writer, found another process at work (" in alexrep(*words).stderr
    assert "made anew" in alexrep(*words).stderr or stage == "extract"


def test_stages_work_where_flock_fails(
    raw: Path, chain: Chain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    data = tmp_path / "data"
    assert alexrep("preprocess", raw, data, "--partial", *chain.sized).exit_code == 3
    for stage in ("mean", "pca", "pack", "verify"):
        assert alexrep(stage, data).exit_code == 0


@pytest.mark.parametrize("stage", ["pca", "mean", "pack"])
def test_a_training_below_the_data_keeps_its_partial_files(
    chain: Chain, tmp_path: Path, stage: str
) -> None:
    data = shutil.copytree(chain.data, tmp_path / "data")
    (data / "mean.npy").unlink()  # mean has work to do, the others have none
    part = files.partial_path(data / "runs" / "first" / "checkpoints" / "last.pt")
    files.make_folder(part.parent)
    part.touch()
    with locks.held(data / "runs" / "first") as check:
        assert alexrep(stage, data, *chain.words(stage)[2:]).exit_code == 0
        check()
    assert part.exists()


def test_extract_into_the_folder_of_a_run_is_refused_before_anything_is_removed(
    chain: Chain, tmp_path: Path, left_partial: Callable[[Path], Path]
) -> None:
    run = shutil.copytree(chain.run, tmp_path / "run")
    parts = [of(run / "checkpoints" / "last.pt") for of in (files.partial_path, left_partial)]
    with locks.held(run) as check:
        for part in parts:
            part.touch()
        assert "expected stage 'extract', found 'train'" in refused("extract", chain.data, run)
        check()
    assert [part.exists() for part in parts] == [True, True]


def test_the_folder_of_a_run_under_way_is_not_to_be_removed(chain: Chain, tmp_path: Path) -> None:
    run = shutil.copytree(chain.run, tmp_path / "run")
    (run / "manifest.json").unlink()
    line = refused("extract", chain.data, run)
    wanted = "expected stage 'extract', found 'train'; name another folder"
    assert line == f"alexrep: {run}/plan.json: {wanted}\n"


def test_a_run_that_another_process_writes_to_is_refused(chain: Chain) -> None:
    with locks.held(chain.run):
        assert "nothing to do" in alexrep(*chain.words("train")).stdout
        line = refused(*chain.words("train"), "--epochs", "9")
    assert "expected one writer, found another process at work (process " in line


def test_eval_prints_one_json_document(chain: Chain) -> None:
    result = alexrep(*chain.words("eval"), "--json")
    document = json.loads(result.stdout)
    assert {"split", "views", "num_images", "top1_error", "top5_error"} <= document.keys()
    assert (document["split"], document["views"], document["num_images"]) == ("val", "ten-crop", 8)
    assert 0 <= document["top5_error"] <= document["top1_error"] <= 1


def test_the_first_eval_prints_one_json_document_too(chain: Chain, tmp_path: Path) -> None:
    run = shutil.copytree(chain.run, tmp_path / "run")
    words = ("eval", run, "--data", chain.data, "--split", "test", "--json")
    first, second = (alexrep(*words) for _ in range(2))
    assert json.loads(first.stdout) == json.loads(second.stdout)
    assert json.loads(first.stdout)["views"] == "centre"
    assert "nothing to do" in second.stderr


def test_a_run_that_has_more_results_is_drawn_anew(chain: Chain, tmp_path: Path) -> None:
    run = shutil.copytree(chain.run, tmp_path / "run")
    assert "nothing to do" in alexrep("plot", run).stdout
    alexrep("eval", run, "--data", chain.data, "--split", "test", "--ten-crop")
    assert "predictions.png" in alexrep("plot", run).stdout
    assert "nothing to do" in alexrep("plot", run).stdout


def test_a_finished_run_makes_anew_what_it_has_lost(chain: Chain, tmp_path: Path) -> None:
    run = shutil.copytree(chain.run, tmp_path / "run")
    again = [run if word == chain.run else word for word in chain.words("train")]
    before = state.digests(RunFolder(run))
    (run / "checkpoints" / "last.pt").unlink()
    result = alexrep(*again)
    assert result.exit_code == 0, result.stderr
    message = (
        "last.pt: expected the last checkpoint of a run that has begun, found none; goes on from"
    )
    assert message in result.stderr
    assert state.digests(RunFolder(run)) == before
    (run / "mean.npy").unlink()
    result = alexrep(*again)
    assert f"alexrep: {run}: mean.npy missing, made anew" in result.stderr
    assert "nothing to do" in result.stdout
    assert state.digests(RunFolder(run)) == before


def test_a_picture_that_is_gone_is_drawn_anew(chain: Chain, tmp_path: Path) -> None:
    run = shutil.copytree(chain.run, tmp_path / "run")
    (run / "plots" / "kernels.png").unlink()
    assert "kernels.png" in alexrep("plot", run).stdout
    assert (run / "plots" / "kernels.png").exists()


def test_a_picture_without_its_numbers_is_named(chain: Chain, tmp_path: Path) -> None:
    run = shutil.copytree(chain.run, tmp_path / "run")
    shutil.rmtree(run / "results")
    result = alexrep("plot", run, "--only", "predictions")
    assert result.exit_code == 0
    assert "found none yet; run alexrep eval" in result.stdout


@pytest.mark.usefixtures("few_pictures")
def test_a_damaged_checkpoint_is_no_missing_picture(chain: Chain, tmp_path: Path) -> None:
    run = shutil.copytree(chain.run, tmp_path / "run")
    shutil.rmtree(run / "plots")
    (run / "checkpoints" / "last.pt").write_bytes(b"damaged")
    for _ in range(2):
        result = alexrep("plot", run)
        assert result.exit_code == 1
        assert "kernels: " in result.stderr
        assert "last.pt: expected a whole checkpoint" in result.stderr
        assert "curves.png" in result.stdout
    assert {path.suffix for path in (run / "plots").iterdir()} == {".png"}


def test_extract_writes_class_folders(chain: Chain) -> None:
    paths = list((chain.folder / "folders").glob("*/*/*.JPEG"))
    assert len(paths) == 18 + 7 + 4
    assert len(list((chain.folder / "folders" / "train" / "n00000020").iterdir())) == 6


@pytest.mark.parametrize("stage", STAGES)
def test_help_explains_every_argument_and_option(stage: str) -> None:
    shown = alexrep(stage, "--help").stdout
    assert f"Example: alexrep {stage} " in shown
    _, *sections = re.split(r"^(?:Arguments|Options):\n", shown, flags=re.MULTILINE)
    for entry in re.split(r"\n(?=  \S)", "\n".join(sections)):
        name, _, text = entry.strip().partition("  ")
        assert len(text.split()) >= 2, f"{name} is not explained"


def test_a_missing_raw_folder(tmp_path: Path) -> None:
    line = refused("preprocess", tmp_path / "nowhere", tmp_path / "data")
    assert f"{tmp_path}/nowhere: expected a folder with the ILSVRC tars, found no folder" in line
    assert not (tmp_path / "data").exists()


def test_a_raw_folder_without_tars(tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    assert "found neither; put one" in refused("preprocess", tmp_path / "raw", tmp_path / "data")


@pytest.mark.parametrize("content", [b"", bytes(10240), b"no tar at all" * 100])
def test_an_empty_tar_or_none(
    make_raw: Callable[..., Path], tmp_path: Path, content: bytes
) -> None:
    raw = make_raw(tmp_path / "raw")
    (raw / "DEMO_img_val.tar").write_bytes(content)
    line = refused("preprocess", raw, tmp_path / "data", "--partial")
    assert "DEMO_img_val.tar: expected " in line


def test_fewer_images_than_the_edition_has(raw: Path, tmp_path: Path) -> None:
    assert "or accept it with --partial" in refused("preprocess", raw, tmp_path / "data")


def test_a_text_file_named_jpeg_is_quarantined_and_named(
    make_raw: Callable[..., Path], tmp_path: Path
) -> None:
    texts = {"n00000020_5.JPEG": b"hello", "DEMO_test_00000002.JPEG": b"hello"}
    raw, data = make_raw(tmp_path / "raw", replaced=texts), tmp_path / "data"
    result = alexrep("preprocess", raw, data, "--partial", "--side", "72", "--workers", "1")
    assert result.exit_code == 3
    for split, name in ("train", "n00000020_5.JPEG"), ("test", "DEMO_test_00000002.JPEG"):
        assert f"alexrep: quarantined: {split}/{name}: " in result.stderr
        assert (data / "images" / "quarantine" / split / name).read_bytes() == b"hello"


def test_a_devkit_of_the_other_year(make_raw: Callable[..., Path], tmp_path: Path) -> None:
    raw = make_raw(tmp_path / "raw")
    for split in ("train", "val"):
        (raw / f"DEMO_img_{split}.tar").rename(raw / f"ILSVRC2012_img_{split}.tar")
    (raw / "DEMO_devkit.tar.gz").rename(raw / "ILSVRC2010_devkit-1.0.tar.gz")
    line = refused("preprocess", raw, tmp_path / "data", "--partial")
    assert "expected ILSVRC2012_devkit_t12.tar.gz, found ILSVRC2010_devkit-1.0.tar.gz; " in line


def test_a_devkit_of_the_other_year_under_this_years_name(
    make_raw: Callable[..., Path], tmp_path: Path
) -> None:
    raw = make_raw(tmp_path / "raw")
    synset = np.empty((1, 1), [(name, object) for name in ("ILSVRC2010_ID", "WNID")])
    synset[0, 0] = (1, "n00000020")
    stream = io.BytesIO()
    # Some type stubs accept paths only.
    savemat(cast(Any, stream), {"synsets": synset})
    with tarfile.open(raw / "DEMO_devkit.tar.gz", "w:gz") as devkit:
        header = tarfile.TarInfo("DEMO_devkit/data/meta.mat")
        header.size = len(stream.getvalue())
        devkit.addfile(header, io.BytesIO(stream.getvalue()))
    line = refused("preprocess", raw, tmp_path / "data", "--partial")
    assert "DEMO_devkit.tar.gz: expected DEMO_ID, found ILSVRC2010_ID; " in line


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (("--edition", "ilsvrc2013"), "--edition: expected one of "),
        (("--geometry", "stretch"), "--geometry: expected crop or squash, found 'stretch'"),
    ],
)
def test_an_unknown_choice_of_preprocess(
    raw: Path, tmp_path: Path, words: tuple[str, ...], wanted: str
) -> None:
    assert wanted in refused("preprocess", raw, tmp_path / "data", *words, code=2)


@pytest.mark.parametrize("stage", ["mean", "pca", "pack", "verify"])
def test_a_stage_before_preprocess_names_it(tmp_path: Path, stage: str) -> None:
    data = tmp_path / "data"
    line = refused(stage, data)
    assert f"{data}: expected a folder of prepared data, found no such folder; name the" in line
    assert not data.exists()
    data.mkdir()
    assert "run alexrep preprocess first" in refused(stage, data)


def test_extract_before_preprocess_names_it(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    line = refused("extract", tmp_path / "data", tmp_path / "out")
    assert "run alexrep preprocess first" in line
    assert not (tmp_path / "out").exists()


def test_the_raw_data_is_no_place_for_the_prepared(raw: Path, tmp_path: Path) -> None:
    own = shutil.copytree(raw, tmp_path / "raw")
    before = contents(own)
    line = refused("preprocess", own, own, "--partial", code=2)
    assert (
        f"DATA: expected a folder apart from {own}, found {own}; name a folder of its own" in line
    )
    assert contents(own) == before


def test_train_before_pack_names_it(tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    words = ("train", tmp_path / "data", "--run", tmp_path / "run", "--recipe", tiny)
    assert "run alexrep pack first" in refused(*words)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("recipe", "wanted"),
    [
        ("alexnet-2013", "recipe 'alexnet-2013': expected a recipe that ships"),
        ("nowhere.toml", "nowhere.toml: expected a recipe file, found No such file"),
    ],
)
def test_an_unknown_recipe(data: Path, tmp_path: Path, recipe: str, wanted: str) -> None:
    words = ("train", data, "--run", tmp_path / "run", "--recipe", recipe)
    assert wanted in refused(*words, code=2)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("setting", "wanted"),
    [
        (
            "feed.batch=8",
            "feed.batch: expected a key of feed, found 'batch'; did you mean batch_size? ",
        ),
        ("rate=1", "rate: expected a key of the recipe"),
        ("feed.batch_size=many", "feed.batch_size: expected a valid integer, found 'many'"),
        ("feed.batch_size=2.5", "feed.batch_size: expected a valid integer"),
        ("feed.batch_size=0", "feed.batch_size: expected greater than or equal to 1, found 0"),
        ("feed.reflect=1", "feed.reflect: expected a valid boolean, found 1"),
        ("noise.scale=nan", "noise.scale: expected "),
        ("feed.draws='group32'", "expected draws = 'group32' needs order = 'fixed'"),
        ("seed.x=1", "--set seed.x=1: expected a key of the recipe"),
        ("batch_size", "--set batch_size: expected path=value, found 'batch_size'"),
        ("model.side=73", "model.side: expected at most 72, the side of the prepared images"),
        ("model.name='lenet'", "model.name: expected one of "),
    ],
)
def test_a_setting_with_a_wrong_key_or_type(
    data: Path, tiny: Path, tmp_path: Path, setting: str, wanted: str
) -> None:
    words = ("train", data, "--run", tmp_path / "run", "--recipe", tiny, "--set", setting)
    assert wanted in refused(*words, code=2)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("option", "setting"),
    [
        (("--batch-size", "2"), "feed.batch_size=4"),
        (("--epochs", "2"), "schedule={epochs=2}"),
        (("--seed", "1"), "seed=1"),
    ],
)
def test_an_option_beside_a_setting_of_its_field(
    data: Path, tiny: Path, tmp_path: Path, option: tuple[str, str], setting: str
) -> None:
    words = ("train", data, "--run", tmp_path / "run", "--recipe", tiny, *option, "--set", setting)
    message = f"--set {setting}: expected a field that nothing else sets, found {' '.join(option)};"
    assert message in refused(*words, code=2)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (("--seed", "2", "--set", "seed=3"), "--set seed=3: expected a field that nothing else"),
        (("--set", "noise.scales=2"), "noise.scales: expected a key of noise"),
    ],
)
def test_a_wrong_setting_of_the_demo_is_told_before_its_first_stage(
    tmp_path: Path, words: tuple[str, ...], wanted: str
) -> None:
    assert wanted in refused("demo", tmp_path / "demo", *words, code=2)
    assert not (tmp_path / "demo").exists()


@pytest.mark.parametrize("device", ["nonsense", "cuda:99", "meta", "mps", "cuda:-1"])
def test_a_device_that_is_not_there(chain: Chain, tmp_path: Path, device: str) -> None:
    train = ("train", chain.data, "--run", tmp_path / "run", "--recipe", chain.recipe)
    score = ("eval", chain.run, "--data", chain.data)
    for words in (train, score):
        assert "--device" in refused(*words, "--device", device, code=2)


@pytest.mark.parametrize("split", ["nonsense", "", "VAL"])
def test_an_unknown_split(chain: Chain, split: str) -> None:
    words = ("eval", chain.run, "--data", chain.data, "--split", split)
    assert "--split: expected train or val or test, found " in refused(*words, code=2)


def test_an_unknown_checkpoint(chain: Chain) -> None:
    words = ("eval", chain.run, "--data", chain.data, "--checkpoint", "first")
    assert "--checkpoint: expected last or best, found 'first'" in refused(*words, code=2)


@pytest.mark.parametrize("stage", ["preprocess", "mean", "pack", "extract", "train", "eval"])
def test_no_workers_is_a_usage_error(chain: Chain, stage: str) -> None:
    result = alexrep(*chain.words(stage), "--workers", "0")
    assert result.exit_code == 2
    assert "--workers" in result.stderr
    assert "Traceback" not in result.output


def test_eval_of_a_folder_that_is_no_run(data: Path, tmp_path: Path) -> None:
    for folder in tmp_path, tmp_path / "nowhere":
        line = refused("eval", folder, "--data", data)
        found = "no recipe.toml" if folder.is_dir() else "no such folder"
        assert f"expected a run folder, found {found}; name a folder made by" in line
    assert not (tmp_path / "nowhere").exists()


def test_eval_of_a_run_without_a_checkpoint(chain: Chain, tmp_path: Path) -> None:
    run = shutil.copytree(chain.run, tmp_path / "run", ignore=shutil.ignore_patterns("*.pt"))
    shutil.rmtree(run / "results")
    line = refused("eval", run, "--data", chain.data)
    assert "last.pt: expected a checkpoint, found no file" in line


def test_eval_on_a_folder_without_data(chain: Chain, tmp_path: Path) -> None:
    line = refused("eval", chain.run, "--data", tmp_path, "--split", "test")
    assert "run alexrep pack first" in line


def test_plot_of_a_folder_that_is_no_run(tmp_path: Path) -> None:
    assert "expected a run folder, found no such folder" in refused("plot", tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()


def test_a_folder_that_cannot_be_made(raw: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    line = refused("preprocess", raw, tmp_path / "file" / "data", "--partial")
    assert "expected a folder to write to, found Not a directory" in line


def test_a_spoilt_shard_fails_the_verification(chain: Chain, tmp_path: Path) -> None:
    data = shutil.copytree(chain.data, tmp_path / "data")
    shard = data / "shards" / "train-00000.h5"
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    result = alexrep("verify", data)
    assert result.exit_code == 4
    assert "train-00000.h5" in result.stderr
    assert result.stderr.endswith("see the lines above\n")


def test_a_batch_larger_than_the_data_is_told(data: Path, tiny: Path, tmp_path: Path) -> None:
    def warning(size: int, *more: str) -> str:
        run, epochs = tmp_path / f"run{size}", ("--epochs", "1")
        words = ("train", data, "--run", run, "--recipe", tiny, *epochs, "--device", "cpu")
        return alexrep(*words, "--batch-size", str(size), *more).stderr

    assert warning(18, "-q") == ""
    for more in "--dry-run", "-q":
        assert warning(19, more) == (
            "alexrep: feed.batch_size: 19 is more than the 18 training images: "
            "each step takes all of them\n"
        )


def test_a_diverged_run_is_one_line(data: Path, tiny: Path, tmp_path: Path) -> None:
    words = ("-q", "train", data, "--run", tmp_path / "run", "--recipe", tiny, "--epochs", "20")
    huge = "schedule.changes=[{epoch=0,weights=10.0,biases=10.0}]"
    line = refused(*words, "--set", huge, "--set", "optimiser.weight_decay=1.0")
    assert "train another run at a lower rate" in line
    assert (tmp_path / "run" / "checkpoints" / "last.pt").exists()


def test_a_corrected_recipe_goes_into_the_same_folder(
    data: Path, tiny: Path, tmp_path: Path
) -> None:
    words = ("train", data, "--run", tmp_path / "run", "--recipe", tiny, "--device", "cpu")
    changes = "schedule.changes=[{epoch=0,weights=0.01,biases=0.02},{epoch=1,layers=['conv9']}]"
    assert "found 'conv9'" in refused(*words, "--set", changes, code=2)
    assert alexrep(*words).exit_code == 0


def stopped_once(process: subprocess.Popen[str], is_time: Callable[[], bool]) -> str:
    """Send SIGTERM once `is_time` says so; return the last of the two lines that are printed."""
    while process.poll() is None and not is_time():
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    _, stderr = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 75
    acknowledged, said = stderr.splitlines()
    assert re.fullmatch(r"alexrep: SIGTERM: stopping after this \w+; again to [^;]+", acknowledged)
    return said


def is_caught(pid: int) -> bool:
    """Tell whether a process has a handler for SIGTERM."""
    caught = re.search(r"SigCgt:\s*(\w+)", Path(f"/proc/{pid}/status").read_text())
    return caught is not None and bool(int(caught[1], 16) >> (signal.SIGTERM - 1) & 1)


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Return a function that starts `alexrep` as a process, without progress output.

    On a busy machine a line of progress would come before the one that a test waits for.
    """
    with contextlib.ExitStack() as started:

        def run(*words: str | Path) -> subprocess.Popen[str]:
            command = [sys.executable, "-m", "alexrep.stages", "-q", *map(str, words)]
            alone = os.environ | {"OMP_NUM_THREADS": "1"}
            process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=alone)
            started.enter_context(process)
            started.callback(process.kill)
            return process

        yield run


@pytest.mark.slow
def test_a_signal_leaves_with_75_and_a_checkpoint(
    data: Path, tiny: Path, tmp_path: Path, start: Callable[..., subprocess.Popen[str]]
) -> None:
    run, log = tmp_path / "run", tmp_path / "run" / "log.jsonl"
    process = start("train", data, "--run", run, "--recipe", tiny, "--epochs", "100000")
    stderr = stopped_once(process, lambda: log.exists() and log.stat().st_size > 600)
    assert re.search(r"step [1-9]\d*: saved; stopped by SIGTERM; start again", stderr)
    assert (run / "checkpoints" / "last.pt").exists()
    assert not (run / "manifest.json").exists()


@pytest.mark.slow
def test_a_signal_while_the_command_starts_is_not_lost(
    data: Path, tiny: Path, tmp_path: Path, start: Callable[..., subprocess.Popen[str]]
) -> None:
    words = ("train", data, "--run", tmp_path / "run", "--recipe", tiny, "--device", "cpu")
    process = start(*words)
    assert "step 0: saved; stopped by SIGTERM" in stopped_once(
        process, lambda: is_caught(process.pid)
    )
    assert alexrep(*words).exit_code == 0


@pytest.mark.slow
def test_a_signal_ends_an_evaluation_with_75_and_nothing_is_half_there(
    chain: Chain, tmp_path: Path, start: Callable[..., subprocess.Popen[str]]
) -> None:
    run = shutil.copytree(chain.run, tmp_path / "run")
    shutil.rmtree(run / "results")
    words = ("eval", run, "--data", chain.data, "--ten-crop", "--device", "cpu")
    process = start(*words, "--batch-size", "1")
    stderr = stopped_once(process, lambda: is_caught(process.pid))
    assert "scoring: stopped by SIGTERM, nothing kept; start again" in stderr
    assert not (run / "results").exists()
    assert not list(run.glob(".lock-run-*"))
    assert alexrep(*words).exit_code == 0


def wait_for(process: subprocess.Popen[str], path: Path) -> None:
    while not path.exists() and process.poll() is None:
        time.sleep(0.01)


@pytest.mark.slow
def test_a_second_training_of_a_run_is_refused_and_the_first_goes_on(
    data: Path, tiny: Path, tmp_path: Path, start: Callable[..., subprocess.Popen[str]]
) -> None:
    run = tmp_path / "run"
    words = ("train", data, "--run", run, "--recipe", tiny, "--epochs", "100000")
    first = start(*words)
    wait_for(first, run / "checkpoints" / "last.pt")
    assert f"found another process at work (process {first.pid} on " in refused(*words)
    stopped_once(first, lambda: True)
    assert not list(run.glob(".lock-run-*"))


@pytest.mark.slow
def test_a_restart_of_its_job_takes_a_run_from_a_training_that_still_lives(
    data: Path,
    tiny: Path,
    tmp_path: Path,
    start: Callable[..., subprocess.Popen[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run, last = tmp_path / "run", tmp_path / "run" / "checkpoints" / "last.pt"
    words = ("train", data, "--run", run, "--recipe", tiny, "--epochs", "100000")
    monkeypatch.setenv("SLURM_JOB_ID", "31")
    old = start(*words)
    wait_for(old, last)
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    new = start(*words)
    _, stderr = old.communicate(timeout=PATIENCE_S)
    assert old.returncode == 1
    assert LINE.fullmatch(stderr)
    assert "of job 31, restart 0, found process" in stderr
    assert f"found process {new.pid} on " in stderr
    num_rows = len(log.read(run / "log.jsonl"))
    stopped_once(new, lambda: len(log.read(run / "log.jsonl")) > num_rows)
    rows = [row["step"] for row in log.read(run / "log.jsonl") if row["kind"] == "step"]
    assert rows == list(range(1, len(rows) + 1))


@pytest.mark.parametrize(("mode", "code"), [("never", 1), ("must", 0), ("auto", 0)])
def test_resume_of_a_run_that_is_there(chain: Chain, mode: str, code: int) -> None:
    result = alexrep(*chain.words("train"), "--resume", mode)
    assert result.exit_code == code
    assert ("expected no run, found one that has begun" in result.stderr) == bool(code)


def test_resume_of_a_run_that_is_not_there(data: Path, tiny: Path, tmp_path: Path) -> None:
    words = ("train", data, "--run", tmp_path / "run", "--recipe", tiny, "--resume")
    assert "expected a run to go on with, found none" in refused(*words, "must")
    assert "expected auto or never or must or a checkpoint's path, found 'yes'" in refused(
        *words, "yes", code=2
    )
    assert not (tmp_path / "run").exists()


def test_a_damaged_last_checkpoint_is_one_remark(chain: Chain, tmp_path: Path) -> None:
    run = shutil.copytree(chain.run, tmp_path / "run")
    (run / "manifest.json").unlink()
    (run / "checkpoints" / "last.pt").write_bytes(b"damaged")
    words = [run if word == chain.run else word for word in chain.words("train")]
    result = alexrep("-q", *words)
    assert result.exit_code == 0
    (remark,) = result.stderr.splitlines()
    assert re.search(r"last\.pt: expected a whole checkpoint, found .*; went on from prev", remark)
    assert result.stdout.splitlines()[1:] == chain.first["train"].stdout.splitlines()[1:]


def test_the_module_is_the_command() -> None:
    script = Path(sys.executable).with_name("alexrep")
    commands = ([script], [sys.executable, "-m", "alexrep.stages"])
    shown = [
        subprocess.run([*command, "eval", "--help"], capture_output=True, check=True).stdout
        for command in commands
    ]
    assert shown[0] == shown[1]
    assert os.fsencode("--ten-crop") in shown[0]


@pytest.mark.parametrize("folder", ["", "shards", "images/train"])
def test_a_run_in_the_data_itself_is_refused(chain: Chain, folder: str) -> None:
    before = chain.written()
    words = ("train", chain.data, "--run", chain.data / folder, "--recipe", chain.recipe)
    line = refused(*words, code=2)
    assert f"--run: expected a folder apart from {chain.data}, found " in line
    assert chain.written() == before


@pytest.mark.parametrize("command", ["extract", "figure1"])
@pytest.mark.parametrize("folder", ["", "shards", "images/train", "statistics/more"])
def test_folders_in_the_data_itself_are_refused(chain: Chain, command: str, folder: str) -> None:
    before = chain.written()
    line = refused(command, chain.data, chain.data / folder, code=2)
    assert f"OUT: expected a folder apart from {chain.data}, found " in line
    assert chain.written() == before


@pytest.mark.parametrize("command", ["extract", "figure1"])
def test_a_file_in_the_place_of_the_folder_is_refused(
    chain: Chain, tmp_path: Path, command: str
) -> None:
    (tmp_path / "out").touch()
    line = refused(command, chain.data, tmp_path / "out")
    assert f"{tmp_path}/out: expected a folder to write to, found File exists; name " in line


def test_a_finished_run_with_a_damaged_checkpoint_is_made_whole_by_the_one_before(
    chain: Chain, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(chain.run, run)
    weights = json.loads((run / "manifest.json").read_text())["details"]["weights"]
    last = run / "checkpoints" / "last.pt"
    last.unlink()
    last.write_bytes(b"PK")
    line = refused("eval", run, "--data", chain.data, "--checkpoint", "last", "--split", "train")
    assert "goes on from the one before it, or name --checkpoint best" in line
    words = ("train", chain.data, "--run", run, "--recipe", chain.recipe, "--device", "cpu")
    again = alexrep(*words)
    assert again.exit_code == 0, again.output
    assert "went on from previous.pt" in again.stderr
    assert json.loads((run / "manifest.json").read_text())["details"]["weights"] == weights
    for path in (run / "checkpoints").iterdir():
        path.write_bytes(b"PK")
    assert "expected a whole checkpoint, found " in refused(*words)


def test_must_go_on_says_that_a_begun_run_has_no_checkpoint(chain: Chain, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    shutil.copyfile(chain.run / "plan.json", run / "plan.json")
    words = ("train", chain.data, "--run", run, "--recipe", chain.recipe, "--resume", "must")
    assert "found one without a checkpoint" in refused(*words)


def test_a_missing_file_of_weights_is_told_before_all_else(chain: Chain, tmp_path: Path) -> None:
    words = ("import-caffe", tmp_path / "none", "--run", tmp_path / "run", "--data", chain.data)
    assert f"{tmp_path / 'none'}: expected a file" in refused(*words)


@pytest.mark.parametrize(
    ("stage", "made"),
    [
        ("preprocess", "data/images"),
        ("mean", "data/mean.manifest.json"),
        ("pack", "data/shards"),
        ("extract", "folders"),
    ],
)
def test_a_stage_that_has_lost_its_lock_writes_no_manifest(
    chain: Chain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str, made: str
) -> None:
    shutil.copytree(chain.folder, tmp_path / "copy")
    record = tmp_path / "copy" / made
    record = record if record.suffix == ".json" else record / "manifest.json"
    record.unlink()
    original = locks.held

    @contextlib.contextmanager
    def lost(folder: Path, part: str = "") -> Iterator[Callable[[], None]]:
        with original(folder, part) as check:
            for path in folder.glob(".lock-*"):
                path.unlink()
            yield check

    monkeypatch.setattr(locks, "held", lost)
    words = [
        str(word).replace(str(chain.folder), str(tmp_path / "copy")) for word in chain.words(stage)
    ]
    assert "found the lock removed" in refused(*words)
    assert not record.exists()
