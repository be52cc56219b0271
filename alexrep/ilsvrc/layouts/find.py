"""Finds the layout and the edition of a folder of originals by the names in it."""

from dataclasses import dataclass
from pathlib import Path

from alexrep.errors import ConfigError, DataError, mismatch
from alexrep.ilsvrc import folders
from alexrep.ilsvrc.editions import EDITIONS, NAMED, Edition
from alexrep.ilsvrc.layouts import class_folders, ilsvrc_tars, tiny
from alexrep.ilsvrc.layouts.layout import Layout

LAYOUTS: tuple[Layout, ...] = (ilsvrc_tars, tiny, class_folders)
"""All layouts; a folder is in the first that recognises it."""


@dataclass(frozen=True)
class Found:
    """What was found."""

    folder: Path
    layout: Layout
    edition: Edition


def find(raw: Path, name: str | None = None) -> Found:
    """Return the layout and the edition of `raw`; an edition that is named is taken at its word.

    Raises:
        DataError: If there is no such folder, no edition in it, or more than one.
        ConfigError: If there is no edition `name`.
    """
    if name is not None and name not in NAMED:
        known = "one of " + ", ".join(NAMED)
        raise ConfigError(mismatch("--edition", known, repr(name), "choose"))
    if not raw.is_dir():
        raise DataError(mismatch(raw, "a folder with the ILSVRC tars", "no folder", "see devkit/"))
    if name is not None:
        return Found(raw, layout_of(NAMED[name]), NAMED[name])
    for layout in LAYOUTS:
        edition = layout.recognise(raw)
        if edition is not None:
            return Found(raw, layout, edition)
    tars = " or ".join(edition.archives["train"] for edition in EDITIONS.values())
    found, advice = folders.describe(raw)
    raise DataError(mismatch(raw, f"{tars} or train/ with class folders", found, advice))


def layout_of(edition: Edition) -> Layout:
    """Return the first layout that has an edition."""
    return next(layout for layout in LAYOUTS if edition.name in layout.EDITIONS)
