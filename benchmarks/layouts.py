"""Each layout of the same images beside the tars': equal data, and images a second.

    python benchmarks/layouts.py FOLDER [--rounds N]

The demo edition is written to FOLDER, and in every other layout, patches applied. Each round
surveys and prepares all of them in turn at side 64, in this process. Compared with the tars are
the digest and the label of each image by its name, mean.npy, pca.json, and the shards' columns.
"""

import argparse
import gzip
import hashlib
import io
import shutil
import sys
import tarfile
import time
import zipfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from statistics import median
from typing import Any, cast

import h5py
from pydantic import JsonValue
from record import alexrep, keep

from alexrep.ilsvrc import source
from alexrep.ilsvrc.unit import Source
from alexrep.prepare import preprocess, units
from alexrep.prepare.image import Target
from alexrep.prepare.prepared import open_prepared

TOP = "ILSVRC/Data/CLS-LOC"
KIT = "DEMO_devkit.tar.gz"
Image = tuple[str, str, str, bytes]
"""Split, name, wnid and bytes."""


def originals(raw: Path) -> tuple[Source, list[Image]]:
    """Return the survey of the tars, and all images with patches applied."""
    surveyed = source.survey(raw, None, partial=False)
    wnids = [synset.wnid for synset in surveyed.classes.synsets]
    images = [
        (unit.split, name, wnids[label], content)
        for unit in surveyed.units
        for name, label, content, _ in units.contents(unit)
    ]
    return surveyed, images


def kaggle(surveyed: Source, images: list[Image]) -> dict[str, bytes]:
    """Return the files of Kaggle's tree."""
    val = [(name[:-5], wnid) for split, name, wnid, _ in images if split == "val"]
    rows = "".join(f"{name},{wnid} 1 2 3 4\n" for name, wnid in val)
    words = "".join(f"{synset.wnid} {synset.words}\n" for synset in surveyed.classes.synsets)
    files = {
        "LOC_val_solution.csv": f"ImageId,PredictionString\n{rows}".encode(),
        "LOC_synset_mapping.txt": words.encode(),
    }
    for split, name, wnid, content in images:
        files[f"{TOP}/{split}/{wnid + '/' if split == 'train' else ''}{name}"] = content
    return files


def mixed(images: list[Image], split: str) -> list[Image]:
    """Return the images of a split in no order."""
    own = [image for image in images if image[0] == split]
    return sorted(own, key=lambda image: hashlib.sha256(image[1].encode()).digest())


def hub_name(image: Image) -> str:
    """Return the name that a hub gives an image."""
    split, name, wnid, _ = image
    return name if split == "test" else f"{name.removesuffix('.JPEG')}_{wnid}.JPEG"


def tar(contents: Iterable[tuple[str, bytes]], mode: str = "w") -> bytes:
    """Return a tar; with mode "w:gz" compressed."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=cast(Any, mode)) as archive:
        for name, content in contents:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return stream.getvalue()


def write(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write files below a folder."""
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)


def build(raw: Path, folder: Path) -> dict[str, Path]:
    """Write every layout; return its folder by its name."""
    surveyed, images = originals(raw)
    places = {name: folder / name.replace(" ", "-") for name in BUILDERS}
    for name, place in places.items():
        if not place.exists():
            place.mkdir(parents=True)
            BUILDERS[name](place, surveyed, images)
            if name != "kaggle tree":
                shutil.copy(raw / KIT, place)
    return {"tars": raw, **places}


def kaggle_zip(place: Path, surveyed: Source, images: list[Image]) -> None:
    """Write Kaggle's zip, stored: JPEGs hardly shrink."""
    with zipfile.ZipFile(place / "imagenet-object-localization-challenge.zip", "w") as archive:
        for path, content in kaggle(surveyed, images).items():
            archive.writestr(path, content)


def parquet(place: Path, surveyed: Source, images: list[Image]) -> None:
    """Write a file of each split, in row groups of 100."""
    import pyarrow as pa
    from pyarrow import parquet as pq

    ranks = surveyed.classes.index_of_wnid
    for split, name in (("train", "train"), ("val", "validation"), ("test", "test")):
        own = mixed(images, split)
        rows = [{"bytes": image[3], "path": hub_name(image)} for image in own]
        labels = [-1 if split == "test" else ranks[image[2]] for image in own]
        table: Any = pa.table({"image": rows, "label": labels})
        path = place / "data" / f"{name}-00000-of-00001.parquet"
        path.parent.mkdir(exist_ok=True)
        pq.write_table(table, path, row_group_size=100)


def hub_tars(place: Path, _: Source, images: list[Image]) -> None:
    """Write a compressed tar of each split."""
    for split in ("train", "val", "test"):
        content = tar((hub_name(image), image[3]) for image in mixed(images, split))
        number = "_0" if split == "train" else ""
        packed = gzip.compress(content, 6)
        (place / f"{split}_images{number}.tar.gz").write_bytes(packed)


def hub_files(place: Path, _: Source, images: list[Image]) -> None:
    """Write the flat files."""
    write(place, {f"{image[0]}/{hub_name(image)}": image[3] for image in images})


def shards(place: Path, surveyed: Source, images: list[Image]) -> None:
    """Write shards of 400 samples."""
    ranks = surveyed.classes.index_of_wnid
    for split, name in (("train", "train"), ("val", "validation"), ("test", "test")):
        own = mixed(images, split)
        for number, start in enumerate(range(0, len(own), 400)):
            samples = [
                part
                for _, file, wnid, content in own[start : start + 400]
                for part in (
                    (f"{file[:-5]}.cls", b"%d" % ranks[wnid]),
                    (f"{file[:-5]}.jpg", content),
                )
            ]
            (place / f"demo-{name}-{number:04d}.tar").write_bytes(tar(samples))


BUILDERS: dict[str, Callable[[Path, Source, list[Image]], None]] = {
    "kaggle tree": lambda place, surveyed, images: write(place, kaggle(surveyed, images)),
    "kaggle zip": kaggle_zip,
    "parquet": parquet,
    "hub tars": hub_tars,
    "hub files": hub_files,
    "webdataset": shards,
}


def prepare(raw: Path, data: Path) -> float:
    """Survey and prepare a folder; return the processor seconds."""
    start, images, target = time.process_time(), data / "images", Target(64)
    surveyed = source.survey(raw, None, partial=True)
    begun = preprocess.begin(surveyed, images, target, partial=True, retry_failed=False)
    preprocess.run(surveyed, images, target, 1, lambda num: None)
    preprocess.finish_if_last(begun)
    return time.process_time() - start


def facts(data: Path) -> dict[str, object]:
    """Return what must be equal, but for the labels of test, which most layouts lack."""
    for stage in ("mean", "pca", "pack"):
        alexrep("-q", stage, str(data), "--workers", "1")
    images = open_prepared(data)
    found: dict[str, object] = {
        f"{split}/{verdict.name}": (verdict.sha256, split == "test" or verdict.label)
        for split in images.splits
        for unit in images.units(split)
        for verdict in images.verdicts(unit)
    }
    for name in ("mean.npy", "pca.json"):
        found[name] = hashlib.sha256((data / name).read_bytes()).hexdigest()
    for path in sorted((data / "shards").glob("*.h5")):
        with h5py.File(path) as shard:
            names = [name for name in shard if name != "labels" or "test" not in path.name]
            found |= {f"{path.name}/{name}": shard[name][()].tobytes() for name in names}
    return found


def main() -> None:
    """Measure, compare, and keep the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    raw = asked.folder / "tars"
    from alexrep.demo import edition

    edition.write(raw)
    places = build(raw, asked.folder / "layouts")
    seconds: dict[str, list[float]] = {name: [] for name in places}
    for number in range(asked.rounds):
        for name, place in places.items():
            data = asked.folder / "data" / name.replace(" ", "-")
            if data.exists():
                shutil.rmtree(data)
            seconds[name].append(prepare(place, data))
            print(f"round {number + 1}, {name}: {seconds[name][-1]:.2f} s", file=sys.stderr)
    own = {n: facts(asked.folder / "data" / n.replace(" ", "-")) for n in places}
    rows: dict[str, JsonValue] = {
        name: {
            "images_per_processor_second": round(1797 / median(seconds[name]), 1),
            "of_the_tars": round(median(seconds["tars"]) / median(seconds[name]), 3),
            "equal": own[name] == own["tars"],
        }
        for name in places
    }
    keep("layouts", {"images": 1797, "side": 64, "rounds": asked.rounds, "layouts": rows})
    for name, row in rows.items():
        print(name, row)


if __name__ == "__main__":
    main()
