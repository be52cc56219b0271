"""Caffe's files: every form of blob and layer, and files of other formats."""

import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of
from numpy.typing import NDArray

from alexrep.weights import caffemodel
from alexrep.weights.protobuf import WireError

Caffe = Any
"""What the fixture `caffe` returns."""
Floats = NDArray[Any]

FORMS = st.fixed_dictionaries({name: st.booleans() for name in ("legacy", "packed", "double")})
ARRAYS = arrays_of.arrays(
    np.float32,
    arrays_of.array_shapes(max_dims=4, max_side=5),
    elements=st.floats(width=32, allow_nan=False),
)


def blob(content: bytes) -> Floats:
    return caffemodel.blob(memoryview(content))


@given(ARRAYS, FORMS)
def test_every_form_of_a_blob_gives_its_array(
    caffe: Caffe, array: Floats, form: dict[str, bool]
) -> None:
    decoded = blob(caffe.blob(array, **form))
    assert decoded.dtype == np.float32
    wanted = (1,) * (4 - array.ndim) + array.shape if form["legacy"] else array.shape
    assert np.array_equal(decoded, array.reshape(wanted))


def test_a_blob_written_by_hand() -> None:
    legacy = bytes([0x08, 1, 0x10, 1, 0x18, 1, 0x20, 2]) + b"\x2a\x08" + struct.pack("<2f", 3, -4)
    assert blob(legacy).tolist() == [[[[3.0, -4.0]]]]
    shaped = bytes([0x3A, 4, 0x0A, 2, 1, 2]) + b"\x2a\x08" + struct.pack("<2f", 3, -4)
    assert blob(shaped).tolist() == [[3.0, -4.0]]


def test_numbers_in_several_pieces_are_joined(caffe: Caffe) -> None:
    shape = caffe.field(7, caffe.field(1, b"\x05"))
    single = b"\x2d" + struct.pack("<f", 1) + b"\x2d" + struct.pack("<f", 2)
    packed = caffe.field(5, struct.pack("<2f", 3, 4))
    last = b"\x2d" + struct.pack("<f", 5)
    assert blob(single + shape + packed + last).tolist() == [1, 2, 3, 4, 5]


def test_gradients_and_other_fields_are_passed_over(caffe: Caffe) -> None:
    content = caffe.blob(np.arange(3.0)) + caffe.field(6, bytes(12)) + caffe.count(60, 7)
    assert blob(content).tolist() == [0, 1, 2]


def test_single_numbers_of_a_large_blob_are_read_at_once(caffe: Caffe) -> None:
    array = np.arange(200_000, dtype=np.float32)
    assert np.array_equal(blob(caffe.blob(array, packed=False)), array)


@pytest.mark.parametrize(
    ("single", "other"),
    [
        (b"\x2d" + bytes(4), b"\x2a\0"),
        (b"\x2d" + bytes(4), b"\x0d" + bytes(4)),
        (b"\x41" + bytes(8), b"\x42\0"),
    ],
    ids=["float, none packed", "float, unknown field", "double, none packed"],
)
def test_the_work_grows_with_the_length_of_a_blob_of_short_runs(
    monkeypatch: pytest.MonkeyPatch, caffe: Caffe, single: bytes, other: bytes
) -> None:
    """Work is the number of keys searched: if quadratic, twice the blob would take four times."""
    searched: list[int] = []
    flatnonzero = np.flatnonzero

    def counting(keys: NDArray[np.bool_]) -> NDArray[np.intp]:
        searched.append(len(keys))
        return flatnonzero(keys)

    monkeypatch.setattr(np, "flatnonzero", counting)
    work = []
    for num in 200, 400:
        searched.clear()
        shape = caffe.field(7, caffe.field(1, caffe.number(num)))
        assert blob(shape + (single + other) * num).shape == (num,)
        work.append(sum(searched))
    assert 0 < work[1] <= 2.1 * work[0]
    with pytest.raises(WireError, match="an array in over 1,000 pieces"):
        blob((single + other) * 501)


@pytest.mark.parametrize("num", [1, 2, 3, 4, 5, 7, 8, 9, 100])
def test_a_run_of_single_numbers_of_any_length_ends_where_another_field_begins(
    caffe: Caffe, num: int
) -> None:
    numbers = np.arange(num, dtype=np.float32)
    run = b"".join(b"\x2d" + number.tobytes() for number in numbers)
    shape = caffe.field(7, caffe.field(1, caffe.number(2 * num)))
    for between in b"", shape, b"\x0d" + bytes(4), caffe.field(5, b""):
        content = shape + run + between + run + between
        assert np.array_equal(blob(content), np.tile(numbers, 2))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "0 numbers in a blob of shape 0 x 0 x 0 x 0"),
        (b"\x2a\x08" + bytes(8), "2 numbers in a blob of shape 0 x 0 x 0 x 0"),
        (b"\x08\x03" + b"\x2a\x08" + bytes(8), "2 numbers in a blob of shape 3 x 0 x 0 x 0"),
        (b"\x2a\x07" + bytes(7), "7 bytes of numbers of 4 bytes each"),
        (b"\x42\x0c" + bytes(12), "12 bytes of numbers of 8 bytes each"),
        (b"\x29" + bytes(8), "8 bytes of numbers of 4 bytes each"),
        (b"\x38\x01", "field 7 of wire type 0"),
        (b"\x3a\x22\x0a\x20" + bytes([1] * 32) + b"\x3a\x03\x0a\x01\x01", "0 numbers in a blob"),
        (b"\x2d\x00", "4 bytes of field 5 where 1 are"),
    ],
)
def test_blobs_that_do_not_agree_with_themselves_are_refused(content: bytes, message: str) -> None:
    with pytest.raises(WireError, match=message):
        blob(content)


def test_more_axes_than_caffe_has_are_refused(caffe: Caffe) -> None:
    with pytest.raises(WireError, match="1 numbers in a blob of shape 1 x 1 x 1 x 1 x 1 and so on"):
        blob(caffe.field(7, caffe.field(1, b"\x01" * 33)) + b"\x2d" + bytes(4))


@pytest.mark.parametrize("old", [True, False])
@pytest.mark.parametrize("legacy", [True, False])
def test_layers_old_and_new_come_in_order(caffe: Caffe, old: bool, legacy: bool) -> None:
    arrays = {"conv1.weight": np.ones((2, 3, 1, 1)), "conv1.bias": np.zeros(2)}
    layers = caffemodel.layers(caffe.net(arrays, old=old, legacy=legacy))
    assert [layer.name for layer in layers[:4]] == ["conv1", "relu1", "norm1", "pool1"]
    assert [layer.name for layer in layers if layer.is_norm] == ["norm1", "norm2"]
    assert [layer.name for layer in layers if layer.is_pool] == ["pool1", "pool2", "pool5"]
    assert layers[0].blobs[0].shape == (2, 3, 1, 1)
    assert layers[0].blobs[1].ravel().tolist() == [0, 0]
    assert not any(layer.blobs for layer in layers[1:])


@pytest.mark.parametrize("content", [b"", b"\x0a\x03net", b"\x10\x01"])
def test_a_message_without_layers_is_refused(content: bytes) -> None:
    with pytest.raises(WireError, match=r"no layers|field 2 of wire type 0"):
        caffemodel.layers(content)


def test_the_first_form_of_layers_is_named(caffe: Caffe) -> None:
    with pytest.raises(WireError, match="Caffe's first form; upgrade the file with Caffe's own"):
        caffemodel.layers(caffe.field(2, caffe.field(1, caffe.field(1, b"conv1"))))


def test_unprintable_names_stay_out_of_messages(caffe: Caffe) -> None:
    (layer,) = caffemodel.layers(caffe.layer("a\nb\x1b[1m", "ReLU", []))
    assert layer.name == "a?b?[1m"


@settings(max_examples=150)
@given(st.data(), st.booleans(), FORMS)
def test_cut_or_changed_files_are_read_or_refused(
    caffe: Caffe, data: st.DataObject, old: bool, form: dict[str, bool]
) -> None:
    arrays = {"conv1.weight": np.ones((2, 3, 1, 1)), "fc8.bias": np.zeros(4)}
    content = bytearray(caffe.net(arrays, old=old, **form))
    for index in data.draw(st.lists(st.integers(0, len(content) - 1), max_size=6)):
        content[index] = data.draw(st.integers(0, 255))
    content = content[: data.draw(st.integers(0, len(content)))]
    try:
        layers = caffemodel.layers(bytes(content))
    except WireError:
        return
    assert all(array.dtype == np.float32 for layer in layers for array in layer.blobs)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_blob_or_refused(content: bytes) -> None:
    try:
        array = blob(content)
    except WireError:
        return
    assert array.size > 0
