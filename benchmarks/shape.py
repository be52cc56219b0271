"""Every stage on the true shape of ILSVRC-2012, with images of 32 pixels.

    python benchmarks/shape.py FOLDER --tree NAME=PYTHON [--tree NAME=PYTHON ...] [--share 1]

1,281,167 training images in 1,000 tars inside one, 50,000 val images and their devkit; the
pictures are a few small ones in turn. Each tree is a commit of alexrep, named by the Python that
imports it. Of each stage the processor seconds (children included) and the largest memory of a
process are kept in FOLDER/NAME.json as soon as it ends, so that a killed start goes on; the
stage that was at work begins anew. Processor seconds hardly depend on what else runs; passing
seconds do, and are kept only to show that.
"""

import argparse
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
from pydantic import JsonValue
from record import keep
from scipy.io import savemat

NUM_CLASSES, NUM_FULL, MOST = 1000, 895, 1300
"""Classes, those that have the most training images, and that number."""
NUM_TRAIN, NUM_VAL = 1_281_167, 50_000
EDITION = "ILSVRC2012"
INNER = 860
"""Synsets of meta.mat that are no classes."""
SIDE = 32
PICTURES = 64

STAGES: dict[str, tuple[str, ...]] = {
    "preprocess": ("preprocess", "RAW", "DATA", "--side", str(SIDE), "--workers", "1"),
    "preprocess again": ("preprocess", "RAW", "DATA", "--side", str(SIDE), "--workers", "1"),
    "mean": ("mean", "DATA", "--workers", "1"),
    "pca": ("pca", "DATA", "--workers", "1"),
    "pack": ("pack", "DATA", "--workers", "1"),
    "verify": ("verify", "DATA"),
    "verify --deep": ("verify", "DATA", "--deep"),
    "start of train": (
        *("train", "DATA", "--run", "RUN", "--recipe", "cifar10-80sec"),
        *("--dry-run", "--device", "cpu", "--workers", "1"),
    ),
}

MEASURED = """
import json, os, subprocess, sys, time
start = time.perf_counter()
with open(sys.argv[1], "w") as output:
    process = subprocess.Popen(sys.argv[2:], stdout=output, stderr=output)
    _, status, used = os.wait4(process.pid, 0)
seconds = time.perf_counter() - start
processor = used.ru_utime + used.ru_stime
print(json.dumps([os.waitstatus_to_exitcode(status), processor, seconds, used.ru_maxrss / 1024]))
"""
"""An intermediate process, as a parent's peak memory counts for the child it forks."""


def numbers_of_classes(share: float) -> list[int]:
    """Return how many training images each class has, of a share of them."""
    rest = NUM_TRAIN - NUM_FULL * MOST
    others = NUM_CLASSES - NUM_FULL
    counts = [MOST] * NUM_FULL + [rest // others + (k < rest % others) for k in range(others)]
    drawn = np.random.default_rng(1).permutation(counts).tolist()
    return [max(1, round(share * count)) for count in drawn]


def wnid(label: int) -> str:
    """Return the wnid of a class, by its rank."""
    return f"n{1_000_000 + 11 * label:08d}"


def pictures() -> list[bytes]:
    """Cut small photographs, neither square nor of the prepared side, from scikit-learn's."""
    from alexrep.demo import pictures as photos

    rng, made = np.random.default_rng(2), []
    for number in range(PICTURES):
        photo = photos.photographs()[number % 2]
        top, left = (int(rng.integers(length - 48)) for length in photo.shape[:2])
        made.append(photos.encode(photo[top : top + 40, left : left + 48].copy(), 75))
    return made


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    tar.addfile(info, io.BytesIO(content))


def _class_tar(label: int, num: int, drawn: list[bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for k in range(num):
            _add(tar, f"{wnid(label)}_{7 + 11 * k}.JPEG", drawn[(label + k) % PICTURES])
    return stream.getvalue()


def _meta(counts: list[int], ids: list[int]) -> bytes:
    """Make meta.mat: the classes in order of their ids, then the inner synsets."""
    names = [f"{EDITION}_ID", "WNID", "words", "gloss", "num_children", "children"]
    names += ["wordnet_height", "num_train_images"]
    synsets = np.empty((NUM_CLASSES + INNER, 1), [(name, object) for name in names])
    for label, (number, count) in enumerate(zip(ids, counts, strict=True)):
        words = f"thing {number}, stuff"
        synsets[number - 1, 0] = (number, wnid(label), words, "a thing", 0, (), 0, count)
    for number in range(NUM_CLASSES + 1, NUM_CLASSES + INNER + 1):
        children = (number - NUM_CLASSES, number - NUM_CLASSES + 1)
        synsets[number - 1, 0] = (number, f"n9{number:07d}", "things", "inner", 2, children, 1, 0)
    stream = io.BytesIO()
    savemat(cast(Any, stream), {"synsets": synsets})  # some type stubs accept paths only
    return stream.getvalue()


def write_raw(raw: Path, share: float) -> None:
    """Write train, val and devkit in the form of ILSVRC-2012; the devkit comes last."""
    raw.mkdir(parents=True, exist_ok=True)
    counts, drawn = numbers_of_classes(share), pictures()
    with tarfile.open(raw / f"{EDITION}_img_train.tar", "w") as tar:
        for label, count in enumerate(counts):
            _add(tar, f"{wnid(label)}.tar", _class_tar(label, count, drawn))
    num_val = round(share * NUM_VAL)
    with tarfile.open(raw / f"{EDITION}_img_val.tar", "w") as tar:
        for number in range(1, num_val + 1):
            _add(tar, f"{EDITION}_val_{number:08d}.JPEG", drawn[number % PICTURES])
    ids = (np.random.default_rng(3).permutation(NUM_CLASSES) + 1).tolist()
    labels = "".join(f"{1 + number % NUM_CLASSES}\n" for number in range(NUM_VAL)).encode()
    folder, part = f"{EDITION}_devkit_t12/data", raw / "devkit.part"
    with tarfile.open(part, "w:gz") as tar:
        _add(tar, f"{folder}/meta.mat", _meta(counts, ids))
        _add(tar, f"{folder}/{EDITION}_validation_ground_truth.txt", labels)
    part.rename(raw / f"{EDITION}_devkit_t12.tar.gz")


def measure(python: str, words: Iterable[str], output: Path) -> dict[str, JsonValue]:
    """Run a command of a tree; return its processor seconds, its seconds and peak memory.

    Raises:
        RuntimeError: If it fails.
    """
    command = [python, "-P", "-m", "alexrep.stages", *words]
    between = [sys.executable, "-I", "-S", "-c", MEASURED, str(output)]
    done = subprocess.run([*between, *command], check=True, stdout=subprocess.PIPE)
    code, processor, seconds, peak = json.loads(done.stdout)
    if code:
        raise RuntimeError(
            f"{command}: exit code {code}: {output.read_text(encoding='utf-8')[-500:]}"
        )
    return {
        "processor seconds": round(processor, 1),
        "seconds": round(seconds, 1),
        "peak memory, MiB": round(peak),
    }


def digest(folder: Path, patterns: Iterable[str]) -> str:
    """Return one SHA-256 of the names and bytes of files."""
    total = hashlib.sha256()
    for path in sorted(path for pattern in patterns for path in folder.glob(pattern)):
        with path.open("rb") as stream:
            own = hashlib.file_digest(stream, "sha256").hexdigest()
        total.update(f"{own} {path.relative_to(folder)}\n".encode())
    return total.hexdigest()


def outputs(data: Path) -> dict[str, JsonValue]:
    """Return what was made: digests that two trees must agree on, and bytes on disk."""
    patterns = {
        "tars": ("images/*/*.tar",),
        "lists of verdicts": ("images/*/*.jsonl",),
        "mean and axes": ("mean.npy", "pca.json"),
        "shards": ("shards/*.h5",),
    }
    sizes = {
        name: sum(path.stat().st_size for path in (data / name).rglob("*") if path.is_file())
        for name in ("images", "statistics", "shards")
    }
    digests = {name: digest(data, of) for name, of in patterns.items()}
    return {"sha256": dict(digests), "bytes": dict(sizes)}


def stages_of(
    python: str, raw: Path, folder: Path, partial: bool, kept: Path
) -> dict[str, JsonValue]:
    """Run each stage of a tree that has not been measured yet."""
    figures: dict[str, JsonValue] = (
        json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else {}
    )
    data = folder / "data"
    names = {"RAW": str(raw), "DATA": str(data), "RUN": str(folder / "run")}
    for stage, words in STAGES.items():
        if stage in figures:
            continue
        if stage == "preprocess":
            shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        line = [names.get(word, word) for word in words]
        line += ["--partial"] if partial and words[0] == "preprocess" else []
        figures[stage] = measure(python, line, folder / "output")
        kept.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
        print(folder.name, stage, figures[stage], flush=True)
    if "outputs" not in figures:
        figures["outputs"] = outputs(data)
        kept.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    return figures


def ratios(trees: dict[str, JsonValue]) -> Iterator[tuple[str, JsonValue]]:
    """Yield of each stage the last tree's figures over the first tree's."""
    first, *_, last = cast(list[dict[str, dict[str, float]]], list(trees.values()))
    for stage in STAGES:
        keys = ("processor seconds", "peak memory, MiB")
        yield stage, {key: round(last[stage][key] / first[stage][key], 2) for key in keys}


def main() -> None:
    """Make the edition, measure each tree in turn, keep the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tree", action="append", required=True, help="name, = and its Python")
    parser.add_argument("--share", type=float, default=1.0, help="of the images of each class")
    parser.add_argument("--keep", action="store_true", help="keep the figures in results/")
    options = parser.parse_args()
    raw = options.folder / f"raw-{options.share:g}"
    if not (raw / f"{EDITION}_devkit_t12.tar.gz").exists():
        write_raw(raw, options.share)
    trees: dict[str, JsonValue] = {}
    for tree in options.tree:
        name, _, python = tree.partition("=")
        kept = options.folder / f"{name}.json"
        python = os.path.abspath(python)
        partial = options.share != 1
        trees[name] = stages_of(python, raw, options.folder / name, partial, kept)
    counts = {"train": sum(numbers_of_classes(options.share))}
    counts["val"] = round(options.share * NUM_VAL)
    figures: dict[str, JsonValue] = {
        "images": dict(counts),
        "side": SIDE,
        "date of the trees": time.strftime("%Y-%m-%d"),
        **trees,
    }
    if len(trees) > 1:
        figures["last over first"] = dict(ratios(trees))
    print(json.dumps(figures, indent=1))
    if options.keep:
        print(keep("shape", figures))


if __name__ == "__main__":
    main()
