"""The wire format of protocol buffers, as far as stored weights need it.

A message is a row of fields: a key (number of the field times 8, plus a wire type), then the
value. Written from the format's description; messages are named by their readers.

Our own rather than google.protobuf, which copies what it reads: on AlexNet's weights it takes
1.2 to 4 times as long and two to three times the memory, and of a damaged file it says only
that it is corrupt.
"""

from collections.abc import Iterator
from dataclasses import dataclass

VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5
_FIXED = {FIXED64: 8, FIXED32: 4}
_MAX_VARINT = 10
MOST = 1000
"""Fields of a message, and numbers of a field, that a layer or an array has at most, by far."""


class WireError(ValueError):
    """The bytes are not a message; the text says why."""


@dataclass(frozen=True)
class Field:
    """One field of a message."""

    number: int
    wire: int
    """VARINT, FIXED64, LENGTH or FIXED32."""
    value: int
    """The number of a VARINT, without sign; else 0."""
    content: memoryview
    """The bytes of the other wire types; else empty."""


def fields(message: memoryview, most: int = MOST) -> Iterator[Field]:
    """Yield the fields of a message in order.

    Args:
        message: The bytes, one-dimensional, uint8; views of them are handed out, not copies.
        most: How many there may be: a damaged file of millions would take minutes.

    Raises:
        WireError: If the bytes are cut short, hold a wire type that is none or long obsolete, or
            more fields than that.
    """
    offset = count = 0
    while offset < len(message):
        count += 1
        if count > most:
            raise WireError(f"over {most:,} fields in a message")
        key, offset = varint(message, offset)
        number, wire = key >> 3, key & 7
        if number == 0:
            raise WireError("a field without a number")
        if wire == VARINT:
            value, offset = varint(message, offset)
            yield Field(number, wire, value, message[:0])
            continue
        if wire == LENGTH:
            size, offset = varint(message, offset)
        elif wire in _FIXED:
            size = _FIXED[wire]
        else:
            raise WireError(f"a field of wire type {wire}")
        if size > len(message) - offset:
            raise WireError(f"{size:,} bytes of field {number} where {len(message) - offset:,} are")
        yield Field(number, wire, 0, message[offset : offset + size])
        offset += size


def varint(message: memoryview, offset: int) -> tuple[int, int]:
    """Read a number of seven bits a byte, the lowest first.

    Returns:
        The number, without sign and under 2^64, and the offset after it.

    Raises:
        WireError: If the bytes end before it does, or it is too long.
    """
    value = 0
    for index, byte in enumerate(message[offset : offset + _MAX_VARINT]):
        value |= (byte & 0x7F) << 7 * index
        if byte < 0x80:
            if value >= 1 << 64:
                raise WireError("a number over 64 bits")
            return value, offset + index + 1
    short = offset + _MAX_VARINT > len(message)
    raise WireError("bytes that end within a number" if short else "a number over 64 bits")


def numbers(field: Field) -> list[int]:
    """Return the numbers of a repeated field of varints, packed or single.

    Raises:
        WireError: If it is of another wire type, cut short, or of more than MOST numbers.
    """
    if field.wire == VARINT:
        return [field.value]
    if field.wire != LENGTH:
        raise WireError(f"field {field.number} of wire type {field.wire}")
    values, offset = list[int](), 0
    while offset < len(field.content):
        if len(values) == MOST:
            raise WireError(f"over {MOST:,} numbers in field {field.number}")
        value, offset = varint(field.content, offset)
        values.append(value)
    return values
