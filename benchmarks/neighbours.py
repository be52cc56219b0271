"""Memory and time of the search for neighbours, in features that are drawn at random.

    python benchmarks/neighbours.py FOLDER [--rows 100000 400000]

50 queries against rows of 4,096 float16 numbers, half of them 0 as after a neuron; each search is
a process of its own. The file of 400,000 rows has 3.3 GB, and is removed afterwards. Target: peak
memory that does not depend on the rows. The nearest of the first queries are compared with a plain
search in float64.
"""

import argparse
import json
import os
import subprocess
import sys
import time
import zlib
from pathlib import Path

import h5py
import numpy as np
from pydantic import JsonValue
from record import keep

from alexrep.evaluation import neighbours
from alexrep.evaluation.feature_file import BLOCK, FEATURE, FeatureFile, Features

UNITS, QUERIES, NEAREST = 4096, 50, 6
CHECKED = 1
"""Queries that are searched in the plain way, too."""


def main() -> None:
    """Write the features, search them, keep the figures; or, as a child, search only."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 400_000])
    parser.add_argument("--search", type=Path, help="only search in this file")
    options = parser.parse_args()
    if options.search:
        search(options.search)
        return
    figures: dict[str, JsonValue] = {"units": UNITS, "queries": QUERIES}
    for rows in options.rows:
        path = options.folder / f"{rows}.h5"
        try:
            write(path, rows)
            figures[f"{rows} rows"] = measured(options.folder, path)
        finally:
            path.unlink(missing_ok=True)
    print(keep("neighbours", figures).read_text(encoding="utf-8"))


def drawn(number: int, rows: int) -> Features:
    """Draw features, half of them 0, (rows, UNITS)."""
    values = np.random.default_rng(number).standard_normal((rows, UNITS), np.float32)
    return np.maximum(8 * values, 0).astype(FEATURE)


def write(path: Path, rows: int) -> None:
    """Write a file of features block by block."""
    checks = []
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        features = file.create_dataset("features", (rows, UNITS), FEATURE)
        for number, start in enumerate(range(0, rows, BLOCK)):
            block = drawn(number, min(BLOCK, rows - start))
            features[start : start + len(block)] = block
            checks.append(zlib.crc32(block.data))
        file["crc32"] = np.array(checks, np.uint32)


def measured(folder: Path, path: Path) -> dict[str, JsonValue]:
    """Search in a process of its own; return its seconds, peak memory and rightness."""
    command = [sys.executable, __file__, str(folder), "--search", str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None, "a pipe was asked for"  # noqa: S101
        said = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"the search exited with {process.returncode}")
    figures: dict[str, JsonValue] = json.loads(said)
    return figures | {"peak memory, MiB": usage.ru_maxrss // 1024}


def search(path: Path) -> None:
    """Search, and print the seconds as JSON."""
    queries = drawn(10**9, QUERIES)
    with h5py.File(path, locking=False) as file:
        features = FeatureFile(path, file)
        start, worked = time.perf_counter(), time.process_time()
        found = neighbours.nearest(features, queries, NEAREST)
        seconds = round(time.perf_counter() - start, 1)
        processor = round(time.process_time() - worked, 1)
        expected = plain(features, queries[:CHECKED])
    is_right = found.rows[:CHECKED].tolist() == expected
    figures = {"seconds": seconds, "processor seconds": processor, "as by a plain search": is_right}
    print(json.dumps(figures))


def plain(features: FeatureFile, queries: Features) -> list[list[int]]:
    """Find the nearest by differences in float64, a block at a time."""
    distances: list[list[float]] = [[] for _ in queries]
    for _, block in features.blocks():
        for query, held in zip(queries, distances, strict=True):
            difference = block.astype(np.float64) - query.astype(np.float64)
            held.extend(np.sqrt(np.square(difference).sum(axis=1)).tolist())
    return [np.argsort(held, kind="stable")[:NEAREST].tolist() for held in distances]


if __name__ == "__main__":
    main()
