"""Inputs of the data benchmarks: real data, or the demo edition with a warning."""

import argparse
import os
import tarfile
from pathlib import Path

from record import alexrep

from alexrep.ilsvrc import archives


def parser(description: str | None) -> argparse.ArgumentParser:
    """Return a parser with the options for folders and rounds."""
    options = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("folder", type=Path, help="working folder; finished work in it is reused")
    data = os.environ.get("ALEXREP_TEST_DATA")
    options.add_argument(
        "--data", type=Path, default=Path(data) if data else None, help="folder of real data"
    )
    options.add_argument("--rounds", type=int, default=7)
    return options


def photographs(options: argparse.Namespace) -> tuple[str, Path]:
    """Return a description, and a tar of photographs of their original sizes."""
    if options.data and (options.data / "imagenet-samples.tar").exists():
        return "ILSVRC at original size", options.data / "imagenet-samples.tar"
    print("no real data (ALEXREP_TEST_DATA): demo images instead; the targets are not meant for it")
    raw = _demo(options.folder)
    photos = options.folder / "photographs.tar"
    val = raw / "ILSVRC2010_images_val.tar"
    with tarfile.open(photos, "w") as tar, tarfile.open(val) as source:
        for member in archives.members(val):
            tar.addfile(info := source.getmember(member.path), source.extractfile(info))
    return "demo", photos


def contents(tar: Path) -> list[bytes]:
    """Read all files of a tar."""
    return [archives.read(tar, member) for member in archives.members(tar)]


def prepared(options: argparse.Namespace, *stages: str) -> tuple[str, Path]:
    """Return a description, and a data folder in which preprocess and `stages` have run."""
    name, words = "ten classes of ILSVRC-2012, 256x256", ["--partial"]
    raw = options.data / "ilsvrc2012-dogs" if options.data else None
    if raw is None or not raw.exists():
        print("no real data (ALEXREP_TEST_DATA): demo images instead; targets not meant for it")
        name, words, raw = "demo, 256x256", [], _demo(options.folder)
    data: Path = options.folder / name.split(" ", maxsplit=1)[0]
    alexrep("-q", "preprocess", str(raw), str(data), *words)
    for stage in stages:
        alexrep("-q", stage, str(data))
    return name, data


def _demo(folder: Path) -> Path:
    from alexrep.demo import edition  # imports scikit-learn: no worker of a benchmark needs that

    raw = folder / "demo-raw"
    if not raw.exists():
        raw.mkdir(parents=True)
        edition.write(raw)
    return raw
