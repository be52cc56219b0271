"""Keeps the figures of benchmarks, with the machine that they were measured on."""

import json
import platform
import re
import subprocess
import sys
import time
from pathlib import Path

from pydantic import JsonValue

RESULTS = Path(__file__).parent / "results"


def machine() -> dict[str, JsonValue]:
    """Describe the machine: processor, memory, versions, devices; no host name."""
    from alexrep.runs import environment  # imports torch: no worker of a benchmark needs that

    processor = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    memory = re.search(r"MemTotal:\s*(\d+)", Path("/proc/meminfo").read_text(encoding="utf-8"))
    return {
        "processor": processor[1] if processor else platform.processor(),
        "memory_gb": round(int(memory[1]) / 1e6, 1) if memory else None,
        **environment.describe(),
    }


def keep(name: str, figures: dict[str, JsonValue]) -> Path:
    """Write the figures of a benchmark to results/<name>.json."""
    path = RESULTS / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"date": time.strftime("%Y-%m-%d"), "machine": machine(), **figures}
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return path


def alexrep(*words: str, accept: tuple[int, ...] = (0, 3)) -> float:
    """Run a command of alexrep and return its seconds.

    Raises:
        RuntimeError: If its exit code is not in `accept`.
    """
    start = time.perf_counter()
    command = [sys.executable, "-m", "alexrep.stages", *words]
    code = subprocess.run(command, check=False).returncode
    if code not in accept:
        raise RuntimeError(f"alexrep {' '.join(words)} exited with {code}")
    return time.perf_counter() - start


def rows(run: Path, kind: str) -> list[dict[str, JsonValue]]:
    """Return the rows of one kind of a run's log."""
    lines = (run / "log.jsonl").read_text(encoding="utf-8").splitlines()
    return [row for row in map(json.loads, lines) if row["kind"] == kind]


def errors(run: Path, split: str, views: str) -> dict[str, JsonValue]:
    """Return one result of a run."""
    result: dict[str, JsonValue] = json.loads(
        (run / f"results/{split}-{views}.json").read_text(encoding="utf-8")
    )
    return result
