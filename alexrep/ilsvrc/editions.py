"""The editions of the data set: archive names, counts, and how to tell which one a folder holds."""

from dataclasses import dataclass
from pathlib import Path

from alexrep.errors import ConfigError, DataError, mismatch

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Edition:
    """One edition as distributed."""

    name: str
    """Name on the command line."""
    prefix: str
    """Prefix of its file names and of the devkit's id field."""
    archives: dict[str, str]
    """File name of each split's tar."""
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

    @property
    def id_field(self) -> str:
        """Field of meta.mat with the devkit's id, 1 to num_synsets."""
        return f"{self.prefix}_ID"


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
        ),
    )
}


def find(raw: Path, name: str | None = None) -> Edition:
    """Tell which edition the folder `raw` holds, by the names of its train and val tars.

    Raises:
        DataError: If there is no such folder, no edition in it, or more than one.
        ConfigError: If `name` is not an edition's.
    """
    if name is not None and name not in EDITIONS:
        known = "one of " + ", ".join(EDITIONS)
        raise ConfigError(mismatch("--edition", known, repr(name), "choose"))
    if not raw.is_dir():
        raise DataError(mismatch(raw, "a folder with the ILSVRC tars", "no folder", "see devkit/"))
    if name is not None:
        return EDITIONS[name]
    found = [edition for edition in EDITIONS.values() if _is_in(raw, edition)]
    if len(found) != 1:
        wanted = " or ".join(edition.archives["train"] for edition in EDITIONS.values())
        held = ", ".join(edition.name for edition in found) or "neither"
        raise DataError(mismatch(raw, wanted, held, "put one edition's tars there; see devkit/"))
    return found[0]


def _is_in(raw: Path, edition: Edition) -> bool:
    return any((raw / edition.archives[split]).exists() for split in ("train", "val"))
