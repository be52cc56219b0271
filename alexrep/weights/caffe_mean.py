"""Mean images of other programs, as Caffe's networks need them.

Shapes: S side of the prepared images.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from alexrep.errors import DataError, mismatch
from alexrep.weights import caffe_layers, caffemodel
from alexrep.weights.caffemodel import Floats
from alexrep.weights.protobuf import WireError

ADVICE = "name a .npy, .npz or .binaryproto, or three numbers as in 104,117,123 (blue first)"


def parse(text: str) -> tuple[float, float, float] | None:
    """Return the three numbers that `text` is, blue first; None if it is something else."""
    try:
        blue, green, red = map(float, text.split(","))
    except ValueError:
        return None
    return blue, green, red


def even(numbers: tuple[float, float, float], side: int) -> Floats:
    """Make a mean image of one colour.

    Args:
        numbers: Grey levels of blue, green and red: Caffe's `mean_value`.
        side: S.

    Returns:
        RGB, grey levels, float32 (S, S, 3).

    Raises:
        DataError: If a number is no grey level.
    """
    blue, green, red = numbers
    image = np.full((side, side, 3), (red, green, blue), np.float32)
    return _checked(image, side, f"--mean {blue:g},{green:g},{red:g}")


def read(path: Path, side: int) -> Floats:
    """Read a mean image.

    Args:
        path: .npy or .npz (of one array) or .binaryproto: (3, S, S) from blue to red as Caffe has
            it, or alexrep's own (S, S, 3), RGB.
        side: S.

    Returns:
        RGB, grey levels, float32 (S, S, 3).

    Raises:
        DataError: If it is missing, damaged, of another side, or not of grey levels.
    """
    image = _array(path)
    if image.ndim == 4 and len(image) == 1:
        image = image[0]
    if image.ndim == 3 and len(image) == 3:
        image = image.transpose(1, 2, 0)[:, :, ::-1]
    return _checked(image, side, path)


def _array(path: Path) -> Floats:
    content = caffe_layers.content_of(path, ADVICE)
    if content.startswith((b"PK", b"\x93NUMPY")):
        arrays = list(caffe_layers.arrays_of_npz(content, path, ADVICE).values())
        if len(arrays) != 1:
            raise DataError(mismatch(path, "one array", len(arrays), ADVICE))
        return arrays[0]
    try:
        return caffemodel.blob(memoryview(content))
    except WireError as error:
        raise DataError(mismatch(path, "a mean image", error, ADVICE)) from None


def _checked(image: NDArray[np.float32], side: int, where: object) -> Floats:
    if image.shape != (side, side, 3):
        wanted = f"a mean image of three colours and side {side}, as the data"
        found = " x ".join(map(str, image.shape)) or "one number"
        raise DataError(mismatch(where, wanted, found, ADVICE))
    # Written so that NaN fails it.
    if not ((image >= 0) & (image <= 255)).all():
        raise DataError(mismatch(where, "grey levels from 0 to 255", "others", ADVICE))
    return np.ascontiguousarray(image, np.float32)
