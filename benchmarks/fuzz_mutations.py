"""Mutations of files, drawn from a generator: equal seeds give equal bytes.

Bytes are flipped, zeroed, repeated, removed, cut off and moved; numbers in a text become huge,
negative or NaN; nodes of JSON and fields of lines go or change their kind. What is compressed or
has checksums of its own is also mutated inside and wrapped anew, or no mutation came that far.
"""

import gzip
import io
import json
import random
import re
import zipfile
from typing import Any

NUMBER = re.compile(rb"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")
ODD_NUMBERS = (b"-1", b"0", b"1e308", b"NaN", b"-Infinity", b"1.5", b"9" * 30, b"2147483648", b"x")
ODD_VALUES: tuple[Any, ...] = (
    *(None, True, -1, 0, 2**31, 2**70, 1e308, float("nan"), 0.5, "", "x" * 2000, "../../up"),
    *([], {}, [[]], [1, "a"], {"a": None}),
)


def mutate(content: bytes, chance: random.Random) -> bytes:
    """Return other bytes than `content`, of the same kind of file more or less."""
    for _ in range(50):
        mutated = _mutate(content, chance)
        if mutated != content:
            return mutated
    return content + b"\0"


def _mutate(content: bytes, chance: random.Random) -> bytes:
    if content[:2] == b"\x1f\x8b" and chance.random() < 0.6:
        return gzip.compress(_bytes(gzip.decompress(content), chance), 1, mtime=0)
    if content[:4] == b"PK\3\4" and chance.random() < 0.5:
        return _inside_zip(content, chance)
    if _is_text(content) and chance.random() < 0.8:
        return _text(content, chance)
    return _bytes(content, chance)


def _is_text(content: bytes) -> bool:
    return b"\0" not in content[:4096] and content[:4096].isascii()


def _bytes(content: bytes, chance: random.Random) -> bytes:
    """Change bytes whatever they mean."""
    if not content:
        return b"\0"
    start = chance.randrange(len(content))
    end = min(len(content), start + int(2 ** chance.uniform(0, 10)))
    head, run, tail = content[:start], content[start:end], content[end:]
    other = chance.randrange(len(content))
    changed = {
        "flip": lambda: head + bytes([run[0] ^ 1 << chance.randrange(8)]) + run[1:] + tail,
        "zero": lambda: head + bytes(len(run)) + tail,
        "fill": lambda: head + b"\xff" * min(8, len(run)) + run[8:] + tail,
        "draw": lambda: head + chance.randbytes(len(run)) + tail,
        "repeat": lambda: head + run * chance.choice((2, 2, 50)) + tail,
        "remove": lambda: head + tail,
        "cut": lambda: head,
        "splice": lambda: head + content[other : other + len(run)] + tail,
    }
    return changed[chance.choice(("flip", "flip", *changed))]()


def _text(content: bytes, chance: random.Random) -> bytes:
    """Change a number, a node of JSON, or a line."""
    kind = chance.choice(("number", "node", "line", "swap"))
    numbers = list(NUMBER.finditer(content))
    if kind == "number" and numbers:
        place = chance.choice(numbers)
        return content[: place.start()] + chance.choice(ODD_NUMBERS) + content[place.end() :]
    lines = content.splitlines(keepends=True)
    row = chance.randrange(len(lines)) if lines else 0
    if kind == "node":
        whole = _node(content, chance)
        if whole is None and lines:
            whole = _node(lines[row], chance)
            whole = whole and b"".join([*lines[:row], whole, *lines[row + 1 :]])
        if whole is not None:
            return whole
    other = lines[chance.randrange(len(lines))] if lines else b"x\n"
    lines[row : row + 1] = [] if kind == "line" else [other, *lines[row : row + 1]]
    return b"".join(lines)


def _node(content: bytes, chance: random.Random) -> bytes | None:
    """Remove a node of JSON, or give it another value; None if it is no JSON."""
    try:
        tree = json.loads(content)
    except ValueError:
        return None
    places = list(_places(tree))
    if not places or chance.random() < 0.05:
        return json.dumps(chance.choice(ODD_VALUES)).encode() + b"\n"
    container, key = chance.choice(places)
    if chance.random() < 0.4:
        del container[key]
    else:
        container[key] = chance.choice(ODD_VALUES)
    return json.dumps(tree).encode() + b"\n"


def _places(tree: Any) -> list[tuple[Any, Any]]:  # noqa: ANN401 (JSON)
    """Return each node of a tree as its container and its key there."""
    keys = list(tree) if isinstance(tree, dict) else []
    keys = list(range(len(tree))) if isinstance(tree, list) else keys
    return [(tree, key) for key in keys] + [p for key in keys for p in _places(tree[key])]


def _inside_zip(content: bytes, chance: random.Random) -> bytes:
    """Mutate a member of a zip archive, whose checksum becomes right."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(out, "w") as new:
        members = old.infolist()
        chosen = chance.choice(members)
        for member in members:
            inside = old.read(member)
            new.writestr(member, _bytes(inside, chance) if member is chosen else inside)
    return out.getvalue()
