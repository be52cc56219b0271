"""Batches read ahead: the right pixels in the right order, whoever decodes them."""

import io
import re
import shutil
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import simplejpeg
import torch
from numpy.typing import NDArray
from PIL import Image

from alexrep.errors import DataError
from alexrep.feed.batches import AHEAD, ANNOUNCED, Batch, Reader
from alexrep.ilsvrc.classes import ClassTable
from alexrep.shards.read import Shard, Split, open_split

SIDE, NUM = 16, 23
MakeSplit = Callable[[list[bytes]], Split]


def jpeg(seed: int, height: int = SIDE, width: int = SIDE) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    content: bytes = simplejpeg.encode_jpeg(pixels, 90, "RGB", "420")
    return content


@pytest.fixture
def make_split(tmp_path: Path) -> Iterator[MakeSplit]:
    opened: list[Split] = []

    def make(contents: list[bytes]) -> Split:
        path = tmp_path / f"{len(opened)}.h5"
        path.write_bytes(b"header" + b"".join(contents))
        shard = Shard(
            path=path,
            split="train",
            side=SIDE,
            encoding="jpeg",
            classes="",
            start=6,
            offsets=np.cumsum([0, *map(len, contents)]),
            labels=np.arange(len(contents), dtype=np.int32),
            names=np.array([f"n0_{number}.JPEG" for number in range(len(contents))], np.bytes_),
            crc32=np.array([zlib.crc32(content) for content in contents], np.uint32),
        )
        opened.append(Split([shard], 0, ClassTable(())))
        return opened[-1]

    yield make
    for split in opened:
        split.close()


@pytest.fixture
def contents() -> list[bytes]:
    return [jpeg(seed) for seed in range(NUM)]


@pytest.fixture
def split(make_split: MakeSplit, contents: list[bytes]) -> Split:
    return make_split(contents)


def plan(sizes: int) -> list[NDArray[np.int64]]:
    indices = np.random.default_rng(0).permutation(NUM)
    return [indices[start : start + sizes] for start in range(0, NUM, sizes)]


def read_all(split: Split, batches: list[NDArray[np.int64]], threads: int) -> list[Batch]:
    with Reader(split, threads) as reader:
        return list(reader.read(batches))


def decoders() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("decode")]


def test_decoded_images_are_pillows_bit_for_bit(split: Split, contents: list[bytes]) -> None:
    (batch,) = read_all(split, [np.arange(NUM)], 2)
    for image, content in zip(batch.images, contents, strict=True):
        assert np.array_equal(image, np.asarray(Image.open(io.BytesIO(content))))


@pytest.mark.parametrize("threads", [1, 2, 5, 40])
def test_the_order_is_kept_with_any_number_of_threads(split: Split, threads: int) -> None:
    (whole,) = read_all(split, [np.arange(NUM)], 1)
    planned = plan(4)
    images = read_all(split, planned, threads)
    assert len(images) == len(planned) > AHEAD
    for batch, indices in zip(images, planned, strict=True):
        assert np.array_equal(batch.indices, indices)
        assert np.array_equal(batch.labels, indices)
        assert np.array_equal(batch.images, whole.images[indices])


def test_an_image_may_come_twice_in_a_batch(split: Split) -> None:
    (batch,) = read_all(split, [np.array([3, 3])], 2)
    assert np.array_equal(batch.images[0], batch.images[1])


def test_a_batch_in_use_is_not_overwritten_by_the_next(split: Split) -> None:
    with Reader(split, 2) as reader:
        batches = reader.read(plan(2))
        first = next(batches)
        before = first.images.copy()
        list(batches)
    assert np.array_equal(first.images, before)


@pytest.mark.parametrize("hold", ["images", "image", "row", "tensor"])
def test_no_memory_is_used_again_while_anything_refers_to_it(split: Split, hold: str) -> None:
    keep: Any = {
        "images": lambda images: images,
        "image": lambda images: images[1],
        "row": lambda images: images[1:][0][3],
        "tensor": lambda images: torch.from_numpy(images).permute(0, 3, 1, 2)[1:],
    }[hold]
    with Reader(split, 2) as reader:
        kept = [keep(batch.images) for batch in reader.read((plan(2)[:-1]) * 3)]
    fresh = [keep(batch.images) for batch in read_all(split, plan(2)[:-1] * 3, 1)]
    for image, other in zip(kept, fresh, strict=True):
        assert np.array_equal(image, other)


def test_memory_is_used_again_when_nothing_refers_to_it(split: Split) -> None:
    indices = [np.arange(3)] * 40
    with Reader(split, 2) as reader:
        addresses = {batch.images.ctypes.data for batch in reader.read(indices)}
    assert len(addresses) <= AHEAD + 2


def test_a_smaller_batch_fits_into_used_memory(split: Split) -> None:
    indices = [np.arange(5)] * 8 + [np.arange(3)] * 8
    with Reader(split, 1) as reader:
        for batch in reader.read(indices):
            whole = read_all(split, [batch.indices], 1)[0]
            assert np.array_equal(batch.images, whole.images)


def test_only_a_few_batches_are_read_ahead(split: Split) -> None:
    taken = []

    def batches() -> Iterator[NDArray[np.int64]]:
        for number in range(NUM):
            taken.append(number)
            yield np.array([number])

    with Reader(split, 2) as reader:
        next(reader.read(batches()))
    assert len(taken) == AHEAD + ANNOUNCED + 1


def test_nothing_to_read_is_nothing(split: Split) -> None:
    assert read_all(split, [], 2) == []


@pytest.mark.parametrize(
    "content",
    [
        b"no image",
        jpeg(1)[: len(jpeg(1)) * 3 // 4],
        jpeg(1, SIDE + 8, SIDE + 8),
        jpeg(1, SIDE - 8, SIDE - 8),
        jpeg(1, SIDE // 2, SIDE * 2),
    ],
    ids=["text", "cut short", "larger", "smaller", "oblong"],
)
def test_an_image_that_is_not_as_packed_is_named(
    make_split: MakeSplit, contents: list[bytes], content: bytes
) -> None:
    contents[7] = content
    image = r"0\.h5: image 7, n0_7\.JPEG: expected a JPEG of 16 pixels each way, found .*"
    with pytest.raises(DataError, match=rf"{image}; remove .*\.h5 and pack again"):
        read_all(make_split(contents), plan(4), 2)


def test_a_gray_jpeg_is_read_as_rgb(make_split: MakeSplit) -> None:
    gray: Any = np.arange(SIDE * SIDE, dtype=np.uint8).reshape(SIDE, SIDE, 1)
    split = make_split([simplejpeg.encode_jpeg(gray, 90, "GRAY", "Gray")])
    (batch,) = read_all(split, [np.array([0])], 1)
    assert np.array_equal(batch.images[0, :, :, 0], batch.images[0, :, :, 2])


def test_bytes_that_changed_since_packing_are_an_error(split: Split) -> None:
    path = split.shards[0].path
    content = bytearray(path.read_bytes())
    content[split.shards[0].start + split.shards[0].offsets[5] + 20] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match=re.escape(f"{path}: image 5, n0_5.JPEG: expected")):
        read_all(split, plan(4), 3)


def test_no_thread_is_left_after_an_error(make_split: MakeSplit, contents: list[bytes]) -> None:
    contents[11] = b"no image"
    with pytest.raises(DataError):
        read_all(make_split(contents), plan(2), 3)
    assert not decoders()


def test_no_thread_is_left_when_the_consumer_leaves_early(split: Split) -> None:
    with Reader(split, 3) as reader, closing(_started(reader)) as batches:
        next(batches)
        assert decoders()
    assert not decoders()


def test_no_thread_is_left_when_the_consumer_fails(split: Split) -> None:
    def consume() -> None:
        with Reader(split, 3) as reader:
            for _ in reader.read(plan(2)):
                raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        consume()
    assert not decoders()


def test_a_reader_serves_one_epoch_after_another(split: Split) -> None:
    with Reader(split, 2) as reader:
        for _ in range(3):
            assert sum(len(batch.indices) for batch in reader.read(plan(5))) == NUM


def test_images_of_several_shards_are_one_split(split: Split, contents: list[bytes]) -> None:
    shard = split.shards[0]
    first = replace(shard, offsets=shard.offsets[:11], labels=shard.labels[:10])
    second = replace(shard, offsets=shard.offsets[10:], labels=shard.labels[10:])
    halves = [
        replace(half, names=shard.names[part], crc32=shard.crc32[part])
        for half, part in ((first, slice(10)), (second, slice(10, None)))
    ]
    with closing(Split(halves, 0, ClassTable(()))) as joined:
        (batch,) = read_all(joined, [np.arange(NUM)], 2)
    (whole,) = read_all(split, [np.arange(NUM)], 1)
    assert np.array_equal(batch.images, whole.images)


def _started(reader: Reader) -> Any:  # noqa: ANN401 (a generator, which has close)
    return reader.read(plan(2))


def test_raw_images_are_taken_as_they_are(
    data: Path, tmp_path: Path, pack: Callable[..., Path]
) -> None:
    shutil.copytree(data / "images", tmp_path / "images")
    with closing(open_split(pack(tmp_path, encoding="raw"), "train")) as split:
        with Reader(split, 2) as reader:
            batch = next(iter(reader.read([np.array([5, 0, 3])])))
        for row, index in enumerate([5, 0, 3]):
            assert batch.images[row].tobytes() == split.read(index)
