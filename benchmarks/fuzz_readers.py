"""What is mutated and who reads it: the library's own functions, as the commands call them.

A reader takes a copy of the example's folder and returns what was read, to be compared.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from alexrep.config import recipes
from alexrep.feed.dataset import open_data
from alexrep.ilsvrc import class_lists, group_file, label_lists, source
from alexrep.prepare import image, units
from alexrep.prepare.prepared import jpegs, open_prepared, require_unchanged
from alexrep.runs import contents, listing, log, results
from alexrep.runs.folder import RunFolder
from alexrep.runs.trained import open_run
from alexrep.weights import caffe_layers, caffe_mean, state_dicts

Reader = Callable[[Path], str]
SIDE = 72


def digest(*parts: object) -> str:
    """Return the SHA-256 of values, arrays and tensors by their bits."""
    total = hashlib.sha256()
    for part in parts:
        if isinstance(part, torch.Tensor):
            total.update(f"{part.dtype} {part.shape}".encode())
            total.update(part.detach().contiguous().flatten().view(torch.uint8).numpy().tobytes())
        elif isinstance(part, np.ndarray):
            total.update(f"{part.dtype} {part.shape}".encode() + part.tobytes())
        else:
            total.update(part if isinstance(part, bytes) else repr(part).encode())
    return total.hexdigest()


def originals(name: str) -> Reader:
    """Return the reader of a folder of originals: it prepares every unit."""

    def read(folder: Path) -> str:
        surveyed, out = source.survey(folder / name, None, partial=True), folder / "out"
        for unit in surveyed.units:
            units.prepare_unit(unit, out, image.Target(SIDE))
        made = sorted(path for path in out.rglob("*") if path.is_file())
        return digest(surveyed.classes, *(part for p in made for part in (p.name, p.read_bytes())))

    return read


def picture(name: str) -> Reader:
    """Return the reader of one image."""
    return lambda folder: digest(
        # Without the digest of the file, which a mutation always changes.
        image.prepare(name, 0, (folder / name).read_bytes(), image.Target(SIDE))[1]
    )


def prepared(name: str) -> Reader:
    """Return the reader of prepared images: manifest, verdicts, tars."""

    def read(folder: Path) -> str:
        images = open_prepared(folder / name)
        named = [unit for split in images.splits for unit in images.units(split)]
        read: list[object] = []
        for unit in named:
            for verdict, jpeg in jpegs(images, unit):
                require_unchanged(verdict, jpeg, images.tar(unit))
                read += [verdict, jpeg]
        return digest(images.classes, images.side, images.quarantine, *read)

    return read


def packed(name: str) -> Reader:
    """Return the reader of shards and statistics, as a training opens them."""

    def read(folder: Path) -> str:
        with open_data(folder / name) as data:
            splits = (data.train, data.val)
            images = [split.read(index) for split in splits for index in range(len(split))]
            columns = [part for split in splits for part in (split.labels, split.names)]
            return digest(data.mean, data.axes, data.stds, data.details, *columns, *images)

    return read


def trained(name: str) -> Reader:
    """Return the reader of a run's checkpoint or an exported folder."""

    def read(folder: Path) -> str:
        network = open_run(RunFolder(folder / name))
        state = network.model().state_dict()
        made = network.inputs()
        facts = (network.recipe, network.classes, network.epoch, network.factors, made.divisor)
        return digest(facts, made.mean, made.noise, *state.values())

    return read


def run_records(folder: Path) -> str:
    """Read what pictures, reports and lists of runs read of a run."""
    run = RunFolder(folder / "run")
    history, overview = contents.read_history(run.path), listing.overview(run)
    columns = [history.column(key) for key in ("epoch", "val_loss", "val_top1_error")]
    counts = contents.read_counts(run.path), contents.num_planned(run.path)
    facts = contents.read_description(run.path), contents.read_environment(run.path), counts
    return digest(history.end, overview, facts, log.read(run.log), history.step_loss, *columns)


def scored(folder: Path) -> str:
    """Read a result with its predictions."""
    read = results.read_scored(folder / "run/results/val-centre.json")
    return digest(read.result, *vars(read.predictions).values())


def weights(name: str) -> Reader:
    """Return the reader of weights that another program wrote."""

    def read(folder: Path) -> str:
        path = folder / "weights" / name
        if path.suffix in caffe_layers.SUFFIXES:
            arrays = caffe_layers.arrays_of(caffe_layers.content_of(path), path)
            return digest(*(part for item in sorted(arrays.items()) for part in item))
        state = state_dicts.read(path)
        return digest(*(part for name in sorted(state) for part in (name, state[name])))

    return read


def mean_image(name: str) -> Reader:
    """Return the reader of a mean image that another program wrote."""
    return lambda folder: digest(caffe_mean.read(folder / "weights" / name, 8))


@dataclass(frozen=True)
class Format:
    """A kind of file."""

    pattern: str
    """Which files of the example are of this kind, below its folder."""
    read: Reader


FORMATS = {
    "tar of tars": Format("raw/DEMO_img_train.tar", originals("raw")),
    "tar": Format("raw/DEMO_img_val.tar", originals("raw")),
    "devkit": Format("raw/DEMO_devkit.tar.gz", originals("raw")),
    "meta.mat": Format("unpacked/**/meta.mat", originals("unpacked")),
    "ground truth": Format("unpacked/**/*.txt", originals("unpacked")),
    "zip": Format("kaggle/*.zip", originals("kaggle")),
    "parquet": Format("parquet/data/*", originals("parquet")),
    "hub tar": Format("hub/*images*", originals("hub")),
    "webdataset": Format("webdataset/imagenet*", originals("webdataset")),
    "jpeg": Format("images/a.JPEG", picture("images/a.JPEG")),
    "progressive jpeg": Format("images/progressive.JPEG", picture("images/progressive.JPEG")),
    "png": Format("images/a.png", picture("images/a.png")),
    "classes": Format(
        "lists/classes.txt", lambda f: digest(class_lists.read(f / "lists/classes.txt"))
    ),
    "labels": Format(
        "lists/labels.csv",
        lambda f: digest(label_lists.parse((f / "lists/labels.csv").read_bytes(), "labels.csv")),
    ),
    "groups": Format(
        "lists/groups.toml", lambda f: digest(group_file.read(f / "lists/groups.toml"))
    ),
    "recipe": Format("lists/tiny.toml", lambda f: digest(recipes.load(str(f / "lists/tiny.toml")))),
    "manifest of images": Format("data/images/manifest.json", prepared("data")),
    "manifest without seal": Format("old/images/manifest.json", prepared("old")),
    "verdicts": Format("data/images/*/*.json*", prepared("data")),
    "prepared tar": Format("data/images/*/*.tar", prepared("data")),
    "shard": Format("data/shards/*.h5", packed("data")),
    "shard without outline": Format("old/shards/*.h5", packed("old")),
    "manifests of statistics": Format("old/*.manifest.json", packed("old")),
    "manifest of shards": Format("old/shards/manifest.json", packed("old")),
    "class table": Format("data/shards/classes.json", packed("data")),
    "mean.npy": Format("data/mean.npy", packed("data")),
    "pca.json": Format("data/pca.json", packed("data")),
    "checkpoint": Format("run/checkpoints/last.pt", trained("run")),
    "recipe of a run": Format("run/recipe.toml", trained("run")),
    "data of a run": Format("run/data.json", trained("run")),
    "log": Format("run/log.jsonl", run_records),
    "manifest of a run": Format("run/manifest.json", run_records),
    "environment": Format("run/environment.json", run_records),
    "result": Format("run/results/*.json", scored),
    "predictions": Format("run/results/*.npz", scored),
    "export": Format("export/*", trained("export")),
    "state dict": Format("weights/a.pth", weights("a.pth")),
    "safetensors": Format("weights/a.safetensors", weights("a.safetensors")),
    "caffemodel": Format("weights/a.caffemodel", weights("a.caffemodel")),
    "npz": Format("weights/a.npz", weights("a.npz")),
    "binaryproto": Format("weights/mean.binaryproto", mean_image("mean.binaryproto")),
    "npy": Format("weights/mean.npy", mean_image("mean.npy")),
}


def files_of(form: Format, folder: Path) -> list[Path]:
    """Return the files of a kind, at least one.

    Raises:
        FileNotFoundError: If the example has none.
    """
    found = sorted(path for path in folder.glob(form.pattern) if path.is_file())
    if not found:
        raise FileNotFoundError(f"{folder}/{form.pattern}: the example has no such file")
    return found
