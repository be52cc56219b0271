"""The peers of preprocess.py, as a separate program: pillow and pillow-simd share a name.

    PEER_PYTHON benchmarks/resizers.py TAR

Reads the name of a peer from each line of stdin and answers with its processor seconds for all
images; a line "keep PEER FILE" saves its squares, (N, 256, 256, 3), too.
"""

import importlib
import io
import json
import sys
import tarfile
import time
from collections.abc import Callable
from typing import Any

import numpy as np

SIDE, QUALITY = 256, 90
Resizer = Callable[[bytes], tuple[bytes, Any]]


def pillow(jpeg: bytes) -> tuple[bytes, Any]:
    """Open, resize, crop and save, as most scripts do."""
    from PIL import Image

    image = Image.open(io.BytesIO(jpeg)).convert("RGB")
    wide, high = (round(length * SIDE / min(image.size)) for length in image.size)
    image = image.resize((wide, high), Image.Resampling.BICUBIC)
    left, top = (wide - SIDE) // 2, (high - SIDE) // 2
    image = image.crop((left, top, left + SIDE, top + SIDE))
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=QUALITY, subsampling="4:2:0")
    return stream.getvalue(), image


def opencv(jpeg: bytes) -> tuple[bytes, Any]:
    """Do the same with OpenCV, area averaging."""
    cv2: Any = importlib.import_module("cv2")
    image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR | 128)
    high, wide = (round(length * SIDE / min(image.shape[:2])) for length in image.shape[:2])
    image = cv2.resize(image, (wide, high), interpolation=cv2.INTER_AREA)
    left, top = (wide - SIDE) // 2, (high - SIDE) // 2
    image = image[top : top + SIDE, left : left + SIDE]
    sampling = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420]
    _, encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, QUALITY, *sampling])
    return encoded.tobytes(), image[:, :, ::-1]


def libvips(jpeg: bytes) -> tuple[bytes, Any]:
    """Do the same with libvips' thumbnail, which shrinks while decoding."""
    pyvips: Any = importlib.import_module("pyvips")
    image = pyvips.Image.thumbnail_buffer(jpeg, SIDE, height=SIDE, crop="centre", no_rotate=True)
    encoded = image.jpegsave_buffer(Q=QUALITY, subsample_mode="on", keep="none")
    return encoded, image


def pixels(image: Any) -> Any:  # noqa: ANN401 (the image of any library)
    """Return the square as an array, (256, 256, 3)."""
    array = np.asarray(image) if not hasattr(image, "numpy") else image.numpy()
    return array if array.ndim == 3 else np.repeat(array.reshape(SIDE, SIDE, 1), 3, axis=2)


PEERS: dict[str, tuple[str, Resizer]] = {
    "pillow": ("PIL", pillow),
    "opencv": ("cv2", opencv),
    "libvips": ("pyvips", libvips),
}


def present() -> dict[str, str]:
    """Return the version of each peer that is installed."""
    versions = {}
    for name, (module, _) in PEERS.items():
        try:
            versions[name] = str(importlib.import_module(module).__version__)
        except (ImportError, OSError):
            continue
    return versions


def main() -> None:
    """Answer lines until stdin ends."""
    with tarfile.open(sys.argv[1]) as tar:
        files = [tar.extractfile(member) for member in tar if member.isfile()]
        jpegs = [file.read() for file in files if file]
    versions = present()
    if "opencv" in versions:
        importlib.import_module("cv2").setNumThreads(1)
    print(json.dumps(versions), flush=True)
    for line in sys.stdin:
        name, *file = line.split()[1:] if line.startswith("keep") else line.split()
        work = PEERS[name][1]
        if file:
            np.save(file[0], np.stack([pixels(work(jpeg)[1]) for jpeg in jpegs]))
        start = time.process_time()
        for jpeg in jpegs:
            work(jpeg)
        print(time.process_time() - start, flush=True)


if __name__ == "__main__":
    main()
