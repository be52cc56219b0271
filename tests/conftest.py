"""Fixtures that all tests share: a tiny raw edition, the data folder made of it, real data.

Pictures are arithmetic: red grows with the column, green with the row, blue tells the class.
"""

import io
import json
import os
import signal
import struct
import tarfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from numpy.typing import NDArray
from PIL import Image
from scipy.io import savemat

from alexrep import files, locks, manifest
from alexrep.config import recipes
from alexrep.ilsvrc import source
from alexrep.ilsvrc.editions import EDITIONS
from alexrep.prepare import finish, image_statistics, preprocess
from alexrep.prepare.image import Target
from alexrep.prepare.prepared import open_prepared
from alexrep.runs.folder import RunFolder
from alexrep.shards import write

SIDE = 72
"""Side of the prepared images, in pixels."""

SYNSETS = {"n00000020": (3, "cat, feline"), "n00000030": (1, "dog"), "n00000040": (2, "crane")}
"""Id and words of each class: the order of the ids is not that of the wnids."""

SIZES = ((90, 120), (120, 90), (72, 72), (60, 60), (75, 110))
"""Heights and widths of the raw pictures, in turn."""

Pixels = NDArray[np.uint8]

# In CI the same examples each time; elsewhere new ones, to find more faults. No deadline and no
# health check for slowness, as the machine may be busy.
patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("here", patient)
settings.register_profile("ci", patient, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "here")

# A shell has its background jobs ignore Ctrl-C; the tests, and what they start, do not.
if threading.current_thread() is threading.main_thread():
    signal.signal(signal.SIGINT, signal.default_int_handler)


def arithmetic(height: int, width: int, blue: int = 0) -> Pixels:
    """Draw red = column, green = row, each from 0 to 255, and an even blue: (H, W, 3)."""
    rows, columns = np.linspace(0, 255, height), np.linspace(0, 255, width)
    green, red = np.meshgrid(rows, columns, indexing="ij")
    return np.stack([red, green, np.full_like(red, blue)], axis=2).round().astype(np.uint8)


def encode(pixels: Pixels, form: str = "JPEG", **options: Any) -> bytes:
    """Encode an image; by default as JPEG of quality 95 without chroma subsampling."""
    settings = {"quality": 95, "subsampling": 0} if form == "JPEG" else {}
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, form, **settings | options)
    return stream.getvalue()


def tar(entries: Mapping[str, bytes], mode: str = "w") -> bytes:
    """Make a tar of names and contents, in their order; `mode` "w:gz" wraps it."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode) as archive:  # type: ignore[call-overload]
        for name, content in entries.items():
            header = tarfile.TarInfo(name)
            header.size = len(content)
            archive.addfile(header, io.BytesIO(content))
    return stream.getvalue()


def meta(leaves: Mapping[str, tuple[int, str]], num_train: int, prefix: str = "DEMO") -> bytes:
    """Make meta.mat of the leaves (id and words by wnid) and one inner node above them."""
    above = len(leaves) + 1
    rows = [(number, wnid, words, 0, (), num_train) for wnid, (number, words) in leaves.items()]
    names = (f"{prefix}_ID", "WNID", "words", "num_children", "children", "num_train_images")
    synsets = np.empty((above, 1), [(name, object) for name in names])
    for index, row in enumerate(sorted(rows)):
        synsets[index, 0] = row
    synsets[-1, 0] = (above, "n00000001", "thing", len(leaves), tuple(range(1, above)), 0)
    stream = io.BytesIO()
    # Some type stubs accept paths only.
    savemat(cast(Any, stream), {"synsets": synsets})
    # The first 116 bytes are free text, into which scipy writes the time.
    return b"MATLAB 5.0 MAT-file, a test".ljust(116) + stream.getvalue()[116:]


def pictures(num_train: int, num_val: int, num_test: int) -> dict[str, dict[str, bytes]]:
    """Draw each split's images by name; those of val and test show the classes in turn."""
    drawn: dict[str, dict[str, bytes]] = {"train": {}, "val": {}, "test": {}}
    for index, wnid in enumerate(SYNSETS):
        for number in range(num_train):
            image = arithmetic(*SIZES[number % len(SIZES)], blue=40 + 80 * index + number)
            drawn["train"][f"{wnid}_{7 * number + 5}.JPEG"] = encode(image)
    for split, count in (("val", num_val), ("test", num_test)):
        for number in range(count):
            image = arithmetic(*SIZES[number % len(SIZES)], blue=40 + 80 * (number % 3) + number)
            drawn[split][f"DEMO_{split}_{number + 1:08d}.JPEG"] = encode(image)
    return drawn


class MakeRaw(Protocol):
    """The function `make_raw`."""

    def __call__(
        self,
        folder: Path,
        *,
        num_train: int = 6,
        num_val: int = 8,
        num_test: int = 4,
        test_labels: bool = True,
        replaced: Mapping[str, bytes] | None = None,
        patches: Mapping[str, bytes] | None = None,
    ) -> Path:
        """Write a raw edition and return its folder."""


def write_raw(
    folder: Path,
    *,
    num_train: int = 6,
    num_val: int = 8,
    num_test: int = 4,
    test_labels: bool = True,
    replaced: Mapping[str, bytes] | None = None,
    patches: Mapping[str, bytes] | None = None,
) -> Path:
    """Write a tiny edition in the file names of the demo edition, for use with `partial`.

    Args:
        folder: Folder to write to; made if absent.
        num_train: Training images of each of the three synsets.
        num_val: Val images; image k (from 1) is of class index (k - 1) % 3.
        num_test: Test images; the same.
        test_labels: Whether the test ground truth is there.
        replaced: Contents by file name that stand in place of the pictures.
        patches: Members of the tar of patches, by path; None: no such tar.
    """
    drawn = pictures(num_train, num_val, num_test)
    for images in drawn.values():
        images |= {name: content for name, content in (replaced or {}).items() if name in images}
    ids = [number for number, _ in SYNSETS.values()]
    truth = {
        split: "".join(f"{ids[index % 3]}\n" for index in range(len(drawn[split]))).encode()
        for split in ("val", "test")
    }
    own = {
        f"{wnid}.tar": tar({n: c for n, c in drawn["train"].items() if n.startswith(wnid)})
        for wnid in SYNSETS
    }
    devkit = {
        "DEMO_devkit/data/meta.mat": meta(SYNSETS, num_train),
        "DEMO_devkit/data/DEMO_validation_ground_truth.txt": truth["val"],
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "DEMO_img_train.tar").write_bytes(tar(own))
    for split in ("val", "test"):
        backwards = dict(reversed(drawn[split].items()))
        (folder / f"DEMO_img_{split}.tar").write_bytes(tar(backwards))
    (folder / "DEMO_devkit.tar.gz").write_bytes(tar(devkit, "w:gz"))
    if test_labels:
        (folder / "DEMO_test_ground_truth.txt").write_bytes(truth["test"])
    if patches is not None:
        (folder / "DEMO_patch_images.tar").write_bytes(tar(patches))
    return folder


def prepare_raw(
    raw: Path, data: Path, side: int = SIDE, workers: int = 1, geometry: str = "crop"
) -> Path:
    """Prepare a tiny edition into data/images, as `alexrep preprocess --partial` does."""
    surveyed = source.survey(raw, EDITIONS["demo"], partial=True)
    target, images = Target(side, geometry), data / "images"
    plan = preprocess.make_plan(surveyed, target, partial=True)
    with locks.held(data):
        if manifest.begin(plan, images / manifest.NAME, images / "plan.json") is None:
            preprocess.run(surveyed, images, target, workers, done=lambda num: None)
            finish.write_manifest(plan, surveyed, images, partial=True)
    return data


def pack_data(
    data: Path, seed: int = 1, shard_images: int = 8, workers: int = 1, encoding: str = "jpeg"
) -> Path:
    """Pack data/images into data/shards, as `alexrep pack` does."""
    images, shards = open_prepared(data), data / "shards"
    plan = write.make_plan(images, seed, shard_images, encoding)
    with locks.held(data):
        if manifest.begin(plan, shards / manifest.NAME, shards / "plan.json") is None:
            write.run(images, shards, plan, workers, done=lambda num: None)
    return data


CAFFE_TYPES = {"Convolution": 4, "InnerProduct": 14, "LRN": 15, "Pooling": 17, "ReLU": 18}
"""Type number of a layer in the old (V1) format."""

CAFFE_LAYERS = (
    *(("conv1", "Convolution"), ("relu1", "ReLU"), ("norm1", "LRN"), ("pool1", "Pooling")),
    *(("conv2", "Convolution"), ("relu2", "ReLU"), ("norm2", "LRN"), ("pool2", "Pooling")),
    *(("conv3", "Convolution"), ("conv4", "Convolution"), ("conv5", "Convolution")),
    *(("pool5", "Pooling"), ("fc6", "InnerProduct"), ("fc7", "InnerProduct")),
    ("fc8", "InnerProduct"),
)


class Caffe:
    """Writes files in Caffe's formats, by the field numbers of its message definitions."""

    @staticmethod
    def number(value: int) -> bytes:
        """Write a varint."""
        out = bytearray()
        while value >= 0x80:
            out.append(value & 0x7F | 0x80)
            value >>= 7
        return bytes([*out, value])

    @staticmethod
    def field(number: int, content: bytes) -> bytes:
        """Write a field of bytes."""
        return Caffe.number(number << 3 | 2) + Caffe.number(len(content)) + content

    @staticmethod
    def count(number: int, value: int) -> bytes:
        """Write a field of one number."""
        return Caffe.number(number << 3) + Caffe.number(value)

    @staticmethod
    def blob(
        array: NDArray[Any], *, legacy: bool = False, packed: bool = True, double: bool = False
    ) -> bytes:
        """Write a blob; `legacy` gives it four axes and no shape."""
        if legacy:
            sizes = (1,) * (4 - array.ndim) + array.shape
            shape = b"".join(Caffe.count(axis, size) for axis, size in enumerate(sizes, start=1))
        else:
            shape = Caffe.field(7, Caffe.field(1, b"".join(map(Caffe.number, array.shape))))
        number, form = (8, "<d") if double else (5, "<f")
        values = array.ravel().tolist()
        if packed:
            data = Caffe.field(number, struct.pack(f"<{len(values)}{form[1]}", *values))
        else:
            key = Caffe.number(number << 3 | (1 if double else 5))
            data = b"".join(key + struct.pack(form, value) for value in values)
        return shape + data

    @staticmethod
    def layer(name: str, kind: str, blobs: Sequence[bytes], *, old: bool = False) -> bytes:
        """Write a layer in the old format (V1) or the newer one, as a field of the network."""
        if old:
            fields = (
                Caffe.field(2, b"below")
                + Caffe.field(4, name.encode())
                + Caffe.count(5, CAFFE_TYPES[kind])
            )
            return Caffe.field(2, fields + b"".join(Caffe.field(6, blob) for blob in blobs))
        fields = (
            Caffe.field(1, name.encode()) + Caffe.field(2, kind.encode()) + Caffe.field(3, b"below")
        )
        return Caffe.field(100, fields + b"".join(Caffe.field(7, blob) for blob in blobs))

    @staticmethod
    def net(
        arrays: dict[str, NDArray[Any]],
        *,
        old: bool = False,
        order: Sequence[tuple[str, str]] = CAFFE_LAYERS,
        **form: bool,
    ) -> bytes:
        """Write a network with the layers of AlexNet and the weights in `arrays`."""
        out = Caffe.field(1, b"AlexNet")
        for name, kind in order:
            keys = [f"{name}.{part}" for part in ("weight", "bias")]
            blobs = [Caffe.blob(arrays[key], **form) for key in keys if key in arrays]
            out += Caffe.layer(name, kind, blobs, old=old)
        return out


@pytest.fixture(scope="session")
def caffe() -> type[Caffe]:
    """Return `Caffe`, whose `net`, `layer` and `blob` write Caffe's files."""
    return Caffe


@pytest.fixture(scope="session")
def picture() -> Callable[..., Pixels]:
    """Return `arithmetic(height, width, blue=0)`, which draws red = column, green = row."""
    return arithmetic


@pytest.fixture(scope="session")
def encoded() -> Callable[..., bytes]:
    """Return `encode(pixels, form="JPEG", **options of Pillow)`."""
    return encode


@pytest.fixture(scope="session")
def make_tar() -> Callable[..., bytes]:
    """Return `tar(contents by name, mode="w")`, which makes a tar's bytes."""
    return tar


@pytest.fixture(scope="session")
def make_raw() -> MakeRaw:
    """Return `write_raw(folder, ...)`, which writes a tiny edition."""
    return write_raw


@pytest.fixture(scope="session")
def prepare() -> Callable[..., Path]:
    """Return `prepare_raw(raw, data, side=72, workers=1, geometry="crop")`."""
    return prepare_raw


@pytest.fixture
def few_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have `alexrep plot` know two pictures, for tests of where they go: all take seconds."""
    from alexrep.plots import gallery

    few = {name: gallery.FIGURES[name] for name in ("curves", "kernels")}
    monkeypatch.setattr(gallery, "FIGURES", few)


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Limit torch to one thread, which is faster on networks this small."""
    import torch  # not needed by the tests of the data

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def pack() -> Callable[..., Path]:
    """Return `pack_data(data, seed=1, shard_images=8, workers=1)`."""
    return pack_data


@pytest.fixture(scope="session")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a tiny edition: 3 synsets of 6 images, 8 val, 4 test; read only.

    Of train, one is gray, one a PNG, and one is damaged with a replacement among the
    patches; of val, DEMO_val_00000005.JPEG (class 1) is truncated.
    """
    gray = np.full((80, 90), 100, np.uint8)
    sound = encode(arithmetic(90, 120, blue=7))
    replaced = {
        "n00000020_12.JPEG": encode(gray),
        "n00000030_5.JPEG": encode(arithmetic(90, 120, blue=120), "PNG"),
        "n00000040_19.JPEG": b"no image",
        "DEMO_val_00000005.JPEG": sound[: len(sound) // 2],
    }
    patches = {"patch_images/train/n00000040/n00000040_19.JPEG": sound}
    folder = tmp_path_factory.mktemp("edition") / "raw"
    return write_raw(folder, replaced=replaced, patches=patches)


@pytest.fixture(scope="session")
def data(raw: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the finished data folder of `raw`: side 72, 8 images a shard; read only.

    18 train images in 3 shards, 7 val images in 1 (one more is in quarantine), 4 test
    images in 1, all with labels; mean.npy and pca.json.
    """
    folder = prepare_raw(raw, tmp_path_factory.mktemp("made") / "data")
    images = open_prepared(folder)
    total = image_statistics.moments(images, folder / "statistics", 1, done=lambda num: None)
    image_statistics.finish_mean(images, folder, total)
    image_statistics.finish_pca(images, folder, total)
    return pack_data(folder)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Return the folder of real data, or skip: other tests do the same on drawn images."""
    folder = os.environ.get("ALEXREP_TEST_DATA")
    if not folder:
        pytest.skip("ALEXREP_TEST_DATA is not set: demo and drawn images only")
    return Path(folder)


@pytest.fixture(scope="session")
def left_partial() -> Callable[[Path], Path]:
    """Return a function: path -> partial file as left by a dead process of this host."""

    def name(path: Path) -> Path:
        # Linux has no pids above 2**22.
        return path.with_name(f"{path.name}.{os.uname().nodename}-{2**22 + 1}{files.PARTIAL}")

    return name


def pytest_report_header() -> str:
    """Say which images the tests use."""
    folder = os.environ.get("ALEXREP_TEST_DATA")
    return f"real data: {folder or 'none, demo images only; ALEXREP_TEST_DATA names a folder'}"


RESULT = {
    "split": "val",
    "views": "ten-crop",
    "checkpoint": "last",
    "epoch": 3,
    "num_images": 16,
    "num_quarantined": 0,
    "loss": 0.5,
    "top1_error": 0.125,
    "top5_error": 0.0625,
    "weights": "0" * 64,
    "shards": "1" * 64,
    "geometry": "crop",
    "trained_geometry": "crop",
}
"""A result in version 1 of the format, which has no version field."""


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., RunFolder]:
    """Return the maker of run folders of the recipe demo, not trained; see `make` inside."""

    def make(
        name: str,
        *settings: str,
        errors: tuple[float, ...] = (0.9, 0.5, 0.25, 0.375),
        is_finished: bool = False,
    ) -> RunFolder:
        """Make a run `name` with `settings` over its recipe, and checkpoints that do not load.

        `errors` are the val top-1 errors before the first epoch and after each: none, and
        the run has not begun. A finished one has a manifest and a result of ten-crop.
        """
        folder = RunFolder(tmp_path / name)
        files.write_bytes(folder.recipe, recipes.dump(recipes.load("demo", settings)).encode())
        files.write_json(folder.plan, {})
        if errors:
            rows = [epoch_row(epoch, error) for epoch, error in enumerate(errors)]
            rows.insert(1, {"kind": "step", "epoch": 0, "step": 3, "loss": 2.25})
            folder.log.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
            for which in ("last", "best"):
                files.write_bytes(folder.checkpoint(which), which.encode())
        if is_finished:
            names = "settings", "inputs", "libraries", "counts", "outputs"
            empty: dict[str, Any] = {name: {} for name in names}
            files.write_json(folder.manifest, {"stage": "train", **empty})
            files.write_json(folder.result("val", "ten-crop"), RESULT)
        return folder

    return make


def epoch_row(epoch: int, error: float) -> dict[str, object]:
    """Return an epoch row of a log, with constant losses and rates."""
    begun = {"train_loss": 1.5, "train_error": 0.625, "weights_rate": 0.01, "noise": True}
    return {
        "kind": "epoch",
        "epoch": epoch,
        "step": 10 * epoch,
        **(begun if epoch else dict.fromkeys(begun)),
        "val_loss": 1.25,
        "val_top1_error": error,
        "val_top5_error": error / 2,
    }
