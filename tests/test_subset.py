"""A subset of classes: their images, their own table, and nothing else changed."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from alexrep.errors import ConfigError
from alexrep.shards.read import Split, open_split
from alexrep.shards.subset import indices, limited

TWO = ("n00000040", "n00000020")


@pytest.fixture(params=["train", "val"])
def split(data: Path, request: pytest.FixtureRequest) -> Iterator[Split]:
    with closing(open_split(data, request.param)) as split:
        yield split


def test_without_wnids_it_is_the_split_itself(split: Split) -> None:
    assert limited(split, ()) is split
    assert indices(split).tolist() == list(range(len(split)))


def test_the_images_are_those_of_the_classes_with_their_indices(split: Split) -> None:
    subset = limited(split, TWO)
    assert indices(subset).tolist() == np.flatnonzero(split.labels != 1).tolist()
    assert [subset.read(int(index)) for index in indices(subset)] == [
        split.read(int(index)) for index in indices(subset)
    ]


def test_labels_follow_a_table_of_their_own(split: Split) -> None:
    subset = limited(split, TWO)
    assert [(synset.index, synset.wnid) for synset in subset.classes.synsets] == [
        (0, "n00000020"),
        (1, "n00000040"),
    ]
    expected = split.labels[split.labels != 1] // 2
    assert subset.labels[indices(subset)].tolist() == expected.tolist()
    assert subset.num_quarantined == 0


def test_the_split_itself_stays(split: Split) -> None:
    before = split.labels.copy()
    limited(split, TWO[:1])
    assert np.array_equal(split.labels, before)
    assert len(split.classes) == 3


def test_an_unknown_wnid_is_named(split: Split) -> None:
    wanted = r"limits\.classes: expected wnids of the 3 classes of this data, found n0000009;"
    with pytest.raises(ConfigError, match=wanted):
        limited(split, ("n00000020", "n0000009"))


def test_classes_without_images_are_refused(split: Split) -> None:
    split.labels[split.labels == 2] = 0
    with pytest.raises(ConfigError, match=r"limits\.classes: expected (train|val) images, found"):
        limited(split, ("n00000040",))
