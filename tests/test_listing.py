"""The list of a split's images: the verdicts as columns, in the order of the shards."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from alexrep import keyed
from alexrep.prepare.image import Verdict
from alexrep.prepare.prepared import open_prepared
from alexrep.shards.listing import Images, list_images

MEASURE = """
import re, sys
from pathlib import Path
from types import SimpleNamespace
from alexrep.prepare.image import Verdict
from alexrep.shards.listing import list_images

def verdicts(unit):
    first = 1000 * int(unit.split("/")[1])
    fields = "ok", "", "0" * 64, "RGB", 500, 375, "0" * 64
    return [Verdict(f"n01440764_{first + k}.JPEG", 3, *fields, k, 9) for k in range(1000)]

def listed(num):
    units = [f"train/{k}" for k in range(num // 1000)]
    fake = SimpleNamespace(is_mixed=False, units=lambda split: units, verdicts=verdicts, tar=Path)
    return list_images(fake, "train", 1)

def peak():
    # getrusage would report the parent's peak, which is larger.
    return int(re.search(r"VmHWM:\\s*(\\d+)", Path("/proc/self/status").read_text())[1])

listed(2000)
before = peak()
kept = listed(int(sys.argv[1]))
print(peak() - before)
"""


def columns(images: Images) -> list[tuple[Any, ...]]:
    rows = zip(images.tar, images.offset, images.size, images.label, images.name, strict=True)
    return [(int(t), int(o), int(s), int(lab), bytes(name)) for t, o, s, lab, name in rows]


@pytest.fixture
def expected(data: Path) -> list[tuple[Any, ...]]:
    """Return the training images in the order of the units."""
    images = open_prepared(data)
    return [
        (number, verdict.offset, verdict.size, verdict.label, verdict.name.encode())
        for number, unit in enumerate(images.units("train"))
        for verdict in images.verdicts(unit)
    ]


def test_train_is_listed_in_the_seeds_order(data: Path, expected: list[tuple[Any, ...]]) -> None:
    listing = list_images(open_prepared(data), "train", seed=5)
    order = keyed.permutation(len(expected), 5)
    assert columns(listing.part(0, len(listing))) == [expected[index] for index in order]


def test_parts_are_the_whole(data: Path) -> None:
    listing = list_images(open_prepared(data), "train", seed=1)
    parts = [listing.part(start, min(start + 7, 18)) for start in range(0, 18, 7)]
    assert [len(part) for part in parts] == [7, 7, 4]
    joined = [row for part in parts for row in columns(part)]
    assert joined == columns(listing.part(0, 18))


def test_val_is_listed_in_the_order_of_its_units(data: Path) -> None:
    images = open_prepared(data)
    listing = list_images(images, "val", seed=1)
    names = [
        verdict.name.encode() for unit in images.units("val") for verdict in images.verdicts(unit)
    ]
    assert listing.part(0, len(listing)).name.tolist() == names


def test_names_of_all_parts_have_the_width_of_the_longest() -> None:
    fields: Any = ("ok", "", "", "RGB", 1, 1, "", 0, 2**31 + 5)
    verdicts = {"val/0": [Verdict("ab", 0, *fields)], "val/1": [Verdict("abcdef", 1, *fields)]}
    verdicts["val/2"] = []
    fake: Any = SimpleNamespace(
        is_mixed=False, units=lambda _: list(verdicts), verdicts=verdicts.get, tar=Path
    )
    listed = list_images(fake, "val", 1)
    assert listed.part(0, 1).name.dtype == np.dtype("S6") == listed.part(1, 2).name.dtype
    assert listed.part(0, 2).size.sum() == 2 * (2**31 + 5)


def test_places_beyond_four_gigabytes_are_kept() -> None:
    fields: Any = {"verdict": "ok", "why": "", "source_sha256": "", "size": 1}
    offsets = {"a": 9, "b": 2**40 + 1}
    verdicts = {"val/0": [Verdict(name, 0, offset=at, **fields) for name, at in offsets.items()]}
    fake: Any = SimpleNamespace(
        is_mixed=False, units=lambda _: list(verdicts), verdicts=verdicts.get, tar=Path
    )
    assert list_images(fake, "val", 1).part(0, 2).offset.tolist() == [9, 2**40 + 1]


def test_memory_is_at_most_64_bytes_an_image() -> None:
    kilobytes = []
    for num in (10_000, 200_000):
        command = [sys.executable, "-c", MEASURE, str(num)]
        kilobytes.append(int(subprocess.run(command, check=True, capture_output=True).stdout))
    assert 40 <= (kilobytes[1] - kilobytes[0]) * 1024 / 190_000 <= 64
