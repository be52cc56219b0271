"""Smaller sets of a source: images of each class, equal shares, val from train, shortage."""

from collections import Counter
from pathlib import Path

import pytest

from alexrep.errors import AlexrepError
from alexrep.ilsvrc import selection
from alexrep.ilsvrc.classes import of_leaves
from alexrep.ilsvrc.editions import EDITIONS
from alexrep.ilsvrc.groups import Group
from alexrep.ilsvrc.member import Member
from alexrep.ilsvrc.selection import Amounts
from alexrep.ilsvrc.unit import Source, Unit

NUMBERS = {"n00000001": 40, "n00000002": 40, "n00000003": 4, "n00000004": 20}
"""Training images of each synset; val has 5 of each, and test 2 and one without a label."""
WNIDS = list(NUMBERS)
SINGLE = [Group(wnid, f"words of {wnid}", (wnid,)) for wnid in WNIDS]
JOINED = [Group("big", "big", tuple(WNIDS[:3])), SINGLE[3]]


def members(names: list[str]) -> tuple[Member, ...]:
    return tuple(Member(name, 0, 1, 0) for name in names)


@pytest.fixture
def whole() -> Source:
    """Return a source of four synsets; its files are not there."""
    table = of_leaves(
        [
            (wnid, 9 - line, f"words of {wnid}", num)
            for line, (wnid, num) in enumerate(NUMBERS.items())
        ]
    )
    archive = Path("train.tar")
    units = [
        Unit(f"train/{wnid}", archive, members([f"{wnid}_{n}" for n in range(num)]), (label,))
        for label, (wnid, num) in enumerate(NUMBERS.items())
    ]
    for split, num in (("val", 5), ("test", 2)):
        labels = [label for _ in range(num) for label in range(4)] + [-1] * (split == "test")
        names = [f"{split}_{number:03d}" for number in range(len(labels))]
        units.append(Unit(f"{split}/00000", archive, members(names), tuple(labels)))
    return Source(EDITIONS["demo"], table, tuple(units), {"train.tar": "a digest"}, ())


def names(source: Source, split: str) -> Counter[str]:
    """Return the number of images by their synset's name and new class."""
    classes = source.classes.synsets
    return Counter(
        f"{name.split('_')[0]} in {classes[label].wnid}"
        for unit in source.units
        if unit.split == split
        for name, label in unit.label_of.items()
    )


def images(source: Source, split: str) -> set[str]:
    return {n for unit in source.units if unit.split == split for n in unit.label_of}


def test_chosen_classes_keep_their_ids_words_and_images(whole: Source) -> None:
    small = selection.select(whole, [SINGLE[1], SINGLE[3]], Amounts())
    assert [(s.index, s.wnid, s.id, s.num_train_images) for s in small.classes.synsets] == [
        (0, "n00000002", 8, 40),
        (1, "n00000004", 6, 20),
    ]
    assert [unit.name for unit in small.units] == [
        *("train/n00000002", "train/n00000004", "val/00000", "test/00000")
    ]
    assert names(small, "val") == {"val in n00000002": 5, "val in n00000004": 5}
    assert small.edition.num_images == {"train": 60, "val": 10, "test": 4}
    assert small.remarks == ("test: 1 images without a label are left out",)


def test_images_of_a_group_are_equal_shares_of_its_synsets(whole: Source) -> None:
    small = selection.select(whole, JOINED, Amounts(images=20))
    assert names(small, "train") == {
        "n00000001 in big": 8,
        "n00000002 in big": 8,
        "n00000003 in big": 4,
        "n00000004 in n00000004": 20,
    }
    assert small.details["groups"] == {"big": WNIDS[:3]}
    assert small.edition.name == "groups of demo"
    assert [unit.name for unit in small.units][:2] == ["train/big/n00000001", "train/big/n00000002"]


def test_a_smaller_number_is_among_a_larger_one_and_another_seed_is_another_draw(
    whole: Source,
) -> None:
    few, more, other = (
        images(selection.select(whole, JOINED, amounts), "train")
        for amounts in (Amounts(5), Amounts(15), Amounts(5, seed=2))
    )
    assert few < more
    assert few != other


def test_a_shortage_is_said_and_recorded(whole: Source) -> None:
    small = selection.select(whole, SINGLE, Amounts(images=30, val_images=7))
    assert small.details["shortage"] == {
        "train": {"n00000003": 4, "n00000004": 20},
        "val": dict.fromkeys(WNIDS, 5),
        "test": dict.fromkeys(WNIDS, 2),
    }
    wanted = "train: 2 of the classes have fewer than 30 images, all are taken: n00000003 4, n000"
    assert small.remarks[0].startswith(wanted)


def test_val_by_fraction_is_stratified_and_apart_from_train(whole: Source) -> None:
    small = selection.select(whole, JOINED, Amounts(val_fraction=0.25))
    assert names(small, "val") == {
        "n00000001 in big": 10,
        "n00000002 in big": 10,
        "n00000003 in big": 1,
        "n00000004 in n00000004": 5,
    }
    assert not images(small, "train") & images(small, "val")
    assert small.edition.num_images == {"train": 104 - 26, "val": 26, "test": 8}
    assert {unit.name for unit in small.units if unit.split == "val"} == {
        *("val/big/n00000001", "val/big/n00000002", "val/big/n00000003", "val/n00000004")
    }


def test_val_images_are_equal_shares_too(whole: Source) -> None:
    small = selection.select(whole, JOINED, Amounts(val_images=6))
    assert names(small, "val") == {"val in big": 6, "val in n00000004": 5}
    assert small.settings == {"val images": 6}


def test_the_class_table_does_not_depend_on_how_many_images_are_drawn(whole: Source) -> None:
    tables = [selection.select(whole, SINGLE, Amounts(num)).classes for num in (3, 4)]
    assert tables[0].digest() == tables[1].digest()


@pytest.mark.parametrize(
    ("amounts", "message"),
    [
        (
            Amounts(val_fraction=0.1),
            "expected images of every class in train and in val, found 0 of",
        ),
        (Amounts(1, val_fraction=0.5), "found 1 of the 1 of n00000001 for val; take more images"),
    ],
)
def test_val_that_leaves_a_class_without_images_is_one_line(
    whole: Source, amounts: Amounts, message: str
) -> None:
    with pytest.raises(AlexrepError, match=message):
        selection.select(whole, SINGLE, amounts)


def test_wrong_amounts_are_one_line(whole: Source) -> None:
    for share in (0.0, 1.0, float("nan")):
        with pytest.raises(AlexrepError, match="--val-fraction: expected a share between 0 and 1"):
            Amounts(val_fraction=share)
    with pytest.raises(AlexrepError, match="expected one size of val, found --val-images too"):
        Amounts(val_images=3, val_fraction=0.1)
    with pytest.raises(
        AlexrepError, match="n00000009: expected training images, found none; leave"
    ):
        selection.select(whole, [*SINGLE, Group("n00000009", "", ())], Amounts())
