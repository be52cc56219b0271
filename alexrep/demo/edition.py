"""The demo edition: 1,797 handwritten digits in the form of ILSVRC, made without a download.

No digit is in two splits. Every byte is a function of the seed.
"""

import io
import tarfile
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits

from alexrep import locks
from alexrep.demo import devkit
from alexrep.demo.devkit import LEAVES
from alexrep.demo.odd_files import encode_odd, gzipped
from alexrep.demo.pictures import draw, encode, photographs
from alexrep.errors import ManifestError, mismatch
from alexrep.files import write_bytes
from alexrep.ilsvrc.editions import EDITIONS

NUM_VAL, NUM_TEST = 30, 20
"""Number of pictures of each digit in val and in test; the others are in train."""

ODD = {
    "gray": "n90000005_21.JPEG",
    "cmyk": "n90000008_190.JPEG",
    "png": "n90000001_332.JPEG",
    "gzip": "n90000007_450.JPEG",
    "truncated": "DEMO_val_00000123.JPEG",
    "damaged": "n90000003_592.JPEG",
    "damaged_val": "DEMO_val_00000217.JPEG",
}
"""File name of each odd kind. The two damaged ones have replacements among the patches."""

Entries = Iterable[tuple[str, bytes]]
"""Name and bytes of each member of an archive, in order."""


class Picture(NamedTuple):
    """A picture: its digit, split and name."""

    row: int
    """Row of the handwritten digit in scikit-learn's `load_digits`."""
    digit: int
    """The digit it shows, 0 to 9."""
    split: str
    """`train`, `val` or `test`."""
    name: str
    """File name in the archive."""


def plan(digits: NDArray[np.integer], seed: int) -> list[Picture]:
    """Assign a split and a name to every digit.

    Args:
        digits: The digit of each row of `load_digits`, (N,), in 0..9.
        seed: Seed of the splits, of the numbers in val and test, and of the order.

    Returns:
        N pictures in the order of storing, which is not that of their names.
    """
    rng = np.random.default_rng([seed, 0])
    planned = []
    of_digit, of_split = Counter[int](), Counter[str]()
    for row in rng.permutation(len(digits)).tolist():
        digit = int(digits[row])
        rank = of_digit[digit] - NUM_VAL - NUM_TEST
        split = "train" if rank >= 0 else "test" if rank >= -NUM_TEST else "val"
        of_digit[digit] += 1
        of_split[split] += 1
        # As in ILSVRC, numbers in train are neither consecutive nor of one width.
        in_train = f"{LEAVES[digit].wnid}_{7 + 13 * rank + rank * rank % 5}.JPEG"
        name = in_train if split == "train" else f"DEMO_{split}_{of_split[split]:08d}.JPEG"
        planned.append(Picture(row, digit, split, name))
    return [planned[row] for row in rng.permutation(len(planned))]


def missing(raw: Path, seed: int = 1) -> list[str]:
    """Return the names of the files of the demo edition that `write` would make.

    Args:
        raw: Folder of the edition.
        seed: As of `write`.

    Raises:
        ManifestError: If the folder holds the edition of another seed.
    """
    edition = EDITIONS["demo"]
    test_truth = devkit.ground_truth(_digits(plan(load_digits().target, seed), "test"))
    _refuse_another(raw / edition.test_ground_truth, test_truth, seed)
    others = (edition.devkit, edition.patches, *edition.archives.values())
    return [name for name in (edition.test_ground_truth, *others) if not (raw / name).exists()]


def write(raw: Path, seed: int = 1) -> None:
    """Write the archives, the devkit and the test ground truth of the demo edition.

    A file is written whole or not at all, and kept if it exists, so a killed call can be
    repeated. Where none is missing, no lock is taken. Takes about 3 s and 15 MB.

    Args:
        raw: Folder to write to; made if absent.
        seed: Seed of the splits and of every picture, 0 or more.

    Raises:
        ManifestError: If the folder holds the edition of another seed, or another process
            writes there.
    """
    if missing(raw, seed):
        with locks.held(raw):
            _write(raw, seed)


def _write(raw: Path, seed: int) -> None:
    edition, bunch = EDITIONS["demo"], load_digits()
    pictures = plan(bunch.target, seed)
    test_truth = devkit.ground_truth(_digits(pictures, "test"))
    studio = _Studio(bunch.images, photographs(), seed)
    makers: dict[str, Callable[[], bytes]] = {
        # First, as it depends on the seed and so identifies that of the folder.
        edition.test_ground_truth: lambda: test_truth,
        edition.devkit: lambda: gzipped(_tar(_devkit(pictures))),
        edition.patches: lambda: _tar(_patches(pictures, studio)),
        edition.archives["val"]: lambda: _tar(_members(pictures, "val", studio)),
        edition.archives["test"]: lambda: _tar(_members(pictures, "test", studio)),
        edition.archives["train"]: lambda: _tar(_synset_tars(pictures, studio)),
    }
    for name, make in makers.items():
        if not (raw / name).exists():
            write_bytes(raw / name, make())


class _Studio(NamedTuple):
    """Source images and seed of all pictures."""

    digits: NDArray[np.float64]
    photos: list[NDArray[np.uint8]]
    seed: int

    def image_bytes(self, picture: Picture, kind: str | None = None) -> bytes:
        """Return the file of a picture, as an odd file if `kind` is given."""
        # Seeded by the digit's row: no picture depends on those made before it.
        rng = np.random.default_rng([self.seed, 1, picture.row])
        pixels = draw(self.digits[picture.row], self.photos, rng)
        quality = int(rng.integers(85, 96))
        return encode_odd(kind, pixels, rng) if kind else encode(pixels, quality)


def _refuse_another(test_truth: Path, expected: bytes, seed: int) -> None:
    if test_truth.exists() and test_truth.read_bytes() != expected:
        wanted, found = f"the demo edition of seed {seed}", "that of another seed"
        raise ManifestError(mismatch(test_truth, wanted, found, "name another folder"))


def _digits(pictures: list[Picture], split: str) -> list[int]:
    """List the digits of a split in ascending order of file names."""
    named = sorted((picture.name, picture.digit) for picture in pictures if picture.split == split)
    return [digit for _, digit in named]


def _devkit(pictures: list[Picture]) -> Entries:
    in_train = _digits(pictures, "train")
    num_train = [in_train.count(digit) for digit in range(len(LEAVES))]
    return devkit.files(num_train, _digits(pictures, "val"))


def _members(pictures: list[Picture], split: str, studio: _Studio) -> Entries:
    kinds = {name: kind for kind, name in ODD.items()}
    return (
        (p.name, studio.image_bytes(p, kinds.get(p.name))) for p in pictures if p.split == split
    )


def _synset_tars(pictures: list[Picture], studio: _Studio) -> Entries:
    for digit in sorted(range(len(LEAVES)), key=lambda digit: LEAVES[digit].wnid):
        own = [picture for picture in pictures if picture.digit == digit]
        yield f"{LEAVES[digit].wnid}.tar", _tar(_members(own, "train", studio))


def _patches(pictures: list[Picture], studio: _Studio) -> Entries:
    """Yield intact versions of the damaged pictures, at the paths of ILSVRC-2010's patches."""
    by_name = {picture.name: picture for picture in pictures}
    train, val = by_name[ODD["damaged"]], by_name[ODD["damaged_val"]]
    yield f"patch_images/train/{LEAVES[train.digit].wnid}/{train.name}", studio.image_bytes(train)
    yield f"patch_images/val/{val.name}", studio.image_bytes(val)


def _tar(entries: Entries) -> bytes:
    """Return a tar whose headers have no time, owner or group."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, member in entries:
            header = tarfile.TarInfo(name)
            header.size = len(member)
            archive.addfile(header, io.BytesIO(member))
    return stream.getvalue()
