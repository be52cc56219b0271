"""Devkits: known answers of the real ones, other years, broken ones, labels by id."""

import errno
import gzip
import io
import shutil
import tarfile
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from scipy.io import savemat

from alexrep import guarded
from alexrep.errors import DataError
from alexrep.ilsvrc import devkit
from alexrep.ilsvrc.classes import ClassTable
from alexrep.ilsvrc.editions import EDITIONS

DEMO = EDITIONS["demo"]
META = "DEMO_devkit/data/meta.mat"
TRUTH = "DEMO_devkit/data/DEMO_validation_ground_truth.txt"

MakeTar = Callable[..., bytes]
Fields = dict[str, object]


def members(raw: Path) -> dict[str, bytes]:
    with tarfile.open(raw / DEMO.devkit) as tar:
        return {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]


def matlab(**variables: object) -> bytes:
    stream = io.BytesIO()
    # Some type stubs accept paths only.
    savemat(cast(Any, stream), variables)
    return stream.getvalue()


def structs(rows: list[Fields]) -> bytes:
    """Make a meta.mat of synsets with the given fields."""
    column = np.empty((len(rows), 1), [(name, object) for name in rows[0]])
    for index, row in enumerate(rows):
        column[index, 0] = tuple(row.values())
    return matlab(synsets=column)


def leaf(number: int, wnid: str, words: str = "crane") -> Fields:
    fields: Fields = {"DEMO_ID": number, "WNID": wnid, "words": words}
    return fields | {"num_children": 0, "num_train_images": 5}


@pytest.fixture
def write(tmp_path: Path, raw: Path, make_tar: MakeTar) -> Callable[[dict[str, bytes]], Path]:
    """Return a function that writes a devkit whose members differ from the tiny edition's."""

    def write(changed: dict[str, bytes]) -> Path:
        (tmp_path / DEMO.devkit).write_bytes(make_tar(members(raw) | changed, "w:gz"))
        return tmp_path

    return write


Write = Callable[[dict[str, bytes]], Path]


@pytest.fixture
def table(raw: Path) -> ClassTable:
    return devkit.read_classes(raw, DEMO)


def test_only_leaves_are_classes(table: ClassTable) -> None:
    assert [
        (synset.wnid, synset.id, synset.words, synset.num_train_images) for synset in table.synsets
    ] == [
        ("n00000020", 3, "cat, feline", 6),
        ("n00000030", 1, "dog", 6),
        ("n00000040", 2, "crane", 6),
    ]


def test_labels_are_indices_not_ids(raw: Path, table: ClassTable) -> None:
    assert members(raw)[TRUTH].split() == [b"3", b"1", b"2", b"3", b"1", b"2", b"3", b"1"]
    assert devkit.read_val_labels(raw, DEMO, table) == [0, 1, 2, 0, 1, 2, 0, 1]
    assert devkit.read_test_labels(raw, DEMO, table) == [0, 1, 2, 0]


def test_test_labels_may_be_absent(tmp_path: Path, table: ClassTable) -> None:
    assert devkit.read_test_labels(tmp_path, DEMO, table) is None


@pytest.mark.parametrize("folder", ["DEMO_devkit", "devkit"])
def test_an_unpacked_devkit_reads_the_same(
    raw: Path, tmp_path: Path, folder: str, table: ClassTable
) -> None:
    for name, content in members(raw).items():
        path = tmp_path / folder / name.removeprefix("DEMO_devkit/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    assert devkit.read_classes(tmp_path, DEMO) == table
    assert devkit.read_val_labels(tmp_path, DEMO, table) == [0, 1, 2, 0, 1, 2, 0, 1]
    (tmp_path / folder / "data" / "meta.mat").unlink()
    with pytest.raises(
        DataError, match=r"devkit: expected a devkit, with data/meta\.mat, found data; name a"
    ):
        devkit.read_classes(tmp_path, DEMO)


def test_members_need_no_leading_folder(raw: Path, tmp_path: Path, make_tar: MakeTar) -> None:
    contents = {
        name.removeprefix("DEMO_devkit/"): content for name, content in members(raw).items()
    }
    (tmp_path / DEMO.devkit).write_bytes(make_tar(contents, "w:gz"))
    assert len(devkit.read_classes(tmp_path, DEMO)) == 3


def test_a_missing_devkit_is_named(tmp_path: Path) -> None:
    message = r"expected DEMO_devkit\.tar\.gz, found none; put the devkit of demo there"
    with pytest.raises(DataError, match=message):
        devkit.read_classes(tmp_path, DEMO)


def test_the_devkit_of_the_other_year_is_named_when_it_is_all_there_is(tmp_path: Path) -> None:
    (tmp_path / EDITIONS["ilsvrc2010"].devkit).touch()
    message = (
        r"expected ILSVRC2012_devkit_t12\.tar\.gz, found ILSVRC2010_devkit-1\.0\.tar\.gz; "
        r"put the devkit of ilsvrc2012 there"
    )
    with pytest.raises(DataError, match=message):
        devkit.read_classes(tmp_path, EDITIONS["ilsvrc2012"])


def test_the_devkit_of_the_other_year_under_the_right_name_is_told_by_its_ids(write: Write) -> None:
    raw = write({META: structs([leaf(1, "n1") | {"ILSVRC2010_ID": 1}])})
    (raw / DEMO.devkit).rename(raw / EDITIONS["ilsvrc2012"].devkit)
    message = "expected ILSVRC2012_ID, found DEMO_ID; put the devkit of ilsvrc2012 there"
    with pytest.raises(DataError, match=message):
        devkit.read_classes(raw, EDITIONS["ilsvrc2012"])


@pytest.mark.parametrize("content", [b"", b"text", b"\x1f\x8b", bytes(2000)])
def test_a_file_that_is_no_tar_is_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / DEMO.devkit).write_bytes(content)
    with pytest.raises(
        DataError, match=r"DEMO_devkit\.tar\.gz: expected .*; name a devkit's tar, or "
    ):
        devkit.read_classes(tmp_path, DEMO)


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9, 0.99])
def test_a_devkit_that_is_cut_off_is_one_line(raw: Path, tmp_path: Path, share: float) -> None:
    content = (raw / DEMO.devkit).read_bytes()
    (tmp_path / DEMO.devkit).write_bytes(content[: int(share * len(content))])
    with pytest.raises(
        DataError, match=r"devkit.*: expected .* download (it|the devkit) again"
    ) as caught:
        devkit.read_val_labels(tmp_path, DEMO, devkit.read_classes(tmp_path, DEMO))
    assert "\n" not in str(caught.value)


def _unpacked(packed: bytes) -> bytes | None:
    try:
        return gzip.decompress(packed)
    except (OSError, EOFError, zlib.error):
        return None


def test_a_devkit_with_a_flipped_bit_never_reaches_the_reader_of_matlab_files(
    raw: Path, tmp_path: Path
) -> None:
    """Bits without meaning (of unused codes, after the last code) may be flipped."""
    sound = (raw / DEMO.devkit).read_bytes()
    classes, content, num_idle = devkit.read_classes(raw, DEMO), _unpacked(sound), 0
    for bit in range(8 * 10, 8 * len(sound)):  # after the header of gzip, which no checksum covers
        flipped = bytearray(sound)
        flipped[bit // 8] ^= 1 << bit % 8
        (tmp_path / DEMO.devkit).write_bytes(flipped)
        if _unpacked(bytes(flipped)) == content:
            num_idle += 1
            assert devkit.read_classes(tmp_path, DEMO) == classes
            continue
        with pytest.raises(DataError, match=r"^[^\n]*expected .* download (it|the devkit) again$"):
            devkit.read_classes(tmp_path, DEMO)
    assert num_idle < len(sound) * 8 / 100


def test_a_devkit_without_meta_is_one_line(tmp_path: Path, make_tar: MakeTar) -> None:
    (tmp_path / DEMO.devkit).write_bytes(make_tar({"readme.txt": b""}, "w:gz"))
    with pytest.raises(
        DataError, match=r"expected a devkit, with data/meta\.mat, found readme\.txt; name a"
    ):
        devkit.read_classes(tmp_path, DEMO)


@pytest.mark.parametrize(
    "meta",
    [
        b"",
        b"MATLAB 5.0 MAT-file",
        b"no matlab file" * 50,
        matlab(other=1),
        matlab(synsets="text"),
        matlab(synsets=5),
        matlab(synsets=np.zeros((3, 1))),
        structs([{"DEMO_ID": 1, "WNID": "n1"}]),
        structs([leaf(1, "n1") | {"num_children": ()}]),
        structs([leaf(1, "n1") | {"DEMO_ID": "one"}]),
    ],
)
def test_a_meta_that_holds_no_synsets_is_one_line(write: Write, meta: bytes) -> None:
    with pytest.raises(
        DataError, match=r"devkit\.tar\.gz: expected .*; (download|put) the devkit"
    ) as e:
        devkit.read_classes(write({META: meta}), DEMO)
    assert "\n" not in str(e.value)


def test_a_meta_without_leaves_is_one_line(write: Write) -> None:
    raw = write({META: structs([leaf(1, "n1") | {"num_children": 2}])})
    with pytest.raises(
        DataError, match=r"devkit\.tar\.gz: expected synsets without children, found"
    ):
        devkit.read_classes(raw, DEMO)


def test_one_leaf_alone_is_a_table(write: Write) -> None:
    classes = devkit.read_classes(write({META: structs([leaf(1, "n1", "dog")])}), DEMO)
    assert [(synset.wnid, synset.id, synset.words) for synset in classes.synsets] == [
        ("n1", 1, "dog")
    ]


def test_two_leaves_may_have_the_same_words(write: Write) -> None:
    classes = devkit.read_classes(write({META: structs([leaf(1, "n2"), leaf(2, "n1")])}), DEMO)
    assert classes.short_names() == ["crane", "crane"]


def test_two_leaves_of_one_wnid_are_refused(write: Write) -> None:
    raw = write({META: structs([leaf(1, "n1"), leaf(2, "n1")])})
    with pytest.raises(DataError, match="expected each wnid once, found n1"):
        devkit.read_classes(raw, DEMO)


@pytest.mark.parametrize("line", [b"0", b"4", b"-1", b"1.0", b"dog", b"\xb2", b"9" * 5000])
def test_a_line_that_is_no_id_of_a_leaf_is_named(
    write: Write, table: ClassTable, line: bytes
) -> None:
    raw = write({TRUTH: b"1\n2\n" + line + b"\n3\n"})
    message = (
        r"ground_truth\.txt: expected an id of the 3 classes in line 3, found '.{1,40}'; download"
    )
    with pytest.raises(DataError, match=message):
        devkit.read_val_labels(raw, DEMO, table)


def test_lines_may_end_as_on_windows(write: Write, table: ClassTable) -> None:
    assert devkit.read_val_labels(write({TRUTH: b"1\r\n2\r\n3"}), DEMO, table) == [1, 2, 0]


def test_a_byte_order_mark_and_trailing_blanks_are_passed_over(
    write: Write, table: ClassTable
) -> None:
    written = write({TRUTH: b"\xef\xbb\xbf1 \n2\t\n3  \n"})
    assert devkit.read_val_labels(written, DEMO, table) == [1, 2, 0]


def test_a_wrong_id_in_the_test_ground_truth_is_named(tmp_path: Path, table: ClassTable) -> None:
    (tmp_path / DEMO.test_ground_truth).write_text("1\n5\n")
    with pytest.raises(DataError, match=r"DEMO_test_ground_truth\.txt: .* in line 2, found '5'"):
        devkit.read_test_labels(tmp_path, DEMO, table)


@pytest.fixture(scope="module")
def real_2010(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a raw folder with the real devkit of 2010, unpacked."""
    folder = tmp_path_factory.mktemp("raw")
    shutil.copytree(real_data / "devkits" / "ilsvrc2010" / "data", folder / "devkit-1.0" / "data")
    return folder


def test_the_real_devkit_of_2010(real_2010: Path) -> None:
    table = devkit.read_classes(real_2010, EDITIONS["ilsvrc2010"])
    by_id = {synset.id: synset.wnid for synset in table.synsets}
    assert sorted(by_id) == list(range(1, 1001))
    assert [by_id[1], by_id[2], by_id[3]] == ["n07711080", "n07711569", "n07767549"]
    assert sum(synset.num_train_images for synset in table.synsets) == 1_261_406
    assert sum(synset.index == synset.id - 1 for synset in table.synsets) == 1
    assert [synset.wnid for synset in table.synsets] == sorted(by_id.values())
    assert table.short_names().count("cannon") == 2


def test_the_real_ground_truth_of_2010(real_2010: Path) -> None:
    edition = EDITIONS["ilsvrc2010"]
    table = devkit.read_classes(real_2010, edition)
    labels = devkit.read_val_labels(real_2010, edition, table)
    assert [table.synsets[label].id for label in labels[:4]] == [78, 854, 435, 541]
    assert set(Counter(labels).values()) == {50}
    assert len(labels) == 50_000


def test_the_real_devkit_of_2010_is_none_of_2012(real_2010: Path, tmp_path: Path) -> None:
    shutil.copytree(real_2010 / "devkit-1.0", tmp_path / "ILSVRC2012_devkit_t12")
    with pytest.raises(
        DataError, match="expected ILSVRC2012_ID, found ILSVRC2010_ID; put the devkit"
    ):
        devkit.read_classes(tmp_path, EDITIONS["ilsvrc2012"])


def test_the_real_dogs_of_2012(real_data: Path) -> None:
    raw, edition = real_data / "ilsvrc2012-dogs", EDITIONS["ilsvrc2012"]
    table = devkit.read_classes(raw, edition)
    ids = {synset.wnid: synset.id for synset in table.synsets}
    assert ids["n02088364"] == 5
    assert [synset.id for synset in table.synsets] == [3, 8, 5, 9, 10, 1, 4, 2, 7, 6]
    assert table.synsets[2].words == "beagle"
    assert Counter(devkit.read_val_labels(raw, edition, table)) == dict.fromkeys(range(10), 45)


def test_a_devkit_that_unfolds_to_gigabytes_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devkit, "MOST", 1 << 20)
    where = tmp_path / DEMO.devkit
    where.write_bytes(gzip.compress(bytes(3 << 20)))
    with pytest.raises(DataError, match="expected a devkit of at most 1,048,576 bytes, found more"):
        devkit.read_classes(tmp_path, DEMO)


def test_a_meta_that_is_huge_in_a_hole_is_refused(tmp_path: Path) -> None:
    info = tarfile.TarInfo("data/meta.mat")
    info.size = 20 << 30
    where = tmp_path / DEMO.devkit
    where.write_bytes(gzip.compress(info.tobuf(tarfile.GNU_FORMAT)))
    with pytest.raises(
        DataError, match=r"data/meta.mat: expected a devkit of at most .* found more"
    ):
        devkit.read_classes(tmp_path, DEMO)


def test_a_meta_is_tried_once_in_a_process_of_its_own(
    raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = tmp_path / DEMO.devkit
    where.write_bytes(gzip.decompress((raw / DEMO.devkit).read_bytes()))
    assert devkit.read_classes(tmp_path, DEMO) == devkit.read_classes(raw, DEMO)
    crash = "bytes on which its reader crashes or never ends"
    monkeypatch.setattr(guarded, "call", lambda function, content: (None, crash))
    assert devkit.read_classes(tmp_path, DEMO) == devkit.read_classes(raw, DEMO)
    devkit.read_apart.cache_clear()
    for folder in tmp_path, raw:
        with pytest.raises(DataError, match=f"synsets in meta.mat, found {crash}; download"):
            devkit.read_classes(folder, DEMO)
    devkit.read_apart.cache_clear()


def test_a_disk_that_fails_is_no_fault_of_the_devkit(
    raw: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(devkit: Path) -> bytes:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(devkit, "_unpacked", fail)
    with pytest.raises(OSError, match=r"Input/output error: '.*DEMO_devkit.tar.gz'"):
        devkit.read_classes(raw, DEMO)
