"""The wire format: known bytes, round trips, and bytes that are no message."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alexrep.weights import protobuf
from alexrep.weights.protobuf import FIXED32, FIXED64, LENGTH, VARINT, Field, WireError

VALUES = {
    VARINT: st.integers(0, 2**64 - 1),
    FIXED64: st.binary(min_size=8, max_size=8),
    LENGTH: st.binary(max_size=40),
    FIXED32: st.binary(min_size=4, max_size=4),
}
FIELDS = st.sampled_from(list(VALUES)).flatmap(
    lambda wire: st.tuples(st.integers(1, 2**29 - 1), st.just(wire), VALUES[wire])
)


def number(value: int) -> bytes:
    """Write a varint."""
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def written(field: int, wire: int, value: int | bytes) -> bytes:
    if isinstance(value, int):
        return number(field << 3 | wire) + number(value)
    size = number(len(value)) if wire == LENGTH else b""
    return number(field << 3 | wire) + size + value


def read(content: bytes) -> list[Field]:
    return list(protobuf.fields(memoryview(content)))


def test_the_example_of_the_formats_description() -> None:
    (field,) = read(bytes([0x08, 0x96, 0x01]))
    assert (field.number, field.wire, field.value) == (1, VARINT, 150)
    (text,) = read(b"\x12\x07testing")
    assert (text.number, text.wire, bytes(text.content)) == (2, LENGTH, b"testing")


def test_fixed_fields_keep_their_bytes() -> None:
    single, double = read(b"\x2d" + struct.pack("<f", 1.5) + b"\x41" + struct.pack("<d", -2.5))
    assert (single.number, single.wire) == (5, FIXED32)
    assert struct.unpack("<f", single.content) == (1.5,)
    assert (double.number, double.wire) == (8, FIXED64)
    assert struct.unpack("<d", double.content) == (-2.5,)


@given(st.lists(FIELDS, max_size=8))
def test_what_was_written_is_read(row: list[tuple[int, int, int | bytes]]) -> None:
    fields = read(b"".join(written(*field) for field in row))
    kept = [
        (field.number, field.wire, field.value if field.wire == VARINT else bytes(field.content))
        for field in fields
    ]
    assert kept == row


@given(st.lists(st.integers(0, 2**63), max_size=9))
def test_packed_numbers_are_single_ones_in_a_row(values: list[int]) -> None:
    packed = Field(1, LENGTH, 0, memoryview(b"".join(map(number, values))))
    assert protobuf.numbers(packed) == values
    assert [
        protobuf.numbers(field)[0]
        for field in read(b"".join(written(1, VARINT, v) for v in values))
    ] == values


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x08", "bytes that end within a number"),
        (b"\x08\x80\x80", "bytes that end within a number"),
        (b"\x08" + b"\xff" * 10, "a number over 64 bits"),
        (b"\x08" + b"\xff" * 9 + b"\x02", "a number over 64 bits"),
        (b"\x12\x05abc", "5 bytes of field 2 where 3 are"),
        (b"\x2d\x00", "4 bytes of field 5 where 1 are"),
        (b"\x0b", "a field of wire type 3"),
        (b"\x0f", "a field of wire type 7"),
        (b"\x00\x00", "a field without a number"),
        (b"\x08\x00" * 1001, "over 1,000 fields in a message"),
    ],
)
def test_damaged_bytes_are_named(content: bytes, message: str) -> None:
    with pytest.raises(WireError, match=message):
        read(content)


def test_numbers_of_another_type_are_refused() -> None:
    with pytest.raises(WireError, match="field 7 of wire type 5"):
        protobuf.numbers(Field(7, FIXED32, 0, memoryview(b"1234")))
    with pytest.raises(WireError, match="over 1,000 numbers in field 1"):
        protobuf.numbers(Field(1, LENGTH, 0, memoryview(bytes(1001))))


@given(st.binary(max_size=60))
def test_any_bytes_are_a_message_or_refused(content: bytes) -> None:
    try:
        fields = read(content)
    except WireError:
        return
    assert sum(len(field.content) for field in fields) <= len(content)
