"""The prepared set as CSV and JSON: every image once, proper quoting, row by row."""

import csv
import io
import json
import os
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from alexrep.prepare import tables
from alexrep.prepare.prepared import open_prepared
from alexrep.prepare.tables import TableRow
from alexrep.stages import app

MakeRaw = Callable[..., Path]
Prepare = Callable[..., Path]

HEADER = "name,split,label,wnid,id,words,verdict,why,width,height,sha256"


def alexrep(*words: str | Path) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words], prog_name="alexrep")


def printed(*words: str | Path) -> list[dict[str, str]]:
    """Run a command and read the CSV that it prints."""
    result = alexrep(*words)
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    return list(csv.DictReader(io.StringIO(result.stdout)))


def document(*words: str | Path) -> list[dict[str, str | int | None]]:
    rows: list[dict[str, str | int | None]] = json.loads(alexrep(*words, "--json").stdout)
    return rows


def text(rows: Iterator[TableRow] | list[TableRow], columns: tuple[str, ...]) -> str:
    out = io.StringIO()
    tables.write_csv(columns, rows, out)
    return out.getvalue()


def test_classes_are_printed_in_the_order_of_their_labels(data: Path) -> None:
    assert alexrep("classes", data).stdout == (
        "label,wnid,id,words,num_train_images\n"
        '0,n00000020,3,"cat, feline",6\n'
        "1,n00000030,1,dog,6\n"
        "2,n00000040,2,crane,6\n"
    )


def test_classes_are_one_json_document(data: Path) -> None:
    rows = document("classes", data)
    assert rows[0] == {
        "label": 0,
        "wnid": "n00000020",
        "id": 3,
        "words": "cat, feline",
        "num_train_images": 6,
    }
    assert [row["label"] for row in rows] == [0, 1, 2]


def test_every_image_is_listed_once_in_order(data: Path) -> None:
    rows = printed("images", data)
    assert alexrep("images", data).stdout.startswith(f"{HEADER}\n")
    assert [row["split"] for row in rows] == ["train"] * 18 + ["val"] * 8 + ["test"] * 4
    assert len({(row["split"], row["name"]) for row in rows}) == 30
    assert [row["name"] for row in rows[18:26]] == [f"DEMO_val_{k:08d}.JPEG" for k in range(1, 9)]


def test_a_row_tells_class_verdict_size_and_digest(data: Path) -> None:
    rows = {row["name"]: row for row in printed("images", data)}
    png = rows["n00000030_5.JPEG"]
    verdicts = {
        verdict.name: verdict for verdict in open_prepared(data).verdicts("train/n00000030")
    }
    assert png.pop("sha256") == verdicts["n00000030_5.JPEG"].sha256
    assert list(png.values()) == (
        ["n00000030_5.JPEG", "train", "1", "n00000030", "1", "dog", "repaired", "PNG", "120", "90"]
    )
    assert rows["n00000040_19.JPEG"]["verdict"] == "patched"
    assert rows["n00000020_5.JPEG"]["words"] == "cat, feline"


def test_quarantined_images_are_listed_without_size_and_digest(data: Path) -> None:
    (row,) = (row for row in printed("images", data) if row["verdict"] == "quarantined")
    assert (row["name"], row["label"], row["wnid"]) == ("DEMO_val_00000005.JPEG", "1", "n00000030")
    assert "truncated" in row["why"]
    assert (row["width"], row["height"], row["sha256"]) == ("", "", "")
    (image,) = (image for image in document("images", data) if image["verdict"] == "quarantined")
    assert (image["width"], image["height"], image["sha256"]) == (None, None, None)


@pytest.mark.parametrize(("split", "num"), [("train", 18), ("val", 8), ("test", 4)])
def test_one_split_can_be_asked_for(data: Path, split: str, num: int) -> None:
    rows = printed("images", data, "--split", split)
    assert [row["split"] for row in rows] == [split] * num


def test_json_tells_the_same_as_csv(data: Path) -> None:
    rows = [
        {key: "" if value is None else str(value) for key, value in row.items()}
        for row in document("images", data)
    ]
    assert rows == printed("images", data)


def test_an_image_without_a_label_is_of_no_class(
    make_raw: MakeRaw, prepare: Prepare, tmp_path: Path
) -> None:
    data = prepare(make_raw(tmp_path / "raw", test_labels=False), tmp_path)
    for row in printed("images", data, "--split", "test"):
        assert (row["label"], row["wnid"], row["id"], row["words"]) == ("-1", "", "", "")
    assert document("images", data, "--split", "test")[0]["wnid"] is None


def test_a_split_that_was_not_prepared_is_one_line(
    make_raw: MakeRaw, prepare: Prepare, tmp_path: Path
) -> None:
    raw = make_raw(tmp_path / "raw")
    (raw / "DEMO_img_test.tar").unlink()
    result = alexrep("images", prepare(raw, tmp_path), "--split", "test")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "expected test images, found train and val only; choose one" in result.stderr


def test_an_unknown_split_is_one_line(data: Path) -> None:
    result = alexrep("images", data, "--split", "valid")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "--split: expected train or val or test, found 'valid'; choose one" in result.stderr


@pytest.mark.parametrize("stage", ["classes", "images"])
def test_before_preprocess_it_is_named(tmp_path: Path, stage: str) -> None:
    result = alexrep(stage, tmp_path)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "found no manifest; run alexrep preprocess first" in result.stderr


@pytest.mark.parametrize("value", ["a,b", 'say "x"', "two\nlines", " blank ", "\u00e9\u4e16", "=1"])
def test_any_text_comes_back_from_the_csv(value: str) -> None:
    shown = text([{"words": value, "why": None}], ("words", "why"))
    assert list(csv.DictReader(io.StringIO(shown, newline=""))) == [{"words": value, "why": ""}]


def test_no_rows_are_a_header_or_an_empty_list() -> None:
    out = io.StringIO()
    tables.write_json([], out)
    assert json.loads(out.getvalue()) == []
    assert text([], ("name", "split")) == "name,split\n"


@pytest.mark.parametrize("form", ["csv", "json"])
def test_rows_are_written_as_they_come(form: str) -> None:
    rows: Iterator[TableRow] = ({"name": "x" * 100, "number": number} for number in range(20_000))
    tracemalloc.start()
    with Path(os.devnull).open("w") as out:
        if form == "csv":
            tables.write_csv(("name", "number"), rows, out)
        else:
            tables.write_json(rows, out)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 200_000


@pytest.mark.parametrize("words", [("images",), ("images", "--json"), ("classes",)])
def test_a_reader_that_has_gone_is_no_error(data: Path, words: tuple[str, ...]) -> None:
    command = [sys.executable, "-m", "alexrep.stages", words[0], str(data), *words[1:]]
    read, write = os.pipe()
    os.close(read)
    result = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, check=False)
    os.close(write)
    assert result.stderr == b""
