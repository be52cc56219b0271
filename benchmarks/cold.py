"""Reading ahead in the known order, where memory holds a tenth of the images only.

    python benchmarks/cold.py FOLDER [--data DATA] [--images 40000]

The prepared training images are repeated until there are enough, and packed. Then a program of
its own reads some of them in the order of an epoch, a batch after the other, with one decoding
thread: once with its reads announced and once without, turn by turn. Before each pass the
shards are dropped from the page cache, and a control group (version 1 or 2, which takes a
superuser) bounds the memory of the program and of the pages that it reads: to what the program
holds when it begins, and a tenth of the shards' bytes. Shown are milliseconds an image, and how
often the bound was hit. In memory: without the bound, the shards read through before.
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
    """A control group of the kernel, of one version or the other, for this process."""

    def __init__(self) -> None:
        """Make a group and join it.

        Raises:
            OSError: If the system does not let us.
        """
        self._is_v2 = (GROUPS / "cgroup.controllers").exists()
        parent = GROUPS if self._is_v2 else GROUPS / "memory"
        if self._is_v2:
            (parent / "cgroup.subtree_control").write_text("+memory", encoding="utf-8")
        self._folder = parent / f"alexrep-cold-{os.getpid()}"
        self._folder.mkdir()
        (self._folder / "cgroup.procs").write_text(str(os.getpid()), encoding="utf-8")

    def limit(self, page_cache: int) -> int:
        """Allow so many bytes of page cache beside what the process holds; return the bound."""
        bound = self._held("anon" if self._is_v2 else "rss") + page_cache
        name = "memory.max" if self._is_v2 else "memory.limit_in_bytes"
        (self._folder / name).write_text(str(bound), encoding="utf-8")
        return bound

    def hits(self) -> int:
        """Return how often the bound was hit."""
        if not self._is_v2:
            return int((self._folder / "memory.failcnt").read_text(encoding="utf-8"))
        events = dict(
            line.split() for line in (self._folder / "memory.events").open(encoding="utf-8")
        )
        return int(events["max"])

    def cached(self) -> int:
        """Return the bytes of pages read that are in memory."""
        return self._held("file" if self._is_v2 else "cache")

    def _held(self, key: str) -> int:
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
    """Have reads announced, or not."""
    held, number = readahead.Readahead.announce, batches.ANNOUNCED
    if not wanted:
        readahead.Readahead.announce = lambda self, indices: None  # type: ignore[method-assign]
        batches.ANNOUNCED = 0
    try:
        yield
    finally:
        readahead.Readahead.announce = held  # type: ignore[method-assign]
        batches.ANNOUNCED = number


def read(split: Split, plan: list[NDArray[np.int64]], mode: str) -> float:
    """Read batches; return milliseconds an image."""
    with announcing(mode != "not announced"), batches.Reader(split, 1) as reader:
        for _ in reader.read(plan[:8]):
            pass  # its memory is there now
        start = time.perf_counter()
        for _ in reader.read(plan[8:]):
            pass
        return (time.perf_counter() - start) * 1000 / sum(map(len, plan[8:]))


def one_pass(data: Path, mode: str, seed: int) -> dict[str, JsonValue]:
    """Do one pass in this process, bounded unless it is to be in memory."""
    with closing(open_split(data, "train")) as split:
        plan = order.batches(order.epoch_order("shuffled", len(split), seed, 0)[:NUM], BATCH)
        if mode == "in memory":
            for shard in split.shards:
                shard.path.read_bytes()
            return {"ms": read(split, plan, mode)}
        bound = Bound()
        read(split, plan[:16], mode)  # so that the batches' memory is counted
        drop(split)
        num_bytes = sum(shard.path.stat().st_size for shard in split.shards)
        memory = bound.limit(num_bytes // 10)
        taken = read(split, plan, mode)
        return {"ms": taken, "bound": memory, "hits": bound.hits(), "cached": bound.cached()}


def large(options: argparse.Namespace) -> tuple[str, Path]:
    """Pack enough images; return what they are and their data folder."""
    name, small = inputs.prepared(options)
    data: Path = options.folder / "large"
    if not (data / "shards/manifest.json").exists():
        shutil.rmtree(data, ignore_errors=True)
        prepared = pack.enlarge(open_prepared(small), data / "prepared", options.images)
        pack.pack(prepared, data / "shards", 1)
        shutil.rmtree(data / "prepared")
    return name, data


def main() -> None:
    """Measure, print, keep."""
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
    found: dict[str, list[dict[str, float]]] = {mode: [] for mode in MODES}
    for seed in range(options.rounds):
        for mode in MODES:
            command = [sys.executable, __file__, str(data), "--mode", mode, "--seed", str(seed)]
            done = subprocess.run(command, check=True, capture_output=True)
            found[mode].append(json.loads(done.stdout))
    for group in (GROUPS, GROUPS / "memory"):
        for left in group.glob("alexrep-cold-*"):
            left.rmdir()
    times = {mode: median(one["ms"] for one in passes) for mode, passes in found.items()}
    bounded = [one for mode in MODES[:2] for one in found[mode]]
    figures: dict[str, JsonValue] = {
        "images": f"{num_images}, {name}, {megabytes:.0f} MB; {NUM} of them a pass",
        "megabytes of page cache allowed": round(megabytes / 10),
        "of it in use at the end": round(max(one["cached"] for one in bounded) / 1e6),
        "times that the bound was hit in a pass, at least": min(one["hits"] for one in bounded),
        "milliseconds an image": {mode: round(taken, 3) for mode, taken in times.items()},
        "of each pass": {mode: [round(one["ms"], 3) for one in found[mode]] for mode in MODES},
        "not announced, to announced": round(times["not announced"] / times["announced"], 2),
    }
    print(keep("cold", figures).read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
