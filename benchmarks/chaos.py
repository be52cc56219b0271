"""Kills a training at random moments; its final bits must not change.

    python benchmarks/chaos.py FOLDER [--data DATA] [--kills 100] [--epochs 30] [--seed 1]
        [--every-steps 10] [--recipe demo] [--set path=value] [--device cpu] [--name chaos]

A run is started again and again and gets SIGKILL, SIGTERM or SIGUSR2 (sometimes two signals)
at a random moment: while it starts, before its first checkpoint, or after several. Its weights,
log and best checkpoint must equal those of an undisturbed run, its curves and table must agree
with the log, and nothing may be left behind: no process, partial file, lock or shared memory.
Without --data the demo edition is prepared.
"""

import argparse
import contextlib
import json
import math
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import JsonValue
from record import alexrep, keep

from alexrep import files
from alexrep.runs import checkpoint, listing, log, state, table
from alexrep.runs.folder import RunFolder

SOFT = (signal.SIGTERM, signal.SIGUSR2)
AT_START = 0.1
"""Share of kills before the run has taken its lock."""
TWICE = 0.15
"""Share of soft signals that are followed by a second one."""
ORPHAN_S = 10.0
"""Seconds that child processes of a killed run may take to end."""
PATIENCE_S = 600.0


@dataclass
class Findings:
    """What the kills have shown so far."""

    signals: Counter[str] = field(default_factory=Counter)
    lost: list[int] = field(default_factory=list)
    """Steps in the log that the next start has to repeat."""
    resumed_s: list[float] = field(default_factory=list)
    """Seconds from a start to the first row of its log."""
    saved_s: list[float] = field(default_factory=list)
    """Seconds from a soft signal to the end of the process."""


class Victim:
    """One start of a run, in its own process group."""

    def __init__(self, command: list[str], folder: RunFolder) -> None:
        self.folder = folder
        newest = checkpoint.newest(folder)
        self.size = newest.content["log_size"] if newest else 0
        self.step = newest.content["step"] if newest else 0
        full = [sys.executable, "-m", "alexrep.stages", *command]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
        self.start = time.perf_counter()
        self.process: subprocess.Popen[str] = subprocess.Popen(
            full, start_new_session=True, text=True, **quiet
        )  # type: ignore[call-overload]
        self.resumed_s: float | None = None
        self._is_cut = False

    def wait(self, seconds: float, for_lock: bool) -> None:
        """Wait some seconds, from when the lock is taken if `for_lock`; time the first row."""
        while for_lock and self.process.poll() is None and not self._holds_lock():
            time.sleep(0.005)
        end = time.perf_counter() + seconds
        while self.process.poll() is None and time.perf_counter() < end:
            self._look()
            time.sleep(0.005)

    def _holds_lock(self) -> bool:
        locks = self.folder.path.glob(".lock-run-*")
        return any(f'"pid": {self.process.pid},' in text(path) for path in locks)

    def _look(self) -> None:
        size = self.folder.log.stat().st_size if self.folder.log.exists() else -1
        self._is_cut |= self._holds_lock() and size <= self.size
        if self._is_cut and size > self.size and self.resumed_s is None:
            self.resumed_s = time.perf_counter() - self.start

    def end(self, numbers: list[signal.Signals]) -> int:
        """Send signals; return the exit code.

        Raises:
            RuntimeError: If a child process is left behind.
        """
        for number in numbers:
            if self.process.poll() is None:
                self.process.send_signal(number)
            time.sleep(0.02 if len(numbers) > 1 else 0)
        code = self.process.wait(PATIENCE_S)
        until = time.monotonic() + ORPHAN_S
        while time.monotonic() < until:
            try:
                os.killpg(self.process.pid, 0)
            except ProcessLookupError:
                return code
            time.sleep(0.05)
        raise RuntimeError("a process was left behind")

    def errors(self) -> str:
        """Return what it wrote to stderr, once it has ended."""
        return self.process.stderr.read() if self.process.stderr else ""


def text(path: Path) -> str:
    """Return a file's text; empty if it has been removed."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""


def disturb(
    command: list[str],
    folder: RunFolder,
    kills: int,
    whole: tuple[float, int],
    seed: int,
    most_s: float = math.inf,
) -> Findings:
    """Kill a run again and again, then let it end.

    Args:
        command: Command line that starts or resumes the run.
        folder: Folder of the run.
        kills: Number of kills.
        whole: Seconds of the undisturbed run's epochs, and its number of steps.
        seed: Seed of the moments and signals.
        most_s: Seconds after which there are no more kills.
    """
    whole_s, num_steps = whole
    chance, findings, end = random.Random(seed), Findings(), time.perf_counter() + most_s
    while sum(findings.signals.values()) < kills and not folder.manifest.exists():
        if time.perf_counter() > end:
            break
        victim, is_early = Victim(command, folder), chance.random() < AT_START
        # The rest of the training divided by the rest of the kills: all come before the end.
        left_s = whole_s * (1 - victim.step / num_steps)
        mean_s = 0.3 + left_s / (kills - sum(findings.signals.values()))
        victim.wait(chance.uniform(0, 1.5 if is_early else 2 * mean_s), for_lock=not is_early)
        strike(victim, pick(chance, is_early), findings)
    victim = Victim(command, folder)
    if victim.end([]) != 0:
        raise RuntimeError(f"the last start failed: {victim.errors()}")
    return findings


def pick(chance: random.Random, is_early: bool) -> list[signal.Signals]:
    """Choose the signals to send."""
    if is_early or chance.random() < 0.5:
        return [signal.SIGKILL]
    first = chance.choice(SOFT)
    return [first, chance.choice(SOFT)] if chance.random() < TWICE else [first]


def strike(victim: Victim, numbers: list[signal.Signals], findings: Findings) -> None:
    """Send signals to a run, check how it ends, and record it.

    Raises:
        RuntimeError: If it does not end as it should.
    """
    if victim.process.poll() is None:
        start = time.perf_counter()
        code = victim.end(numbers)
        allowed = {0, 75} if len(numbers) == 1 else {0, 75, *(-number for number in SOFT)}
        if signal.SIGKILL in numbers:
            allowed = {0, -signal.SIGKILL}
        elif len(numbers) == 1:
            findings.saved_s.append(time.perf_counter() - start)
        if code not in allowed:
            raise RuntimeError(f"{numbers} led to {code}: {victim.errors()}")
        findings.signals[" ".join(number.name for number in numbers)] += 1
    elif victim.process.returncode != 0:
        raise RuntimeError(f"it failed by itself: {victim.errors()}")
    if victim.resumed_s is not None:
        findings.resumed_s.append(victim.resumed_s)
    findings.lost.append(logged_steps(victim.folder) - saved_steps(victim.folder))


def epoch_seconds(folder: RunFolder) -> float:
    """Return the seconds of a run's epochs, without its start."""
    seconds = [row.get("seconds") for row in listing.epoch_rows(folder)]
    return sum(value for value in seconds if isinstance(value, float))


def logged_steps(folder: RunFolder) -> int:
    """Return the last step in the log."""
    rows = log.read(folder.log) if folder.log.exists() else []
    steps = [row["step"] for row in rows]
    return max((step for step in steps if isinstance(step, int)), default=0)


def saved_steps(folder: RunFolder) -> int:
    """Return the step that the next start resumes from."""
    newest = checkpoint.newest(folder)
    if newest is not None and newest.faults:
        raise RuntimeError(f"a kill damaged a checkpoint: {newest.faults}")
    return int(newest.content["step"]) if newest else 0


def digests(folder: RunFolder) -> dict[str, str]:
    """Return the digests of weights, optimiser state, log and manifest, without timings."""
    best = checkpoint.load(folder.checkpoint("best"))
    states = checkpoint.load(folder.checkpoint("last"))["optimizer"]["state"]
    velocities = {str(key): value["velocity"] for key, value in states.items()}
    return {
        **state.digests(folder),
        "best": checkpoint.weights_digest(best["state_dict"]),
        "velocities": checkpoint.weights_digest(velocities),
        "manifest": files.sha256_file(folder.manifest),
    }


def disagreeing(folder: RunFolder) -> list[str]:
    """Name the curves of TensorBoard, and log.csv, that do not agree with the log."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder.events), size_guidance={"scalars": 0})
    events.Reload()
    rows = log.read(folder.log)
    shown = {"step": events.Scalars("step/loss"), "epoch": events.Scalars("val/loss")}
    wrong = [
        f"curve of {kind}s"
        for kind, points in shown.items()
        if [point.step for point in points] != [row["step"] for row in rows if row["kind"] == kind]
    ]
    is_same = (folder.path / table.NAME).read_text(encoding="utf-8") == table.text(
        listing.epoch_rows(folder)
    )
    return wrong if is_same else [*wrong, table.NAME]


def make_data(folder: Path) -> Path:
    """Prepare the demo edition, as `alexrep demo` does."""
    from alexrep.demo import edition

    data, raw = folder / "data", folder / "raw"
    edition.write(raw)
    alexrep("-q", "preprocess", str(raw), str(data), "--side", "128")
    for stage in ("mean", "pca", "pack"):
        alexrep("-q", stage, str(data))
    return data


def leftovers(folder: RunFolder) -> list[str]:
    """Return the partial files and locks in a run folder."""
    paths = [*folder.path.rglob(f"*{files.PARTIAL}"), *folder.path.glob(".lock-run-*")]
    return [path.name for path in paths]


def shared_memory() -> set[str]:
    """Return the names in shared memory that no process has mapped."""
    folder = Path("/dev/shm")
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    for maps in Path("/proc").glob("[0-9]*/maps"):
        with contextlib.suppress(OSError):
            names -= set(re.findall(r"/dev/shm/(\S+)", maps.read_text(encoding="utf-8")))
    return names


def figures(
    findings: Findings, seconds: dict[str, float], every_steps: int
) -> dict[str, JsonValue]:
    """Return the figures of the benchmark."""
    return {
        "kills survived": sum(findings.signals.values()),
        "signals": dict(findings.signals),
        "steps between checkpoints": every_steps,
        "steps lost at most": max(findings.lost, default=0),
        "steps lost, mean": round(sum(findings.lost) / max(1, len(findings.lost)), 2),
        "seconds to resume": spread(findings.resumed_s),
        "seconds from signal to end": spread(findings.saved_s),
        "seconds": {name: round(value, 1) for name, value in seconds.items()},
    }


def spread(values: list[float]) -> JsonValue:
    """Return count, median and maximum of some seconds."""
    if not values:
        return None
    ordered = sorted(values)
    middle, most = ordered[len(ordered) // 2], ordered[-1]
    return {"times": len(values), "median": round(middle, 2), "most": round(most, 2)}


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--seconds", type=float, default=math.inf, help="most seconds of killing")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--every-steps", type=int, default=10)
    parser.add_argument("--recipe", default="demo")
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--name", default="chaos", help="name of the result; empty: print it only")
    return parser.parse_args()


def main() -> None:
    """Train undisturbed, train disturbed, compare."""
    options = parse()
    whole, disturbed = (RunFolder(options.folder / name) for name in ("whole", "disturbed"))
    for old in (whole, disturbed):
        shutil.rmtree(old.path, ignore_errors=True)
    data = options.data or make_data(options.folder)
    common = ["-q", "train", str(data), "--recipe", options.recipe, "--device", options.device]
    chosen = [f"checkpoints.every_steps={options.every_steps}", *options.set]
    common += [
        "--epochs",
        str(options.epochs),
        *(f"--set={setting}" for setting in chosen),
        "--run",
    ]
    before, seconds = shared_memory(), {"whole": alexrep(*common, str(whole.path))}
    start = time.perf_counter()
    command = [*common, str(disturbed.path)]
    undisturbed = epoch_seconds(whole), whole.read_manifest().counts["steps"]
    findings = disturb(
        command, disturbed, options.kills, undisturbed, options.seed, options.seconds
    )
    seconds["disturbed"] = time.perf_counter() - start
    actual, expected = digests(disturbed), digests(whole)
    other = [name for name in expected if actual.get(name) != expected[name]]
    other += disagreeing(disturbed)
    left = leftovers(disturbed) + sorted(shared_memory() - before)
    result = figures(findings, seconds, options.every_steps)
    result |= {"recipe": options.recipe, "epochs": options.epochs, "device": options.device}
    result |= {"digests equal": not other, "left behind": [*left]}
    if other or left:
        raise RuntimeError(f"{other} differ, {left} left: {result}")
    written = (
        keep(options.name, result).read_text(encoding="utf-8")
        if options.name
        else json.dumps(result)
    )
    print(written)


if __name__ == "__main__":
    main()
