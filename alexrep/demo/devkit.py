"""The devkit of the demo edition: its classes and its files."""

import io
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray
from scipy.io import savemat

FIELDS = (
    "DEMO_ID",
    "WNID",
    "words",
    "gloss",
    "num_children",
    "children",
    "wordnet_height",
    "num_train_images",
)
"""Fields of a synset, in the order of ILSVRC's meta.mat."""


class Leaf(NamedTuple):
    """The class of one digit."""

    wnid: str
    id: int
    words: str


LEAVES = (
    Leaf("n90000005", 3, "zero, nought"),
    Leaf("n90000008", 10, "one, unity"),
    Leaf("n90000001", 7, "two, deuce"),
    Leaf("n90000004", 6, "three, trey"),
    Leaf("n90000007", 1, "four"),
    Leaf("n90000010", 8, "five"),
    Leaf("n90000003", 5, "six"),
    Leaf("n90000006", 2, "seven"),
    Leaf("n90000009", 4, "eight"),
    Leaf("n90000002", 9, "nine"),
)
"""The classes, by digit. Digits, ids and sorted wnids are three different orders."""

INNER = Leaf("n90000000", 11, "digit, figure")
"""The parent of the classes, itself no class; its wnid sorts before theirs."""

README = b"""The devkit of the demo edition, in the form of ILSVRC's.

data/meta.mat: the synsets; DEMO_ID 1 to 10 are the classes, 11 is their parent.
data/DEMO_validation_ground_truth.txt: one DEMO_ID a line, in ascending order of file names.

The pictures are made of scikit-learn's load_digits and load_sample_images.
"""


def ground_truth(digits: Iterable[int]) -> bytes:
    """List the ids of digits, one per line.

    Args:
        digits: The digit of each picture, in ascending order of file names.
    """
    return "".join(f"{LEAVES[digit].id}\n" for digit in digits).encode()


def files(num_train: Sequence[int], val_digits: Iterable[int]) -> Iterator[tuple[str, bytes]]:
    """Yield path and bytes of each file of the devkit.

    Args:
        num_train: Number of training pictures of each digit, (10,).
        val_digits: The digit of each val picture, in ascending order of file names.
    """
    yield "DEMO_devkit/readme.txt", README
    yield "DEMO_devkit/data/meta.mat", _meta(num_train)
    yield "DEMO_devkit/data/DEMO_validation_ground_truth.txt", ground_truth(val_digits)


def _meta(num_train: Sequence[int]) -> bytes:
    """Make meta.mat: `synsets` is a column of structs in order of id."""
    synsets: list[tuple[Any, ...]] = [
        (leaf.id, leaf.wnid, leaf.words, f"the digit {digit}", 0, (), 0, num_train[digit])
        for digit, leaf in enumerate(LEAVES)
    ]
    children = sorted(leaf.id for leaf in LEAVES)
    gloss = "one of the ten signs that numbers are written with"
    synsets.append((INNER.id, INNER.wnid, INNER.words, gloss, len(children), children, 1, 0))
    column = np.empty((len(synsets), 1), [(name, object) for name in FIELDS])
    for row, values in enumerate(sorted(synsets)):
        column[row, 0] = tuple(v if isinstance(v, str) else _least(v) for v in values)
    stream = io.BytesIO()
    # scipy's stubs take paths only.
    savemat(cast(Any, stream), {"synsets": column})
    # The first 116 bytes are free text, where scipy writes the time.
    return b"MATLAB 5.0 MAT-file, alexrep demo edition".ljust(116) + stream.getvalue()[116:]


def _least(value: int | Sequence[int]) -> NDArray[np.unsignedinteger[Any]]:
    """Return integers as a row of the smallest dtype that fits, as MATLAB stores them."""
    row = np.array(value, np.uint16).reshape(1, -1)
    return row if (row > 255).any() else row.astype(np.uint8)
