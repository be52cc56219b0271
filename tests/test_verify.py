"""`alexrep verify` from outside: exit code 4 for every fault, whatever is damaged."""

import re
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from alexrep.stages import app


def verify(data: Path) -> Result:
    return CliRunner().invoke(app, ["verify", str(data)], prog_name="alexrep")


@pytest.fixture
def own(data: Path, tmp_path: Path) -> Path:
    """Return a data folder that may be damaged."""
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
        "the prepared images were not read (--deep)\n"
    )
