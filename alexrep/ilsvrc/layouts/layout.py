"""What a layout is: a form in which a data set lies in a folder.

A layout is a module of this package that fulfils `Layout`; `find` has the list of them.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from alexrep.ilsvrc.editions import SPLITS, Edition
from alexrep.ilsvrc.unit import Source


@dataclass(frozen=True)
class Request:
    """What is asked for."""

    folder: Path
    """Folder that a layout has recognised."""
    edition: Edition
    """The edition that it has recognised there, or that was named."""
    partial: bool = False
    """Whether fewer images than the edition has are accepted."""
    own_val: bool = True
    """Whether val is read; without, it is to be taken from train."""
    only: str | None = None
    """The one split that is needed; a layout reads others, too, if they name its classes."""
    classes: Path | None = None
    """A list of the classes, for data that come without one."""
    labels: Path | None = None
    """A list of images and their classes, for data that come without one."""

    @property
    def wanted(self) -> tuple[str, ...]:
        """The splits to read, as far as they are there."""
        if self.only:
            return (self.only,)
        return SPLITS if self.own_val else ("train", "test")


class Layout(Protocol):
    """A form in which a data set lies in a folder."""

    @property
    def EDITIONS(self) -> tuple[str, ...]:  # noqa: N802 (a constant of the module)
        """Names of the editions that people have in this form."""

    @property
    def LISTS(self) -> tuple[str, ...]:  # noqa: N802 (a constant of the module)
        """Fields of a request that this form has a use for: "classes", "labels"."""

    def recognise(self, folder: Path) -> Edition | None:
        """Return the edition that lies in this form in a folder, by a look at a few names there.

        Raises:
            DataError: If there are two.
        """

    def survey(self, request: Request) -> Source:
        """Return classes and units, which yield names, labels and bytes of their images.

        Raises:
            DataError: If an archive is missing, broken or of another edition, or a
                count is wrong.
        """
