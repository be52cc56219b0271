"""Preparation in parts: the same bytes as in one run, whichever part ends last."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alexrep import files, manifest
from alexrep.errors import ConfigError, ManifestError
from alexrep.ilsvrc import source
from alexrep.ilsvrc.editions import EDITIONS
from alexrep.manifest import Manifest
from alexrep.prepare import finish, preprocess
from alexrep.prepare.image import Target
from alexrep.prepare.parts import WHOLE, Part

TARGET = Target(side=72)


def run_part(
    raw: Path, data: Path, part: Part = WHOLE, retry_failed: bool = False, side: int = 72
) -> Manifest | None:
    surveyed = source.survey(raw, EDITIONS["demo"], partial=True)
    begun = preprocess.begin(surveyed, data / "images", Target(side), True, retry_failed)
    return preprocess.complete(begun, 1, lambda num: None, part)


def tree(folder: Path) -> dict[str, str]:
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): files.sha256_file(path) for path in paths}


@given(st.integers(0, 50), st.integers(1, 9))
def test_each_unit_is_in_exactly_one_part(num_units: int, num: int) -> None:
    units = list(range(num_units))
    dealt = [unit for index in range(num) for unit in Part(index, num).pick(units)]
    assert sorted(dealt) == units


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
def test_parts_in_any_order_make_the_bytes_of_the_whole(
    raw: Path, tmp_path: Path, order: tuple[int, ...]
) -> None:
    run_part(raw, tmp_path / "whole")
    ends = [run_part(raw, tmp_path / "parts", Part(index, 3)) for index in order]
    assert [end is None for end in ends] == [True, True, False]
    assert tree(tmp_path / "parts/images") == tree(tmp_path / "whole/images")


def test_what_comes_after_the_last_unit_is_said_where_it_takes_long(
    raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    surveyed = source.survey(raw, EDITIONS["demo"], partial=True)
    begun = preprocess.begin(surveyed, tmp_path / "images", TARGET, True, False)
    num = sum(unit.num_images for unit in surveyed.units)
    monkeypatch.setattr(preprocess, "MANY", num)
    for part in (Part(0, 2), Part(1, 2)):
        assert said == []
        preprocess.complete(begun, 1, lambda num: None, part, say=said.append)
    assert said == ["every image is prepared; counting the verdicts and digesting their lists"]


def test_finishing_before_all_parts_names_what_is_missing(raw: Path, tmp_path: Path) -> None:
    run_part(raw, tmp_path, Part(0, 2))
    surveyed = source.survey(raw, EDITIONS["demo"], partial=True)
    plan = preprocess.make_plan(surveyed, TARGET, True)
    with pytest.raises(ManifestError, match="5 units, found 2 missing: train/n00000030, val/00000"):
        finish.require_all(surveyed, tmp_path / "images")
    with pytest.raises(ManifestError, match="2 missing"):
        finish.write_manifest(plan, surveyed, tmp_path / "images", True)


@pytest.mark.parametrize("text", ["", "1", "2/2", "-1/2", "a/b", "0/0", "1/2/3"])
def test_a_wrong_part_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="--part: expected i/N"):
        Part.of(text)


def of_array(task: int, first: int, last: int, count: int, step: int = 1) -> Part:
    values = {"ID": task, "MIN": first, "MAX": last, "COUNT": count, "STEP": step}
    return Part.of_array({f"SLURM_ARRAY_TASK_{name}": str(value) for name, value in values.items()})


def test_a_part_is_read_from_the_array_of_slurm() -> None:
    assert of_array(13, first=10, last=16, count=3, step=3) == Part(1, 3)
    assert of_array(7, first=0, last=7, count=8) == Part(7, 8)
    assert Part.of_array({}) == WHOLE


@pytest.mark.parametrize("task", [3, 7, 9])
def test_an_array_with_gaps_is_refused(task: int) -> None:
    message = rf"steps of 1, found task {task} of 3 from 3 to 9; .* with --part i/N"
    with pytest.raises(ConfigError, match=message):
        of_array(task, first=3, last=9, count=3)


def test_a_task_beside_the_steps_is_refused() -> None:
    with pytest.raises(ConfigError, match="steps of 2, found task 5 of 3 from 0 to 5"):
        of_array(5, first=0, last=5, count=3, step=2)
    assert Part.of("1/3").name == "1-of-3"
    assert WHOLE.name == ""


@pytest.mark.slow
def test_two_processes_writing_one_unit_leave_it_whole(raw: Path, tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[3]);"
        "from test_parts import run_part; run_part(Path(sys.argv[1]), Path(sys.argv[2]))"
    )
    words = [
        sys.executable,
        "-c",
        script,
        str(raw),
        str(tmp_path / "both"),
        str(Path(__file__).parent),
    ]
    both = [subprocess.Popen(words) for _ in range(2)]
    assert [process.wait() for process in both] == [0, 0]
    run_part(raw, tmp_path / "alone")
    assert tree(tmp_path / "both/images") == tree(tmp_path / "alone/images")


def test_a_retry_prepares_only_units_with_failed_images(
    make_raw: Callable[..., Path], encoded: Callable[..., bytes], tmp_path: Path
) -> None:
    name = "DEMO_val_00000003.JPEG"
    raw = make_raw(tmp_path / "raw", replaced={name: b"no image"})
    first = run_part(raw, tmp_path)
    assert first is not None
    assert first.counts["val quarantined"] == 1
    untouched = (tmp_path / "images/train/n00000020.tar").stat().st_mtime_ns
    assert run_part(raw, tmp_path, retry_failed=True) == first
    picture = encoded(np.full((90, 90, 3), 99, np.uint8))
    make_raw(raw, replaced={name: picture})
    with pytest.raises(ManifestError, match=r"inputs.DEMO_img_val.tar"):
        run_part(raw, tmp_path)
    second = run_part(raw, tmp_path, retry_failed=True)
    assert second is not None
    assert "val quarantined" not in second.counts
    assert not list((tmp_path / "images/quarantine").rglob("*.JPEG"))
    assert (tmp_path / "images/train/n00000020.tar").stat().st_mtime_ns == untouched
    whole = run_part(raw, tmp_path / "anew")
    assert whole == second


def test_a_retry_with_other_settings_is_refused(raw: Path, tmp_path: Path) -> None:
    run_part(raw, tmp_path)
    with pytest.raises(ManifestError, match=r"settings\.side"):
        run_part(raw, tmp_path, retry_failed=True, side=80)
    assert (tmp_path / "images" / manifest.NAME).exists()
