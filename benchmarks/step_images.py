"""Images for a training that is measured: 256x256 JPEGs of 20 to 35 KB, made on the spot.

Crops of the two photographs that scikit-learn ships, with noise of their own: as large as
the prepared images of ILSVRC, and no two alike.
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
"""Bytes of a JPEG."""


def prepared(folder: Path, num: int, threads: int) -> Path:
    """Return a prepared data folder of `num` training images; made if it is not there."""
    raw, data = folder / f"step-{num}/raw", folder / f"step-{num}/data"
    if not (raw / "val").exists():
        write(raw / "train", num, 0, threads)
        write(raw / "val", NUM_VAL, num, threads)
    alexrep("-q", "preprocess", str(raw), str(data), "--side", str(SIDE))
    for stage in ("mean", "pca", "pack"):
        alexrep("-q", stage, str(data))
    return data


def facts(raw: Path) -> dict[str, JsonValue]:
    """Return how many training images there are, and how large."""
    sizes = sorted(path.stat().st_size for path in (raw / "train").glob("*/*.jpg"))
    return {"images": len(sizes), "bytes of an image, least, median, most": [
        sizes[0], sizes[len(sizes) // 2], sizes[-1]
    ]}  # fmt: skip


def write(folder: Path, num: int, first: int, threads: int) -> None:
    """Write images number `first` and following into class folders, which come last."""
    part = folder.with_name(f"{folder.name}.partial")
    for label in range(NUM_CLASSES):
        (part / f"class{label}").mkdir(parents=True, exist_ok=True)
    photos = pictures.photographs()

    def one(number: int) -> None:
        path = part / f"class{number % NUM_CLASSES}" / f"{number:06d}.jpg"
        path.write_bytes(jpeg(photos, number))

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(one, range(first, first + num)))
    part.rename(folder)


def jpeg(photos: list[Pixels], number: int) -> bytes:
    """Make one image, of the quality in the middle of those that give the right size."""
    rng = np.random.default_rng([SEED, number])
    photo = photos[rng.integers(len(photos))]
    top, left = (int(rng.integers(length - SIDE + 1)) for length in photo.shape[:2])
    picture = photo[top : top + SIDE, left : left + SIDE]
    noise = rng.standard_normal(picture.shape) * rng.uniform(4, 12)
    noisy, low, high = pictures.to_uint8(picture + noise), 1, 100
    while low < high:
        quality = (low + high) // 2
        found = pictures.encode(noisy, quality)
        if LEAST <= len(found) <= MOST:
            break
        low, high = (quality + 1, high) if len(found) < LEAST else (low, quality)
    return found
