"""The class table: order of indices, conversions, JSON round trip."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alexrep import files
from alexrep.errors import DataError
from alexrep.ilsvrc import classes

LEAVES = [("n02", 1, "crane", 5), ("n03", 2, "crane", 6), ("n01", 3, "kit fox, Vulpes macrotis", 7)]


def test_the_index_is_the_rank_of_the_wnid() -> None:
    table = classes.of_leaves(LEAVES)
    assert [(synset.index, synset.wnid, synset.id) for synset in table.synsets] == [
        (0, "n01", 3),
        (1, "n02", 1),
        (2, "n03", 2),
    ]
    assert len(table) == 3
    assert table.index_of_wnid == {"n01": 0, "n02": 1, "n03": 2}
    assert table.index_of_id == {3: 0, 1: 1, 2: 2}
    assert [synset.num_train_images for synset in table.synsets] == [7, 5, 6]


@given(st.permutations(LEAVES))
def test_the_order_of_the_leaves_does_not_matter(leaves: list[tuple[str, int, str, int]]) -> None:
    assert classes.of_leaves(leaves) == classes.of_leaves(LEAVES)


def test_words_may_occur_twice() -> None:
    assert classes.of_leaves(LEAVES).short_names() == ["kit fox", "crane", "crane"]


def test_a_wnid_that_occurs_twice_is_refused() -> None:
    with pytest.raises(
        DataError, match=r"meta\.mat: expected each wnid once, found n01; download the"
    ):
        classes.of_leaves([*LEAVES, ("n01", 4, "dog", 1)])


def test_an_id_that_occurs_twice_is_refused() -> None:
    with pytest.raises(DataError, match=r"meta\.mat: expected each id once, found 2"):
        classes.of_leaves([*LEAVES, ("n04", 2, "dog", 1)])


def test_the_table_reads_back_equal(tmp_path: Path) -> None:
    table = classes.of_leaves(LEAVES)
    files.write_json(tmp_path / "classes.json", table.rows())
    assert classes.read(tmp_path / "classes.json") == table
    assert classes.of_rows(table.rows(), "here") == table


def test_the_digest_is_that_of_the_file_and_names_the_content(tmp_path: Path) -> None:
    table, other = classes.of_leaves(LEAVES), classes.of_leaves(LEAVES[:2])
    files.write_json(tmp_path / "classes.json", table.rows())
    assert table.digest() == files.sha256_file(tmp_path / "classes.json")
    assert table.digest() != other.digest()


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff", b"5", b"null", b"{}", b"[5]", b'[{"wnid": "n01"}]', b'[{"index": 0, "x": 1}]'],
)
def test_what_is_no_table_is_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "classes.json").write_bytes(content)
    with pytest.raises(DataError, match=r"classes\.json: expected a class table, found .*again"):
        classes.read(tmp_path / "classes.json")


@pytest.mark.parametrize(
    ("field", "value"), [("index", 1), ("index", "0"), ("wnid", 5), ("id", None)]
)
def test_a_table_of_wrong_values_is_refused(tmp_path: Path, field: str, value: object) -> None:
    rows = classes.of_leaves(LEAVES).rows()
    (tmp_path / "classes.json").write_text(json.dumps([rows[0] | {field: value}, *rows[1:]]))
    with pytest.raises(DataError, match=r"classes\.json: expected a class table, found .*again"):
        classes.read(tmp_path / "classes.json")


def test_a_missing_table_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"none\.json: expected a class table, found .*No such file"
    ):
        classes.read(tmp_path / "none.json")


@pytest.mark.parametrize("wnid", ["../../escaped", "a/b", "..", ".", "", "/etc", "a\0b"])
def test_a_wnid_that_leads_out_of_its_folder_is_refused(wnid: str) -> None:
    with pytest.raises(DataError, match=r"meta\.mat: expected wnids that can name a folder, found"):
        classes.of_leaves([*LEAVES, (wnid, 9, "dog", 1)])
    rows = classes.of_leaves(LEAVES).rows()
    rows[0]["wnid"] = wnid
    with pytest.raises(DataError, match="here: expected a class table, found other values"):
        classes.of_rows(rows, "here")
