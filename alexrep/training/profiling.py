"""Where the time of a few steps goes: a trace, and a table of it."""

from collections.abc import Callable, Iterable
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile, schedule

from alexrep.errors import ConfigError, mismatch

STEPS = 20
"""Steps that are traced."""
START_UP = 3
"""Steps before them, in which memory is taken and algorithms are chosen."""
WAIT = "wait for the feed"
COPIES = ("Memcpy", "Memset")
"""Beginnings of the names of a GPU's copies."""

Span = tuple[float, float]
"""Begin and end, in microseconds."""

Table = dict[str, float]
"""Milliseconds a step by what they were spent on."""


def require_place(trace: Path) -> None:
    """Check that a trace can be written, before any work.

    Raises:
        ConfigError: If its folder is not there, or its name is no trace's.
    """
    if not trace.parent.is_dir():
        wanted, found = "a file in a folder that exists", f"no folder {trace.parent}"
        raise ConfigError(mismatch("--profile", wanted, found, "make it first"))
    if not trace.name.endswith((".json", ".json.gz")):
        wanted, advice = "a name with .json or .json.gz", "name it so"
        raise ConfigError(mismatch("--profile", wanted, trace.name, advice))


def traced(work: Callable[[int, Callable[[], object]], object], trace: Path) -> Table:
    """Trace steps, write the trace and sum it up.

    Args:
        work: Makes a number of steps and calls a function after each; marks the time that it
            waits for the feed by `torch.profiler.record_function(WAIT)`.
        trace: Where the trace goes, for https://ui.perfetto.dev or chrome://tracing.

    Returns:
        `step`, `wait for the feed` and `operators on the host`; with a GPU also `GPU kernels`,
        `GPU copies` and `GPU idle`. What runs at the same time counts in each.
    """
    tables: list[Table] = []

    def finish(profiler: profile) -> None:
        profiler.export_chrome_trace(str(trace))
        tables.append(summed(profiler.events()))

    kinds = [ProfilerActivity.CPU]
    if torch.cuda.is_available():
        kinds.append(ProfilerActivity.CUDA)
    plan = schedule(wait=START_UP - 1, warmup=1, active=STEPS, repeat=1)
    with profile(activities=kinds, schedule=plan, on_trace_ready=finish) as profiler:
        work(START_UP + STEPS, profiler.step)
    return tables[0] if tables else {}


def summed(events: Iterable[torch.autograd.profiler_util.FunctionEvent]) -> Table:
    """Sum up events by what time was spent on; see `traced`."""
    steps: list[Span] = []
    host: list[Span] = []
    waits: list[Span] = []
    kernels: list[Span] = []
    copies: list[Span] = []
    for event in events:
        span = event.time_range.start, event.time_range.end
        if event.device_type.name == "CUDA":
            if not event.is_user_annotation:
                (copies if event.name.startswith(COPIES) else kernels).append(span)
        elif event.name.startswith("ProfilerStep"):
            steps.append(span)
        elif event.name == WAIT:
            waits.append(span)
        elif event.name.startswith("aten::"):
            host.append(span)
    if not steps:
        return {}
    whole = max(end for _, end in steps) - min(start for start, _ in steps)
    table = {"step": whole, WAIT: _covered(waits), "operators on the host": _covered(host)}
    if kernels or copies:
        table |= {"GPU kernels": _covered(kernels), "GPU copies": _covered(copies)}
        table["GPU idle"] = max(0.0, whole - _covered([*kernels, *copies]))
    return {name: time / 1e3 / len(steps) for name, time in table.items()}


def _covered(spans: list[Span]) -> float:
    """Return how long at least one of `spans` lasted."""
    total, reached = 0.0, float("-inf")
    for start, end in sorted(spans):
        total += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return total
