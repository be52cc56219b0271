"""A valid example of each file that the program reads: a few small images, a run of one epoch.

Pictures are arithmetic; there are three classes, with four images of train and two of val each.
"""

import io
import json
import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import layouts
import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file
from scipy.io import savemat
from typer.testing import CliRunner

from alexrep import seal
from alexrep.stages import app

WNIDS = ("n00000020", "n00000030", "n00000040")
WORDS = dict(zip(WNIDS, ("cat, feline", "dog", "crane"), strict=True))
SIDE = 72
RECIPE = f"""base = "demo"
name = "tiny"
prepared_side = {SIDE}
model = {{ side = 67, width = 0.05 }}
feed = {{ batch_size = 4 }}
[schedule]
epochs = 1
changes = [{{ epoch = 0, weights = 0.01, biases = 0.02 }}]
"""


def make(folder: Path) -> None:
    """Write the example below `folder`."""
    train = {w: {f"{w}_{n}.JPEG": _image(k, n) for n in range(4)} for k, w in enumerate(WNIDS)}
    val = {f"DEMO_val_{n + 1:08d}.JPEG": _image(n % 3, n + 4) for n in range(6)}
    _originals(folder, train, val)
    _other_layouts(folder, train, val)
    _data_and_run(folder)
    _single_files(folder)


def _image(blue: int, number: int, form: str = "JPEG", **options: Any) -> bytes:
    rows = np.linspace(0, 255, 70 + number)
    green, red = np.meshgrid(rows, np.linspace(0, 255, 90), indexing="ij")
    pixels = np.stack([red, green, np.full_like(red, 60 + 70 * blue)], axis=2).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, form, **options)
    return stream.getvalue()


def _tar(contents: Mapping[str, bytes], mode: str = "w") -> bytes:
    return layouts.tar(contents.items(), mode)


def _meta() -> bytes:
    """Return meta.mat of the three classes and a node above them."""
    fields = ("DEMO_ID", "WNID", "words", "num_children", "children", "num_train_images")
    synsets = np.empty((4, 1), [(name, object) for name in fields])
    for index, (wnid, words) in enumerate(WORDS.items()):
        synsets[index, 0] = (index + 1, wnid, words, 0, (), 4)
    synsets[3, 0] = (4, "n00000001", "thing", 3, (1, 2, 3), 0)
    stream = io.BytesIO()
    savemat(cast(Any, stream), {"synsets": synsets}, do_compression=False)
    return stream.getvalue()


def _originals(
    folder: Path, train: Mapping[str, Mapping[str, bytes]], val: Mapping[str, bytes]
) -> None:
    """Write the tars of the demo edition, once with the devkit packed and once as a folder."""
    truth = "".join(f"{n % 3 + 1}\n" for n in range(6)).encode()
    kit = {"meta.mat": _meta(), "DEMO_validation_ground_truth.txt": truth}
    kit = {f"DEMO_devkit/data/{name}": content for name, content in kit.items()}
    tars = {
        "DEMO_img_train.tar": _tar({f"{wnid}.tar": _tar(train[wnid]) for wnid in WNIDS}),
        "DEMO_img_val.tar": _tar(val),
    }
    layouts.write(folder / "raw", {**tars, "DEMO_devkit.tar.gz": _tar(kit, "w:gz")})
    layouts.write(folder / "unpacked", {**tars, **kit})


def _other_layouts(
    folder: Path, train: Mapping[str, Mapping[str, bytes]], val: Mapping[str, bytes]
) -> None:
    """Write Kaggle's zip, a hub's parquet and compressed tars, and a shard of WebDataset."""
    import pyarrow
    from pyarrow import parquet

    truth = {name: WNIDS[n % 3] for n, name in enumerate(val)}
    rows = "".join(f"{Path(name).stem},{wnid} 1 2 3 4\n" for name, wnid in truth.items())
    words = "".join(f"{wnid} {text}\n" for wnid, text in WORDS.items()).encode()
    top, kaggle = "ILSVRC/Data/CLS-LOC", folder / "kaggle"
    kaggle.mkdir()
    with zipfile.ZipFile(kaggle / "imagenet-object-localization-challenge.zip", "w") as archive:
        archive.writestr("LOC_val_solution.csv", "ImageId,PredictionString\n" + rows)
        archive.writestr("LOC_synset_mapping.txt", words)
        for wnid, images in train.items():
            for name, content in images.items():
                archive.writestr(f"{top}/train/{wnid}/{name}", content, zipfile.ZIP_DEFLATED)
        for name, content in val.items():
            archive.writestr(f"{top}/val/{name}", content)
    named = {
        f"{Path(n).stem}_{w}.JPEG": c for w, images in train.items() for n, c in images.items()
    }
    of_val = {f"{Path(name).stem}_{truth[name]}.JPEG": content for name, content in val.items()}
    kit = {"DEMO_devkit.tar.gz": (folder / "raw/DEMO_devkit.tar.gz").read_bytes()}
    for layout in ("parquet", "hub", "webdataset"):
        layouts.write(folder / layout, kit)
    (folder / "parquet/data").mkdir()
    for split, images in (("train", named), ("validation", of_val)):
        cells = [{"bytes": content, "path": name} for name, content in images.items()]
        ranks = [WNIDS.index(name.split("_")[-1].removesuffix(".JPEG")) for name in images]
        table = pyarrow.table({"image": cells, "label": ranks})
        path = folder / f"parquet/data/{split}-00000-of-00001.parquet"
        parquet.write_table(table, path, row_group_size=5)
    layouts.write(
        folder / "hub",
        {"train_images_0.tar.gz": _tar(named, "w:gz"), "val_images.tar.gz": _tar(of_val, "w:gz")},
    )
    for split, images in (("train", named), ("val", of_val)):
        pairs: dict[str, bytes] = {}
        for name, content in images.items():
            stem, _, wnid = name.removesuffix(".JPEG").rpartition("_")
            pairs |= {f"{stem}.jpg": content, f"{stem}.cls": str(WNIDS.index(wnid)).encode()}
        layouts.write(folder / "webdataset", {f"imagenet-{split}-000000.tar": _tar(pairs)})


def _alexrep(*words: str | Path, accept: tuple[int, ...] = (0,)) -> None:
    result = CliRunner().invoke(app, [str(word) for word in words])
    if result.exit_code not in accept:
        raise RuntimeError(f"alexrep {words}: {result.output}{result.exception!r}")


def _data_and_run(folder: Path) -> None:
    """Prepare the images and train on them, by the commands; copy the data without digests."""
    data, run, one = folder / "data", folder / "run", ("--workers", "1")
    layouts.write(folder, {"lists/tiny.toml": RECIPE.encode()})
    _alexrep("preprocess", folder / "raw", data, "--partial", "--side", str(SIDE), *one)
    _alexrep("mean", data, *one)
    _alexrep("pca", data, *one)
    _alexrep("pack", data, "--shard-images", "8", *one)
    words = ("--recipe", folder / "lists/tiny.toml", "--device", "cpu")
    _alexrep("train", data, "--run", run, *words)
    _alexrep("eval", run, "--data", data, "--views", "centre", "--device", "cpu")
    _alexrep("export", run, folder / "export")
    old = shutil.copytree(data, folder / "old")
    for path in old.rglob(f"*{seal.SUFFIX}"):
        path.unlink()
    packed = old / "shards/manifest.json"
    record = json.loads(packed.read_bytes())
    del record["details"]["outlines"]
    packed.write_text(json.dumps(record), encoding="utf-8")


def _single_files(folder: Path) -> None:
    """Write images of several kinds, lists, weights and means of other programs."""
    images = {
        "a.JPEG": _image(0, 1),
        "progressive.JPEG": _image(1, 1, progressive=True),
        "a.png": _image(2, 1, "PNG"),
    }
    layouts.write(folder / "images", images)
    words = "".join(f"{wnid} {text}\n" for wnid, text in WORDS.items())
    labels = "image,class\n" + "".join(f"v{n}.jpg,{WNIDS[n % 3]}\n" for n in range(6))
    groups = 'others = "keep"\n[groups]\npets = ["n00000020", "n00000030"]\n'
    lists = {"classes.txt": words, "labels.csv": labels, "groups.toml": groups}
    layouts.write(folder / "lists", {name: text.encode() for name, text in lists.items()})
    weights = {"conv1.weight": torch.ones(4, 3, 3, 3), "conv1.bias": torch.zeros(4)}
    (folder / "weights").mkdir()
    torch.save(weights, folder / "weights/a.pth")
    save_file(weights, folder / "weights/a.safetensors")
    arrays: dict[str, Any] = {name: tensor.numpy() for name, tensor in weights.items()}
    np.savez(folder / "weights/a.npz", **arrays)
    np.save(folder / "weights/mean.npy", np.full((8, 8, 3), 9, np.float32))
    layouts.write(
        folder / "weights", {"a.caffemodel": _caffemodel(), "mean.binaryproto": _mean_blob()}
    )


def _varint(value: int) -> bytes:
    return bytes([value & 0x7F | 0x80]) + _varint(value >> 7) if value >= 0x80 else bytes([value])


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _blob(shape: tuple[int, ...], value: float) -> bytes:
    """Return a blob of Caffe's, its shape in the newer form."""
    values = np.full(shape, value, "<f4").tobytes()
    return _field(7, _field(1, b"".join(map(_varint, shape)))) + _field(5, values)


def _caffemodel() -> bytes:
    """Return a network of one convolution and one fully connected layer."""
    out = _field(1, b"AlexNet")
    for name, kind, shape in (
        ("conv1", "Convolution", (4, 3, 3, 3)),
        ("fc8", "InnerProduct", (3, 4)),
    ):
        blobs = _field(7, _blob(shape, 0.5)) + _field(7, _blob(shape[:1], 0))
        out += _field(100, _field(1, name.encode()) + _field(2, kind.encode()) + blobs)
    return out


def _mean_blob() -> bytes:
    """Return a mean image in Caffe's older form, of four axes."""
    axes = b"".join(_varint(n << 3) + _varint(size) for n, size in enumerate((1, 3, 8, 8), start=1))
    return axes + _field(5, np.full((3, 8, 8), 9, "<f4").tobytes())
