"""`alexrep export`: what is written, how it is opened again, what is refused."""

import json
import os
import re
import shutil
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from drawn_runs import drawn_run, pixels, scored
from safetensors.torch import load_file
from typer.testing import CliRunner, Result

from alexrep import files
from alexrep.runs import checkpoint, exported, results, trained
from alexrep.runs.folder import RunFolder
from alexrep.stages import app
from alexrep.weights import card

LINE = re.compile(r"alexrep: [^\n]+: expected [^\n]+, found [^\n]+; [^\n]+\n")
"""The whole text of an expected error."""
NAMES = {"README.md", "config.json", "mean.npy", "model.safetensors", "network.json"}
SMALL = ("model.side=67", "model.width=0.05")

pytestmark = pytest.mark.usefixtures("one_thread")


def alexrep(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words], prog_name="alexrep")


def done(*words: object) -> str:
    result = alexrep(*words)
    assert result.exit_code == 0, result.output
    return result.stdout


def refused(*words: object, code: int = 1) -> str:
    result = alexrep(*words)
    assert result.exit_code == code, result.output
    assert LINE.fullmatch(result.stderr), result.stderr
    assert result.stdout == ""
    return result.stderr


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a small run of the demo's recipe; read only."""
    return drawn_run(tmp_path_factory.mktemp("drawn") / "run", "demo", *SMALL).path


@pytest.fixture(scope="module")
def written(drawn: Path) -> Path:
    """Return what was exported from it; read only."""
    done("export", drawn, drawn.parent / "out")
    return drawn.parent / "out"


@pytest.fixture
def run(drawn: Path, tmp_path: Path) -> RunFolder:
    return RunFolder(shutil.copytree(drawn, tmp_path / "run"))


@pytest.fixture
def out(written: Path, tmp_path: Path) -> Path:
    return shutil.copytree(written, tmp_path / "out")


def config_of(folder: Path) -> dict[str, Any]:
    table: dict[str, Any] = json.loads((folder / "config.json").read_text())
    return table


def keep_result(run: RunFolder, views: str, **changed: object) -> None:
    """Keep a result of the run's weights."""
    result = results.Result(
        split="val",
        views=views,
        checkpoint="last",
        epoch=7,
        num_images=200,
        num_quarantined=1,
        loss=1.25,
        top1_error=0.375,
        top5_error=0.25,
        weights=trained.load(run.checkpoint("last")).weights,
        shards="0" * 64,
    )
    table = asdict(replace(result, **changed))  # type: ignore[arg-type]
    files.write_json(run.result("val", views), table)


def test_the_folder_has_these_files_and_the_digests_of_those_that_count(written: Path) -> None:
    assert {path.name for path in written.iterdir()} == NAMES
    assert config_of(written)["files"] == {
        name: files.sha256_file(written / name) for name in NAMES - {"README.md", "config.json"}
    }


def test_weights_and_mean_are_the_runs_bit_for_bit(drawn: Path, written: Path) -> None:
    content = checkpoint.load(RunFolder(drawn).checkpoint("last"))
    state = load_file(written / "model.safetensors")
    assert list(state) == sorted(content["state_dict"])
    assert all(torch.equal(state[name], content["state_dict"][name]) for name in state)
    assert np.array_equal(np.load(written / "mean.npy"), content["inputs"]["mean"].numpy())


@pytest.mark.parametrize("views", ["centre", "ten-crop"])
def test_it_is_opened_as_the_run_is_and_says_the_same(
    drawn: Path, written: Path, views: str
) -> None:
    run, copy = (trained.load(RunFolder(path).checkpoint("last")) for path in (drawn, written))
    assert copy.weights == run.weights
    assert (copy.recipe, copy.side, copy.geometry, copy.epoch) == (
        run.recipe, run.side, run.geometry, run.epoch,
    )  # fmt: skip
    assert list(copy.classes.index_of_wnid) == list(run.classes.index_of_wnid)
    images = pixels(run.side)
    assert torch.equal(scored(copy, images, views), scored(run, images, views))


def test_the_configuration_says_what_it_is(written: Path) -> None:
    config = config_of(written)
    assert (config["format"], config["name"], config["epoch"]) == (1, "demo", 7)
    assert config["recipe"]["model"]["width"] == 0.05
    assert [row["wnid"] for row in config["classes"]] == ["n00000020", "n00000030", "n01440764"]
    assert [row["words"] for row in config["classes"]][1:] == ["dog", "tench, Tinca tinca"]
    rule = config["input"]
    assert (rule["prepared_side"], rule["side"], rule["channels"]) == (75, 67, "rgb")
    mean = np.load(written / "mean.npy").mean(axis=(0, 1))
    assert np.allclose(rule["mean_colour"], mean, atol=1e-3)
    assert config["errors"] == {}
    assert "width: 0.05; net 145: 1" in config["departures"]


def test_errors_are_those_of_these_weights_and_stand_in_the_card(
    run: RunFolder, tmp_path: Path
) -> None:
    keep_result(run, "centre", top1_interval=(0.36, 0.39), top5_interval=(0.25, 0.25))
    keep_result(run, "ten-crop", weights="0" * 64)
    files.write_json(
        run.result("test", "centre"),
        json.loads(run.result("val", "centre").read_text())
        | {"split": "test", "loss": None, "top1_error": None, "top5_error": None},
    )
    said = done("export", run.path, tmp_path / "out", "--license", "cc0-1.0")
    assert "\nval-centre: top-1 error 37.50 %, top-5 error 25.00 %\n" in said
    assert config_of(tmp_path / "out")["errors"].keys() == {"val-centre"}
    text = (tmp_path / "out" / "README.md").read_text()
    assert "| val | centre | 200 | 37.50 % (36.00 to 39.00) | 25.00 % (25.00 to 25.00) |" in text
    header = text.split("---\n")[1]
    assert '\nlicense: "cc0-1.0"\n' in f"\n{header}"
    assert '- {type: accuracy, name: "top-1, centre", value: 0.625}' in header
    assert "ten-crop" not in header


@pytest.mark.slow
def test_without_errors_and_license_the_card_names_none(drawn: Path, tmp_path: Path) -> None:
    result = alexrep("export", drawn, tmp_path / "out")
    assert result.stderr.endswith(
        "no errors in the card: run alexrep eval first to have them there\n"
    )
    text = (tmp_path / "out" / "README.md").read_text()
    assert "license" not in text
    assert "model-index" not in text
    assert "None are known" in text


@pytest.mark.slow
def test_the_path_of_the_weights_it_started_from_stays_here(tmp_path: Path) -> None:
    run = drawn_run(tmp_path / "run", "demo", *SMALL, "start.weights=/home/someone/run")
    done("export", run.path, tmp_path / "out")
    for path in (tmp_path / "out").iterdir():
        assert b"/home/someone" not in path.read_bytes(), path.name


@pytest.mark.slow
def test_the_best_checkpoint_is_exported_if_asked_for(run: RunFolder, tmp_path: Path) -> None:
    content = checkpoint.load(run.checkpoint("last"))
    content["state_dict"]["fc8.bias"] += 1
    checkpoint.save(run.checkpoint("best"), content)
    done("export", run.path, tmp_path / "out", "--checkpoint", "best")
    state = load_file(tmp_path / "out" / "model.safetensors")
    assert torch.equal(state["fc8.bias"], content["state_dict"]["fc8.bias"])
    assert config_of(tmp_path / "out")["checkpoint"] == "best"


def test_done_again_there_is_nothing_to_do(drawn: Path, out: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in out.iterdir()}
    assert done("export", drawn, out).endswith("the same weights and errors, nothing to do\n")
    (out / "results").mkdir()
    assert "nothing to do" in done("export", drawn, out)
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_the_card_says_that_images_were_encoded_again(written: Path) -> None:
    config = exported.read(written)
    for quality, said in (
        (85, "as a JPEG\nof quality 85: "),
        (None, "of a quality that was not re"),
    ):
        rule = config.input.model_copy(update={"quality": quality})
        assert said in card.render(config.model_copy(update={"input": rule}))


def test_the_card_may_be_edited(drawn: Path, out: Path) -> None:
    (out / "README.md").write_text("mine")
    assert trained.load(RunFolder(out).checkpoint("last")).epoch == 7
    assert "nothing to do" in done("export", drawn, out)


@pytest.mark.parametrize("name", sorted(NAMES - {"README.md"}))
def test_a_changed_byte_is_one_line(drawn: Path, out: Path, data: Path, name: str) -> None:
    content = bytearray((out / name).read_bytes())
    place = content.index(b"cat, feline") if name == "config.json" else len(content) - 9
    content[place] ^= 1
    (out / name).write_bytes(content)
    wanted = f"alexrep: {out / name}: expected the bytes that were exported, found others; "
    assert refused("eval", out, "--data", data).startswith(wanted)
    assert refused("export", drawn, out).startswith(wanted)


@pytest.mark.parametrize("name", ["model.safetensors", "mean.npy", "network.json"])
def test_a_missing_file_is_one_line(out: Path, data: Path, name: str) -> None:
    (out / name).unlink()
    assert f"{name}: expected the file that config.json lists, found none;" in refused(
        "eval", out, "--data", data
    )


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ('{"format": 2, "news": true}', "expected format 1, found format 2; use a newer alexrep"),
        ("{}", "expected an exported network, found something else"),
        ("[]", "expected an exported network, found something else"),
        ('{"format": "1"}', "expected an exported network, found something else"),
        ('{"format": 1}', "expected the bytes that were exported, found others"),
        ('{"format": 1, "epoch": NaN}', "expected JSON, found no finite number: NaN"),
        ("", "expected JSON, found Expecting value"),
        ("\xff", "expected JSON, found"),
    ],
)
def test_another_configuration_is_one_line(out: Path, data: Path, content: str, found: str) -> None:
    (out / "config.json").write_bytes(content.encode("latin-1"))
    assert f"config.json: {found}" in refused("eval", out, "--data", data)


def test_fields_that_lack_are_named(out: Path, data: Path) -> None:
    config = config_of(out)
    del config["classes"]
    plain = {key: value for key, value in config.items() if key != "digest"}
    config["digest"] = files.sha256_bytes(files.to_json(plain).encode())
    files.write_json(out / "config.json", config)
    assert "expected an exported network, found a fault at classes" in refused(
        "eval", out, "--data", data
    )


def test_a_folder_with_other_things_is_left_alone(drawn: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    wanted = f"{tmp_path}: expected an empty folder, or none, found mine; name another folder"
    assert wanted in refused("export", drawn, tmp_path)
    assert f"{tmp_path}/mine: expected a folder, or nothing yet, found a file" in refused(
        "export", drawn, tmp_path / "mine"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


@pytest.mark.slow
def test_an_empty_folder_is_filled(drawn: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    done("export", drawn, tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == NAMES


def test_another_export_is_not_replaced(run: RunFolder, out: Path) -> None:
    keep_result(run, "centre")
    wanted = f"{out}: expected the export of these weights and results, found one with other "
    for more, which in (
        ((), "errors (val-centre); "),
        (("--license", "mit"), "license (none), errors (val-centre); "),
        (("--onnx",), "errors (val-centre), files (without model.onnx); "),
    ):
        assert f"{wanted}{which}" in refused("export", run.path, out, *more)
    content = checkpoint.load(run.checkpoint("last"))
    content["state_dict"]["towers.1.fc6.bias"][3] += 1
    checkpoint.save(run.checkpoint("last"), content)
    was = config_of(out)["epoch"]
    assert f"{wanted}weights (of epoch {was})" in refused("export", run.path, out)


@pytest.mark.parametrize("folder", ["", "checkpoints", "checkpoints/new", "results"])
def test_it_does_not_go_among_the_files_of_a_run(run: RunFolder, folder: str) -> None:
    before = sorted(run.path.rglob("*"))
    line = refused("export", run.path, run.path / folder, code=2)
    assert line.startswith(f"alexrep: OUT: expected a folder apart from {run.path}, found ")
    assert sorted(run.path.rglob("*")) == before


def test_weights_that_are_no_numbers_are_refused(run: RunFolder, tmp_path: Path) -> None:
    content = checkpoint.load(run.checkpoint("last"))
    content["state_dict"]["towers.1.fc6.bias"][3] = float("nan")
    checkpoint.save(run.checkpoint("last"), content)
    assert "last.pt: expected finite weights, found others in towers.1.fc6.bias; " in refused(
        "export", run.path, tmp_path / "out"
    )
    assert not (tmp_path / "out").exists()


def test_what_was_exported_is_not_exported_again(out: Path, tmp_path: Path) -> None:
    assert f"{out}: expected a run, found an exported network; name the run" in refused(
        "export", out, tmp_path / "again"
    )


@pytest.mark.parametrize("folder", ["none", "empty"])
def test_what_is_no_run_is_refused(tmp_path: Path, folder: str) -> None:
    (tmp_path / "empty").mkdir()
    found = "no recipe.toml" if folder == "empty" else "no such folder"
    wanted = f"expected a run folder, found {found}"
    assert wanted in refused("export", tmp_path / folder, tmp_path / "out")


def test_what_fails_leaves_nothing_behind(
    drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(config: object) -> str:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(card, "render", fail)
    wanted = f"{tmp_path}/out: expected room on the disk, found none; "
    assert wanted in refused("export", drawn, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_what_differs_from_the_run_is_not_written(
    drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = trained.Trained.inputs
    monkeypatch.setattr(
        trained.Trained,
        "inputs",
        lambda self: replace(inputs(self), mean=inputs(self).mean + 40),
    )
    wanted = "network.json: expected the run's probabilities within 1e-05, found a difference of "
    assert wanted in refused("export", drawn, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_no_run_is_written_into_it(drawn: Path, out: Path, data: Path) -> None:
    before = {path: path.read_bytes() for path in out.iterdir()}
    wanted = f"alexrep: --run: expected a folder for a run, found the exported network {out}; "
    line = refused("train", data, "--run", out, "--recipe", "demo", code=2)
    assert line.startswith(wanted)
    words = ("import-caffe", drawn / "none.caffemodel", "--run", out, "--data", data)
    assert refused(*words, code=2).startswith(wanted)
    assert {path: path.read_bytes() for path in out.iterdir()} == before


def test_it_is_shown_as_what_it_is(out: Path) -> None:
    assert done("runs", "show", out).startswith(f"{out}: demo, exported\n")
    assert json.loads(done("runs", "show", out, "--json"))["state"] == "exported"


def test_a_run_is_not_taken_for_an_export(run: RunFolder) -> None:
    (run.path / "config.json").write_text("{}")
    assert not run.is_exported
    assert trained.load(run.checkpoint("last")).epoch == 7


def test_a_digest_tells_every_change(written: Path) -> None:
    config = exported.read(written)
    other = config.model_copy(update={"epoch": 8}).sealed(config.files)
    assert config.sealed(config.files) == config
    assert other.digest != config.digest
    assert asdict(RunFolder(written)) == {"path": written}
