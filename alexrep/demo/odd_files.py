"""The odd files of the demo edition, one of each kind known in ILSVRC.

Shapes: H and W are a picture's height and width, in pixels.
"""

import gzip
import io
import struct
import zlib
from collections.abc import Callable

import numpy as np
import simplejpeg

from alexrep.demo.pictures import Pixels, encode, to_uint8
from alexrep.errors import mismatch

QUALITY = 90
"""JPEG quality of the odd files."""


def encode_odd(kind: str, picture: Pixels, rng: np.random.Generator) -> bytes:
    """Encode a picture as an odd file.

    Args:
        kind: "gray", "cmyk", "png", "gzip", "truncated" (the first half of a JPEG),
            "damaged" (noise, not an image) or "damaged_val" (a banner instead of the picture).
        picture: RGB, uint8 in [0, 255], (H, W, 3).
        rng: Generator of the noise and the banner.

    Returns:
        The file's bytes.

    Raises:
        ValueError: If there is no such kind.
    """
    encoders: dict[str, Callable[[], bytes]] = {
        "gray": lambda: _gray(picture),
        "cmyk": lambda: _cmyk(picture),
        "png": lambda: _png(picture),
        "gzip": lambda: gzipped(encode(picture, QUALITY)),
        "truncated": lambda: _first_half(encode(picture, QUALITY)),
        "damaged": lambda: rng.bytes(5000),
        "damaged_val": lambda: encode(_banner(picture.shape[0], picture.shape[1], rng), QUALITY),
    }
    if kind not in encoders:
        expected = "one of " + ", ".join(encoders)
        raise ValueError(mismatch("kind", expected, repr(kind), "choose one"))
    return encoders[kind]()


def gzipped(data: bytes) -> bytes:
    """Compress bytes with gzip; the header has neither time nor name."""
    stream = io.BytesIO()
    with gzip.GzipFile("", "wb", fileobj=stream, mtime=0) as packed:
        packed.write(data)
    return stream.getvalue()


def _first_half(jpeg: bytes) -> bytes:
    return jpeg[: len(jpeg) // 2]


def _gray(picture: Pixels) -> bytes:
    """Encode the luminance as a JPEG of one channel (weights of ITU-R BT.601)."""
    red, green, blue = np.moveaxis(picture.astype(np.float64), 2, 0)
    luminance = to_uint8(0.299 * red + 0.587 * green + 0.114 * blue)[:, :, None]
    jpeg: bytes = simplejpeg.encode_jpeg(luminance, QUALITY, "GRAY", "Gray")
    return jpeg


def _cmyk(picture: Pixels) -> bytes:
    """Encode as CMYK, inverted as in Adobe's files: 255 is no ink, red is C * K / 255."""
    brightest = np.maximum(picture.max(axis=2, keepdims=True), 1).astype(np.float64)
    inks = np.concatenate([picture * (255 / brightest), brightest], axis=2)
    jpeg: bytes = simplejpeg.encode_jpeg(to_uint8(inks), QUALITY, "CMYK", "444")
    return jpeg


def _png(picture: Pixels) -> bytes:
    """Encode as PNG without Pillow, whose bytes depend on its version."""
    height, width, _ = picture.shape
    rows = np.pad(picture.reshape(height, -1), ((0, 0), (1, 0)))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = (b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes())), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )


def _banner(height: int, width: int, rng: np.random.Generator) -> Pixels:
    """Draw the banner that replaces a removed photograph: a strip with a line of text."""
    picture = rng.uniform(220, 240, (height, width, 3))
    strip = picture[height * 2 // 5 : height * 3 // 5, width // 8 : width * 7 // 8]
    strip[...] = 80
    # Random bars, as letters look from afar.
    bars = np.repeat(rng.random(strip.shape[1] // 4) < 0.5, 4)
    strip[len(strip) // 3 : len(strip) * 2 // 3, : len(bars)] += 150 * bars[:, None]
    return to_uint8(picture)
