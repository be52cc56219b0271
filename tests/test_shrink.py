"""`alexrep shrink` and `preprocess --select`: smaller sets of originals and of prepared images."""

import io
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from alexrep import files
from alexrep.prepare import shrink
from alexrep.prepare.prepared import Prepared, jpegs, open_prepared
from alexrep.stages import app

MakeRaw = Callable[..., Path]
Prepare = Callable[..., Path]

CAT, DOG, CRANE = "n00000020", "n00000030", "n00000040"


def run(*words: str | Path, code: int = 0) -> str:
    """Run a command and return what it printed."""
    result = CliRunner().invoke(app, [str(word) for word in words], prog_name="alexrep")
    assert result.exit_code == code, result.output
    return str(result.output)


def tree(folder: Path) -> dict[str, str]:
    """Return the digest of each file."""
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): files.sha256_file(path) for path in paths}


def images(prepared: Prepared, split: str) -> dict[str, str]:
    """Return the class of each image of a split, by its name."""
    synsets = prepared.classes.synsets
    return {
        verdict.name: synsets[verdict.label].wnid
        for unit in prepared.units(split)
        for verdict, _ in jpegs(prepared, unit)
    }


@pytest.fixture(scope="module")
def sound(make_raw: MakeRaw, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a tiny edition without odd images; read only."""
    return make_raw(tmp_path_factory.mktemp("sound") / "raw")


@pytest.fixture(scope="module")
def prepared(sound: Path, prepare: Prepare, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return its prepared images; read only."""
    return prepare(sound, tmp_path_factory.mktemp("prepared") / "data")


def test_it_makes_smaller_images_of_fewer_classes(prepared: Path, tmp_path: Path) -> None:
    out = tmp_path / "small"
    words = (prepared, out, "--select", f"{CAT},{CRANE}", "--images", "4", "--side", "32")
    assert "images" in run("shrink", *words)
    small = open_prepared(out)
    assert [synset.wnid for synset in small.classes.synsets] == [CAT, CRANE]
    assert Counter(images(small, "train").values()) == {CAT: 4, CRANE: 4}
    assert Counter(images(small, "val").values()) == {CAT: 3, CRANE: 2}
    _, jpeg = next(jpegs(small, small.units("train")[0]))
    assert Image.open(io.BytesIO(jpeg)).size == (32, 32)


def test_again_it_does_nothing_and_elsewhere_or_with_more_workers_it_makes_the_same_bytes(
    prepared: Path, tmp_path: Path
) -> None:
    words = ("--images", "3", "--val-fraction", "0.3", "--group-digits", "7", "--side", "16")
    made = []
    for name, workers in (("one", "1"), ("two", "2")):
        out = tmp_path / name
        run("shrink", prepared, out, *words, "--workers", workers)
        made.append(tree(out))
    assert made[0] == made[1]
    assert "nothing to do" in run("shrink", prepared, tmp_path / "one", *words)
    lost = next((tmp_path / "one").rglob("*.tar"))
    lost.unlink()
    assert "made anew" in run("shrink", prepared, tmp_path / "one", *words)
    assert tree(tmp_path / "one") == made[0]


def test_killed_it_goes_on_to_the_same_bytes(
    prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = (
        "shrink",
        prepared,
        tmp_path / "out",
        "--images",
        "3",
        "--side",
        "16",
        "--workers",
        "1",
    )

    def fail(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("alexrep.prepare.finish.write_manifest", fail)
        CliRunner().invoke(app, [str(word) for word in words], prog_name="alexrep")
    assert not (tmp_path / "out" / "images" / "manifest.json").exists()
    (tmp_path / "out" / "images" / "train" / f"{DOG}.jsonl").unlink()
    run(*words)
    run("shrink", prepared, tmp_path / "other", *words[3:])
    assert tree(tmp_path / "out") == tree(tmp_path / "other")


def test_originals_give_the_same_images_as_prepared_ones(
    sound: Path, prepared: Path, tmp_path: Path
) -> None:
    words = ("--images", "4", "--val-images", "2", "--side", "32")
    run("shrink", sound, tmp_path / "a", "--partial", *words)
    run("shrink", prepared, tmp_path / "b", *words)
    for split in ("train", "val", "test"):
        first, second = (images(open_prepared(tmp_path / name), split) for name in "ab")
        assert first == second
        assert len(first) == {"train": 12, "val": 6, "test": 4}[split]


def test_nothing_asked_but_a_side_keeps_all_classes_and_images(
    prepared: Path, tmp_path: Path
) -> None:
    run("shrink", prepared, tmp_path / "out", "--filter", "lanczos")
    small, whole = open_prepared(tmp_path / "out"), open_prepared(prepared)
    assert small.classes.digest() == whole.classes.digest()
    assert small.manifest.settings["filter"] == "lanczos"
    for split in ("train", "val", "test"):
        assert images(small, split) == images(whole, split)


def test_groups_of_a_file_are_the_classes(prepared: Path, tmp_path: Path) -> None:
    groups = tmp_path / "groups.toml"
    groups.write_text(f'[groups]\nbeasts = ["{CAT}", "{DOG}"]\n')
    out = tmp_path / "out"
    told = run("shrink", prepared, out, "--groups", groups, "--images", "10", "--json")
    summary = json.loads(told[told.index("{") :])
    assert summary["groups"] == {"beasts": [CAT, DOG]}
    assert summary["shortage"] == {"train": {CRANE: 6}}
    small = open_prepared(out)
    assert [(s.wnid, s.id, s.words) for s in small.classes.synsets] == [
        ("beasts", 1, "beasts"),
        (CRANE, 2, "crane"),
    ]
    again = tmp_path / "again"
    run("shrink", out, again, "--side", "16", "--images", "2")
    assert open_prepared(again).manifest.details["groups"] == {"beasts": [CAT, DOG]}
    assert open_prepared(again).manifest.details["edition"] == "groups of demo"


def test_the_tree_of_the_devkit_makes_groups(sound: Path, prepared: Path, tmp_path: Path) -> None:
    words = ("--side", "16", "--images", "2")
    run("shrink", sound, tmp_path / "a", "--partial", "--select", "n00000001", *words)
    run("shrink", prepared, tmp_path / "b", "--devkit", sound / "DEMO_devkit.tar.gz", *words)
    assert len(open_prepared(tmp_path / "a").classes) == 3
    refused = run("shrink", prepared, tmp_path / "c", "--group-nodes", "n00000001", code=1)
    assert "expected a devkit with the tree, found none; name its tar or folder with" in refused


def test_images_in_quarantine_are_left_out_and_patches_are_used(data: Path, tmp_path: Path) -> None:
    told = run("shrink", data, tmp_path / "out", "--images", "6", "--side", "16")
    assert "of the prepared images, 1 in quarantine cannot be taken" in told
    assert open_prepared(tmp_path / "out").manifest.counts["val images"] == 7


def test_patched_originals_are_drawn_as_others_are(raw: Path, tmp_path: Path) -> None:
    words = ("--partial", "--val-fraction", "0.5", "--side", "16")
    run("shrink", raw, tmp_path / "out", *words)
    small = open_prepared(tmp_path / "out")
    drawn = images(small, "train") | images(small, "val")
    assert len(drawn) == 18
    counts = small.manifest.counts
    assert counts.get("train patched", 0) + counts.get("val patched", 0) == 1


def test_preprocess_prepares_selected_classes_and_images(sound: Path, tmp_path: Path) -> None:
    listed = tmp_path / "list.txt"
    listed.write_text(f"{DOG} dog\n{CAT}\n")
    words = ("preprocess", sound, tmp_path / "data", "--partial", "--side", "32")
    run(*words, "--select", listed, "--images", "2")
    small = open_prepared(tmp_path / "data")
    assert Counter(images(small, "train").values()) == {CAT: 2, DOG: 2}
    assert [synset.id for synset in small.classes.synsets] == [3, 1]
    refused = run(*words, "--select", listed, "--images", "3", code=1)
    assert "settings.images = 3, found 2; ask for the same images and classes, or" in refused


def test_preprocess_of_whole_classes_needs_no_listing_and_counts_them(
    sound: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr("alexrep.ilsvrc.unit.train_members", fail)  # units.py has its own
    words = ("preprocess", sound, tmp_path / "data", "--select", "2", "--side", "32")
    assert "accept it with --partial" in run(*words, code=1)
    run(*words, "--partial", "--workers", "1")
    assert open_prepared(tmp_path / "data").manifest.counts["train images"] == 12


def test_class_folders_need_no_val_of_their_own_and_a_group_of_them_keeps_all_images(
    tmp_path: Path, encoded: Callable[..., bytes], picture: Callable[..., object]
) -> None:
    for name in ("cat", "dog", "fox"):
        (tmp_path / "raw" / "train" / name).mkdir(parents=True)
        for number in range(4):
            image = encoded(picture(20, 24, blue=number))
            (tmp_path / "raw" / "train" / name / f"{number}.jpg").write_bytes(image)
    advice = "found no such folder; put it there, or take val from train: alexrep shrink --val-fr"
    assert advice in run("preprocess", tmp_path / "raw", tmp_path / "x", code=1)
    run("shrink", tmp_path / "raw", tmp_path / "data", "--val-fraction", "0.25", "--side", "16")
    small = open_prepared(tmp_path / "data")
    assert Counter(images(small, "val").values()) == {"cat": 1, "dog": 1, "fox": 1}
    assert small.manifest.counts["train images"] == 9
    groups = tmp_path / "groups.toml"
    groups.write_text('[groups]\npets = ["cat", "dog"]\n')
    run("shrink", tmp_path / "data", tmp_path / "joined", "--groups", groups, "--side", "8")
    run("extract", tmp_path / "joined", tmp_path / "folders")
    names = sorted(path.name for path in (tmp_path / "folders" / "train" / "pets").iterdir())
    assert [name.partition("_")[0] for name in names] == ["cat"] * 3 + ["dog"] * 3


def test_it_goes_to_tiny_imagenets_layout_and_back_with_the_same_labels(
    prepared: Path, tmp_path: Path
) -> None:
    small, layout, data = tmp_path / "small", tmp_path / "layout", tmp_path / "data"
    groups = tmp_path / "groups.toml"
    groups.write_text(f'[groups]\nzoo = ["{DOG}", "{CRANE}"]\n')
    run("shrink", prepared, small, "--groups", groups, "--side", "32")
    run("extract", small, layout, "--layout", "tiny")
    assert (layout / "wnids.txt").read_text() == f"{CAT}\nzoo\n"
    assert (layout / "words.txt").read_text() == f"{CAT}\tcat, feline\nzoo\tzoo\n"
    assert sorted(path.name for path in (layout / "train" / "zoo" / "images").iterdir()) == sorted(
        f"zoo_{number}.JPEG" for number in range(12)
    )
    assert (layout / "test" / "images" / "test_3.JPEG").exists()
    told = run("preprocess", layout, data, "--partial", "--side", "32")
    assert "images" in told
    before, after = open_prepared(small), open_prepared(data)
    assert after.manifest.details["edition"] == "tiny"
    assert [s.wnid for s in after.classes.synsets] == [s.wnid for s in before.classes.synsets]
    for split in ("train", "val"):
        assert labelled(after, split) == labelled(before, split)
    made = tree(layout)
    assert "nothing to do" in run("extract", small, layout, "--layout", "tiny")
    (layout / "words.txt").write_text("")
    (layout / "val" / "images" / "val_1.JPEG").unlink()
    assert "2 missing or of another size" in run("extract", small, layout, "--layout", "tiny")
    assert tree(layout) == made
    assert "expected settings.layout" in run("extract", small, layout, code=1)


def labelled(prepared: Prepared, split: str) -> Counter[tuple[int, bytes]]:
    """Count the labels and bytes of the images of a split."""
    return Counter(
        (verdict.label, jpeg)
        for unit in prepared.units(split)
        for verdict, jpeg in jpegs(prepared, unit)
    )


def test_the_layout_of_tiny_imagenet_may_have_more_images_than_it(
    prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("alexrep.ilsvrc.layouts.tiny.NUM_TRAIN", 5)
    run("extract", prepared, tmp_path / "layout", "--layout", "tiny")
    run("preprocess", tmp_path / "layout", tmp_path / "data", "--partial", "--side", "32")
    assert open_prepared(tmp_path / "data").manifest.counts["train images"] == 18


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("--select", "n00000031"), 1, "expected a class of the data, found 'n00000031'; did you"),
        (
            ("--filter", "best"),
            2,
            "--filter: expected box or bilinear or hamming or bicubic or lan",
        ),
        (
            ("--side", "100"),
            2,
            "--side: expected at most 72, as prepared, found 100; shrink the or",
        ),
        (("--val-fraction", "0.01"), 1, "--val-fraction: expected images of every class in train"),
    ],
)
def test_a_wrong_request_is_one_line(
    prepared: Path, tmp_path: Path, words: tuple[str, ...], code: int, message: str
) -> None:
    told = run("shrink", prepared, tmp_path / "out", *words, code=code)
    assert message in told
    assert told.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_nothing_is_written_where_the_images_lie(sound: Path, prepared: Path) -> None:
    for given, out in ((prepared, prepared), (prepared, prepared / "images" / "x"), (sound, sound)):
        refused = run("shrink", given, out, code=2)
        assert "OUT: expected a folder apart from" in refused
    refused = run("preprocess", sound, sound / "train" / "x", code=2)
    assert "DATA: expected a folder apart from" in refused


def test_damaged_prepared_images_are_named(prepare: Prepare, sound: Path, tmp_path: Path) -> None:
    data = prepare(sound, tmp_path / "data")
    images, verdict = open_prepared(data), open_prepared(data).verdicts(f"train/{CAT}")[0]
    tar = images.tar(f"train/{CAT}")
    content = bytearray(tar.read_bytes())
    content[verdict.offset + verdict.size // 2] ^= 0xFF
    tar.write_bytes(content)
    words = ("shrink", data, tmp_path / "out", "--workers", "1")
    assert f"{verdict.name}: expected crc32 {verdict.crc32:08x}" in run(*words, code=1)
    tar.unlink()
    assert f"{CAT}.tar: expected prepared images, found no file" in run(*words, code=1)


def test_an_unfinished_preparation_is_named(prepared: Path, tmp_path: Path) -> None:
    begun = tmp_path / "begun" / "images"
    begun.mkdir(parents=True)
    (begun / "plan.json").write_bytes((prepared / "images" / "plan.json").read_bytes())
    assert shrink.is_prepared(tmp_path / "begun")
    told = run("shrink", tmp_path / "begun", tmp_path / "out", code=1)
    assert "expected a finished preprocess, found no manifest" in told
