"""Preparing real photographs, against plain Pillow, OpenCV, libvips and bare libjpeg-turbo.

    python benchmarks/preprocess.py FOLDER [--data DATA] [--peer-python PYTHON]

Per core (processor seconds), on imagenet-samples.tar: decode, resize to 256, JPEG of quality
90 and 4:2:0. Peers run in PYTHON, which has plain Pillow; if that is not given, in this one,
or in an environment made in FOLDER when this one has pillow-simd. The quality is PSNR of the
squares before they are encoded, against a float64 bicubic one of the same box.
Two programs that share nothing show what two workers could reach on this machine at this time.
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
    """The other program, asked line by line."""

    def __init__(self, python: str, tar: Path) -> None:
        """Start it."""
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
    """Return a Python that has plain Pillow; make one if need be."""
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
    return any(one.metadata["Name"].lower() == "pillow-simd" for one in metadata.distributions())


def bare(jpegs: list[bytes], square: NDArray[np.uint8], memory: NDArray[np.uint8]) -> None:
    """Decode each into the same memory and encode a square: nothing in between."""
    for jpeg in jpegs:
        simplejpeg.decode_jpeg(jpeg, "RGB", buffer=memory)
        simplejpeg.encode_jpeg(square, rescale.QUALITY, "RGB", "420")


def quality(jpegs: list[bytes], peers: Peers, folder: Path) -> dict[str, JsonValue]:
    """Return the median PSNR in dB of each, of the first 60 colour images."""
    squares: dict[str, NDArray[np.uint8]] = {}
    for name in peers.versions:
        peers.ask(f"keep {name} {folder / f'{name}.npy'}")
        squares[name] = np.load(folder / f"{name}.npy")
    found: dict[str, list[float]] = {name: [] for name in ("alexrep", *squares)}
    for number, jpeg in enumerate(jpegs[:60]):
        picture = decode.decode(jpeg).picture
        image, (width, height) = np.asarray(picture), picture.size
        cut = reference.resize(image, reference.central(width, height), SIDE)
        whole = reference.resize(image, reference.rounded(width, height, SIDE), SIDE)
        ours = np.asarray(rescale.to_square(picture, SIDE))
        found["alexrep"].append(reference.psnr(ours, cut))
        for name, held in squares.items():
            found[name].append(reference.psnr(held[number], whole))
    return {name: round(median(values), 1) for name, values in found.items()}


def prepare_some(places: range, tar: Path) -> None:
    """Prepare images of the tar: the work of a unit."""
    jpegs = inputs.contents(tar)
    for place in places:
        prepare("", 0, jpegs[place % len(jpegs)], Target(SIDE))


def decode_some(places: range, tar: Path) -> None:
    """Decode images of the tar and do nothing else: what the machine itself scales by."""
    jpegs = [jpeg for jpeg in inputs.contents(tar) if decode.is_clean(jpeg)]
    for place in places:
        decode.is_clean(jpegs[place % len(jpegs)])


def with_workers(work: Callable[[range], None], workers: int) -> float:
    """Do sixteen units of 250 images through alexrep.pool; return the seconds of all but the first.

    Processes take a while to start; in a real run that is nothing.
    """
    units = [range(start, start + 250) for start in range(0, 4000, 250)]
    ends = [time.perf_counter() for _ in pool.run(work, units, workers, str)]
    return (ends[-1] - ends[workers - 1]) / (len(units) - workers)


def speedup(work: Callable[[range], None]) -> float:
    """Return how many times as fast two workers are as one, median of three."""
    return median(with_workers(work, 1) / with_workers(work, 2) for _ in range(3))


def alone(tar: Path, start: Barrier, seconds: "SimpleQueue[float]") -> None:
    """Prepare 1,000 images in a program that shares nothing with others but the start."""
    prepare_some(range(50), tar)
    start.wait()
    begun = time.perf_counter()
    prepare_some(range(1000), tar)
    seconds.put(time.perf_counter() - begun)


def apart(tar: Path, number: int) -> float:
    """Return the seconds that so many such programs take at once, the mean of theirs."""
    context = multiprocessing.get_context("spawn")
    start, seconds = context.Barrier(number), context.SimpleQueue()
    programs = [context.Process(target=alone, args=(tar, start, seconds)) for _ in range(number)]
    for one in programs:
        one.start()
    taken = [seconds.get() for _ in programs]
    for one in programs:
        one.join()
    return float(sum(taken)) / number


def ceiling(tar: Path) -> float:
    """Return what two programs that know nothing of each other get done against one, median."""
    return median(2 * apart(tar, 1) / apart(tar, 2) for _ in range(3))


def main() -> None:
    """Measure, print, keep."""
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
        "alexrep": processor_seconds(lambda: [prepare("", 0, one, target) for one in jpegs]),
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
