"""Makes images for measuring a training: 256x256 JPEGs of 20 to 35 KB.

Crops of the two photographs that scikit-learn ships, each with its own noise: as large as the
prepared images of ILSVRC, and all different.
"""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from pydantic import JsonValue
from record import alexrep

from alexrep.demo import pictures
from alexrep.demo.pictures import Pixels

SIDE, SEED = 256, 1
NUM_CLASSES, NUM_VAL = 10, 50
LEAST, MOST = 20_000, 35_000
"""Range of a JPEG's size, in bytes."""


def prepared(folder: Path, num: int, threads: int) -> Path:
    """Return a prepared data folder of `num` training images; made if needed."""
    raw, data = folder / f"step-{num}/raw", folder / f"step-{num}/data"
    if not (raw / "val").exists():
        write(raw / "train", num, 0, threads)
        write(raw / "val", NUM_VAL, num, threads)
    alexrep("-q", "preprocess", str(raw), str(data), "--side", str(SIDE))
    for stage in ("mean", "pca", "pack"):
        alexrep("-q", stage, str(data))
    return data


def facts(raw: Path) -> dict[str, JsonValue]:
    """Return the number of training images, and their sizes."""
    sizes = sorted(path.stat().st_size for path in (raw / "train").glob("*/*.jpg"))
    return {"images": len(sizes), "bytes of an image, least, median, most": [
        sizes[0], sizes[len(sizes) // 2], sizes[-1]
    ]}  # fmt: skip


def write(folder: Path, num: int, first: int, threads: int) -> None:
    """Write images from number `first` on into class folders, whole or not at all."""
    part = folder.with_name(f"{folder.name}.partial")
    for label in range(NUM_CLASSES):
        (part / f"class{label}").mkdir(parents=True, exist_ok=True)
    photos = pictures.photographs()

    def write_image(number: int) -> None:
        path = part / f"class{number % NUM_CLASSES}" / f"{number:06d}.jpg"
        path.write_bytes(jpeg(photos, number))

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(write_image, range(first, first + num)))
    part.rename(folder)


def jpeg(photos: list[Pixels], number: int) -> bytes:
    """Make an image, at a quality that gives a size from LEAST to MOST, found by bisection."""
    rng = np.random.default_rng([SEED, number])
    photo = photos[rng.integers(len(photos))]
    top, left = (int(rng.integers(length - SIDE + 1)) for length in photo.shape[:2])
    picture = photo[top : top + SIDE, left : left + SIDE]
    noise = rng.standard_normal(picture.shape) * rng.uniform(4, 12)
    noisy, low, high = pictures.to_uint8(picture + noise), 1, 100
    while low < high:
        quality = (low + high) // 2
        encoded = pictures.encode(noisy, quality)
        if LEAST <= len(encoded) <= MOST:
            break
        low, high = (quality + 1, high) if len(encoded) < LEAST else (low, quality)
    return encoded
