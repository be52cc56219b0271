"""Lost outputs of a finished stage: they are made again, and nothing else is."""

import io
import os
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from alexrep import files, manifest
from alexrep.prepare import tar_blocks, units
from alexrep.stages import app


def alexrep(*words: str | Path) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words], prog_name="alexrep")


def preprocess(raw: Path, data: Path) -> Result:
    return alexrep("preprocess", raw, data, "--partial", "--side", "72", "--workers", "1")


def pack(data: Path) -> Result:
    return alexrep("pack", data, "--shard-images", "8", "--workers", "1")


def times(data: Path) -> dict[str, int]:
    paths = (path for path in data.rglob("*") if path.is_file() and ".lock" not in path.name)
    return {str(path.relative_to(data)): path.stat().st_mtime_ns for path in paths}


def digests(data: Path) -> dict[str, str]:
    return {name: files.sha256_file(data / name) for name in times(data)}


def flip(path: Path, offset: int) -> None:
    content = bytearray(path.read_bytes())
    content[offset] ^= 1
    path.write_bytes(content)


@pytest.fixture
def own(data: Path, tmp_path: Path) -> Path:
    """Return a copy of the data folder that the test may damage."""
    shutil.copytree(data, tmp_path / "data")
    return tmp_path / "data"


def remove(path: Path) -> None:
    path.unlink()


def shorten(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 100)


@pytest.mark.parametrize("damage", [remove, shorten])
@pytest.mark.parametrize("name", ["train-00001.h5", "val-00000.h5", "classes.json"])
def test_a_lost_shard_alone_is_packed_anew(
    own: Path, data: Path, name: str, damage: Callable[[Path], None]
) -> None:
    damage(own / "shards" / name)
    before = times(own)
    result = pack(own)
    assert result.exit_code == 0
    assert (
        f"shards: expected what was made before, found 1 missing or of another size: {name};"
        in (result.stderr)
    )
    assert "nothing to do" not in result.stdout
    after = times(own)
    changed = {path for path in after if after[path] != before.get(path)}
    assert changed <= {f"shards/{name}", "shards/classes.json"}
    assert digests(own) == digests(data)
    assert "nothing to do" in pack(own).stdout


@pytest.mark.parametrize("damage", [remove, shorten])
@pytest.mark.parametrize(
    "name", ["val/00000.tar", "train/n00000030.jsonl", "quarantine/val/DEMO_val_00000005.JPEG"]
)
def test_a_lost_unit_alone_is_prepared_anew(
    raw: Path, own: Path, data: Path, name: str, damage: Callable[[Path], None]
) -> None:
    damage(own / "images" / name)
    before = times(own)
    result = preprocess(raw, own)
    assert result.exit_code == 3
    assert f"found 1 missing or of another size: {name}; made anew" in result.stderr
    unit = "train/n00000030" if "n00000030" in name else "val/00000"
    made = {f"images/{unit}.tar", f"images/{unit}.jsonl", "images/classes.json"}
    if "val" in name:
        made |= {"images/quarantine/val/DEMO_val_00000005.JPEG"}
    after = times(own)
    assert {path for path in after if after[path] != before.get(path)} == made
    assert digests(own) == digests(data)
    assert "nothing to do" in preprocess(raw, own).stdout


def test_a_unit_of_which_all_files_are_lost_is_prepared_anew(
    raw: Path, own: Path, data: Path
) -> None:
    for path in (own / "images/val").iterdir():
        path.unlink()
    assert preprocess(raw, own).exit_code == 3
    assert digests(own) == digests(data)


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("val/00000.tar", remove),
        ("val/00000.tar", shorten),
        ("quarantine/val/DEMO_val_00000005.JPEG", remove),
    ],
)
def test_a_list_without_what_it_tells_of_is_no_whole_unit(
    raw: Path, own: Path, data: Path, name: str, damage: Callable[[Path], None]
) -> None:
    (own / "images" / manifest.NAME).unlink()
    damage(own / "images" / name)
    before = times(own)
    assert preprocess(raw, own).exit_code == 3
    after = times(own)
    assert after["images/val/00000.tar"] != before.get("images/val/00000.tar")
    assert after["images/train/n00000020.tar"] == before["images/train/n00000020.tar"]
    assert digests(own) == digests(data)


@pytest.mark.parametrize("end", [0, 1, 512, 9216, 9217, 10240, 20000])
def test_a_tar_has_the_size_that_its_last_file_tells(tmp_path: Path, end: int) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        header = tarfile.TarInfo("a")
        header.size = max(0, end - 512)
        if end:
            tar.addfile(header, io.BytesIO(bytes(header.size)))
            end = 512 + header.size
    assert (tmp_path / "a.tar").stat().st_size == tar_blocks.size_of(end)


def test_a_unit_with_all_images_in_quarantine_is_whole(
    make_raw: Callable[..., Path], tmp_path: Path
) -> None:
    names = [f"DEMO_val_{number:08d}.JPEG" for number in range(1, 9)]
    raw = make_raw(tmp_path / "raw", replaced=dict.fromkeys(names, b"no image"))
    assert preprocess(raw, tmp_path).exit_code == 3
    assert units.is_whole(tmp_path / "images", "val/00000", {})


def test_parts_share_out_what_was_lost(raw: Path, own: Path, data: Path) -> None:
    for unit in ("train/n00000020", "train/n00000030"):
        (own / "images" / f"{unit}.tar").unlink()
    words = ("preprocess", raw, own, "--partial", "--side", "72", "--workers", "1")
    assert "this part is done" in alexrep(*words, "--part", "0/2").stdout
    assert alexrep(*words, "--part", "1/2").exit_code == 3
    assert digests(own) == digests(data)


@pytest.mark.parametrize(("stage", "name"), [("mean", "mean.npy"), ("pca", "pca.json")])
def test_a_lost_mean_or_axes_are_made_anew(own: Path, data: Path, stage: str, name: str) -> None:
    (own / name).unlink()
    assert f"missing or of another size: {name}" in alexrep(stage, own).stderr
    kept = {output: digest for output, digest in digests(own).items() if "statistics" not in output}
    assert kept.items() <= digests(data).items()


def test_what_is_made_anew_does_not_vouch_for_a_shard_that_stays(own: Path) -> None:
    flip(own / "shards/train-00000.h5", 3000)
    (own / "shards/val-00000.h5").unlink()
    record = (own / "shards" / manifest.NAME).read_bytes()
    assert pack(own).exit_code == 0
    assert (own / "shards" / manifest.NAME).read_bytes() == record
    assert "train-00000.h5: " in alexrep("verify", own).stderr


def test_what_is_made_anew_does_not_vouch_for_a_list_that_stays(
    raw: Path, own: Path, data: Path
) -> None:
    flip(own / "images/train/n00000020.jsonl", 12)
    (own / "images/val/00000.tar").unlink()
    result = preprocess(raw, own)
    assert result.exit_code == 1
    assert "n00000020.jsonl: expected sha256 " in result.stderr
    assert result.stderr.endswith("found another; remove it and run preprocess again\n")
    (own / "images/train/n00000020.jsonl").unlink()
    assert preprocess(raw, own).exit_code == 3
    assert digests(own) == digests(data)


def test_the_advice_about_a_flipped_byte_works(own: Path, data: Path) -> None:
    path = own / "shards/val-00000.h5"
    flip(path, 3000)
    assert f"remove {path} and pack again" in alexrep("verify", own).stderr
    path.unlink()
    assert pack(own).exit_code == 0
    assert digests(own) == digests(data)


def test_the_advice_about_a_changed_prepared_image_works(raw: Path, own: Path, data: Path) -> None:
    tar = own / "images/val/00000.tar"
    flip(tar, tar.stat().st_size // 2)
    shutil.rmtree(own / "shards")
    result = pack(own)
    assert result.exit_code == 1
    assert "; remove the tar and run preprocess again" in result.stderr
    tar.unlink()
    assert (preprocess(raw, own).exit_code, pack(own).exit_code) == (3, 0)
    assert digests(own) == digests(data)


@pytest.mark.parametrize("damage", [remove, shorten])
def test_a_lost_image_of_class_folders_is_written_anew(
    own: Path, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    out, name = tmp_path / "folders", "val/n00000020/DEMO_val_00000001.JPEG"
    alexrep("extract", own, out, "--workers", "1")
    whole, before = digests(out), times(out)
    assert "nothing to do" in alexrep("extract", own, out).stdout
    damage(out / name)
    assert (
        f"of another size: {name}; made anew"
        in alexrep("extract", own, out, "--workers", "1").stderr
    )
    after = times(out)
    assert {path for path in after if after[path] != before[path]} == {name}
    assert digests(out) == whole


@pytest.mark.parametrize("line", [b"{\n", b"[]\n", b'{"name": 3}\n'])
def test_a_unit_whose_last_verdict_is_damaged_is_not_whole(
    data: Path, tmp_path: Path, line: bytes
) -> None:
    images = shutil.copytree(data / "images", tmp_path / "images")
    assert units.is_whole(images, "val/00000", {})
    with (images / "val/00000.jsonl").open("ab") as stream:
        stream.write(line)
    assert not units.is_whole(images, "val/00000", {})
