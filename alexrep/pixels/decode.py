"""Decodes image files to RGB, whatever their format really is."""

import io
import re
import threading
import warnings
from dataclasses import dataclass

import numpy as np
import simplejpeg
from PIL import Image, UnidentifiedImageError, features

from alexrep.pixels import header

MAX_PIXELS = 100_000_000
"""Largest image that is decoded; ILSVRC's largest has about 60 million pixels."""

MAX_SCANS = 500
"""Most scans of a JPEG that are decoded; encoders write up to about 14."""
MAX_SCANNED = 2_000_000_000
"""Most pixels of a JPEG times its scans, each of which takes a decoder a pass over all of them."""

MAX_PLAIN = 50_000_000
"""Most pixels of an image that Pillow does not warn of."""


class _Memory(threading.local):
    """Memory for an image of up to four million pixels, kept by each thread.

    Fresh memory for each image takes a twentieth of the time of a full-size one.
    """

    def __init__(self) -> None:
        self.pixels = np.empty(1 << 24, np.uint8)


_memory = _Memory()
_COMPLAINT = re.compile(r"Corrupt JPEG data: (?:[0-9]+ )?(.*?)(?: 0x[0-9a-f]+)?$")

Picture = Image.Image


class UndecodableError(ValueError):
    """The bytes are no whole JPEG or PNG of a sane size; the message says why."""


@dataclass(frozen=True)
class Decoded:
    """A decoded image, and how it was stored."""

    picture: Picture
    """The image in mode RGB."""
    format: str
    """Format of the file, JPEG or PNG."""
    mode: str
    """Mode as stored, in Pillow's terms."""
    is_clean: bool = False
    """Whether the decoder that later reads the prepared images takes it without a complaint."""
    complaint: str = ""
    """What that decoder says of damaged data, which Pillow decodes in silence."""


def version() -> str:
    """Return name and version of the decoder, which decide the pixels."""
    turbo = features.version_feature("libjpeg_turbo")
    return f"libjpeg-turbo {turbo}" if turbo else f"libjpeg {features.version('jpg')}"


def is_clean(jpeg: bytes) -> bool:
    """Tell whether a JPEG decodes to RGB without a warning.

    Pillow decodes damaged data silently; the decoder that later reads the prepared images
    does not.
    """
    try:
        simplejpeg.decode_jpeg(jpeg, "RGB")
    except ValueError:
        return False
    return True


def decode(image_bytes: bytes) -> Decoded:
    """Decode a JPEG or PNG to RGB.

    No other decoder is tried. EXIF is ignored. Gray is repeated over the channels, 16-bit gray
    is divided by 257, CMYK (stored inverted in Adobe's files, which Pillow undoes) becomes
    (255-C)(255-K)/255 and so on, alpha is dropped.

    Raises:
        UndecodableError: If the bytes are no JPEG or PNG, are truncated or
            damaged, or describe more than MAX_PIXELS pixels or too many scans.
        MemoryError: If there is too little memory.
    """
    if (plain := _plain(image_bytes)) is not None:
        return plain
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of broken EXIF, which nothing depends on
        try:
            picture = Image.open(io.BytesIO(image_bytes), formats=("JPEG", "PNG"))
            width, height = picture.size
            if width * height > MAX_PIXELS:
                raise UndecodableError(f"{width}x{height} pixels, over {MAX_PIXELS}")
            _require_few_scans(image_bytes, width * height)
            mode, kind = picture.mode, picture.format
            rgb, complaint = (
                _turbo(image_bytes, mode, width * height) if kind != "PNG" else (None, "")
            )
            is_clean = rgb is not None
            if rgb is None:
                picture.load()
                rgb = _to_rgb(picture)
        except (UndecodableError, MemoryError):
            raise  # a lack of memory says nothing about the image
        except UnidentifiedImageError:
            raise UndecodableError(header.describe(image_bytes)) from None
        except Exception as error:  # decoders raise anything on hostile bytes
            raise UndecodableError(header.rare_kind(image_bytes) or _reason(error)) from None
    return Decoded(rgb, "PNG" if kind == "PNG" else "JPEG", mode, is_clean, complaint)


def _plain(image_bytes: bytes) -> Decoded | None:
    """Decode a sound JPEG of the usual kind, of which Pillow's own look says nothing more.

    That look takes as long as decoding 32 pixels each way. None is for all other files.
    """
    num_pixels = header.plain_pixels(image_bytes)
    if not 0 < num_pixels <= MAX_PLAIN:
        return None
    picture, _ = _turbo(image_bytes, "RGB", num_pixels)
    return None if picture is None else Decoded(picture, "JPEG", "RGB", is_clean=True)


def _turbo(image_bytes: bytes, mode: str, num_pixels: int) -> tuple[Picture | None, str]:
    """Decode a JPEG by libjpeg-turbo's own interface, which gives Pillow's pixels and complains.

    Returns:
        The image, None unless it is RGB and sound; and what was said of damaged data. Counts
        and markers are left out of that, so that equal faults are counted together.
    """
    try:
        if mode == "RGB":
            # Pillow takes four bytes a pixel, as it keeps them, in a third of the time.
            buffer = _memory.pixels if 4 * num_pixels <= _memory.pixels.size else None
            pixels = simplejpeg.decode_jpeg(image_bytes, "RGBX", buffer=buffer)
            size = pixels.shape[1], pixels.shape[0]
            return Image.frombytes("RGB", size, pixels, "raw", "RGBX"), ""
        simplejpeg.decode_jpeg(image_bytes, "GRAY", min_height=1, min_width=1)
    except ValueError as error:
        said = _COMPLAINT.match(str(error))
        return None, said[1] if said else ""
    return None, ""


def _require_few_scans(image_bytes: bytes, num_pixels: int) -> None:
    """Refuse a JPEG of so many scans that its decoding would take minutes.

    The marker of a scan is counted wherever it stands; in a scan's own data it cannot.
    """
    if not image_bytes.startswith(b"\xff\xd8"):
        return
    # A fifth of the time of bytes.count, which a full-size image would take 85 us of.
    values = np.frombuffer(image_bytes, np.uint8)
    num = np.count_nonzero((values[:-1] == 0xFF) & (values[1:] == 0xDA))
    if num > MAX_SCANS or (num > 4 and num * num_pixels > MAX_SCANNED):
        raise UndecodableError(f"JPEG of {num:,} scans of {num_pixels:,} pixels")


def _to_rgb(picture: Picture) -> Picture:
    if picture.mode in ("I", "I;16", "I;16B"):  # convert("RGB") would clip it to white
        gray = np.asarray(picture).astype(np.uint32) // 257
        return Image.fromarray(gray.clip(0, 255).astype(np.uint8)).convert("RGB")
    if picture.mode == "P" and "transparency" in picture.info:
        return picture.convert("RGBA").convert("RGB")
    return picture if picture.mode == "RGB" else picture.convert("RGB")


def _reason(error: Exception) -> str:
    """Return the message of an error, or its type, in one line."""
    return " ".join(str(error).split())[:200] or type(error).__name__
