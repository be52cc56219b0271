"""Plans with which unfinished work resumes, and manifests that mark an output finished."""

import json
import os
import re
import socket
from pathlib import Path

import pytest

from alexrep import manifest, seal
from alexrep.errors import ManifestError
from alexrep.files import sha256_file
from alexrep.manifest import Manifest, Plan

PLAN = Plan(stage="pack", settings={"side": 72, "filter": "bicubic"}, seed=1, inputs={"raw": "ab"})


def begun(folder: Path, plan: Plan = PLAN) -> Manifest | None:
    return manifest.begin(plan, folder / manifest.NAME, folder / "plan.json")


def finished(folder: Path) -> Manifest:
    begun(folder)
    outputs = {"file": "cd"}
    return manifest.finish(PLAN, folder / manifest.NAME, {"images": 3}, outputs, {"units": ["a"]})


def other(**fields: object) -> Plan:
    return PLAN.model_copy(update=fields)


def killed(*names: object) -> None:
    raise KeyboardInterrupt


DIFFERENT = [
    (other(settings={"side": 80, "filter": "bicubic"}), r"expected settings\.side = 80, found 72"),
    (other(settings={"side": 72}), r"expected settings\.filter = None, found 'bicubic'"),
    (other(settings=PLAN.settings | {"new": "x"}), r"expected settings\.new = 'x', found None"),
    (other(inputs={"raw": "ee"}), r"expected inputs\.raw = 'ee', found 'ab'"),
    (other(seed=2), "expected seed = 2, found 1; ask for the same, or remove /.* to have it made"),
    (other(format=2), "expected format = 2, found 1"),
    (other(format=2, inputs={}), "expected format = 2, found 1"),
    (
        other(stage="mean", format=2, inputs={"classes": "ff"}),
        "expected stage 'mean', found 'pack'; name another folder$",
    ),
]


def test_the_first_beginning_records_the_plan(tmp_path: Path) -> None:
    assert begun(tmp_path / "new") is None
    assert json.loads((tmp_path / "new" / "plan.json").read_text()) == PLAN.model_dump()


def test_an_unfinished_stage_goes_on_with_the_same_plan(tmp_path: Path) -> None:
    begun(tmp_path)
    before = (tmp_path / "plan.json").stat().st_mtime_ns
    assert begun(tmp_path) is None
    assert (tmp_path / "plan.json").stat().st_mtime_ns == before


def test_a_finished_stage_gives_its_manifest(tmp_path: Path) -> None:
    record = finished(tmp_path)
    assert begun(tmp_path) == record
    assert (record.counts, record.outputs) == ({"images": 3}, {"file": "cd"})


@pytest.mark.parametrize(("plan", "message"), DIFFERENT)
def test_a_finished_stage_refuses_another_plan(tmp_path: Path, plan: Plan, message: str) -> None:
    finished(tmp_path)
    with pytest.raises(ManifestError, match=message):
        begun(tmp_path, plan)


@pytest.mark.parametrize(("plan", "message"), DIFFERENT)
def test_an_unfinished_stage_is_held_to_its_plan(tmp_path: Path, plan: Plan, message: str) -> None:
    begun(tmp_path)
    with pytest.raises(ManifestError, match=message):
        begun(tmp_path, plan)
    assert begun(tmp_path) is None


def test_remarks_are_recorded_and_not_compared(tmp_path: Path) -> None:
    begun(tmp_path)
    requested = other(settings={"side": 72, "filter": "other", "words": "more"})
    paths = (tmp_path / manifest.NAME, tmp_path / "plan.json")
    assert manifest.begin(requested, *paths, remarks=("filter", "words")) is None
    with pytest.raises(ManifestError, match=r"expected settings\.words = 'more', found None"):
        manifest.begin(requested, *paths, remarks=("filter",))


def test_a_setting_that_an_older_plan_lacks_is_worth_its_default(tmp_path: Path) -> None:
    begun(tmp_path)
    path = tmp_path / "plan.json"
    before = path.read_bytes()
    settings = {**PLAN.settings, "new": 3, "newer": [4]}
    defaults = {"new": 3, "newer": [4], "old": "gone"}
    assert begun(tmp_path, other(settings=settings, defaults=defaults)) is None
    assert path.read_bytes() == before
    with pytest.raises(ManifestError, match=r"expected settings.new = 5, found 3; "):
        begun(tmp_path, other(settings={**settings, "new": 5}, defaults=defaults))


def test_versions_of_program_and_libraries_are_not_compared(tmp_path: Path) -> None:
    record = finished(tmp_path).model_copy(update={"program": "0.0", "libraries": {"numpy": "0"}})
    (tmp_path / manifest.NAME).write_text(record.model_dump_json())
    seal.path_of(tmp_path / manifest.NAME).unlink()
    assert begun(tmp_path) == record


def test_equal_work_gives_equal_manifests(tmp_path: Path) -> None:
    for name in ("one", "two"):
        finished(tmp_path / name)
    first, two = (tmp_path / name / manifest.NAME for name in ("one", "two"))
    assert first.read_bytes() == two.read_bytes()
    assert manifest.digest(first) == manifest.digest(two) == sha256_file(first)


def test_a_manifest_holds_no_time_no_host_and_no_worker_count(data: Path) -> None:
    written = [path for path in data.rglob("*.json") if path.name.endswith("manifest.json")]
    assert len(written) == 4
    keys = {"stage", "format", "settings", "seed", "inputs", "program", "libraries", "counts"}
    for path in written:
        text = path.read_text()
        assert set(json.loads(text)) == keys | {"outputs", "sizes", "details"}
        assert not {"time", "host", "worker", "date", socket.gethostname()} & set(text.split('"'))
        assert str(data) not in text


def test_the_libraries_that_touch_the_data_are_recorded() -> None:
    versions = manifest.libraries()
    assert {"h5py", "numpy", "simplejpeg"} <= versions.keys() <= set(manifest.LIBRARIES)
    assert ("pillow" in versions) != ("pillow-simd" in versions)


def test_a_missing_manifest_names_the_stage_to_run(tmp_path: Path) -> None:
    """Whatever lies beside it: a folder `train` in the parent is none of its business."""
    (tmp_path / "train").mkdir()
    message = r"manifest\.json: expected a finished pack, found no manifest; run alexrep pack first"
    with pytest.raises(ManifestError, match=message):
        manifest.read(tmp_path / "own" / manifest.NAME, "pack")


def test_the_manifest_of_another_stage_is_refused(tmp_path: Path) -> None:
    finished(tmp_path)
    with pytest.raises(ManifestError, match="expected stage 'mean', found 'pack'; name another"):
        manifest.read(tmp_path / manifest.NAME, "mean")


@pytest.mark.parametrize(
    ("content", "where"),
    [
        (b"", "the text"),
        (b"{", "the text"),
        (b"\xff\xfe", "the text"),
        (b"[]", "the text"),
        (b"{}", "stage"),
        (b'{"stage": "pack", "settings": 3}', "settings"),
    ],
)
def test_a_damaged_manifest_is_one_line(tmp_path: Path, content: bytes, where: str) -> None:
    (tmp_path / manifest.NAME).write_bytes(content)
    message = rf"manifest\.json: expected a manifest, found a fault at {where}; remove it and"
    with pytest.raises(ManifestError, match=message):
        begun(tmp_path)


def test_an_unknown_field_is_a_fault(tmp_path: Path) -> None:
    finished(tmp_path)
    fields = json.loads((tmp_path / manifest.NAME).read_text())
    (tmp_path / manifest.NAME).write_text(json.dumps(fields | {"host": "h"}))
    with pytest.raises(ManifestError, match="a fault at host"):
        begun(tmp_path)


def test_a_damaged_plan_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text('{"stage": ')
    with pytest.raises(ManifestError, match=r"plan\.json: expected a manifest"):
        begun(tmp_path)


def test_a_manifest_is_written_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun(tmp_path)
    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        manifest.finish(PLAN, tmp_path / manifest.NAME, {}, {})
    assert [path.name for path in tmp_path.iterdir()] == ["plan.json"]


@pytest.mark.parametrize(
    ("name", "stage"), [("shards/manifest.json", "pack"), ("mean.manifest.json", "mean")]
)
def test_a_run_in_the_place_of_prepared_data_is_called_so(
    tmp_path: Path, name: str, stage: str
) -> None:
    (tmp_path / "recipe.toml").touch()
    wanted = f"{tmp_path}: expected a folder of prepared data, found a run; name the one that"
    with pytest.raises(ManifestError, match=re.escape(wanted)):
        manifest.read(tmp_path / name, stage)


def test_a_manifest_is_sealed_and_sha256sum_reads_the_seal(tmp_path: Path) -> None:
    finished(tmp_path)
    line = (tmp_path / "manifest.sha256").read_text()
    assert line == f"{sha256_file(tmp_path / manifest.NAME)}  manifest.json\n"


def test_a_changed_count_breaks_the_seal(tmp_path: Path) -> None:
    finished(tmp_path)
    path = tmp_path / manifest.NAME
    path.write_text(path.read_text().replace('"images": 3', '"images": 2'))
    wanted = r"expected the manifest of manifest\.sha256, found another; bring back .*alexrep pack"
    with pytest.raises(ManifestError, match=wanted):
        begun(tmp_path)


def test_a_folder_of_before_has_no_seal_and_gets_one_when_it_is_finished_again(
    tmp_path: Path,
) -> None:
    record = finished(tmp_path)
    seal.path_of(tmp_path / manifest.NAME).unlink()
    assert begun(tmp_path) == record
    finished(tmp_path)
    assert seal.is_sealed(tmp_path / manifest.NAME)


def test_killed_before_a_manifest_is_written_anew_the_stage_is_unfinished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finished(tmp_path)
    replace, names = os.replace, []

    def kill_at_the_second(*paths: Path) -> None:
        names.append(paths[1].name)
        killed() if len(names) == 2 else replace(*paths)

    monkeypatch.setattr(os, "replace", kill_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        manifest.finish(PLAN, tmp_path / manifest.NAME, {"images": 4}, {})
    assert names == ["manifest.sha256", "manifest.json"]
    assert begun(tmp_path) is None
