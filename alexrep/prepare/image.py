"""One image as distributed to one prepared JPEG, with a verdict."""

import zlib
from dataclasses import dataclass
from typing import NamedTuple

from alexrep.files import sha256_bytes
from alexrep.pixels import rescale
from alexrep.pixels.decode import UndecodableError, decode, is_clean

MAX_UNWRAPPED = 1 << 26
"""Bytes that a gzip-wrapped image may unfold to."""


class Verdict(NamedTuple):
    """What became of one image; a million are read at a time, so it is made fast."""

    name: str
    """File name as distributed."""
    label: int
    """Class index; -1 where labels are not public."""
    verdict: str
    """ok, repaired, patched, or quarantined."""
    why: str
    """The reason, empty for a plain ok."""
    source_sha256: str
    """Digest of the bytes as distributed."""
    mode: str = ""
    """Mode as stored, in Pillow's terms; empty in quarantine."""
    width: int = 0
    """Width as distributed, in pixels."""
    height: int = 0
    """Height as distributed, in pixels."""
    sha256: str = ""
    """Digest of the prepared JPEG; empty in quarantine."""
    offset: int = 0
    """Place of the prepared JPEG in the unit's tar."""
    size: int = 0
    """Bytes of the prepared JPEG."""
    crc32: int = 0
    """Crc32 of the prepared JPEG, by which later stages know it; 0 if none is recorded."""


@dataclass(frozen=True)
class Target:
    """How images are to be prepared."""

    side: int = 256
    """Side of the result, in pixels."""
    geometry: str = "crop"
    """One of pixels.rescale.GEOMETRIES."""


def prepare(
    name: str, label: int, content: bytes, target: Target, patched: bool = False
) -> tuple[Verdict, bytes]:
    """Turn one file into a square JPEG, or into a reason why not.

    Args:
        name: File name as distributed.
        label: Class index, or -1.
        content: The file's bytes.
        target: How to prepare it.
        patched: Whether these bytes replace others.

    Returns:
        The verdict (its offset still 0), and the prepared JPEG or, in
        quarantine, the bytes as they came.
    """
    digest = sha256_bytes(content)
    try:
        jpeg, repairs = _unwrap(content)
        decoded = decode(jpeg)
    except UndecodableError as error:
        return Verdict(name, label, "quarantined", str(error), digest), content
    picture = decoded.picture
    width, height = picture.size
    if decoded.format == "PNG":
        repairs.append("PNG")
    if decoded.mode != "RGB":
        repairs.append(_MODES.get(decoded.mode, f"mode {decoded.mode}"))
    if not repairs and width == height == target.side and is_clean(jpeg):
        prepared = jpeg
        why = "copied"
    else:
        prepared = rescale.encode(rescale.to_square(picture, target.side, target.geometry))
        why = ", ".join(repairs)
    verdict = "patched" if patched else "repaired" if repairs else "ok"
    return Verdict(
        name=name,
        label=label,
        verdict=verdict,
        why=why,
        source_sha256=digest,
        mode=decoded.mode,
        width=width,
        height=height,
        sha256=sha256_bytes(prepared),
        size=len(prepared),
        crc32=zlib.crc32(prepared),
    ), prepared


_MODES = {
    "1": "1-bit gray",
    "L": "gray",
    "LA": "gray with alpha",
    "I": "16-bit gray",
    "I;16": "16-bit gray",
    "P": "palette",
    "RGBA": "alpha",
    "CMYK": "CMYK",
}


def _unwrap(content: bytes) -> tuple[bytes, list[str]]:
    """Undo a gzip wrapping; ILSVRC-2010's n02487347_1956 has one."""
    if not content:
        raise UndecodableError("empty file")
    if not content.startswith(b"\x1f\x8b"):
        return content, []
    inflate = zlib.decompressobj(wbits=31)
    try:
        inner = inflate.decompress(content, MAX_UNWRAPPED)
    except zlib.error as error:
        raise UndecodableError(f"gzip-wrapped, {error}") from None
    if not inflate.eof:
        reason = "over the limit" if len(inner) >= MAX_UNWRAPPED else "truncated"
        raise UndecodableError(f"gzip-wrapped, {reason}")
    return inner, ["gzip-wrapped"]
