"""Save the pictures of a folder smaller: charts with 256 colours, those with photographs as JPEG.

python docs/smaller.py docs/gallery
"""

import sys
from pathlib import Path

from PIL import Image

CHART, COLOURED = 5_000, 50_000
"""A chart has at most so many colours; a picture of more than the second shows photographs."""
WIDTH = 900
"""Most pixels across of a picture with photographs."""


def shrink(path: Path) -> None:
    """Save a PNG smaller in its place, or as JPEG, unless it has a palette."""
    with Image.open(path) as picture:
        if picture.mode == "P":
            return
        pixels = picture.convert("RGB")
    if pixels.getcolors(CHART) is not None:
        pixels.quantize(256, Image.Quantize.MAXCOVERAGE).save(path, optimize=True)
    elif pixels.getcolors(COLOURED) is not None:
        pixels.save(path, optimize=True)
    else:
        pixels.thumbnail((WIDTH, 10 * WIDTH), Image.Resampling.LANCZOS)
        pixels.save(path.with_suffix(".jpg"), quality=85, optimize=True)
        path.unlink()


if __name__ == "__main__":
    for found in Path(sys.argv[1]).rglob("*.png"):
        shrink(found)
