"""Rescales an image so that the shorter side fits, cuts the central square, encodes as JPEG."""

import io

import PIL
from PIL import Image

from alexrep.pixels.decode import Picture

QUALITY = 90
SUBSAMPLING = "4:2:0"
FILTER = "bicubic"
FILTERS = ("box", "bilinear", "hamming", "bicubic", "lanczos")
"""Antialiased filters by which an image can be resampled, from the narrowest."""
GEOMETRIES = ("crop", "squash")


def version() -> str:
    """Return name and version of the resizer, which decide the pixels."""
    flavour = "pillow-simd" if ".post" in PIL.__version__ else "pillow"
    return f"{flavour} {PIL.__version__}"


def to_square(
    picture: Picture, side: int, geometry: str = "crop", resampling: str = FILTER
) -> Picture:
    """Rescale so that the shorter side is `side`, and cut the central square.

    Only the central square of the source is resampled, with an antialiased filter.

    Args:
        picture: RGB image of any size.
        side: Side of the result, in pixels; 256 in the paper.
        geometry: "crop", or "squash" to resize the whole image without keeping its aspect
            ratio, as for Caffe's models.
        resampling: One of FILTERS.

    Returns:
        RGB image, side x side.

    Raises:
        ValueError: If `geometry` or `resampling` is unknown.

    Source: Krizhevsky et al. 2012, section 2. Assumption: the filter, which neither the paper
    nor its released source names.
    """
    if geometry not in GEOMETRIES:
        raise ValueError(f"geometry: expected one of {GEOMETRIES}, found {geometry!r}")
    if resampling not in FILTERS:
        raise ValueError(f"resampling: expected one of {FILTERS}, found {resampling!r}")
    width, height = picture.size
    box = (0.0, 0.0, float(width), float(height))
    if geometry == "crop":
        short = min(width, height)
        left, top = (width - short) / 2, (height - short) / 2
        box = (left, top, left + short, top + short)
    return picture.resize((side, side), Image.Resampling[resampling.upper()], box=box)


def encode(picture: Picture, quality: int = QUALITY) -> bytes:
    """Encode an RGB image as baseline JPEG, chroma 4:2:0, no metadata.

    Args:
        picture: RGB image.
        quality: Quality by the scale of libjpeg, 1 to 100.
    """
    stream = io.BytesIO()
    # Without comment=b"" Pillow would copy that of the source file.
    picture.save(stream, "JPEG", quality=quality, subsampling=SUBSAMPLING, comment=b"")
    return stream.getvalue()
