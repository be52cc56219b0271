"""Readahead in the known order, with memory for a tenth of the images only.

    python benchmarks/cold.py FOLDER [--data DATA] [--images 40000]

The prepared training images are repeated until there are enough, and packed. Then a separate
process reads some of them in the order of an epoch, batch by batch, with one decoding thread:
with its reads announced and without, in turn. Before each pass the shards are dropped from the
page cache, and a control group (version 1 or 2; needs root) limits the memory of the process
and of the pages that it reads: to the memory in use at the start, plus a tenth of the shards'
bytes. The figures are milliseconds per image, and how often the limit was hit. "in memory" is
without a limit, with the shards read before.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from statistics import median

import inputs
import numpy as np
import pack
from numpy.typing import NDArray
from pydantic import JsonValue
from record import keep

from alexrep.feed import batches, order, readahead
from alexrep.prepare.prepared import open_prepared
from alexrep.shards.read import Split, open_split

GROUPS = Path("/sys/fs/cgroup")
BATCH, NUM = 16, 4000
"""Images of a batch, and of a pass."""
MODES = ("announced", "not announced", "in memory")


class Bound:
    """A control group for this process, of version 1 or 2."""

    def __init__(self) -> None:
        """Make a group and join it.

        Raises:
            OSError: If this process may not.
        """
        self._is_v2 = (GROUPS / "cgroup.controllers").exists()
        parent = GROUPS if self._is_v2 else GROUPS / "memory"
        if self._is_v2:
            (parent / "cgroup.subtree_control").write_text("+memory", encoding="utf-8")
        self._folder = parent / f"alexrep-cold-{os.getpid()}"
        self._folder.mkdir()
        (self._folder / "cgroup.procs").write_text(str(os.getpid()), encoding="utf-8")

    def limit(self, page_cache: int) -> int:
        """Limit memory to what is in use plus `page_cache` bytes; return the limit."""
        bound = self._statistic("anon" if self._is_v2 else "rss") + page_cache
        name = "memory.max" if self._is_v2 else "memory.limit_in_bytes"
        (self._folder / name).write_text(str(bound), encoding="utf-8")
        return bound

    def hits(self) -> int:
        """Return how often the limit was hit."""
        if not self._is_v2:
            return int((self._folder / "memory.failcnt").read_text(encoding="utf-8"))
        events = dict(
            line.split() for line in (self._folder / "memory.events").open(encoding="utf-8")
        )
        return int(events["max"])

    def cached(self) -> int:
        """Return the bytes of the page cache that are charged to the group."""
        return self._statistic("file" if self._is_v2 else "cache")

    def _statistic(self, key: str) -> int:
        rows = dict(line.split() for line in (self._folder / "memory.stat").open(encoding="utf-8"))
        return int(rows[key])


def drop(split: Split) -> None:
    """Drop the shards from the page cache."""
    for shard in split.shards:
        descriptor = os.open(shard.path, os.O_RDONLY)
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)


@contextmanager
def announcing(wanted: bool) -> Iterator[None]:
    """Have the feed announce its reads, or not."""
    announce, number = readahead.Readahead.announce, batches.ANNOUNCED
    if not wanted:
        readahead.Readahead.announce = lambda self, indices: None  # type: ignore[method-assign]
        batches.ANNOUNCED = 0
    try:
        yield
    finally:
        readahead.Readahead.announce = announce  # type: ignore[method-assign]
        batches.ANNOUNCED = number


def read(split: Split, plan: list[NDArray[np.int64]], mode: str) -> float:
    """Read batches; return milliseconds per image."""
    with announcing(mode != "not announced"), batches.Reader(split, 1) as reader:
        for _ in reader.read(plan[:8]):
            pass  # allocates the batches' memory
        start = time.perf_counter()
        for _ in reader.read(plan[8:]):
            pass
        return (time.perf_counter() - start) * 1000 / sum(map(len, plan[8:]))


def one_pass(data: Path, mode: str, seed: int) -> dict[str, JsonValue]:
    """Do one pass in this process, with limited memory unless the mode is "in memory"."""
    with closing(open_split(data, "train")) as split:
        plan = order.batches(order.epoch_order("shuffled", len(split), seed, 0)[:NUM], BATCH)
        if mode == "in memory":
            for shard in split.shards:
                shard.path.read_bytes()
            return {"ms": read(split, plan, mode)}
        bound = Bound()
        read(split, plan[:16], mode)  # so that the limit counts the batches' memory
        drop(split)
        num_bytes = sum(shard.path.stat().st_size for shard in split.shards)
        memory = bound.limit(num_bytes // 10)
        taken = read(split, plan, mode)
        return {"ms": taken, "bound": memory, "hits": bound.hits(), "cached": bound.cached()}


def large(options: argparse.Namespace) -> tuple[str, Path]:
    """Pack enough images; return their description and data folder."""
    name, small = inputs.prepared(options)
    data: Path = options.folder / "large"
    if not (data / "shards/manifest.json").exists():
        shutil.rmtree(data, ignore_errors=True)
        prepared = pack.enlarge(open_prepared(small), data / "prepared", options.images)
        pack.pack(prepared, data / "shards", 1)
        shutil.rmtree(data / "prepared")
    return name, data


def main() -> None:
    """Measure; print and keep the figures."""
    parser = inputs.parser(__doc__)
    parser.add_argument("--images", type=int, default=40_000)
    parser.add_argument("--mode", choices=MODES, help=argparse.SUPPRESS)
    parser.add_argument("--seed", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.mode:
        print(json.dumps(one_pass(options.folder, options.mode, options.seed)))
        return
    name, data = large(options)
    with closing(open_split(data, "train")) as split:
        num_images = len(split)
        megabytes = sum(shard.path.stat().st_size for shard in split.shards) / 1e6
    passes: dict[str, list[dict[str, float]]] = {mode: [] for mode in MODES}
    for seed in range(options.rounds):
        for mode in MODES:
            command = [sys.executable, __file__, str(data), "--mode", mode, "--seed", str(seed)]
            done = subprocess.run(command, check=True, capture_output=True)
            passes[mode].append(json.loads(done.stdout))
    for group in (GROUPS, GROUPS / "memory"):
        for left in group.glob("alexrep-cold-*"):
            left.rmdir()
    times = {mode: median(row["ms"] for row in rows) for mode, rows in passes.items()}
    bounded = [row for mode in MODES[:2] for row in passes[mode]]
    figures: dict[str, JsonValue] = {
        "images": f"{num_images}, {name}, {megabytes:.0f} MB; {NUM} of them a pass",
        "megabytes of page cache allowed": round(megabytes / 10),
        "of it in use at the end": round(max(row["cached"] for row in bounded) / 1e6),
        "times that the bound was hit in a pass, at least": min(row["hits"] for row in bounded),
        "milliseconds an image": {mode: round(taken, 3) for mode, taken in times.items()},
        "of each pass": {mode: [round(row["ms"], 3) for row in passes[mode]] for mode in MODES},
        "not announced, to announced": round(times["not announced"] / times["announced"], 2),
    }
    print(keep("cold", figures).read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
