"""The shipped words of the 1,000 synsets, shown of class folders that are named by wnids."""

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
from typer.testing import CliRunner

from alexrep.evaluation import text
from alexrep.evaluation.confusion import ClassErrors
from alexrep.ilsvrc import classes, synsets
from alexrep.runs import contents
from alexrep.stages import app


def bare(*names: str) -> list[tuple[str, int, str, int]]:
    """Return leaves as class folders give them: the name for the words."""
    return [(name, index + 1, name, 0) for index, name in enumerate(names)]


def test_there_are_a_thousand_in_the_order_of_their_wnids() -> None:
    words = synsets.words_of_wnid()
    assert len(words) == 1000
    assert list(words) == sorted(words)
    assert all(re.fullmatch(r"n\d{8}", wnid) for wnid in words)
    assert all(text == text.strip() and text for text in words.values())
    assert words["n01440764"] == "tench, Tinca tinca"
    assert words["n15075141"] == "toilet tissue, toilet paper, bathroom tissue"


def test_they_are_the_devkits(real_data: Path) -> None:
    lines = (real_data / "devkits/ilsvrc2012/map_clsloc.txt").read_text().splitlines()
    names = {line.split()[0]: line.split()[2] for line in lines}
    words = synsets.words_of_wnid()
    firsts = {wnid: text.split(", ")[0].replace(" ", "_") for wnid, text in words.items()}
    assert firsts.keys() == names.keys()
    # There equal names are told apart, as in maillot_1.
    assert [wnid for wnid in names if not names[wnid].startswith(firsts[wnid])] == []


def test_a_folder_named_by_a_wnid_gets_its_words_and_another_keeps_its_name() -> None:
    table = classes.of_leaves(bare("n01440764", "n99999999", "n01", "tench"))
    assert table.short_names() == ["n01", "tench", "n99999999", "tench"]
    assert [synset.shown_words for synset in table.synsets][1] == "tench, Tinca tinca"


def test_words_of_the_data_come_before_the_shipped_ones() -> None:
    assert classes.of_leaves([("n01440764", 1, "my fish", 5)]).short_names() == ["my fish"]


def test_what_is_stored_stays_the_name_of_the_folder() -> None:
    table = classes.of_leaves(bare("n01440764", "n02102040"))
    table.short_names()
    assert [row["words"] for row in table.rows()] == ["n01440764", "n02102040"]


def test_classes_and_images_of_such_folders_are_listed_with_words(
    tmp_path: Path, picture: Callable[..., object], encoded: Callable[..., bytes]
) -> None:
    for number, wnid in enumerate(("n01440764", "n02102040")):
        for split in ("train", "val"):
            image = tmp_path / "raw" / split / wnid / "0.jpg"
            image.parent.mkdir(parents=True)
            image.write_bytes(encoded(picture(72, 72, blue=100 * number)))
    words = ["preprocess", tmp_path / "raw", tmp_path / "data", "--side", "72", "--workers", "1"]
    assert printed(*words)
    rows = list(csv.DictReader(printed("classes", tmp_path / "data").splitlines()))
    assert [row["words"] for row in rows] == [
        "tench, Tinca tinca",
        "English springer, English springer spaniel",
    ]
    listed = json.loads(printed("images", tmp_path / "data", "--split", "val", "--json"))
    assert listed[0]["words"] == "tench, Tinca tinca"
    stored = json.loads((tmp_path / "data/images/classes.json").read_text())
    assert [row["words"] for row in stored] == ["n01440764", "n02102040"]


def test_pictures_of_a_run_name_its_classes_so(tmp_path: Path) -> None:
    table = classes.of_leaves(bare("n01440764", "n02102040"))
    (tmp_path / "classes.json").write_text(json.dumps(table.rows()))
    assert contents.read_classes(tmp_path) == ["tench", "English springer"]


def test_eval_lists_the_errors_of_classes_by_wnid_and_words() -> None:
    table = classes.of_leaves(bare("n01440764", "dog"))
    errors = ClassErrors(np.array([4, 2]), np.array([0.25, 0.5]), np.array([0.0, 0.0]))
    lines = text.class_table(errors, [], table)
    assert [line.split("  ")[0].strip() for line in lines] == ["class", "n01440764 tench", "dog"]


def printed(*words: object) -> str:
    result = CliRunner().invoke(app, [str(word) for word in words], prog_name="alexrep")
    assert result.exit_code == 0, result.output
    return result.stdout
