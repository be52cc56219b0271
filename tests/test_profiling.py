"""`alexrep train --profile`: a trace of a few steps, and where their time went."""

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from recipes import tiny_recipe
from typer.testing import CliRunner

from alexrep.errors import ConfigError
from alexrep.stages import app
from alexrep.training import profiling


def event(name: str, start: float, end: float, device: str = "CPU") -> SimpleNamespace:
    return SimpleNamespace(
        name=name,
        time_range=SimpleNamespace(start=start, end=end),
        device_type=SimpleNamespace(name=device),
        is_user_annotation=name.startswith("ProfilerStep"),
    )


def test_what_runs_at_the_same_time_counts_once_in_each_row() -> None:
    events: list[Any] = [
        event("ProfilerStep#3", 0, 10_000),
        event("ProfilerStep#3", 0, 12_000, "CUDA"),
        event("ProfilerStep#4", 10_000, 20_000),
        event(profiling.WAIT, 0, 1_000),
        event("aten::conv2d", 1_000, 5_000),
        event("aten::convolution", 1_500, 4_500),
        event("cudaLaunchKernel", 1_600, 1_700),
        event("a kernel", 2_000, 9_000, "CUDA"),
        event("another one", 8_000, 12_000, "CUDA"),
        event("Memcpy HtoD (Pinned -> Device)", 11_000, 14_000, "CUDA"),
    ]
    assert profiling.summed(events) == {
        "step": 10.0,
        "wait for the feed": 0.5,
        "operators on the host": 2.0,
        "GPU kernels": 5.0,
        "GPU copies": 1.5,
        "GPU idle": 4.0,
    }
    assert profiling.summed(events[3:]) == {}


@pytest.mark.parametrize(
    ("name", "message"),
    [("none/t.json", "a file in a folder that exists"), ("t.txt", "a name with .json")],
)
def test_a_trace_that_cannot_be_written_is_refused_before_any_work(
    tmp_path: Path, name: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        profiling.require_place(tmp_path / name)


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
def test_a_trace_is_all_that_a_profile_writes(data: Path, tmp_path: Path) -> None:
    recipe, trace, run = tmp_path / "tiny.toml", tmp_path / "t.json", tmp_path / "run"
    recipe.write_text(tiny_recipe(2))
    words = ["train", str(data), "--run", str(run), "--recipe", str(recipe), "--device", "cpu"]
    result = CliRunner().invoke(app, [*words, "--profile", str(trace)], prog_name="alexrep")
    assert result.exit_code == 0, result.output
    # The tiny epoch has five steps; they are made again and again.
    assert "begins: from nothing\n" in result.stdout
    assert f"after {profiling.START_UP + profiling.STEPS} steps\n" in result.stdout
    table = re.findall(r"^(.+): [\d.]+ ms, (\d+)% of a step$", result.stdout, re.MULTILINE)
    assert [name for name, _ in table] == ["step", profiling.WAIT, "operators on the host"]
    assert table[0][1] == "100"
    steps = [
        each["name"]
        for each in json.loads(trace.read_bytes())["traceEvents"]
        if each.get("name", "").startswith("ProfilerStep")
    ]
    assert len(set(steps)) == profiling.STEPS
    assert sorted(path.name for path in tmp_path.iterdir()) == ["t.json", "tiny.toml"]
