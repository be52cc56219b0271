"""Decodes image files to RGB, whatever their format really is."""

import io
import warnings
from dataclasses import dataclass

import numpy as np
import simplejpeg
from PIL import Image, UnidentifiedImageError, features

from alexrep.pixels import header

MAX_PIXELS = 100_000_000
"""Largest image that is decoded; ILSVRC's largest has about 60 million pixels."""

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
            damaged, or describe more than MAX_PIXELS pixels.
        MemoryError: If there is too little memory.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of broken EXIF, which nothing depends on
        try:
            picture = Image.open(io.BytesIO(image_bytes), formats=("JPEG", "PNG"))
            width, height = picture.size
            if width * height > MAX_PIXELS:
                raise UndecodableError(f"{width}x{height} pixels, over {MAX_PIXELS}")
            mode, kind = picture.mode, picture.format
            picture.load()
            rgb = _to_rgb(picture)
        except (UndecodableError, MemoryError):
            raise  # a lack of memory says nothing about the image
        except UnidentifiedImageError:
            raise UndecodableError(header.describe(image_bytes)) from None
        except Exception as error:  # decoders raise anything on hostile bytes
            raise UndecodableError(header.rare_kind(image_bytes) or _reason(error)) from None
    return Decoded(rgb, "PNG" if kind == "PNG" else "JPEG", mode)


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
