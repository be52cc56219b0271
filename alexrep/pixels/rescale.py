"""Rescale to a square: shorter side to the wanted one, central part, JPEG again."""

import io

import PIL
from PIL import Image

from alexrep.pixels.decode import Picture

QUALITY = 90
SUBSAMPLING = "4:2:0"
FILTER = "bicubic"
GEOMETRIES = ("crop", "squash")


def version() -> str:
    """Return name and version of the resizer, which decide the pixels."""
    flavour = "pillow-simd" if ".post" in PIL.__version__ else "pillow"
    return f"{flavour} {PIL.__version__}"


def to_square(picture: Picture, side: int, geometry: str = "crop") -> Picture:
    """Rescale so that the shorter side is `side`, and cut the central square.

    The central square of the source is resampled at once, with an antialiased
    bicubic filter: nothing outside it is computed, however long the image is.

    Args:
        picture: RGB image of any size.
        side: Side of the result, in pixels; 256 in the paper.
        geometry: "crop", or "squash" to give up the aspect ratio, as for Caffe's models.

    Returns:
        RGB image, side x side.

    Raises:
        ValueError: If `geometry` is unknown.

    Source: Krizhevsky et al. 2012, section 2. Assumption: the filter, on which
    the paper and its released source are silent.
    """
    if geometry not in GEOMETRIES:
        raise ValueError(f"geometry: expected one of {GEOMETRIES}, found {geometry!r}")
    width, height = picture.size
    box = (0.0, 0.0, float(width), float(height))
    if geometry == "crop":
        short = min(width, height)
        left, top = (width - short) / 2, (height - short) / 2
        box = (left, top, left + short, top + short)
    return picture.resize((side, side), Image.Resampling.BICUBIC, box=box)


def encode(picture: Picture) -> bytes:
    """Encode an RGB image as baseline JPEG of quality 90, chroma 4:2:0, no metadata."""
    stream = io.BytesIO()
    # Pillow would keep the comment of the file that the picture came from.
    picture.save(stream, "JPEG", quality=QUALITY, subsampling=SUBSAMPLING, comment=b"")
    return stream.getvalue()
