"""The demo edition: what is in the archives and the devkit."""

import gzip
import io
import shutil
import tarfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias, cast

import numpy as np
import pytest
from PIL import Image
from scipy.io import loadmat
from sklearn.datasets import load_digits

from alexrep import locks
from alexrep.demo import edition
from alexrep.demo.devkit import FIELDS, INNER, LEAVES
from alexrep.errors import ManifestError
from alexrep.files import sha256_file

FILES = {
    "DEMO_devkit.tar.gz",
    "DEMO_img_test.tar",
    "DEMO_img_train.tar",
    "DEMO_img_val.tar",
    "DEMO_patch_images.tar",
    "DEMO_test_ground_truth.txt",
}

Structs: TypeAlias = np.ndarray[Any, np.dtype[np.void]]


def members(archive: Path | io.BytesIO) -> dict[str, bytes]:
    stream = io.BytesIO(archive.read_bytes()) if isinstance(archive, Path) else archive
    with tarfile.open(fileobj=stream) as tar:
        return {entry.name: tar.extractfile(entry).read() for entry in tar}  # type: ignore[union-attr]


def digests(folder: Path) -> dict[str, str]:
    return {path.name: sha256_file(path) for path in folder.iterdir()}


def opened(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content))


def pixels(content: bytes) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.asarray(opened(content).convert("RGB"), np.float64)


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("edition") / "raw"
    edition.write(folder)
    return folder


@pytest.fixture(scope="module")
def train(raw: Path) -> dict[str, dict[str, bytes]]:
    tars = members(raw / "DEMO_img_train.tar")
    return {name: members(io.BytesIO(content)) for name, content in tars.items()}


@pytest.fixture(scope="module")
def images(raw: Path, train: dict[str, dict[str, bytes]]) -> dict[str, bytes]:
    """Return every image of the three splits by its name."""
    flat = members(raw / "DEMO_img_val.tar") | members(raw / "DEMO_img_test.tar")
    return flat | {name: content for own in train.values() for name, content in own.items()}


@pytest.fixture(scope="module")
def devkit(raw: Path) -> dict[str, bytes]:
    return members(raw / "DEMO_devkit.tar.gz")


@pytest.fixture(scope="module")
def synsets(devkit: dict[str, bytes]) -> Structs:
    stream = io.BytesIO(devkit["DEMO_devkit/data/meta.mat"])
    # Some type stubs accept paths only.
    table: Structs = loadmat(cast(Any, stream))["synsets"]
    return table


def test_every_digit_is_in_one_split_and_has_a_name_of_its_own() -> None:
    digits = load_digits().target
    planned = edition.plan(digits, seed=3)
    assert sorted(picture.row for picture in planned) == list(range(1797))
    assert len({picture.name for picture in planned}) == 1797
    assert all(picture.digit == digits[picture.row] for picture in planned)


def test_val_has_30_and_test_20_of_each_digit() -> None:
    planned = edition.plan(load_digits().target, seed=3)
    counts = Counter((picture.split, picture.digit) for picture in planned)
    assert all(counts["val", digit] == 30 for digit in range(10))
    assert all(counts["test", digit] == 20 for digit in range(10))
    assert all(124 <= counts["train", digit] <= 133 for digit in range(10))


def test_another_seed_holds_other_digits_out() -> None:
    digits = load_digits().target
    first, second = ({p.row for p in edition.plan(digits, s) if p.split == "val"} for s in (1, 2))
    assert first != second


def test_odd_names_occur_for_every_seed() -> None:
    for seed in range(3):
        names = {picture.name: picture for picture in edition.plan(load_digits().target, seed)}
        in_val = {kind for kind, name in edition.ODD.items() if names[name].split == "val"}
        assert in_val == {"truncated", "damaged_val"}


def test_the_files_are_those_of_the_edition(raw: Path) -> None:
    assert {path.name for path in raw.iterdir()} == FILES


def test_the_splits_have_1297_300_and_200_images(
    raw: Path, train: dict[str, dict[str, bytes]]
) -> None:
    assert sum(len(own) for own in train.values()) == 1297
    val, test = list(members(raw / "DEMO_img_val.tar")), list(members(raw / "DEMO_img_test.tar"))
    assert sorted(val) == [f"DEMO_val_{number:08d}.JPEG" for number in range(1, 301)]
    assert sorted(test) == [f"DEMO_test_{number:08d}.JPEG" for number in range(1, 201)]
    assert val != sorted(val)


def test_train_is_a_tar_of_synset_tars(train: dict[str, dict[str, bytes]]) -> None:
    assert sorted(train) == sorted(f"{leaf.wnid}.tar" for leaf in LEAVES)
    for name, own in train.items():
        stems = [Path(image).stem.split("_") for image in own]
        assert {wnid for wnid, _ in stems} == {name.removesuffix(".tar")}
        assert {len(number) for _, number in stems} >= {1, 2, 3, 4}


def test_tar_headers_hold_no_time_or_owner(raw: Path) -> None:
    with tarfile.open(raw / "DEMO_img_val.tar") as tar:
        headers = tar.getmembers()
    assert {(entry.mtime, entry.uid, entry.gid, entry.uname) for entry in headers} == {
        (0, 0, 0, "")
    }


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bytes(raw: Path, tmp_path: Path) -> None:
    edition.write(tmp_path)
    assert digests(tmp_path) == digests(raw)


def test_a_killed_call_is_completed_to_the_same_bytes(
    raw: Path, tmp_path: Path, left_partial: Callable[[Path], Path]
) -> None:
    finished = digests(raw)
    shutil.copytree(raw, tmp_path, dirs_exist_ok=True)
    left = left_partial(tmp_path / "DEMO_img_val.tar")
    (tmp_path / "DEMO_img_val.tar").rename(left)
    with left.open("r+b") as stream:
        stream.truncate(5000)
    assert edition.missing(tmp_path) == ["DEMO_img_val.tar"]
    edition.write(tmp_path)
    assert digests(tmp_path) == finished
    assert edition.missing(tmp_path) == []


def test_what_exists_is_not_written_again_and_no_lock_is_taken(raw: Path) -> None:
    with locks.held(raw):
        times = {path: path.stat().st_mtime_ns for path in (raw, *raw.iterdir())}
        edition.write(raw)
        assert times == {path: path.stat().st_mtime_ns for path in (raw, *raw.iterdir())}


def test_the_folder_of_another_seed_is_refused(raw: Path) -> None:
    for look in (edition.write, edition.missing):
        with pytest.raises(
            ManifestError, match="expected the demo edition of seed 2, found that of an"
        ):
            look(raw, seed=2)


def test_meta_has_the_fields_and_shapes_of_ilsvrc(synsets: Structs) -> None:
    assert synsets.shape == (11, 1)
    assert synsets.dtype.names == FIELDS
    assert [row["DEMO_ID"].item() for row in synsets[:, 0]] == list(range(1, 12))
    leaf, inner = synsets[0, 0], synsets[10, 0]
    assert leaf["num_children"].shape == (1, 1)
    assert leaf["children"].shape == (1, 0)
    assert inner["children"].tolist() == [list(range(1, 11))]
    assert (inner["WNID"][0], inner["wordnet_height"].item()) == (INNER.wnid, 1)


def test_meta_counts_the_training_images(
    synsets: Structs, train: dict[str, dict[str, bytes]]
) -> None:
    counted = {row["WNID"][0]: row["num_train_images"].item() for row in synsets[:10, 0]}
    assert counted == {name.removesuffix(".tar"): len(own) for name, own in train.items()}


def test_meta_holds_no_time(devkit: dict[str, bytes]) -> None:
    header = devkit["DEMO_devkit/data/meta.mat"][:116]
    assert header.rstrip() == b"MATLAB 5.0 MAT-file, alexrep demo edition"


def test_ids_are_in_another_order_than_sorted_wnids_and_digits(synsets: Structs) -> None:
    rows = sorted((row["WNID"][0], row["DEMO_ID"].item()) for row in synsets[:10, 0])
    ids = [id_ for _, id_ in rows]
    assert sorted(ids) == list(range(1, 11)) != ids
    assert [leaf.id for leaf in LEAVES] not in (ids, sorted(ids))
    assert INNER.wnid < rows[0][0]


@pytest.mark.parametrize("split", ["val", "test"])
def test_ground_truth_names_the_digits_in_order_of_file_names(
    raw: Path, devkit: dict[str, bytes], split: str
) -> None:
    inside = devkit["DEMO_devkit/data/DEMO_validation_ground_truth.txt"]
    outside = (raw / "DEMO_test_ground_truth.txt").read_bytes()
    ids = [int(line) for line in (inside if split == "val" else outside).splitlines()]
    planned = edition.plan(load_digits().target, seed=1)
    digits = {picture.name: picture.digit for picture in planned if picture.split == split}
    assert ids == [LEAVES[digits[name]].id for name in sorted(digits)]


@pytest.mark.parametrize(
    ("kind", "form", "mode"),
    [("gray", "JPEG", "L"), ("cmyk", "JPEG", "CMYK"), ("png", "PNG", "RGB")],
)
def test_odd_modes_and_forms(images: dict[str, bytes], kind: str, form: str, mode: str) -> None:
    picture = opened(images[edition.ODD[kind]])
    assert (picture.format, picture.mode) == (form, mode)


def test_the_gzip_wrapped_jpeg_unfolds(images: dict[str, bytes]) -> None:
    content = images[edition.ODD["gzip"]]
    assert content[:2] == b"\x1f\x8b"
    assert opened(gzip.decompress(content)).format == "JPEG"


def test_the_truncated_jpeg_opens_but_does_not_decode(images: dict[str, bytes]) -> None:
    picture = opened(images[edition.ODD["truncated"]])
    assert picture.format == "JPEG"
    with pytest.raises(OSError, match="truncated"):
        picture.load()


def test_all_other_images_are_rgb_jpegs(images: dict[str, bytes]) -> None:
    plain = [opened(images[name]) for name in images.keys() - set(edition.ODD.values())]
    assert len(plain) == 1790
    assert {(picture.format, picture.mode) for picture in plain} == {("JPEG", "RGB")}


def test_shorter_sides_are_mostly_130_to_200_and_some_small(images: dict[str, bytes]) -> None:
    plain = [opened(images[name]).size for name in images.keys() - set(edition.ODD.values())]
    short = np.array([min(size) for size in plain])
    ratios = [size[0] / size[1] for size in plain]
    assert short.min() >= 96
    assert short.max() == 200
    assert 10 <= np.count_nonzero(short < 128) <= 80
    assert 1 <= plain.count((128, 128)) <= 40
    assert 0.75 <= min(ratios) < 0.8
    assert 1.25 < max(ratios) <= 4 / 3


def test_the_patches_replace_the_two_damaged_images(raw: Path, images: dict[str, bytes]) -> None:
    patches = members(raw / "DEMO_patch_images.tar")
    train, val = edition.ODD["damaged"], edition.ODD["damaged_val"]
    assert list(patches) == [
        f"patch_images/train/{train.split('_')[0]}/{train}",
        f"patch_images/val/{val}",
    ]
    assert all(opened(content).mode == "RGB" for content in patches.values())
    with pytest.raises(OSError, match="cannot identify"):
        opened(images[train])
    # The banner is the size of what it hides, gray, and bright where no letter is.
    banner, hidden = pixels(images[val]), pixels(patches[f"patch_images/val/{val}"])
    assert banner.shape == hidden.shape
    assert banner[:20].mean() > 220
