"""The forms in which people have a data set: the same images in each give the same data."""

import dataclasses
import gzip
import hashlib
import io
import json
import shutil
import sys
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner

from alexrep.errors import ConfigError, DataError
from alexrep.evaluation import labels
from alexrep.ilsvrc import archives, source, splits
from alexrep.ilsvrc.editions import EDITIONS
from alexrep.ilsvrc.layouts import find
from alexrep.ilsvrc.unit import train_members
from alexrep.prepare.prepared import open_prepared
from alexrep.stages import app

MakeRaw = Callable[..., Path]
Encode = Callable[..., bytes]
Picture = Callable[..., object]

WNIDS = ("n00000020", "n00000030", "n00000040")
WORDS = {"n00000020": "cat, feline", "n00000030": "dog", "n00000040": "crane"}
BROKEN = "DEMO_val_00000003.JPEG"
TOP = "ILSVRC/Data/CLS-LOC"


def alexrep(*words: str | Path, code: int = 0) -> str:
    result = CliRunner().invoke(app, [str(word) for word in words], prog_name="alexrep")
    assert result.exit_code == code, result.output
    return str(result.output)


@dataclass(frozen=True)
class Facts:
    """What must be the same in every layout."""

    images: dict[tuple[str, str], tuple[str, int]]
    """Digest and label by split and name."""
    classes: list[tuple[int, str, str]]
    statistics: dict[str, str]
    shards: dict[str, str]


def facts(raw: Path, data: Path, *options: str | Path) -> Facts:
    """Prepare everything, and return its facts; one image of val cannot be read."""
    small = ("--side", "32", "--workers", "1")
    alexrep("preprocess", raw, data, "--partial", *small, *options, code=3)
    for stage in ("mean", "pca"):
        alexrep(stage, data, "--workers", "1")
    alexrep("pack", data, "--shard-images", "8", "--workers", "1")
    images = open_prepared(data)
    return Facts(
        {
            (split, verdict.name): (verdict.sha256, verdict.label)
            for split in images.splits
            for unit in images.units(split)
            for verdict in images.verdicts(unit)
        },
        [(synset.index, synset.wnid, synset.words) for synset in images.classes.synsets],
        {name: digest(data / name) for name in ("mean.npy", "pca.json")},
        {path.name: shard_digest(path) for path in sorted((data / "shards").glob("*.h5"))},
    )


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def shard_digest(path: Path) -> str:
    """Return the digest of a shard's columns; its attributes name the edition and the manifest."""
    with h5py.File(path) as shard:
        columns = {name: shard[name][()].tobytes().hex() for name in sorted(shard)}
    return hashlib.sha256(json.dumps(columns).encode()).hexdigest()


Originals = dict[str, dict[str, tuple[bytes, str]]]
"""Bytes and wnid of each image, by split and name."""


@dataclass(frozen=True)
class Reference:
    """The tars, their images with patches applied, and their facts."""

    raw: Path
    originals: Originals
    facts: Facts
    tar: Callable[..., bytes]


@pytest.fixture(scope="module")
def reference(
    make_raw: MakeRaw,
    make_tar: Callable[..., bytes],
    tmp_path_factory: pytest.TempPathFactory,
    encoded: Encode,
    picture: Picture,
) -> Reference:
    folder = tmp_path_factory.mktemp("reference")
    patches = {
        "train/n00000040_19.JPEG": encoded(picture(50, 60, blue=9)),
        "val/DEMO_val_00000002.JPEG": encoded(picture(40, 40, blue=90)),
    }
    raw = make_raw(folder / "raw", replaced={BROKEN: b"no image"}, patches=patches)
    patched = {path.split("/")[-1]: content for path, content in patches.items()}
    originals: Originals = {"train": {}, "val": {}, "test": {}}
    for unit in source.survey(raw, "demo", partial=True).units:
        listed = unit.listed() if unit.split == "train" else unit
        for member in listed.members:
            content = patched.get(member.name) or archives.read(unit.archive, member)
            wnid = WNIDS[listed.label_of[member.name]]
            originals[unit.split][member.name] = content, wnid
    return Reference(raw, originals, facts(raw, folder / "data"), make_tar)


def write(folder: Path, contents: Mapping[str, bytes]) -> Path:
    for path, content in contents.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    return folder


def kaggle(originals: Originals) -> dict[str, bytes]:
    """Return the files of Kaggle's tree; test has no labels there."""
    val = [(Path(name).stem, wnid) for name, (_, wnid) in originals["val"].items()]
    rows = [f"{stem},{wnid} 1 2 30 40 {wnid} 5 6 7 8\n" for stem, wnid in reversed(val)]
    files = {
        "LOC_val_solution.csv": ("ImageId,PredictionString\n" + "".join(rows)).encode(),
        "LOC_synset_mapping.txt": "".join(f"{w} {t}\n" for w, t in WORDS.items()).encode(),
        "LOC_sample_submission.csv": b"ImageId,PredictionString\n",
        "ILSVRC/Annotations/CLS-LOC/val/a.xml": b"<annotation/>",
    }
    for split, images in originals.items():
        for name, (content, wnid) in images.items():
            inner = f"{wnid}/" if split == "train" else ""
            files[f"{TOP}/{split}/{inner}{name}"] = content
    return files


def kaggle_tree(reference: Reference, folder: Path) -> Path:
    return write(folder, kaggle(reference.originals))


def kaggle_zip(reference: Reference, folder: Path) -> Path:
    folder.mkdir()
    with zipfile.ZipFile(folder / "imagenet-object-localization-challenge.zip", "w") as archive:
        for number, (path, content) in enumerate(kaggle(reference.originals).items()):
            form = zipfile.ZIP_DEFLATED if number % 2 else zipfile.ZIP_STORED
            archive.writestr(path, content, form)
    return folder


def hub_names(originals: Originals, split: str) -> list[tuple[str, bytes, int]]:
    """Return name in the hub's manner, bytes and label of each image, in no order."""
    rows = []
    for name, (content, wnid) in originals[split].items():
        stem, label = name.removesuffix(".JPEG"), WNIDS.index(wnid)
        is_test = split == "test"
        rows.append((name if is_test else f"{stem}_{wnid}.JPEG", content, -1 if is_test else label))
    return sorted(rows, key=lambda row: hashlib.sha256(row[0].encode()).hexdigest())


def parquet(reference: Reference, folder: Path, *, kit: bool = True) -> Path:
    """Write two files of train and one of the others, in row groups of three."""
    arrow, module = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    (folder / "data").mkdir(parents=True)
    for split, name, num in (("train", "train", 2), ("val", "validation", 1), ("test", "test", 1)):
        rows = hub_names(reference.originals, split)
        for number in range(num):
            mine = rows[number::num]
            images = [{"bytes": content, "path": path} for path, content, _ in mine]
            table = arrow.table({"image": images, "label": [label for _, _, label in mine]})
            path = folder / "data" / f"{name}-{number:05d}-of-{num:05d}.parquet"
            module.write_table(table, path, row_group_size=3)
    if kit:
        shutil.copy(reference.raw / "DEMO_devkit.tar.gz", folder)
    return folder


def hub_tars(reference: Reference, folder: Path, *, kit: bool = True) -> Path:
    """Write two compressed tars of train and one of the others."""
    folder.mkdir()
    for split, num in (("train", 2), ("val", 1), ("test", 1)):
        rows = hub_names(reference.originals, split)
        for number in range(num):
            name = f"{split}_images_{number}.tar.gz" if num > 1 else f"{split}_images.tar.gz"
            contents = {f"./{path}": content for path, content, _ in rows[number::num]}
            (folder / name).write_bytes(reference.tar(contents, "w:gz"))
    if kit:
        shutil.copy(reference.raw / "DEMO_devkit.tar.gz", folder)
    return folder


def shards(reference: Reference, folder: Path, *, form: str = "cls", named: bool = True) -> Path:
    """Write shards of WebDataset, with .cls or .json, keys of original names or of numbers."""
    folder.mkdir()
    for split, num in (("train", 3), ("validation", 1)):
        images = reference.originals["val" if split == "validation" else split]
        rows = sorted(images.items(), key=lambda row: hashlib.sha256(row[0].encode()).digest())
        for number in range(num):
            contents: dict[str, bytes] = {}
            for position, (name, (content, wnid)) in enumerate(rows[number::num]):
                key = name.removesuffix(".JPEG") if named else f"{number}{position:06d}"
                label = str(WNIDS.index(wnid))
                facts = json.dumps({"label": int(label), "width": 9}).encode()
                contents[f"{key}.{form}"] = label.encode() if form == "cls" else facts
                contents[f"{key}.jpg"] = content
            path = folder / f"imagenet1k-{split}-{number:04d}.tar"
            path.write_bytes(reference.tar(contents))
    (folder / "classes.txt").write_text("".join(f"{w}\t{t}\n" for w, t in WORDS.items()))
    return folder


def hub_files(reference: Reference, folder: Path) -> Path:
    """Write flat folders: two of train, one of the others."""
    for split, num in (("train", 2), ("val", 1), ("test", 1)):
        for position, (path, content, _) in enumerate(hub_names(reference.originals, split)):
            place = f"train_images_{position % num}" if num > 1 else split
            write(folder, {f"{place}/{path}": content})
    shutil.copy(reference.raw / "DEMO_devkit.tar.gz", folder)
    return folder


LAYOUTS: dict[str, Callable[[Reference, Path], Path]] = {
    "kaggle tree": kaggle_tree,
    "kaggle zip": kaggle_zip,
    "parquet": parquet,
    "hub tars": hub_tars,
    "hub files": hub_files,
    "webdataset": shards,
}
UNLABELLED = {"kaggle tree", "kaggle zip", "parquet", "hub tars", "hub files"}
"""Layouts that have no labels of test."""


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_layout_gives_the_same_data_as_the_tars(
    reference: Reference, tmp_path: Path, name: str
) -> None:
    raw = LAYOUTS[name](reference, tmp_path / "raw")
    classes = raw / "classes.txt"
    options = ("--classes", classes) if classes.exists() else ()
    own, wanted = facts(raw, tmp_path / "data", *options), reference.facts
    images, packed = dict(wanted.images), dict(wanted.shards)
    if not list((tmp_path / "data/images").glob("test")):
        images = {key: image for key, image in images.items() if key[0] != "test"}
        packed.pop("test-00000.h5")
    elif name in UNLABELLED:
        for (split, image), (sha, _) in wanted.images.items():
            if split == "test":
                images[split, image] = sha, -1
        for files in (own.shards, packed):
            files.pop("test-00000.h5")
    assert own.images == images
    assert own.classes == wanted.classes
    assert own.statistics == wanted.statistics
    assert own.shards == packed


def test_the_folder_of_images_in_kaggles_tree_is_as_good_as_its_top(
    reference: Reference, tmp_path: Path
) -> None:
    raw = kaggle_tree(reference, tmp_path / "raw")
    surveys = [source.survey(folder, None, partial=True) for folder in (raw, raw / TOP)]
    assert surveys[0].digests == surveys[1].digests
    assert surveys[0].remarks[0] == f"read from {TOP}/ in raw/"
    assert surveys[1].remarks == surveys[0].remarks[1:]


def test_a_few_classes_of_kaggles_tree_promise_no_number_of_images(
    reference: Reference, tmp_path: Path
) -> None:
    raw = kaggle_tree(reference, tmp_path / "raw")
    found = source.survey(raw, None, partial=False)
    assert not [remark for remark in found.remarks if "instead of" in remark]


def test_an_edition_that_is_named_has_its_own_classes(reference: Reference, tmp_path: Path) -> None:
    raw = kaggle_tree(reference, tmp_path / "raw")
    with pytest.raises(DataError, match="of ilsvrc2012, found 3 classes of folder, n0"):
        source.survey(raw, "ilsvrc2012", partial=True)


def test_two_data_sets_below_a_folder_are_named(tmp_path: Path) -> None:
    write(tmp_path, dict.fromkeys(("a/x/train/n/0.jpg", "b/y/train/n/0.jpg"), b""))
    write(tmp_path, dict.fromkeys(("b/images/train/n.tar", "b/images/plan.json"), b""))
    with pytest.raises(DataError, match="found folder in a/x/, folder in b/y/; name its folder"):
        find.find(tmp_path)
    assert find.find(tmp_path / "b").folder == tmp_path / "b/y"


WRONG_LISTS = {
    "no class": ("LOC_val_solution.csv", b"DEMO_val_00000001\n", "and its class in line 1, found"),
    "two classes": ("LOC_val_solution.csv", b"a,n00000020\na,n00000030\n", "found a in n0.* and"),
    "a foreign class": ("LOC_val_solution.csv", b"a,n7\n", "the 3 classes of the data, found n7"),
    "no line": (
        "LOC_val_solution.csv",
        b"a,n00000020\n",
        "a line for DEMO_val_00000001",
    ),
    "no list": (
        "LOC_val_solution.csv",
        b"ImageId,PredictionString\n",
        "their classes, found none",
    ),
    "no text": ("LOC_synset_mapping.txt", b"\xff\xfe", "a text file, found other bytes; save it"),
    "twice": ("LOC_synset_mapping.txt", b"n1 a\nn1 a\n", "each class once, found n1 twice"),
}


def test_an_image_in_the_folder_of_another_class_is_named(
    reference: Reference, tmp_path: Path
) -> None:
    raw = kaggle_tree(reference, tmp_path / "raw")
    image = next(raw.glob("ILSVRC/Data/CLS-LOC/train/n00000020/*"))
    image.rename(image.parents[1] / "n00000030" / image.name)
    wanted = (
        f"images of n00000030 in its folder, found n00000030/{image.name}; move it to n00000020"
    )
    with pytest.raises(DataError, match=wanted):
        source.survey(raw, None, partial=True)


@pytest.mark.parametrize("case", WRONG_LISTS)
def test_a_wrong_list_of_kaggles_is_one_line(
    reference: Reference, tmp_path: Path, case: str
) -> None:
    name, content, message = WRONG_LISTS[case]
    write(kaggle_tree(reference, tmp_path / "raw"), {name: content})
    with pytest.raises(DataError, match=message) as caught:
        source.survey(tmp_path / "raw", None, partial=True)
    assert str(caught.value).startswith(name)


def test_lists_with_a_bom_and_blanks_are_read(reference: Reference, tmp_path: Path) -> None:
    raw = kaggle_tree(reference, tmp_path / "raw")
    before = source.survey(raw, None, partial=True)
    for path in raw.glob("LOC_*"):
        lines = path.read_text().splitlines()
        path.write_bytes(b"\xef\xbb\xbf" + "".join(f" {line} \r\n\r\n" for line in lines).encode())
    assert source.survey(raw, None, partial=True) == before


PARQUET = "data/train-00001-of-00002.parquet"


Change = Callable[[list[str], list[int]], tuple[list[str], list[int]]]


def rewritten(raw: Path, change: Change, files: str = "train-*") -> Path:
    """Write files anew with other paths and labels."""
    arrow, module = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    for file in raw.glob(f"data/{files}"):
        rows = module.read_table(file).to_pylist()
        paths, labels = change([r["image"]["path"] for r in rows], [r["label"] for r in rows])
        images = [
            {"bytes": row["image"]["bytes"], "path": own}
            for row, own in zip(rows, paths, strict=True)
        ]
        module.write_table(arrow.table({"image": images, "label": labels}), file)
    return raw


def test_labels_of_parquet_are_checked_against_the_wnids_in_the_paths(
    reference: Reference, tmp_path: Path
) -> None:
    raw = parquet(reference, tmp_path / "raw")
    rewritten(raw, lambda paths, labels: (paths, [2 - label for label in labels]))
    message = r"train-0000.*parquet: expected label 0, the rank of n00000020 among the 3 sorted wn"
    with pytest.raises(DataError, match=message):
        source.survey(raw, None, partial=True)


def test_labels_of_a_part_may_be_the_ranks_among_its_own_wnids(
    reference: Reference, tmp_path: Path
) -> None:
    raw = parquet(reference, tmp_path / "raw", kit=False)
    known = dict(zip(WNIDS, ("n01443537", "n02086240", "n15075141"), strict=True))

    def change(paths: list[str], labels: list[int]) -> tuple[list[str], list[int]]:
        return [f"{p[:-14]}{known[p[-14:-5]]}.JPEG" for p in paths], labels

    part = source.survey(rewritten(raw, change, "[tv][ra]*"), None, partial=True)
    assert [synset.wnid for synset in part.classes.synsets] == [*known.values()]
    assert part.edition.name == "folder"


def test_paths_without_wnids_leave_the_labels_alone_and_this_is_said(
    reference: Reference, tmp_path: Path
) -> None:
    raw = rewritten(
        parquet(reference, tmp_path / "raw"), lambda paths, labels: ([""] * len(paths), labels)
    )
    surveyed = source.survey(raw, None, partial=True)
    assert (
        "no wnids in the paths of train: the order of classes was not checked" in surveyed.remarks
    )
    assert surveyed.units[0].members[0].name == "unnamed-train-00000-of-00002-0.JPEG"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            None,
            r"raw/data: expected 2 files of train, found all but train-00001-of-00002\.parquet; d",
        ),
        (
            b"version https://git-lfs.github.com/spec/v1\n",
            "found a pointer of Git LFS; git lfs pull",
        ),
        (
            b"PAR1 and no more",
            r"00001-of-00002\.parquet: expected a parquet file, found .*; download",
        ),
    ],
)
def test_a_file_of_parquet_that_is_missing_or_broken_is_named(
    reference: Reference, tmp_path: Path, content: bytes | None, message: str
) -> None:
    raw = parquet(reference, tmp_path / "raw")
    (raw / PARQUET).unlink()
    if content is not None:
        (raw / PARQUET).write_bytes(content)
    with pytest.raises(DataError, match=message):
        source.survey(raw, None, partial=False)


@pytest.mark.parametrize("start", [4, 40])
def test_damaged_pages_of_a_file_of_parquet_are_one_line(
    reference: Reference, tmp_path: Path, start: int
) -> None:
    raw = parquet(reference, tmp_path / "raw")
    content = bytearray((raw / PARQUET).read_bytes())
    content[start : start + 300] = b"\xff" * 300
    (raw / PARQUET).write_bytes(content)
    small = ("--partial", "--side", "32", "--workers", "1")
    output = alexrep("preprocess", raw, tmp_path / "data", *small, code=1)
    assert "00001-of-00002.parquet: expected a parquet file, found" in output


def test_without_pyarrow_one_line_says_how_to_get_it(
    reference: Reference, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = parquet(reference, tmp_path / "raw")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    said = alexrep("preprocess", raw, tmp_path / "data", code=1)
    assert said.endswith(
        "expected pyarrow to read it, found none; pip install 'alexrep[parquet]'\n"
    )


def test_a_smaller_set_is_the_same_of_rows_and_of_tars(
    reference: Reference, tmp_path: Path
) -> None:
    """Names and labels are drawn, however the images lie; prepared ones can be shrunk again."""
    mixed = parquet(reference, tmp_path / "raw")
    options = ("--partial", "--select", "2", "--images", "4", "--val-fraction", "0.25")
    drawn = []
    for name, raw in (("tars", reference.raw), ("rows", mixed), ("again", tmp_path / "whole")):
        if name == "again":
            alexrep("preprocess", mixed, raw, "--side", "64", "--partial", code=3)
        alexrep("shrink", raw, tmp_path / name, "--side", "32", "--workers", "1", *options)
        images = open_prepared(tmp_path / name)
        verdicts = [
            (s, v) for s in images.splits for u in images.units(s) for v in images.verdicts(u)
        ]
        drawn.append({(split, verdict.name, verdict.label) for split, verdict in verdicts})
    own = [{image for image in images if image[0] != "test"} for images in drawn]
    assert own[0] == own[1] == own[2]


def test_rows_are_extracted_under_numbers_of_their_class(
    reference: Reference, tmp_path: Path
) -> None:
    raw, lists = parquet(reference, tmp_path / "raw"), []
    for name, one in (("tars", reference.raw), ("rows", raw)):
        alexrep("preprocess", one, tmp_path / name, "--side", "32", "--partial", code=3)
        alexrep("extract", tmp_path / name, tmp_path / f"{name}-out", "--layout", "tiny")
        files = (tmp_path / f"{name}-out").rglob("train/**/*.JPEG")
        lists.append({str(path.relative_to(tmp_path / f"{name}-out")) for path in files})
    assert lists[0] == lists[1]
    assert len(lists[0]) == 18


@pytest.mark.parametrize("form", ["cls", "json"])
def test_numbers_for_keys_lose_the_names_alone(
    reference: Reference, tmp_path: Path, form: str
) -> None:
    raw = shards(reference, tmp_path / "raw", form=form, named=False)
    own = facts(raw, tmp_path / "data", "--classes", raw / "classes.txt")
    wanted = reference.facts
    drawn = sorted(image for (split, _), image in wanted.images.items() if split != "test")
    assert sorted(own.images.values()) == drawn
    assert (own.classes, own.statistics) == (wanted.classes, wanted.statistics)
    names = np.array([name.encode() for split, name in own.images if split == "val"])
    assert {name[:35] for name in names} == {b"unnamed-imagenet1k-validation-0000-"}
    with pytest.raises(DataError, match="json: expected images with their original names, fo"):
        labels.numbers(names, 99, Path("real.json"), "")


WRONG_SHARDS = {
    "another class": ({"n00000020_1.cls": b"2", "n00000020_1.jpg": b""}, "label 0, the rank of n0"),
    "no label": ({"7.jpg": b""}, "a label from 0 to 2, found None; name the list of classes"),
    "no number": (
        {"7.cls": b"dog", "7.jpg": b""},
        r"7\.cls: expected the label of a sample",
    ),
    "too large": ({"7.cls": b"3", "7.jpg": b""}, "expected a label from 0 to 2, found 3; name the"),
    "a foreign wnid": (
        {"n9_n00000099_7.cls": b"1", "n9_n00000099_7.jpg": b""},
        "a wnid of the 3",
    ),
}


@pytest.mark.parametrize("case", WRONG_SHARDS)
def test_a_wrong_sample_is_named(reference: Reference, tmp_path: Path, case: str) -> None:
    raw, (contents, message) = shards(reference, tmp_path / "raw"), WRONG_SHARDS[case]
    (raw / "imagenet1k-train-0001.tar").write_bytes(reference.tar(contents))
    surveyed = source.survey(raw, None, partial=True, classes=raw / "classes.txt")
    (unit,) = [unit for unit in surveyed.units if unit.name.endswith("train-0001")]
    assert unit.reader is not None
    with pytest.raises(DataError, match=message):
        list(unit.reader(unit))


def test_what_is_in_a_tar_gz_is_counted_when_all_is_prepared(
    reference: Reference, tmp_path: Path
) -> None:
    raw = hub_tars(reference, tmp_path / "raw")
    said = alexrep("preprocess", raw, tmp_path / "data", "--side", "32", code=1)
    assert "train_images_0.tar.gz and 1 more: expected 1,297 train images, found 18; down" in said
    said = alexrep("shrink", raw, tmp_path / "small", "--select", "2", "--partial", code=1)
    assert said.endswith("prepare all of them, then alexrep shrink DATA\n")


def test_a_tar_gz_that_is_cut_short_leaves_its_unit_unfinished(
    reference: Reference, tmp_path: Path
) -> None:
    raw, data = hub_tars(reference, tmp_path / "raw"), tmp_path / "data"
    cut = raw / "train_images_1.tar.gz"
    whole = cut.read_bytes()
    cut.write_bytes(whole[:-2000])
    words = ("preprocess", raw, data, "--side", "32", "--partial", "--workers", "1")
    assert "train_images_1.tar.gz: expected a tar.gz, found" in alexrep(*words, code=1)
    done = {path.name for path in (data / "images/train").iterdir()}
    assert done == {"train_images_0.tar", "train_images_0.jsonl"}


def kit_as(form: str, raw: Path) -> None:
    """Bring the devkit of a folder into another form."""
    kit = raw / "DEMO_devkit.tar.gz"
    if form in {"tgz", "tar"}:
        content = kit.read_bytes() if form == "tgz" else gzip.decompress(kit.read_bytes())
        (raw / f"DEMO_devkit.{form}").write_bytes(content)
    else:
        shutil.unpack_archive(
            kit, raw / "DEMO_devkit" if form == "too deep" else raw, filter="data"
        )
    kit.unlink()


@pytest.mark.parametrize("form", ["tgz", "tar", "folder", "too deep"])
def test_a_devkit_is_read_in_every_form(reference: Reference, tmp_path: Path, form: str) -> None:
    raw = Path(shutil.copytree(reference.raw, tmp_path / "raw"))
    before = source.survey(raw, None, partial=True)
    kit_as(form, raw)
    assert source.survey(raw, None, partial=True) == before


def test_the_test_tar_of_2019_is_taken(reference: Reference, tmp_path: Path) -> None:
    edition = EDITIONS["ilsvrc2012"]
    images = {f"test/ILSVRC2012_test_{n:08d}.JPEG": b"x" for n in (2, 1)}
    write(tmp_path, {edition.later_test: reference.tar(images)})
    listed, remarks = splits.list_splits(tmp_path, dataclasses.replace(edition, is_open=True))
    assert [member.name for member in listed["val"].members] == [Path(p).name for p in images]
    assert any("the images of test are taken" in remark for remark in remarks)


def mac(reference: Reference, entries: Mapping[str, bytes]) -> bytes:
    """Return a tar as a Mac packs it: a twin before each member, and a folder of them."""
    twins = {f"._{name}": b"\x00\x05\x16\x07" for name in entries}
    mixed = {k: v for pair in zip(twins.items(), entries.items(), strict=True) for k, v in pair}
    return reference.tar({"__MACOSX/._x": b"", **mixed, "Thumbs.db": b""})


@pytest.mark.parametrize("where", ["outer", "inner", "val", "folder"])
def test_what_is_hidden_is_passed_over_aloud(
    reference: Reference, tmp_path: Path, where: str
) -> None:
    raw = Path(shutil.copytree(reference.raw, tmp_path / "raw"))
    before = names_of(raw)
    if where == "folder":
        shutil.unpack_archive(raw / "DEMO_img_val.tar", raw / "val", filter="data")
        write(raw / "val", {"._DEMO_val_00000001.JPEG": b"", "__MACOSX/a.JPEG": b""})
        (raw / "DEMO_img_val.tar").unlink()
    else:
        path = raw / ("DEMO_img_val.tar" if where == "val" else "DEMO_img_train.tar")
        members = archives.members(path)
        contents = {member.name: archives.read(path, member) for member in members}
        if where == "inner":
            inner = {}
            for member in members:
                own = archives.members(path, member.offset, member.size)
                images = {m.name: archives.read(path, m) for m in own}
                inner[member.name] = mac(reference, images)
            path.write_bytes(reference.tar(inner))
        else:
            path.write_bytes(mac(reference, contents))
    assert names_of(raw) == before
    remarks = source.survey(raw, None, partial=True).remarks
    assert any("passed over" in remark and "._" in remark for remark in remarks)


def names_of(raw: Path) -> list[str]:
    units = source.survey(raw, None, partial=True).units
    return [member.name for unit in units for member in train_members(unit)]


def test_hard_links_are_the_files_that_they_link_to(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        one = tarfile.TarInfo("x/1.JPEG")
        one.size = 5
        archive.addfile(one, io.BytesIO(b"image"))
        link = tarfile.TarInfo("x/2.JPEG")
        link.type, link.linkname = tarfile.LNKTYPE, "x/1.JPEG"
        archive.addfile(link)
    first, second = archives.members(tmp_path / "a.tar")
    assert (second.name, second.size) == ("2.JPEG", 5)
    assert archives.read(tmp_path / "a.tar", second) == b"image"
    assert first.offset == second.offset


@pytest.mark.parametrize("flat", [("val",), ("train", "val")])
def test_labels_of_flat_folders_come_from_a_list(
    reference: Reference, tmp_path: Path, flat: tuple[str, ...]
) -> None:
    raw, rows = tmp_path / "raw", ["filename,label"]
    for split in ("train", "val"):
        for number, (content, wnid) in enumerate(reference.originals[split].values()):
            name = f"{split}-{number}.jpg"
            write(raw, {f"{split}/{name}" if split in flat else f"{split}/{wnid}/{name}": content})
            rows += [f"{name},{wnid}"] if split in flat else []
    (tmp_path / "labels.csv").write_text("\n".join(rows))
    data = facts(raw, tmp_path / "data", "--labels", tmp_path / "labels.csv")
    wanted = sorted(i for (split, _), i in reference.facts.images.items() if split != "test")
    assert sorted(data.images.values()) == wanted
    assert data.statistics == reference.facts.statistics
    with pytest.raises(DataError, match=r"images as <class>/<image>, found \w+-0\.jpg"):
        source.survey(raw, None, partial=True)


@pytest.mark.parametrize("annotated", [True, False])
@pytest.mark.parametrize("inner", ["", "images/"])
def test_val_of_tiny_imagenet_may_be_sorted_into_class_folders(
    reference: Reference, tmp_path: Path, annotated: bool, inner: str
) -> None:
    """With and without the annotations; without wnids.txt, too, as class folders."""
    raw, lines = tmp_path / "raw", []
    for split in ("train", "val"):
        for number, (content, wnid) in enumerate(reference.originals[split].values()):
            within = inner if split == "val" else "images/"
            write(raw, {f"{split}/{wnid}/{within}{split}_{number}.JPEG": content})
            lines += [f"val_{number}.JPEG\t{wnid}\t0\t0\t9\t9\n"] if split == "val" else []
    (raw / "wnids.txt").write_text("\n".join(WNIDS))
    (raw / "words.txt").write_text("".join(f"{w}\t{t}\n" for w, t in WORDS.items()))
    if annotated:
        (raw / "val/val_annotations.txt").write_text("".join(lines))
    data = facts(raw, tmp_path / "data")
    wanted = sorted(i for (split, _), i in reference.facts.images.items() if split != "test")
    assert sorted(data.images.values()) == wanted
    assert data.classes == reference.facts.classes
    (raw / "wnids.txt").unlink()
    bare = source.survey(raw, None, partial=False)
    assert bare.edition.name == "folder"
    assert [unit.num_images for unit in bare.units] == [6, 6, 6, 8]


def test_val_in_folders_beside_the_tar_of_train_needs_no_devkit(
    reference: Reference, tmp_path: Path
) -> None:
    tars = {f"{wnid}.tar": reference.tar({f"{wnid}_1.JPEG": b"x"}) for wnid in ("n01440764",)}
    write(tmp_path, {"ILSVRC2012_img_train.tar": reference.tar(tars)})
    write(tmp_path, {"val/n01443537/ILSVRC2012_val_00000001.JPEG": b"x"})
    surveyed = source.survey(tmp_path, None, partial=True)
    assert [unit.labels for unit in surveyed.units] == [(0,), (1,)]
    assert surveyed.classes.synsets[0].id == 449
    write(tmp_path, {"val/ILSVRC2012_val_00000002.JPEG": b"x"})
    with pytest.raises(DataError, match=r"expected ILSVRC2012_devkit_t12\.tar\.gz, found none"):
        source.survey(tmp_path, None, partial=True)


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*.JPEG")}


@pytest.mark.parametrize("name", ["tars", "parquet"])
def test_originals_are_extracted_as_they_are_with_patches(
    reference: Reference, tmp_path: Path, name: str
) -> None:
    raw, out = reference.raw, tmp_path / "out"
    if name != "tars":
        raw = LAYOUTS[name](reference, tmp_path / "raw")
    words = ("extract", "--original", raw, out, "--partial", "--workers", "1")
    assert f"{out}: 18 train images, 8 val images, 4 test images" in alexrep(*words)
    wanted = {
        f"{split}/{'unlabelled' if split == 'test' and name != 'tars' else wnid}/{file}": content
        for split, images in reference.originals.items()
        for file, (content, wnid) in images.items()
    }
    assert files_of(out) == wanted
    lost, kept = out / "val/n00000020/DEMO_val_00000001.JPEG", next(iter(wanted))
    lost.unlink()
    before = (out / kept).stat().st_mtime_ns
    assert "1 missing or of another size: val; made anew" in alexrep(*words)
    assert lost.exists()
    assert (out / kept).stat().st_mtime_ns == before
    assert "nothing to do" in alexrep(*words)


def test_what_is_said_of_originals_is_refused_of_prepared_images(tmp_path: Path) -> None:
    said = alexrep("extract", tmp_path, tmp_path / "out", "--partial", code=2)
    assert "--partial: expected --original beside it, found none; leave it out" in said


def test_a_file_that_is_nearly_what_is_wanted_is_named(
    reference: Reference, tmp_path: Path
) -> None:
    raw = Path(shutil.copytree(reference.raw, tmp_path / "raw"))
    (raw / "DEMO_devkit.tar.gz").rename(raw / "DEMO_devkit (1).tar.gz")
    with pytest.raises(DataError, match=r"DEMO_devkit\.tar\.gz, found DEMO_devkit \(1\)\.tar\.gz"):
        source.survey(raw, None, partial=True)
    (raw / "DEMO_img_val.tar").rename(raw / "DEMO_img_val.tar.part")
    with pytest.raises(DataError, match=r"DEMO_img_val\.tar, found only DEMO_img_val\.tar\.part"):
        source.survey(raw, None, partial=True)


def test_flat_val_of_ilsvrc_is_not_to_be_sorted_by_hand(tmp_path: Path) -> None:
    names = ("train/n01440764/n01440764_1.JPEG", "train/n01443537/n01443537_1.JPEG")
    write(tmp_path, dict.fromkeys((*names, "val/ILSVRC2012_val_00000001.JPEG"), b""))
    with pytest.raises(DataError, match=r"; put the devkit or LOC_val_solution\.csv beside it, or"):
        source.survey(tmp_path, None, partial=True)
    write(tmp_path, {"LOC_val_solution.csv": b"ILSVRC2012_val_00000001,n01443537 1 1 2 2\n"})
    assert source.survey(tmp_path, None, partial=True).units[-1].labels == (1,)


def test_a_list_that_decides_nothing_is_refused(reference: Reference, tmp_path: Path) -> None:
    missing = tmp_path / "none.txt"
    with pytest.raises(ConfigError, match="--classes: expected data that come without classes"):
        source.survey(reference.raw, None, partial=True, classes=missing)
    with pytest.raises(ConfigError, match="--labels: expected data that come without labels"):
        source.survey(reference.raw, None, partial=True, labels=missing)


def test_prepared_data_in_place_of_originals_is_named(tmp_path: Path) -> None:
    write(tmp_path, {"images/manifest.json": b"{}"})
    with pytest.raises(DataError, match="found prepared data; name the folder of the originals"):
        find.find(tmp_path)
