"""`alexrep verify` from outside: exit code 4 for every fault, whatever is damaged."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from alexrep import pool
from alexrep.stages import app
from alexrep.stages.cli import verifying

FAULT = re.compile(r"alexrep: (?P<path>[^\n:]+)[^\n]*: expected [^\n]+, found [^\n]+; ([^\n]+)")


def alexrep(*words: str | Path) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words], prog_name="alexrep")


def verify(data: Path) -> Result:
    return alexrep("verify", data)


def follow(fault: re.Match[str], raw: Path, data: Path, *options: str) -> None:
    """Follow the advice of a fault's line: remove files and run stages."""
    advice, path = fault[2], fault["path"]
    removed, _, stages = advice.partition("run ") if "run " in advice else advice.partition("pack")
    removed = removed.replace("remove it", f"remove {path}").replace("remove the tar", path)
    for name in re.findall(r"/[^ ,]+", removed):
        for target in data.parent.glob(str(Path(name).relative_to(data.parent))):
            shutil.rmtree(target) if target.is_dir() else target.unlink()
    if "preprocess" in stages:
        words = ("--partial", "--side", "72", *options)
        assert alexrep("preprocess", raw, data, *words, "--workers", "1").exit_code == 3
    for stage in ("mean", "pca"):
        if stage in stages.split():
            assert alexrep(stage, data, "--workers", "1").exit_code == 0
    if advice.endswith("pack again"):
        words = ("--shard-images", "8", "--workers", "1")
        assert alexrep("pack", data, *words).exit_code == 0


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[200] ^= 1
    path.write_bytes(content)


@pytest.fixture
def own(data: Path, tmp_path: Path) -> Path:
    """Return a copy of the data folder that the test may damage."""
    shutil.copytree(data, tmp_path / "data")
    return tmp_path / "data"


@pytest.mark.parametrize("content", [b"", b"[]", b"[{}]", b"7", b"\xff", b'[{"index": 0}]'])
def test_a_damaged_class_table_is_a_fault(own: Path, content: bytes) -> None:
    (own / "images/classes.json").write_bytes(content)
    result = verify(own)
    assert result.exit_code == 4
    assert "images/classes.json: expected sha256 " in result.stderr
    assert "images/classes.json: expected a class table" in result.stderr
    assert result.stderr.endswith("expected no fault, found 2; see the lines above\n")


def test_a_missing_class_table_is_a_fault(own: Path) -> None:
    (own / "images/classes.json").unlink()
    result = verify(own)
    assert result.exit_code == 4
    assert "images/classes.json: expected a file, found none" in result.stderr


def test_a_changed_class_table_is_a_fault_and_the_rest_is_checked(own: Path) -> None:
    table = own / "images/classes.json"
    table.write_text(table.read_text().replace("crane", "heron"))
    (own / "shards/val-00000.h5").unlink()
    result = verify(own)
    assert result.exit_code == 4
    assert "images/classes.json: expected sha256 " in result.stderr
    assert "shards/val-00000.h5: expected a file, found none" in result.stderr


@pytest.mark.parametrize(
    "name", ["mean.manifest.json", "pca.manifest.json", "shards/manifest.json"]
)
def test_a_damaged_manifest_is_a_fault_and_the_rest_is_checked(own: Path, name: str) -> None:
    (own / name).write_bytes(b"{}")
    (own / "images/val/00000.jsonl").unlink()
    result = verify(own)
    assert result.exit_code == 4
    assert f"{name}: expected a manifest, found a fault at " in result.stderr
    assert "images/val/00000.jsonl: expected a file, found none" in result.stderr


def test_before_preprocess_there_is_nothing_to_verify(tmp_path: Path) -> None:
    result = verify(tmp_path)
    assert result.exit_code == 1
    assert "run alexrep preprocess first" in result.stderr


def test_a_missing_tar_is_a_fault_though_its_bytes_are_not_read(own: Path) -> None:
    (own / "images/val/00000.tar").unlink()
    result = verify(own)
    assert result.exit_code == 4
    assert "images/val/00000.tar: expected prepared images, found no file" in result.stderr


def test_a_tar_cut_short_is_a_fault_though_its_bytes_are_not_read(own: Path) -> None:
    tar = own / "images/val/00000.tar"
    tar.write_bytes(tar.read_bytes()[:3000])
    result = verify(own)
    assert result.exit_code == 4
    assert re.search(r"val/00000\.tar: expected at least [\d,]+ bytes, found 3,000", result.stderr)


def test_a_damaged_manifest_of_the_images_is_a_fault(own: Path) -> None:
    (own / "images/manifest.json").write_bytes(b"{")
    assert verify(own).exit_code == 4


def test_it_says_what_it_has_checked_and_what_not(own: Path) -> None:
    shutil.rmtree(own / "shards")
    assert verify(own).stdout.endswith(
        "every digest and count of images, mean, pca agrees; "
        "the prepared images were not read (--deep); not made yet: pack\n"
    )


@pytest.mark.parametrize("change", [flip, Path.unlink])
@pytest.mark.parametrize(
    "name",
    [
        "images/classes.json",
        "images/train/n00000030.jsonl",
        "images/train/n00000030.tar",
        "images/quarantine/val/DEMO_val_00000005.JPEG",
        "mean.npy",
        "pca.json",
        "shards/train-00001.h5",
    ],
)
def test_the_advice_about_a_file_works(
    own: Path, raw: Path, name: str, change: Callable[[Path], None]
) -> None:
    change(own / name)
    result = alexrep("verify", "--deep", own)
    fault = FAULT.match(result.stderr)
    assert result.exit_code == 4
    assert fault is not None
    assert fault["path"] == str(own / name)
    follow(fault, raw, own)
    assert alexrep("verify", "--deep", own).exit_code == 0


def test_the_advice_about_what_was_made_of_other_images_works(own: Path, raw: Path) -> None:
    shutil.rmtree(own / "images")
    squash = ("--geometry", "squash")
    alexrep("preprocess", raw, own, "--partial", "--side", "72", "--workers", "1", *squash)
    of_images = [
        fault for fault in FAULT.finditer(verify(own).stderr) if "expected images" in fault[0]
    ]
    stale = ("mean.manifest.json", "pca.manifest.json", "shards/manifest.json")
    assert [fault["path"] for fault in of_images] == [str(own / name) for name in stale]
    follow(of_images[0], raw, own)
    follow(of_images[2], raw, own)
    assert verify(own).exit_code == 0


def test_the_number_of_workers_may_be_given(data: Path) -> None:
    for words in ([], ["--deep"]):
        result = alexrep("verify", data, "--workers", "1", *words)
        assert result.exit_code == 0
        assert result.stdout == alexrep("verify", data, *words).stdout
    assert alexrep("verify", data, "--workers", "0").exit_code == 2


def test_processes_are_started_where_there_is_much_to_read() -> None:
    assert verifying.default_workers(verifying.MANY - 1) == 1
    assert verifying.default_workers(verifying.MANY) == pool.available()
