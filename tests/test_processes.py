"""Several processes: the same weights as one, the same stop in all, no wait for a dead one.

The processes are forked by tests/ranks.py, and train in float64.
"""

import json
import re
import select
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from recipes import tiny_recipe

from alexrep.compute.processes import Processes
from alexrep.runs.state import TIMES

TINY = tiny_recipe(4, drop_at=3)
STEPS = 5
"""In an epoch: 18 images by 4, the last batch of 2."""

Start = Callable[..., tuple[dict[str, Any], str]]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def ranks() -> Iterator[subprocess.Popen[str]]:
    """Return tests/ranks.py at work: one import of torch for all jobs."""
    command = [sys.executable, str(Path(__file__).with_name("ranks.py"))]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, bufsize=1) as started:
        yield started
        assert started.stdin is not None
        started.stdin.close()


@pytest.fixture(scope="module")
def start(data: Path, ranks: subprocess.Popen[str]) -> Start:
    """Return a function that trains with several processes; it returns their ends and stderr."""

    def run(
        out: Path, *settings: str, sizes: tuple[int, ...] = (2,), **task: Any
    ) -> tuple[dict[str, Any], str]:
        out.mkdir(exist_ok=True)
        (out / "tiny.toml").write_text(TINY)
        usual = {"data": str(data), "recipe": str(out / "tiny.toml"), "out": str(out)}
        usual["said"] = str(out / "said")
        task = usual | {"settings": settings, "sizes": sizes, "patience_s": 5.0} | task
        assert ranks.stdin is not None
        assert ranks.stdout is not None
        ranks.stdin.write(json.dumps(task) + "\n")
        assert select.select([ranks.stdout], [], [], 60)[0], "no answer for a minute"
        first_line = ranks.stdout.readline()
        return json.loads(first_line), (out / "said").read_text()

    return run


@pytest.fixture(scope="module")
def trained(start: Start, tmp_path_factory: pytest.TempPathFactory) -> dict[int, dict[str, Any]]:
    """Return weights and rows after 20 steps by 1, 2 and 4 processes."""
    out = tmp_path_factory.mktemp("ranks")
    ends, stderr = start(out, sizes=(1, 2, 4))
    assert [code for end in ends.values() for code, _ in end.values()] == [0] * 7, stderr
    return {size: torch.load(out / f"{size}.pt", weights_only=True) for size in (1, 2, 4)}


def apart(first: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    """Return the largest relative difference of any layer's weights."""
    return max(float((first[k] - other[k]).norm() / first[k].norm()) for k in first)


@pytest.mark.parametrize("size", [2, 4])
def test_several_processes_train_the_same_weights_as_one(
    trained: dict[int, dict[str, Any]], size: int
) -> None:
    """Dropout and noise on; the last batch of each epoch has 2 images for up to 4 processes."""
    distance = apart(trained[1]["weights"], trained[size]["weights"])
    assert 0 < distance < 1e-9


def test_towers_with_places_of_their_own_and_pieces_of_a_batch_change_nothing(
    start: Start, trained: dict[int, dict[str, Any]], tmp_path: Path
) -> None:
    settings = ("compute.towers=['cpu','cpu']", "compute.accumulate=2")
    ends, stderr = start(tmp_path / "out", *settings)
    assert [code for code, _ in ends["2"].values()] == [0, 0], stderr
    weights = torch.load(tmp_path / "out/2.pt", weights_only=True)["weights"]
    assert apart(trained[1]["weights"], weights) < 1e-9


@pytest.mark.parametrize("size", [2, 4])
def test_their_log_is_that_of_one(trained: dict[int, dict[str, Any]], size: int) -> None:
    """The 7 val images are scored once each, whatever the number of processes."""
    assert len(trained[size]["rows"]) == 4 * STEPS + 5
    for row, expected in zip(trained[size]["rows"], trained[1]["rows"], strict=True):
        for key, value in expected.items():
            near = pytest.approx(value, rel=1e-9) if isinstance(value, float) else value
            assert key in TIMES or row[key] == near


def test_a_signal_to_one_process_stops_all_at_the_same_step(start: Start, tmp_path: Path) -> None:
    ends, stderr = start(tmp_path, victim=1, step=7, manner="signal")
    assert [code for code, _ in ends["2"].values()] == [75, 75]
    (line,) = stderr.splitlines()
    assert line.startswith("0: step 7: saved; stopped by a signal to another process; start")


def test_a_loss_that_is_not_finite_is_told_once(start: Start, tmp_path: Path) -> None:
    ends, stderr = start(tmp_path, victim=1, step=7, manner="diverge")
    assert [code for code, _ in ends["2"].values()] == [1, 1]
    assert stderr.startswith("0: step 8: expected a finite loss, found nan (the last finite one: ")
    assert len(stderr.splitlines()) == 1


@pytest.mark.parametrize("victim", [0, 2])
def test_a_killed_process_ends_all_with_its_name(start: Start, tmp_path: Path, victim: int) -> None:
    ends, stderr = start(tmp_path, sizes=(3,), victim=victim, step=7, manner="kill")
    others = {rank: end for rank, end in ends["3"].items() if rank != str(victim)}
    assert [code for code, _ in others.values()] == [1, 1], stderr
    # By itself, or by its watcher where a sum hangs; lines of torch's own may run into these.
    said = re.findall(rf"([0-2]|alexrep): rank {victim}: expected to go on, ", stderr)
    assert len(said) == 2, stderr
    assert set(said) <= {*others, "alexrep"}
    assert max(seconds for _, seconds in others.values()) < 30


def test_a_frozen_process_ends_all_with_its_name(start: Start, tmp_path: Path) -> None:
    """A frozen process keeps its connections open but does not answer."""
    ends, stderr = start(tmp_path, victim=1, step=7, manner="freeze")
    assert ends["2"]["0"][0] == 1
    assert re.search(r"rank 1: expected to go on, found no sign of life for \d+ s; see", stderr)


def test_the_first_process_frozen_ends_all_with_its_name(start: Start, tmp_path: Path) -> None:
    """Rank 0 holds the store in which the others look for heartbeats."""
    ends, stderr = start(tmp_path, sizes=(3,), victim=0, step=7, manner="freeze")
    assert [ends["3"][rank][0] for rank in ("1", "2")] == [1, 1], stderr
    found = r"found no answer for \d+ s .* keeps; see its own output, then start again to go on"
    assert len(re.findall(rf"alexrep: rank 0: expected to go on, {found}", stderr)) == 2, stderr
    assert stderr.count("expected to go on") == 2


def test_processes_that_were_suspended_go_on(start: Start, tmp_path: Path) -> None:
    """As Slurm does it, for longer than their patience; the second resumes a second later."""
    ends, stderr = start(tmp_path, victim=1, step=7, manner="pause")
    assert [code for code, _ in ends["2"].values()] == [0, 0], stderr


def test_the_fault_of_one_process_is_told_by_the_others(start: Start, tmp_path: Path) -> None:
    ends, stderr = start(tmp_path, victim=1, step=7, manner="fail")
    assert [code for code, _ in ends["2"].values()] == [1, 1]
    assert "1: shard 3: expected bytes, found none; pack again" in stderr
    assert "0: rank 1: expected to go on, found its end (shard 3: expected bytes" in stderr


@pytest.mark.parametrize("size", [1, 3, 4, 7])
def test_shares_are_even_and_whole(size: int) -> None:
    for num in (0, 1, 2, 5, 128):
        shares = []
        for rank in range(size):
            alone = Processes()
            alone.rank, alone.size = rank, size
            shares.append(list(range(num))[alone.share(num)])
        assert [image for share in shares for image in share] == list(range(num))
        assert max(map(len, shares)) - min(map(len, shares)) <= 1


NORMALISED = (
    *("model.name='torchvision'", "model.arch='shufflenet_v2_x0_5'", "model.side=64"),
    *(
        "schedule.epochs=1",
        "schedule.changes=[{epoch=0,weights=1e-5,biases=1e-5}]",
        "compute.ema=0.9",
    ),
)
"""A small network of batch normalisations, at a rate that does not magnify rounding."""


@pytest.fixture(scope="module")
def normalised(start: Start, tmp_path_factory: pytest.TempPathFactory) -> dict[int, Any]:
    """Return weights and statistics after 5 steps whose statistics are synchronised."""
    out = tmp_path_factory.mktemp("normalised")
    ends, stderr = start(out, *NORMALISED, "compute.batch_statistics='synchronised'", sizes=(1, 4))
    assert [code for end in ends.values() for code, _ in end.values()] == [0] * 5, stderr
    return {size: torch.load(out / f"{size}.pt", weights_only=True) for size in (1, 4)}


def test_with_synchronised_statistics_several_processes_train_the_weights_of_one(
    normalised: dict[int, Any],
) -> None:
    """The last batch is of 2 images: two of the four processes have none."""
    alone, shared = (normalised[size]["weights"] for size in (1, 4))
    for name, tensor in alone.items():
        # Some are zero but for rounding: a bias between two normalisations, and what it gives.
        assert torch.allclose(shared[name], tensor, rtol=1e-9, atol=1e-12), name
    assert {int(shared[name]) for name in shared if name.endswith("tracked")} == {STEPS}
    last = [normalised[size]["rows"][-1] for size in (1, 4)]
    for key in ("val_loss", "val_top1_error_ema"):
        assert last[0][key] == pytest.approx(last[1][key], rel=1e-9)


def test_without_them_two_processes_train_other_weights_than_one(
    start: Start, normalised: dict[int, Any], tmp_path: Path
) -> None:
    ends, stderr = start(tmp_path, *NORMALISED)
    assert [code for code, _ in ends["2"].values()] == [0, 0], stderr
    weights = torch.load(tmp_path / "2.pt", weights_only=True)["weights"]
    name = "inner.conv1.0.weight"
    first = normalised[1]["weights"][name]
    assert float((first - weights[name]).norm() / first.norm()) > 1e-6
