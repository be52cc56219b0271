"""Announced reads: the right bytes of the right shard, in as few pieces as possible."""

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from alexrep.feed.readahead import Readahead
from alexrep.shards.read import Split, open_split

Piece = tuple[str, int, int]


@pytest.fixture
def split(data: Path) -> Iterator[Split]:
    with closing(open_split(data, "train")) as opened:
        yield opened


@pytest.fixture
def announced(monkeypatch: pytest.MonkeyPatch) -> list[Piece]:
    """Return the pieces announced: shard, offset, bytes."""
    pieces: list[Piece] = []

    def note(descriptor: int, offset: int, size: int, advice: int) -> None:
        assert advice == os.POSIX_FADV_WILLNEED
        pieces.append((Path(os.readlink(f"/proc/self/fd/{descriptor}")).name, offset, size))

    monkeypatch.setattr(os, "posix_fadvise", note)
    return pieces


def announce(split: Split, indices: list[int]) -> None:
    with closing(Readahead(split)) as ahead:
        ahead.announce(np.array(indices, np.int64))


def test_an_image_is_announced_where_it_lies(split: Split, announced: list[Piece]) -> None:
    announce(split, [9])
    shard = split.shards[1]
    start, end = shard.offsets[1:3].tolist()
    assert announced == [(shard.path.name, shard.start + start, end - start)]


def test_the_pieces_hold_the_bytes_that_are_read(split: Split, announced: list[Piece]) -> None:
    announce(split, [17, 3, 11])
    contents = set()
    for name, offset, size in announced:
        content = (split.shards[0].path.parent / name).read_bytes()
        contents.add(content[offset : offset + size])
    assert contents == {split.read(index) for index in (3, 11, 17)}


def test_neighbours_are_one_piece_and_shards_are_apart(
    split: Split, announced: list[Piece]
) -> None:
    announce(split, [9, 5, 7, 6, 8])
    first, second = split.shards[:2]
    assert [(name, size) for name, _, size in announced] == [
        (first.path.name, first.offsets[8] - first.offsets[5]),
        (second.path.name, second.offsets[2] - second.offsets[0]),
    ]


def test_no_images_are_no_pieces(split: Split, announced: list[Piece]) -> None:
    announce(split, [])
    assert announced == []


def test_an_image_twice_is_one_piece(split: Split, announced: list[Piece]) -> None:
    announce(split, [4, 4])
    assert len(announced) == 1


def test_closing_closes_the_shards(split: Split) -> None:
    before = len(os.listdir("/proc/self/fd"))
    Readahead(split).close()
    assert len(os.listdir("/proc/self/fd")) == before
