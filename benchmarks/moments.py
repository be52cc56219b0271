"""The sums of mean and pca, against scikit-learn's IncrementalPCA and against decoding alone.

    python benchmarks/moments.py FOLDER [--data DATA]

Not named statistics.py: a script's folder is searched first, and every benchmark would import
it instead of the standard library's module.
Processor seconds on the training images at 256x256, one thread; decoded to four bytes per pixel,
as in `alexrep mean`, which adds an image while it is in the cache. So 4 images are added in
turn; 256 in turn have to come from memory, and that figure is given, too.
IncrementalPCA.partial_fit gets the same 4 images in turn as float64, with its default batch (5
rows a feature) and with larger ones.
Targets: 50 times its best (100 the goal); the whole pass at most 1.8 times decoding.
"""

import shutil
from functools import partial
from pathlib import Path

import inputs
import numpy as np
import simplejpeg
from numpy.typing import NDArray
from pydantic import JsonValue
from record import keep
from rounds import alternate, processor_seconds
from sklearn.decomposition import IncrementalPCA
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from alexrep.pixels.moments import Moments
from alexrep.prepare import image_statistics
from alexrep.prepare.prepared import Prepared, jpegs, open_prepared

BATCHES = (15, 1024, 8192, 32768, 65536, 262144)
FEW = 4
"""Images that fit in the L2 cache of a core."""


def add_all(images: list[NDArray[np.uint8]]) -> None:
    """Sum all images."""
    total = Moments.zero(images[0].shape[0])
    for image in images:
        total.add(image)
    total.covariance()


def fit(pixels: NDArray[np.float64], batch: int, times: int) -> None:
    """Fit IncrementalPCA to the same pixels several times."""
    peer = IncrementalPCA(n_components=3)
    for start in [*range(0, len(pixels), batch)] * times:
        peer.partial_fit(pixels[start : start + batch])


def decode(images: list[bytes], memory: NDArray[np.uint8]) -> None:
    """Decode into the same memory, and nothing else."""
    for jpeg in images:
        simplejpeg.decode_jpeg(jpeg, "RGB", buffer=memory)


def whole_pass(prepared: Prepared, units: list[str], folder: Path) -> None:
    """Do what `alexrep mean` does: records, bytes, decoding, sums, a file per unit."""
    shutil.rmtree(folder, ignore_errors=True)
    for unit in units:
        image_statistics.sum_unit(unit, prepared, folder)


def main() -> None:
    """Measure; print and keep the figures."""
    options = inputs.parser(__doc__).parse_args()
    name, data = inputs.prepared(options)
    prepared = open_prepared(data)
    units = prepared.units("train")[:4]
    encoded = [jpeg for unit in units for _, jpeg in jpegs(prepared, unit)]
    images = [simplejpeg.decode_jpeg(jpeg, "RGBX") for jpeg in encoded[: 64 * FEW]]
    pixels = np.stack(images[:FEW])[..., :3].reshape(-1, 3).astype(np.float64)
    memory = np.empty((*images[0].shape[:2], 3), np.uint8)
    contestants = {
        "alexrep": processor_seconds(partial(add_all, images[:FEW] * 64)),
        "alexrep, from memory": processor_seconds(partial(add_all, images)),
        "decoding": processor_seconds(partial(decode, encoded, memory)),
        "whole pass": processor_seconds(
            partial(whole_pass, prepared, units, options.folder / "sums")
        ),
    }
    # The smallest batches take a second per image: part of the pixels is enough.
    shares = {batch: (len(pixels), 8) if batch > 1000 else (1 << 16, 1) for batch in BATCHES}
    for batch, (share, times) in shares.items():
        work = partial(fit, pixels[:share], batch, times)
        contestants[f"batch {batch}"] = processor_seconds(work)
    with threadpool_limits(1):
        seconds = alternate(contestants, options.rounds)
    ours, fetched = (seconds[key] / len(images) for key in ("alexrep", "alexrep, from memory"))
    area = images[0].shape[0] ** 2
    peers = {
        batch: seconds[f"batch {batch}"] / (share * times) * area
        for batch, (share, times) in shares.items()
    }
    best = min(peers, key=lambda batch: peers[batch])
    figures: dict[str, JsonValue] = {
        "images": f"{len(encoded)}, {name}",
        "milliseconds an image": {
            "alexrep": round(1000 * ours, 4),
            "alexrep, from memory": round(1000 * fetched, 4),
            "decoding": round(1000 * seconds["decoding"] / len(encoded), 4),
            "whole pass": round(1000 * seconds["whole pass"] / len(encoded), 4),
            **{f"IncrementalPCA, batch {b}": round(1000 * t, 2) for b, t in peers.items()},
        },
        "best batch of IncrementalPCA": best,
        "ratio to its best batch (50, goal 100)": round(peers[best] / ours, 1),
        "the same, images fetched from memory": round(peers[best] / fetched, 1),
        "ratio to its default batch, 15": round(peers[15] / ours, 1),
        "whole pass against decoding (at most 1.8)": round(
            seconds["whole pass"] / seconds["decoding"], 2
        ),
    }
    print(keep("moments", figures).read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
