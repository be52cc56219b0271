"""Editions of the data set: names of archives, and counts."""

from dataclasses import dataclass

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Edition:
    """One edition as distributed."""

    name: str
    """Name on the command line."""
    prefix: str
    """Prefix of file names and of the devkit's id field."""
    archives: dict[str, str]
    """Name of each split's tar, or of its folder of images."""
    devkit: str
    """File name of the devkit's tar."""
    patches: str
    """File name of the tar of corrected images."""
    test_ground_truth: str
    """File name of the test labels; the file may be absent."""
    num_synsets: int
    """Number of classes."""
    num_images: dict[str, int]
    """Number of images of each split."""
    has_test_labels: bool = False
    """Whether the test labels are public."""
    later_test: str = ""
    """File name of a later tar of test, in which images were replaced."""
    inner: str = ""
    """Folder between each class folder of train and its images."""
    is_open: bool = False
    """Whether classes and counts are taken from the class folders that are found."""

    @property
    def id_field(self) -> str:
        """Field of meta.mat with the devkit's id, 1 to num_synsets."""
        return f"{self.prefix}_ID"

    @property
    def devkits(self) -> tuple[str, ...]:
        """Names of the devkit's tar, of folders it may have been unpacked to, and of other tars.

        Some browsers save a tar.gz as a .tgz, or decompress it.
        """
        stem = self.devkit.removesuffix(".tar.gz")
        folders = (stem, stem.removeprefix(f"{self.prefix}_"))
        return (self.devkit, *folders, f"{stem}.tgz", f"{stem}.tar")

    def names(self, split: str) -> tuple[str, ...]:
        """Names that a split may have: that of its tar, or of a folder of its images."""
        tar, later = self.archives[split], self.later_test if split == "test" else ""
        names = (tar, split, tar.removesuffix(".tar"), later, later.removesuffix(".tar"))
        return tuple(dict.fromkeys(filter(None, names)))


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
            later_test="ILSVRC2012_img_test_v10102019.tar",
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
