"""Prepares one image: from the file as distributed to a square JPEG and a verdict."""

import zlib
from dataclasses import dataclass
from typing import NamedTuple

from alexrep.files import sha256_bytes
from alexrep.pixels import rescale
from alexrep.pixels.decode import UndecodableError, decode

MAX_UNWRAPPED = 1 << 26
"""Largest decompressed size of a gzip-wrapped image, in bytes."""


class Verdict(NamedTuple):
    """What became of one image; a tuple, since a million of them are read at a time."""

    name: str
    """File name as distributed."""
    label: int
    """Class index; -1 if labels are not public."""
    verdict: str
    """ok, repaired, patched, or quarantined."""
    why: str
    """The reason; empty for a plain ok."""
    source_sha256: str
    """SHA-256 of the file as distributed."""
    mode: str = ""
    """Pillow mode as distributed; empty if quarantined."""
    width: int = 0
    """Width as distributed, in pixels."""
    height: int = 0
    """Height as distributed, in pixels."""
    sha256: str = ""
    """SHA-256 of the prepared JPEG; empty if quarantined."""
    offset: int = 0
    """Offset of the prepared JPEG in the unit's tar, in bytes."""
    size: int = 0
    """Size of the prepared JPEG, in bytes."""
    crc32: int = 0
    """CRC-32 of the prepared JPEG, checked by later stages; 0 if none is recorded."""


@dataclass(frozen=True)
class Target:
    """How images are to be prepared."""

    side: int = 256
    """Side of the result, in pixels."""
    geometry: str = "crop"
    """One of pixels.rescale.GEOMETRIES."""
    quality: int = rescale.QUALITY
    """JPEG quality of the result, 1 to 100. Source: 85 in 2012, as a folder's name in the released
    source suggests; 95 in cuda-convnet2."""
    resampling: str = rescale.FILTER
    """Filter of the resize, one of pixels.rescale.FILTERS."""


def prepare(
    name: str, label: int, content: bytes, target: Target, patched: bool = False
) -> tuple[Verdict, bytes]:
    """Turn one image file into a square JPEG, or quarantine it with a reason.

    Args:
        name: File name as distributed.
        label: Class index, or -1.
        content: The file's bytes.
        target: How to prepare it.
        patched: Whether the file comes from a patch.

    Returns:
        The verdict, its offset still 0, and the prepared JPEG; if quarantined,
        the file's bytes as they came.
    """
    digest = sha256_bytes(content)
    try:
        jpeg, repairs = unwrap(content)
        decoded = decode(jpeg)
    except UndecodableError as error:
        return Verdict(name, label, "quarantined", str(error), digest), content
    image = decoded.picture
    width, height = image.size
    if decoded.format == "PNG":
        repairs.append("PNG")
    if decoded.mode != "RGB":
        repairs.append(_MODES.get(decoded.mode, f"mode {decoded.mode}"))
    if not repairs and width == height == target.side and decoded.is_clean:
        prepared = jpeg
        why = "copied"
    else:
        square = rescale.to_square(image, target.side, target.geometry, target.resampling)
        prepared = rescale.encode(square, target.quality)
        why = ", ".join(repairs)
    if decoded.complaint:
        why = ", ".join(filter(None, (why, f"decoder complained: {decoded.complaint}")))
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


def unwrap(content: bytes) -> tuple[bytes, list[str]]:
    """Decompress a gzip-wrapped image, as n02487347_1956 of ILSVRC-2010 is.

    Returns:
        The bytes inside, or `content` itself if it is not wrapped, and the repairs made.

    Raises:
        UndecodableError: If it is empty, damaged, or larger than MAX_UNWRAPPED inside.
    """
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
