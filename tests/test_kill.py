import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SHORT = (
    "--set",
    "schedule.epochs=2",
    "--set",
    "schedule.changes=[{epoch=0, weights=0.003, biases=0.006}]",
)


def start_demo(folder: Path) -> "subprocess.Popen[bytes]":
    words = [sys.executable, "-m", "alexrep.stages", "-q", "demo", str(folder), *SHORT]
    return subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def kill_when(process: "subprocess.Popen[bytes]", sign: Path, after_s: float) -> None:
    deadline = time.monotonic() + 120
    while not sign.exists():
        assert process.poll() is None, f"the demo ended before {sign} came"
        assert time.monotonic() < deadline, f"{sign} never came"
        time.sleep(0.002)
    time.sleep(after_s)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()


def manifests(folder: Path) -> dict[str, bytes]:
    found = [*folder.rglob("*manifest.json"), *(folder / "run/results").glob("*.json")]
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kill") / "undisturbed"
    assert start_demo(folder).wait() == 0
    return folder


@pytest.mark.slow
def test_a_demo_killed_three_times_ends_with_the_same_manifests(
    undisturbed: Path, tmp_path: Path
) -> None:
    disturbed = tmp_path / "disturbed"
    for sign, after_s in (
        ("data/images/train/n90000001.jsonl", 0.0),
        ("data/shards/plan.json", 0.01),
        ("run/checkpoints/last.pt", 1.5),
    ):
        kill_when(start_demo(disturbed), disturbed / sign, after_s)
        assert not (disturbed / "run/manifest.json").exists()
    assert start_demo(disturbed).wait() == 0
    assert manifests(disturbed) == manifests(undisturbed)
    assert not list(disturbed.rglob("*.partial"))


@pytest.mark.slow
def test_manifests_hold_no_place_time_or_number_of_workers(undisturbed: Path) -> None:
    found = manifests(undisturbed)
    assert len(found) == 9  # five stages and four results
    text = b"".join(found.values()).decode()
    assert str(undisturbed.parent) not in text
    assert os.uname().nodename not in text
    keys = {key for value in found.values() for key in json.loads(value)}
    assert not keys & {"time", "date", "host", "workers", "threads", "device"}
