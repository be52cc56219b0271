"""Preparing photographs, against plain Pillow, OpenCV, libvips and bare libjpeg-turbo.

    python benchmarks/preprocess.py FOLDER [--data DATA] [--peer-python PYTHON]

Processor seconds on imagenet-samples.tar: decode, resize to 256, JPEG of quality 90 and 4:2:0.
Peers run in PYTHON, which has plain Pillow; if it is not given, in this Python, or in an
environment made in FOLDER if this one has pillow-simd. The quality is PSNR of the squares
before encoding, against a float64 bicubic resize of the same box.
Two independent programs show what two workers could reach on this machine at this time.
Targets: 1.6 times Pillow (2 the goal), 0.6 of bare decoding and encoding, two workers 1.8.
"""

import argparse
import json
import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from importlib import metadata
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Barrier
from pathlib import Path
from statistics import median
from typing import IO

import inputs
import numpy as np
import reference
import simplejpeg
from numpy.typing import NDArray
from pydantic import JsonValue
from record import keep
from rounds import alternate, processor_seconds

from alexrep import pool
from alexrep.pixels import decode, rescale
from alexrep.prepare.image import Target, prepare

SIDE = 256
HERE = Path(__file__).parent


class Peers:
    """The program of the peers, which answers line by line."""

    def __init__(self, python: str, tar: Path) -> None:
        """Start the program."""
        os.environ["VIPS_CONCURRENCY"] = "1"
        self._process = subprocess.Popen(
            [python, str(HERE / "resizers.py"), str(tar)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="utf-8",
            env={key: value for key, value in os.environ.items() if key != "PYTHONPATH"},
        )
        self.versions: dict[str, str] = json.loads(self._answer())

    def ask(self, line: str) -> str:
        """Send a line and return the answer."""
        stream: IO[str] | None = self._process.stdin
        assert stream is not None  # noqa: S101
        stream.write(line + "\n")
        stream.flush()
        return self._answer()

    def _answer(self) -> str:
        stream: IO[str] | None = self._process.stdout
        assert stream is not None  # noqa: S101
        line = stream.readline()
        if not line:
            raise RuntimeError("the peers' program ended")
        return line


def peer_python(options: argparse.Namespace) -> str:
    """Return a Python that has plain Pillow; make an environment if needed."""
    if options.peer_python or not _has_simd():
        return options.peer_python or sys.executable
    folder = options.folder / "peers"
    python = str(folder / "bin/python")
    if not Path(python).exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        pip = [python, "-m", "pip", "install", "--quiet"]
        subprocess.run([*pip, "pillow>=13", "numpy"], check=True)
        for extra in ("opencv-python-headless", "pyvips[binary]"):
            subprocess.run([*pip, extra], check=False)
    return python


def _has_simd() -> bool:
    return any(
        package.metadata["Name"].lower() == "pillow-simd" for package in metadata.distributions()
    )


def bare(jpegs: list[bytes], square: NDArray[np.uint8], memory: NDArray[np.uint8]) -> None:
    """Decode each image into the same memory and encode a square, and nothing else."""
    for jpeg in jpegs:
        simplejpeg.decode_jpeg(jpeg, "RGB", buffer=memory)
        simplejpeg.encode_jpeg(square, rescale.QUALITY, "RGB", "420")


def quality(jpegs: list[bytes], peers: Peers, folder: Path) -> dict[str, JsonValue]:
    """Return the median PSNR in dB of each resizer over the first 60 images."""
    squares: dict[str, NDArray[np.uint8]] = {}
    for name in peers.versions:
        peers.ask(f"keep {name} {folder / f'{name}.npy'}")
        squares[name] = np.load(folder / f"{name}.npy")
    ratios: dict[str, list[float]] = {name: [] for name in ("alexrep", *squares)}
    for number, jpeg in enumerate(jpegs[:60]):
        picture = decode.decode(jpeg).picture
        image, (width, height) = np.asarray(picture), picture.size
        cut = reference.resize(image, reference.central(width, height), SIDE)
        whole = reference.resize(image, reference.rounded(width, height, SIDE), SIDE)
        ours = np.asarray(rescale.to_square(picture, SIDE))
        ratios["alexrep"].append(reference.psnr(ours, cut))
        for name, resized in squares.items():
            ratios[name].append(reference.psnr(resized[number], whole))
    return {name: round(median(values), 1) for name, values in ratios.items()}


def prepare_some(numbers: range, tar: Path) -> None:
    """Prepare images of the tar, as a unit does."""
    jpegs = inputs.contents(tar)
    for number in numbers:
        prepare("", 0, jpegs[number % len(jpegs)], Target(SIDE))


def decode_some(numbers: range, tar: Path) -> None:
    """Decode images of the tar and nothing else: how the machine itself scales."""
    jpegs = [jpeg for jpeg in inputs.contents(tar) if decode.is_clean(jpeg)]
    for number in numbers:
        decode.is_clean(jpegs[number % len(jpegs)])


def with_workers(work: Callable[[range], None], workers: int) -> float:
    """Run sixteen units of 250 images in alexrep.pool; return seconds per unit.

    The first unit of each worker is left out: starting processes does not matter in a real run.
    """
    units = [range(start, start + 250) for start in range(0, 4000, 250)]
    ends = [time.perf_counter() for _ in pool.run(work, units, workers, str)]
    return (ends[-1] - ends[workers - 1]) / (len(units) - workers)


def speedup(work: Callable[[range], None]) -> float:
    """Return the speedup of two workers over one, median of three."""
    return median(with_workers(work, 1) / with_workers(work, 2) for _ in range(3))


def alone(tar: Path, start: Barrier, seconds: "SimpleQueue[float]") -> None:
    """Prepare 1,000 images in a program that shares only the start with others."""
    prepare_some(range(50), tar)
    start.wait()
    begun = time.perf_counter()
    prepare_some(range(1000), tar)
    seconds.put(time.perf_counter() - begun)


def apart(tar: Path, number: int) -> float:
    """Return the mean seconds of `number` such programs that run at the same time."""
    context = multiprocessing.get_context("spawn")
    start, seconds = context.Barrier(number), context.SimpleQueue()
    programs = [context.Process(target=alone, args=(tar, start, seconds)) for _ in range(number)]
    for program in programs:
        program.start()
    taken = [seconds.get() for _ in programs]
    for program in programs:
        program.join()
    return float(sum(taken)) / number


def ceiling(tar: Path) -> float:
    """Return the speedup of two independent programs over one, median of three."""
    return median(2 * apart(tar, 1) / apart(tar, 2) for _ in range(3))


def main() -> None:
    """Measure; print and keep the figures."""
    parser = inputs.parser(__doc__)
    parser.add_argument("--peer-python")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    name, tar = inputs.photographs(options)
    jpegs = inputs.contents(tar)
    peers = Peers(peer_python(options), tar)
    plain = [jpeg for jpeg in jpegs if decode.is_clean(jpeg)]
    memory = np.empty(4 * decode.MAX_PIXELS, np.uint8)
    square = np.asarray(rescale.to_square(decode.decode(plain[0]).picture, SIDE)).copy()
    target = Target(SIDE)
    contestants = {
        "alexrep": processor_seconds(lambda: [prepare("", 0, jpeg, target) for jpeg in jpegs]),
        "bare": processor_seconds(lambda: bare(plain, square, memory)),
    }
    for peer in peers.versions:
        contestants[peer] = partial(lambda line: float(peers.ask(line)), peer)
    seconds = alternate(contestants, options.rounds)
    seconds["bare"] *= len(jpegs) / len(plain)
    figures: dict[str, JsonValue] = {
        "images": f"{len(jpegs)}, {name}",
        "resizer": rescale.version(),
        "decoder": decode.version(),
        "peers": dict(peers.versions),
        "milliseconds an image": {
            peer: round(1000 * taken / len(jpegs), 3) for peer, taken in seconds.items()
        },
        "ratio to plain Pillow (1.6, goal 2)": round(seconds["pillow"] / seconds["alexrep"], 2),
        "fraction of bare decode and encode (0.6)": round(seconds["bare"] / seconds["alexrep"], 2),
        "two workers against one (1.8)": round(speedup(partial(prepare_some, tar=tar)), 2),
        "two programs of their own against one": round(ceiling(tar), 2),
        "two workers against one, bare decoding": round(speedup(partial(decode_some, tar=tar)), 2),
        "PSNR, dB": quality(jpegs, peers, options.folder),
    }
    print(keep("preprocess", figures).read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
