"""Arrays out of Caffe's files: weights of a .caffemodel, a mean in a .binaryproto.

Numbers of the fields as in Caffe's message definitions, the old form of a layer (V1,
`layers`) and the newer one (`layer`) alike.
"""

import dataclasses
import math
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alexrep.weights import protobuf
from alexrep.weights.protobuf import FIXED32, FIXED64, LENGTH, Field, WireError

Floats = NDArray[np.float32]

MAX_LAYERS = 100_000
"""Most fields of a network; those of over a thousand layers have some thousands."""
MAX_AXES = 32
"""Most axes of a blob, as in Caffe."""
_LEGACY_AXES = (1, 2, 3, 4)
_DATA, _SHAPE, _DOUBLES = 5, 7, 8
_LAYERS, _LAYER = 2, 100
_POOLING, _LRN = ("Pooling", 17), ("LRN", 15)


@dataclasses.dataclass(frozen=True)
class CaffeLayer:
    """One layer of a network."""

    name: str
    kind: str | int
    """Caffe's name of its type, or in the old form its number."""
    blobs: list[Floats] = dataclasses.field(default_factory=list)

    @property
    def is_pool(self) -> bool:
        """Whether it pools."""
        return self.kind in _POOLING

    @property
    def is_norm(self) -> bool:
        """Whether it is a local response normalisation."""
        return self.kind in _LRN


def layers(content: bytes) -> list[CaffeLayer]:
    """Read the layers of a .caffemodel, in order, those without weights too.

    Raises:
        WireError: If the bytes are cut short or damaged, are something else, or are of the
            oldest form, before 2014.
    """
    every_layer = [
        _layer(_message(field), is_old=field.number == _LAYERS)
        for field in protobuf.fields(memoryview(content), MAX_LAYERS)
        if field.number in (_LAYERS, _LAYER)
    ]
    if not every_layer:
        raise WireError("no layers")
    return every_layer


def blob(message: memoryview) -> Floats:
    """Read a blob: an array with its shape, of doubles or floats, packed or single.

    Raises:
        WireError: If the bytes are damaged, or the numbers are not as many as the shape says.
    """
    legacy, shape = dict.fromkeys(_LEGACY_AXES, 0), None
    floats: dict[int, list[NDArray[Any]]] = {_DATA: [], _DOUBLES: []}
    for count, field in enumerate(_joined(message)):
        if count == protobuf.MOST:
            raise WireError(f"an array in over {count:,} pieces")
        if field.number in legacy and field.wire == protobuf.VARINT:
            legacy[field.number] = field.value
        elif field.number == _SHAPE:
            shape = [size for dim in protobuf.fields(_message(field)) for size in _dims(dim)]
        elif field.number in floats:
            floats[field.number].append(_floats(field))
    parts = floats[_DOUBLES] or floats[_DATA]
    with np.errstate(over="ignore"):  # infinities are for the reader of the array to refuse
        values = np.concatenate([np.empty(0, np.float32), *parts], dtype=np.float32)
    wanted = list(legacy.values()) if shape is None else shape
    if not len(values) or len(wanted) > MAX_AXES or math.prod(wanted) != len(values):
        raise WireError(f"{len(values):,} numbers in a blob of shape {_shown(wanted)}")
    return values.reshape(wanted)


def _layer(message: memoryview, is_old: bool) -> CaffeLayer:
    name_at, kind_at, blobs_at = (4, 5, 6) if is_old else (1, 2, 7)
    name, kind, blobs = "", "", []
    old_kind = None
    for field in protobuf.fields(message):
        if is_old and field.number == 1:
            raise WireError("layers of Caffe's first form; upgrade the file with Caffe's own tool")
        if field.number == name_at:
            name = _text(field)
        elif field.number == kind_at and is_old:
            old_kind = field.value
        elif field.number == kind_at:
            kind = _text(field)
        elif field.number == blobs_at:
            blobs.append(blob(_message(field)))
    return CaffeLayer(name, kind if old_kind is None else old_kind, blobs)


def _joined(message: memoryview) -> Iterator[Field]:
    """Yield the fields of a blob, a run of single numbers as one field of packed ones.

    Single numbers are five or nine bytes each, with the same key before every one: sixty
    million of them one at a time would take minutes.
    """
    runs = {_DATA * 8 + FIXED32: 4, _DOUBLES * 8 + FIXED64: 8}
    while len(message):
        width = runs.get(message[0])
        if width is None or len(message) <= width:
            field = next(iter(protobuf.fields(message)))
            yield field
            message = message[_length(message, field) :]
            continue
        rows = np.frombuffer(message, np.uint8, _run_length(message, width + 1) * (width + 1))
        run = rows.reshape(-1, width + 1)[:, 1:]
        yield Field(message[0] >> 3, LENGTH, 0, memoryview(run.tobytes()))
        message = message[len(rows) :]


def _run_length(message: memoryview, size: int) -> int:
    """Count the fields of `size` bytes at the start of a message that have its first key.

    It looks at most twice as far as they reach: a search through the whole message at each of
    many short runs would take time that grows with the square of their number.
    """
    keys = np.frombuffer(message, np.uint8)[: len(message) // size * size : size]
    length = 1
    while length < len(keys):
        others = np.flatnonzero(keys[length : 2 * length] != keys[0])
        if len(others):
            return length + int(others[0])
        length *= 2
    return len(keys)


def _length(message: memoryview, field: Field) -> int:
    """Return the bytes that the first field of a message takes."""
    _, offset = protobuf.varint(message, 0)
    if field.wire in (protobuf.VARINT, LENGTH):
        _, offset = protobuf.varint(message, offset)
    return offset + len(field.content)


def _shown(shape: list[int]) -> str:
    """Write a shape, at most its first five sides."""
    return " x ".join(map(str, shape[:5])) + (" and so on" if len(shape) > 5 else "")


def _floats(field: Field) -> NDArray[Any]:
    kind, single = ("<f4", FIXED32) if field.number == _DATA else ("<f8", FIXED64)
    size = np.dtype(kind).itemsize
    if field.wire not in (LENGTH, single) or len(field.content) % size:
        raise WireError(f"{len(field.content)} bytes of numbers of {size} bytes each")
    return np.frombuffer(field.content, kind)


def _dims(field: Field) -> Iterable[int]:
    return protobuf.numbers(field) if field.number == 1 else ()


def _message(field: Field) -> memoryview:
    if field.wire != LENGTH:
        raise WireError(f"field {field.number} of wire type {field.wire}")
    return field.content


def _text(field: Field) -> str:
    text = bytes(_message(field)).decode("utf-8", "replace")
    return "".join(letter if letter.isprintable() else "?" for letter in text)[:100]
