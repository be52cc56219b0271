"""The short form of benchmarks/fuzz.py: a few mutated files of each format, always the same."""

import importlib
import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def mutations(monkeypatch: pytest.MonkeyPatch) -> Any:  # noqa: ANN401 (a module)
    """Import the benchmark's mutations."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("fuzz_mutations")


@pytest.mark.parametrize("content", [b"", b"a", b'{"a": [1, 2]}\n{"b": 3}\n', bytes(range(256))])
def test_equal_seeds_mutate_alike_and_always_something(
    content: bytes,
    mutations: Any,  # noqa: ANN401
) -> None:
    first, second = (
        [mutations.mutate(content, random.Random(seed)) for seed in range(40)] for _ in "ab"
    )
    assert first == second
    assert content not in first


@pytest.mark.slow
def test_mutated_files_are_read_or_refused_in_one_line(tmp_path: Path) -> None:
    command = [sys.executable, str(BENCHMARKS / "fuzz.py"), str(tmp_path)]
    words = ["--cases", "2", "--seed", "1"]
    alone = os.environ | {"OMP_NUM_THREADS": "1"}
    before: dict[tuple[str, int], str] = {}
    for _ in range(2):  # the second time there is nothing left to do but the line cut short
        ended = subprocess.run(
            [*command, *words], check=False, capture_output=True, text=True, env=alone
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr
        lines = (tmp_path / "cases-1.jsonl").read_text().splitlines()
        cases = {(row["format"], row["number"]): row["outcome"] for row in map(json.loads, lines)}
        assert len(lines) == len(cases) > 60
        assert {"same", "one line"} <= set(cases.values())
        assert before in ({}, cases)
        before = cases
        (tmp_path / "cases-1.jsonl").write_text("\n".join(lines)[:-5])
