"""`alexrep demo` as a whole, with a network too small to learn: killed three times, and not."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from alexrep.plots import gallery

TINY = ("schedule.epochs=2", "model.width=0.05", "model.side=67")
MOMENTS = (
    "data/images/train/n90000004.jsonl",
    "data/shards/plan.json",
    "run/checkpoints/last.pt",
)
"""Files that exist while preprocess, pack and train are running."""

pytestmark = pytest.mark.slow


def command(folder: Path) -> list[str]:
    settings = [word for setting in TINY for word in ("--set", setting)]
    return [sys.executable, "-m", "alexrep.stages", "demo", str(folder), *settings]


def run(folder: Path) -> str:
    result = subprocess.run(command(folder), capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "Traceback" not in result.stderr
    return result.stdout


def kill_when(folder: Path, moment: Path) -> None:
    """Start the demo and SIGKILL it alone, not its stages, once the file `moment` exists."""
    with subprocess.Popen(command(folder), stdout=subprocess.DEVNULL) as process:
        while not moment.exists():
            assert process.poll() is None, "ended before it was killed"
            time.sleep(0.01)
        process.kill()
    assert process.returncode == -signal.SIGKILL


def manifests(folder: Path) -> dict[str, bytes]:
    """Return them but for the digests of pictures: these show the folder's name and times."""
    paths = [*folder.rglob("*manifest.json"), *(folder / "run/results").glob("*.json")]
    found = {str(path.relative_to(folder)): path.read_bytes() for path in paths}
    if plots := found.get("run/plots/manifest.json"):
        record = json.loads(plots)
        found["run/plots/manifest.json"] = json.dumps(
            record | {"outputs": list(record["outputs"])}
        ).encode()
    return found


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Return the folder of a demo that was never stopped, and what it printed."""
    folder = tmp_path_factory.mktemp("demo") / "whole"
    return folder, run(folder)


def test_the_demo_prints_errors_and_places(whole: tuple[Path, str]) -> None:
    folder, stdout = whole
    assert "val   ten-crop       300 " in stdout
    assert "test  centre         200 " in stdout
    assert "quarantined, counted as errors: 1: val/DEMO_val_00000123.JPEG (" in stdout
    assert f"pictures: {folder}/run/plots\n" in stdout
    drawn = {path.stem for path in (folder / "run" / "plots").glob("*.png")}
    assert drawn == set(gallery.FIGURES)


def test_a_second_demo_does_nothing(whole: tuple[Path, str]) -> None:
    folder, _ = whole
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    stdout = run(folder)
    after = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    assert {path for path in after if after[path] != before.get(path)} <= {
        path for path in after if path.name == ".lock"
    }
    assert stdout.count("nothing to do") == 6


def test_a_demo_killed_three_times_ends_with_the_same_manifests(
    whole: tuple[Path, str], tmp_path: Path
) -> None:
    folder = tmp_path / "killed"
    for moment in MOMENTS:
        kill_when(folder, folder / moment)
    run(folder)
    assert manifests(folder) == manifests(whole[0])
    assert len(manifests(folder)) == 10  # six stages and four results
    assert not list(folder.rglob("*.partial"))


def test_manifests_hold_no_place_time_or_number_of_workers(whole: tuple[Path, str]) -> None:
    texts = manifests(whole[0])
    text = b"".join(texts.values()).decode()
    assert str(whole[0].parent) not in text
    assert os.uname().nodename not in text.split('"')
    keys = {key for value in texts.values() for key in json.loads(value)}
    assert not keys & {"time", "date", "host", "workers", "threads", "device"}
