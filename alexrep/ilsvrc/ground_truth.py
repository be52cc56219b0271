"""Class table and val/test labels of a distribution."""

from collections.abc import Callable
from dataclasses import dataclass, field

from alexrep.files import sha256_bytes
from alexrep.ilsvrc.classes import ClassTable
from alexrep.ilsvrc.member import Member


@dataclass(frozen=True)
class GroundTruth:
    """Class table and val/test labels of a distribution."""

    classes: ClassTable
    label: Callable[[str, Member], int]
    """Return the class index of an image from its split, val or test, and member; -1 unknown."""
    num_labels: dict[str, int] = field(default_factory=dict)
    """Number of labels of each split that has a list of labels."""
    digests: dict[str, str] = field(default_factory=dict)
    """Digest of each list of labels."""


def digest(labels: object) -> str:
    """Return the digest of labels: a list, a mapping, or None."""
    return sha256_bytes(repr(labels).encode())
