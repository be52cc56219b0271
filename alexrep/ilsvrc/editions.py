"""The editions of the data set: archive names, counts, and how to tell which one a folder holds."""

from dataclasses import dataclass
from pathlib import Path

from alexrep.errors import ConfigError, DataError, mismatch
from alexrep.ilsvrc import folders

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Edition:
    """One edition as distributed."""

    name: str
    """Name on the command line."""
    prefix: str
    """Prefix of its file names and of the devkit's id field."""
    archives: dict[str, str]
    """Name of each split's tar, or of the folder of its images."""
    devkit: str
    """File name of the devkit's tar."""
    patches: str
    """File name of the tar of corrected images."""
    test_ground_truth: str
    """File name of the test labels; the file may be absent."""
    num_synsets: int
    """Classes."""
    num_images: dict[str, int]
    """Images of each split."""
    has_test_labels: bool = False
    """Whether that file is public."""
    inner: str = ""
    """Folder between each class folder of train and its images."""
    is_open: bool = False
    """Whether its classes and counts are those of whatever class folders there are."""

    @property
    def id_field(self) -> str:
        """Field of meta.mat with the devkit's id, 1 to num_synsets."""
        return f"{self.prefix}_ID"

    @property
    def devkits(self) -> tuple[str, ...]:
        """Names of the devkit's tar and of the folder it may have been unpacked to."""
        stem = self.devkit.removesuffix(".tar.gz")
        return self.devkit, stem, stem.removeprefix(f"{self.prefix}_")

    def places(self, split: str) -> tuple[str, ...]:
        """Names that a split may have: its tar, or a folder of its images."""
        tar = self.archives[split]
        return tuple(dict.fromkeys((tar, split, tar.removesuffix(".tar"))))


EDITIONS = {
    edition.name: edition
    for edition in (
        Edition(
            name="ilsvrc2010",
            prefix="ILSVRC2010",
            archives={split: f"ILSVRC2010_images_{split}.tar" for split in SPLITS},
            devkit="ILSVRC2010_devkit-1.0.tar.gz",
            patches="patch_images.tar",
            test_ground_truth="ILSVRC2010_test_ground_truth.txt",
            num_synsets=1000,
            num_images={"train": 1_261_406, "val": 50_000, "test": 150_000},
            has_test_labels=True,
        ),
        Edition(
            name="ilsvrc2012",
            prefix="ILSVRC2012",
            archives={split: f"ILSVRC2012_img_{split}.tar" for split in SPLITS},
            devkit="ILSVRC2012_devkit_t12.tar.gz",
            patches="patch_images.tar",
            test_ground_truth="ILSVRC2012_test_ground_truth.txt",
            num_synsets=1000,
            num_images={"train": 1_281_167, "val": 50_000, "test": 100_000},
        ),
        Edition(
            name="demo",
            prefix="DEMO",
            archives={split: f"DEMO_img_{split}.tar" for split in SPLITS},
            devkit="DEMO_devkit.tar.gz",
            patches="DEMO_patch_images.tar",
            test_ground_truth="DEMO_test_ground_truth.txt",
            num_synsets=10,
            num_images={"train": 1_297, "val": 300, "test": 200},
            has_test_labels=True,
        ),
    )
}

FOLDER = Edition(
    name="folder",
    prefix="",
    archives={split: split for split in SPLITS},
    devkit="",
    patches="",
    test_ground_truth="",
    num_synsets=0,
    num_images=dict.fromkeys(SPLITS, 0),
    is_open=True,
)
"""Any images in class folders."""
TINY = Edition(
    name="tiny",
    prefix="",
    archives={split: split for split in SPLITS},
    devkit="wnids.txt",
    patches="",
    test_ground_truth="",
    num_synsets=200,
    num_images={"train": 100_000, "val": 10_000, "test": 10_000},
    inner="images",
)
"""Tiny ImageNet, unpacked."""
NAMED = {**EDITIONS, "folder": FOLDER, "tiny": TINY}
"""By the name on the command line."""


def find(raw: Path, name: str | None = None) -> Edition:
    """Tell which edition the folder `raw` holds, by the names in it.

    Tars tell it; of folders named train and val the devkit beside them does, and
    without one they are class folders of any other set.

    Raises:
        DataError: If there is no such folder, no edition in it, or more than one.
        ConfigError: If `name` is not an edition's.
    """
    if name is not None and name not in NAMED:
        known = "one of " + ", ".join(NAMED)
        raise ConfigError(mismatch("--edition", known, repr(name), "choose"))
    if not raw.is_dir():
        raise DataError(mismatch(raw, "a folder with the ILSVRC tars", "no folder", "see devkit/"))
    if name is not None:
        return NAMED[name]
    found = [edition for edition in EDITIONS.values() if _is_in(raw, edition)]
    if not found and (raw / "train").is_dir():
        return TINY if (raw / TINY.devkit).exists() else FOLDER
    if len(found) != 1:
        tars = " or ".join(edition.archives["train"] for edition in EDITIONS.values())
        held, advice = folders.describe(raw)
        held = ", ".join(edition.name for edition in found) or held
        raise DataError(mismatch(raw, f"{tars} or train/ with class folders", held, advice))
    return found[0]


def _is_in(raw: Path, edition: Edition) -> bool:
    """Look for tars, or for folders beside the devkit."""
    splits = ("train", "val")
    if any((raw / edition.archives[split]).exists() for split in splits):
        return True
    names = [name for split in splits for name in edition.places(split)]
    return any((raw / name).is_dir() for name in names) and any(
        (raw / name).exists() for name in edition.devkits
    )
