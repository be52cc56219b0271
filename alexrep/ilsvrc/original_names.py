"""Original names of images that came under others: a hub's, and the keys of WebDataset."""

import re
from pathlib import PurePosixPath

_HUB = re.compile(r"(.+)_(n[0-9]{8})(\.[A-Za-z]+)")
"""A hub's names have the wnid at the end: n01440764_10026_n01440764.JPEG."""
_TRAIN = re.compile(r"(?<![A-Za-z0-9])n[0-9]{8}_[0-9]+(?![0-9])")
_OTHER = re.compile(r"[A-Z]+[0-9]*_(?:val|test)_[0-9]{8}(?![0-9])")
_WNID = re.compile(r"(?<![A-Za-z0-9])n[0-9]{8}(?![0-9])")
UNNAMED = "unnamed-"
"""Beginning of names that are made up, as the original ones are not known."""


def of_hub(path: str) -> tuple[str, str]:
    """Return the original name and the wnid, "" if there is none, of a name of the hub."""
    name = PurePosixPath(path).name
    match = _HUB.fullmatch(name)
    return (match[1] + match[3], match[2]) if match else (name, "")


def within(text: str) -> str:
    """Return the original name that a key or a path has in it, "" if it has none."""
    match = _OTHER.search(text) or _TRAIN.search(text)
    return f"{match[0]}.JPEG" if match else ""


def wnid_within(text: str) -> str:
    """Return the first wnid in a key or a path, "" if it has none."""
    match = _WNID.search(text)
    return match[0] if match else ""
