"""Preparation of an edition: every image once, and the same bytes after any interruption."""

import dataclasses
import json
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import simplejpeg

from alexrep import files, manifest
from alexrep.errors import DataError, ManifestError
from alexrep.ilsvrc import archives, source
from alexrep.ilsvrc.editions import EDITIONS
from alexrep.ilsvrc.unit import Source
from alexrep.manifest import Manifest
from alexrep.prepare import expected, finish, preprocess, tar_blocks, units
from alexrep.prepare.image import Target, Verdict

MakeRaw = Callable[..., Path]
MakeTar = Callable[..., bytes]
Prepare = Callable[..., Path]
Encode = Callable[..., bytes]

TARGET = Target(side=72)

UNITS = ["train/n00000020", "train/n00000030", "train/n00000040", "val/00000", "test/00000"]

KILLED = """
import os, signal, sys
from pathlib import Path
from alexrep import manifest
from alexrep.ilsvrc import editions, source
from alexrep.prepare import preprocess
from alexrep.prepare.image import Target
from alexrep.pixels import rescale

encode, left = rescale.encode, [int(sys.argv[3])]

def die_after(picture, quality):
    left[0] -= 1
    if left[0] < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return encode(picture, quality)

rescale.encode = die_after
images = Path(sys.argv[2]) / "images"
found = source.survey(Path(sys.argv[1]), editions.EDITIONS["demo"], partial=True)
plan = preprocess.make_plan(found, Target(72), partial=True)
manifest.begin(plan, images / "manifest.json", images / "plan.json")
preprocess.run(found, images, Target(72), 1, lambda num: None)
"""


def tree(folder: Path) -> dict[str, str]:
    """Return the digest of each file below a folder."""
    surveyed = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): files.sha256_file(path) for path in surveyed}


def times(folder: Path) -> dict[str, int]:
    surveyed = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in surveyed}


def verdicts(data: Path, unit: str) -> list[dict[str, Any]]:
    lines = (data / "images" / f"{unit}.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def record(data: Path) -> Manifest:
    return manifest.read(data / "images" / manifest.NAME, "preprocess")


def survey(raw: Path, partial: bool = True) -> Source:
    return source.survey(raw, EDITIONS["demo"], partial)


def test_the_counts_are_those_of_the_verdicts(data: Path) -> None:
    assert record(data).counts == {
        "train images": 18,
        "train ok": 15,
        "train repaired": 2,
        "train patched": 1,
        "val images": 8,
        "val ok": 7,
        "val quarantined": 1,
        "test images": 4,
        "test ok": 4,
    }
    rows = [verdict for unit in UNITS for verdict in verdicts(data, unit)]
    assert Counter(verdict["verdict"] for verdict in rows) == {
        "ok": 26,
        "repaired": 2,
        "patched": 1,
        "quarantined": 1,
    }


def test_every_image_has_one_line_in_order_of_names_with_its_label(data: Path) -> None:
    for index, unit in enumerate(UNITS[:3]):
        rows = verdicts(data, unit)
        wnid = unit.removeprefix("train/")
        names = sorted(f"{wnid}_{5 + 7 * number}.JPEG" for number in range(6))
        assert [verdict["name"] for verdict in rows] == names
        assert {verdict["label"] for verdict in rows} == {index}
    for split, num in (("val", 8), ("test", 4)):
        rows = verdicts(data, f"{split}/00000")
        assert [verdict["name"] for verdict in rows] == [
            f"DEMO_{split}_{number:08d}.JPEG" for number in range(1, num + 1)
        ]
        assert [verdict["label"] for verdict in rows] == [line % 3 for line in range(num)]


@pytest.mark.parametrize("unit", UNITS)
def test_offsets_point_at_the_very_bytes(data: Path, unit: str) -> None:
    raw = (data / "images" / f"{unit}.tar").read_bytes()
    rows = [verdict for verdict in verdicts(data, unit) if verdict["verdict"] != "quarantined"]
    assert rows
    for verdict in rows:
        content = raw[verdict["offset"] : verdict["offset"] + verdict["size"]]
        assert files.sha256_bytes(content) == verdict["sha256"]
        assert simplejpeg.decode_jpeg(content, "RGB").shape == (72, 72, 3)


@pytest.mark.parametrize("unit", UNITS)
def test_the_tar_is_one_that_any_tool_reads(data: Path, unit: str) -> None:
    with tarfile.open(data / "images" / f"{unit}.tar") as tar:
        members = [(m.name, m.offset_data, m.size, m.mtime, m.uid, m.uname) for m in tar]
    expected = [
        (verdict["name"], verdict["offset"], verdict["size"], 0, 0, "")
        for verdict in verdicts(data, unit)
        if verdict["verdict"] != "quarantined"
    ]
    assert members == expected


def test_verdicts_tell_what_was_done(data: Path, raw: Path) -> None:
    by_name = {verdict["name"]: verdict for unit in UNITS for verdict in verdicts(data, unit)}
    outcomes = {
        name: (
            verdict["verdict"],
            verdict["why"],
            verdict["mode"],
            verdict["width"],
            verdict["height"],
        )
        for name, verdict in by_name.items()
    }
    assert outcomes["n00000020_5.JPEG"] == ("ok", "", "RGB", 120, 90)
    assert outcomes["n00000020_19.JPEG"] == ("ok", "copied", "RGB", 72, 72)
    assert outcomes["n00000020_12.JPEG"] == ("repaired", "gray", "L", 90, 80)
    assert outcomes["n00000030_5.JPEG"] == ("repaired", "PNG", "RGB", 120, 90)
    assert outcomes["n00000040_19.JPEG"] == ("patched", "replaced", "RGB", 120, 90)
    assert outcomes["DEMO_val_00000005.JPEG"][0] == "quarantined"
    with tarfile.open(raw / "DEMO_patch_images.tar") as tar:
        patch = tar.extractfile("patch_images/train/n00000040/n00000040_19.JPEG").read()  # type: ignore[union-attr]
    assert by_name["n00000040_19.JPEG"]["source_sha256"] == files.sha256_bytes(patch)


def test_quarantine_keeps_the_bytes_and_the_manifest_names_them(data: Path, raw: Path) -> None:
    with tarfile.open(raw / "DEMO_img_val.tar") as tar:
        content = tar.extractfile("DEMO_val_00000005.JPEG").read()  # type: ignore[union-attr]
    kept = data / "images" / "quarantine"
    assert tree(kept) == {"val/DEMO_val_00000005.JPEG": files.sha256_bytes(content)}
    (entry,) = verdicts(data, "val/00000")[4:5]
    named = {"split": "val", "name": "DEMO_val_00000005.JPEG", "why": entry["why"]}
    assert record(data).details["quarantine"] == [named]


def test_the_manifest_names_every_record_by_its_digest(data: Path) -> None:
    images, outputs = data / "images", record(data).outputs
    assert set(outputs) == {"classes.json", *(f"{unit}.jsonl" for unit in UNITS)}
    assert all(files.sha256_file(images / name) == digest for name, digest in outputs.items())
    assert record(data).details["units"] == UNITS


def test_the_settings_name_what_decides_the_pixels(data: Path) -> None:
    settings = record(data).settings
    assert (settings["side"], settings["geometry"], settings["partial"]) == (72, "crop", True)
    assert (settings["filter"], settings["quality"], settings["subsampling"]) == (
        "bicubic",
        90,
        "4:2:0",
    )
    assert str(settings["decoder"]).startswith("libjpeg")
    assert str(settings["resizer"]).startswith("pillow")


def test_two_workers_make_the_same_bytes(
    raw: Path, data: Path, prepare: Prepare, tmp_path: Path
) -> None:
    prepare(raw, tmp_path, workers=2)
    assert tree(tmp_path / "images") == tree(data / "images")


def test_a_second_run_does_nothing(raw: Path, prepare: Prepare, tmp_path: Path) -> None:
    prepare(raw, tmp_path)
    before = times(tmp_path)
    prepare(raw, tmp_path)
    assert times(tmp_path) == before


@pytest.mark.parametrize("suffix", ["jsonl", "tar"])
def test_a_restart_redoes_only_the_unit_that_is_missing(
    raw: Path, data: Path, prepare: Prepare, tmp_path: Path, suffix: str
) -> None:
    images = tmp_path / "images"
    shutil.copytree(data / "images", images)
    (images / manifest.NAME).unlink()
    (images / "train" / "n00000030.jsonl").unlink()
    (images / "train" / f"n00000030.{suffix}").unlink(missing_ok=True)
    before = times(images)
    prepare(raw, tmp_path)
    assert tree(images) == tree(data / "images")
    written = {name for name, time in times(images).items() if before.get(name) != time}
    redone = {"train/n00000030.tar", "train/n00000030.jsonl"}
    assert written == redone | {"manifest.json", "manifest.sha256", "classes.json"}


@pytest.mark.parametrize("num_images", [0, 3, 9, 20])
def test_a_killed_run_goes_on_to_the_same_bytes(
    raw: Path, data: Path, prepare: Prepare, tmp_path: Path, num_images: int
) -> None:
    command = [sys.executable, "-c", KILLED, str(raw), str(tmp_path), str(num_images)]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert not (tmp_path / "images" / manifest.NAME).exists()
    prepare(raw, tmp_path)
    assert tree(tmp_path / "images") == tree(data / "images")


def test_progress_counts_every_image_once_restarted_or_not(raw: Path, tmp_path: Path) -> None:
    surveyed = survey(raw)
    for new, old in ([4, 6, 6, 6, 8], []), ([8], [4, 6, 6, 6]):
        progress, before = list[int](), list[int]()
        preprocess.run(surveyed, tmp_path, TARGET, 1, progress.append, before=before.append)
        assert (sorted(progress), sorted(before)) == (new, old)
        (tmp_path / "val" / "00000.jsonl").unlink()
    assert expected.total(surveyed) == 30


def test_other_settings_are_refused_by_name(raw: Path, data: Path, prepare: Prepare) -> None:
    with pytest.raises(ManifestError, match=r"expected settings\.side = 80, found 72; ask for the"):
        prepare(raw, data, side=80)


def test_other_inputs_are_refused_by_name(
    make_raw: MakeRaw, data: Path, prepare: Prepare, tmp_path: Path
) -> None:
    with pytest.raises(ManifestError, match=r"expected inputs\.DEMO_img_val\.tar = .*, found"):
        prepare(make_raw(tmp_path / "raw", num_train=5), data)


def test_an_unfinished_run_is_held_to_its_plan(raw: Path, prepare: Prepare, tmp_path: Path) -> None:
    prepare(raw, tmp_path)
    (tmp_path / "images" / manifest.NAME).unlink()
    with pytest.raises(ManifestError, match=r"plan\.json: expected settings\.side = 80, found 72"):
        prepare(raw, tmp_path, side=80)


@pytest.mark.parametrize(
    ("promised", "partial", "message"),
    [
        (
            7,
            False,
            "expected 7 images, found 6; download the tar again, or accept it with --partial",
        ),
        (5, False, "expected 5 images, found 6; download the tar again"),
        (5, True, "expected at most 5 images, found 6; download the tar again"),
    ],
)
def test_a_synset_of_another_number_than_the_devkit_promises_is_refused(
    make_raw: MakeRaw, tmp_path: Path, promised: int, partial: bool, message: str
) -> None:
    surveyed = survey(make_raw(tmp_path / "raw"))
    unit = dataclasses.replace(surveyed.units[0], num_expected=promised, is_partial=partial)
    with pytest.raises(DataError, match=f"train/n00000020: {message}"):
        units.prepare_unit(unit, tmp_path / "images", TARGET)
    assert not list((tmp_path / "images").rglob("*.tar*"))


def test_a_devkit_of_other_counts_than_the_edition_is_refused_at_once(
    raw: Path, tmp_path: Path
) -> None:
    surveyed = survey(raw)
    of_train = [unit for unit in surveyed.units if unit.split == "train"]
    promised = tuple(dataclasses.replace(unit, num_expected=6) for unit in of_train)
    message = "demo's devkit: expected 1,297 train images, found 18; put the edition's own there"
    with pytest.raises(DataError, match=message):
        preprocess.begin(
            dataclasses.replace(surveyed, units=promised), tmp_path / "images", TARGET, False, False
        )
    assert not (tmp_path / "images").exists()


def test_a_wrong_number_of_training_images_is_refused_or_accepted(
    raw: Path, tmp_path: Path
) -> None:
    surveyed = survey(raw)
    plan = preprocess.make_plan(surveyed, TARGET, partial=False)
    preprocess.run(surveyed, tmp_path, TARGET, 1, lambda num: None)
    message = (
        r"DEMO_img_train\.tar: expected 1,297 train images, found 18; download the tars again, or"
    )
    with pytest.raises(DataError, match=message):
        finish.write_manifest(plan, surveyed, tmp_path, partial=False)
    assert (
        finish.write_manifest(plan, surveyed, tmp_path, partial=True).counts["train images"] == 18
    )


def test_a_synset_with_too_few_images_is_accepted_after_the_advice_to_do_so(
    raw: Path, tmp_path: Path
) -> None:
    def begun(partial: bool) -> preprocess.Preparation:
        surveyed = survey(raw)
        short = dataclasses.replace(surveyed.units[0], num_expected=7, is_partial=partial)
        edition = dataclasses.replace(surveyed.edition, num_images={"train": 19})
        surveyed = dataclasses.replace(
            surveyed, units=(short, *surveyed.units[1:]), edition=edition
        )
        job = preprocess.begin(surveyed, tmp_path, TARGET, partial, retry_failed=False)
        preprocess.run(surveyed, tmp_path, TARGET, 1, lambda num: None)
        return job

    with pytest.raises(DataError, match=r"images, found 6; .*, or accept it with --partial"):
        begun(partial=False)
    done = preprocess.finish_if_last(begun(partial=True))
    assert done is not None
    assert (done.settings["partial"], done.counts["train images"]) == (True, 18)
    with pytest.raises(ManifestError, match=r"expected settings\.partial = False, found True"):
        begun(partial=False)


def test_a_patch_without_namesake_is_added(
    make_raw: MakeRaw, prepare: Prepare, encoded: Encode, tmp_path: Path
) -> None:
    content = encoded(np.full((80, 80, 3), 9, np.uint8))
    raw = make_raw(tmp_path / "raw", patches={"train/n00000030_999.JPEG": content})
    prepare(raw, tmp_path)
    added = verdicts(tmp_path, "train/n00000030")[-1]
    assert (added["name"], added["label"], added["verdict"]) == ("n00000030_999.JPEG", 1, "patched")
    assert record(tmp_path).counts["train images"] == 19


def test_a_patch_that_is_broken_itself_is_quarantined(
    make_raw: MakeRaw, prepare: Prepare, tmp_path: Path
) -> None:
    raw = make_raw(tmp_path / "raw", patches={"patch_images/val/DEMO_val_00000002.JPEG": b"text"})
    prepare(raw, tmp_path)
    kept = tmp_path / "images" / "quarantine" / "val" / "DEMO_val_00000002.JPEG"
    assert kept.read_bytes() == b"text"
    assert verdicts(tmp_path, "val/00000")[1]["verdict"] == "quarantined"


def test_an_image_that_occurs_twice_in_a_synset_is_refused(
    make_raw: MakeRaw, make_tar: MakeTar, tmp_path: Path
) -> None:
    raw = make_raw(tmp_path / "raw")
    nested = make_tar({"n00000020_1.JPEG": b"", "again/n00000020_1.JPEG": b""})
    others = {"n00000030.tar": make_tar({}), "n00000040.tar": make_tar({})}
    (raw / "DEMO_img_train.tar").write_bytes(make_tar({"n00000020.tar": nested} | others))
    with pytest.raises(
        DataError, match=r"train/n00000020: expected each image once, found n00000020_1\.JPEG twice"
    ):
        preprocess.run(survey(raw), tmp_path / "images", TARGET, 1, lambda num: None)


def test_an_image_of_another_synset_is_refused_by_name(
    make_raw: MakeRaw, make_tar: MakeTar, tmp_path: Path
) -> None:
    raw = make_raw(tmp_path / "raw")
    nested = make_tar({"n00000020_1.JPEG": b"", "n00000030_77.JPEG": b"", "cat.JPEG": b""})
    (raw / "DEMO_img_train.tar").write_bytes(make_tar({"n00000020.tar": nested}))
    message = (
        r"train/n00000020: expected images named n00000020_\*, found n00000030_77\.JPEG; download"
    )
    with pytest.raises(DataError, match=message):
        preprocess.run(survey(raw), tmp_path / "images", TARGET, 1, lambda num: None)


@pytest.mark.parametrize("content", [b"", b"text" * 500, bytes(10240)])
def test_a_broken_nested_tar_stops_the_run_and_is_named(
    make_raw: MakeRaw, make_tar: MakeTar, tmp_path: Path, content: bytes
) -> None:
    raw = make_raw(tmp_path / "raw")
    with tarfile.open(raw / "DEMO_img_train.tar") as tar:
        members = {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]
    members["n00000040.tar"] = content
    (raw / "DEMO_img_train.tar").write_bytes(make_tar(members))
    with pytest.raises(DataError, match=r"^n00000040\.tar in .*; download it again$"):
        preprocess.run(survey(raw), tmp_path / "images", TARGET, 1, lambda num: None)


def test_long_and_foreign_names_keep_their_offsets(
    make_raw: MakeRaw, make_tar: MakeTar, prepare: Prepare, encoded: Encode, tmp_path: Path
) -> None:
    raw, content = make_raw(tmp_path / "raw"), encoded(np.full((80, 80, 3), 9, np.uint8))
    names = [f"n00000020_{'1' * 150}.JPEG", "n00000020_\u4e16.JPEG", "n00000020_3.JPEG"]
    nested = make_tar(dict.fromkeys(names, content))
    (raw / "DEMO_img_train.tar").write_bytes(make_tar({"n00000020.tar": nested}))
    prepare(raw, tmp_path)
    rows = verdicts(tmp_path, "train/n00000020")
    tar = (tmp_path / "images" / "train" / "n00000020.tar").read_bytes()
    assert {verdict["name"] for verdict in rows} == set(names)
    assert all(tar[verdict["offset"] :].startswith(b"\xff\xd8\xff") for verdict in rows)


def test_too_little_room_is_told_before_the_work(
    raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=0))
    with pytest.raises(DataError, match=r"expected 1\.2 MB free, found 0\.0 MB; make room"):
        preprocess.run(survey(raw), tmp_path, TARGET, 1, lambda num: None)
    assert not list(tmp_path.rglob("*.tar"))


@pytest.mark.parametrize(
    "line",
    ["{", "[]", "5", '{"name": "a"}', '{"x": 1}', "", json.dumps(Verdict._fields)],
)
def test_a_damaged_record_is_named_with_its_line(tmp_path: Path, line: str) -> None:
    good = '{"name": "a", "label": 0, "verdict": "ok", "why": "", "source_sha256": ""}\n'
    (tmp_path / "a.jsonl").write_text(good + line + "\n")
    message = r"a\.jsonl: line 2: expected a verdict, found .*; remove it and run preprocess again"
    with pytest.raises(DataError, match=message):
        list(units.read_verdicts(tmp_path / "a.jsonl"))


def test_the_fields_of_a_record_may_stand_in_any_order(tmp_path: Path) -> None:
    verdict = Verdict("a", 1, "ok", "", "0" * 64, "RGB", 4, 5, "1" * 64, 512, 7, 9)
    fields = verdict._asdict()
    turned, older = dict(reversed(fields.items())), {k: fields[k] for k in fields if k != "crc32"}
    lines = (json.dumps(variant) + "\n" for variant in (fields, turned, older))
    (tmp_path / "a.jsonl").write_text("".join(lines))
    assert list(units.read_verdicts(tmp_path / "a.jsonl")) == [
        verdict,
        verdict,
        verdict._replace(crc32=0),
    ]


def test_a_missing_record_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a\.jsonl: expected verdicts, found no file; run preproc"):
        list(units.read_verdicts(tmp_path / "a.jsonl"))


def test_real_photographs_are_prepared(real_data: Path, tmp_path: Path) -> None:
    raw = real_data / "ilsvrc2012-dogs"
    surveyed = source.survey(raw, EDITIONS["ilsvrc2012"], partial=True)
    unit = next(verdict for verdict in surveyed.units if verdict.name == "val/00000")
    few = dataclasses.replace(unit, members=unit.members[:40], labels=unit.labels[:40])
    assert units.prepare_unit(few, tmp_path, Target(96)) == 40
    rows = list(units.read_verdicts(tmp_path / "val" / "00000.jsonl"))
    assert {verdict.verdict for verdict in rows} <= {"ok", "repaired"}
    assert min(min(verdict.width, verdict.height) for verdict in rows) == 320
    first = archives.read(unit.archive, unit.members[0])
    assert rows[0].source_sha256 == files.sha256_bytes(first)


def test_no_disk_is_needed_beside_input_and_output(
    raw: Path, tmp_path: Path, prepare: Prepare, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere, seen = tmp_path / "temporary", [0]
    elsewhere.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(elsewhere))

    def append_and_look(*wanted: Any) -> int:
        offset: int = append(*wanted)
        seen.append(sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()))
        return offset

    append: Any = tar_blocks.Writer.append
    monkeypatch.setattr(tar_blocks.Writer, "append", append_and_look)
    folder = prepare(raw, tmp_path / "data")
    output = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    assert len(seen) > 18
    assert max(seen) <= output
    assert not list(elsewhere.iterdir())
