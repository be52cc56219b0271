"""Finds the layout and the edition of a folder of originals by the names in it."""

import itertools
import os
from dataclasses import dataclass
from pathlib import Path

from alexrep.errors import ConfigError, DataError, examples, mismatch
from alexrep.ilsvrc import folders
from alexrep.ilsvrc.editions import EDITIONS, NAMED, Edition
from alexrep.ilsvrc.layouts import (
    class_folders,
    hub_files,
    hub_tars,
    ilsvrc_tars,
    kaggle,
    parquet,
    tiny,
    webdataset,
)
from alexrep.ilsvrc.layouts.layout import Layout

LAYOUTS: tuple[Layout, ...] = (
    hub_files,
    ilsvrc_tars,
    kaggle,
    parquet,
    hub_tars,
    webdataset,
    tiny,
    class_folders,
)
"""All layouts; a folder is in the first that recognises it. A hub's files may lie beside a devkit,
as the unpacked tars do."""
DEPTH = 3
"""Most folders between the folder that is named and the data, as ILSVRC/Data/CLS-LOC."""
MOST = 100
"""Names of a folder that are looked at for folders."""


@dataclass(frozen=True)
class Found:
    """What was found."""

    folder: Path
    layout: Layout
    edition: Edition


def find(raw: Path, name: str | None = None) -> Found:
    """Return the layout and the edition of `raw`, or of the one folder below that has data.

    An edition that is named is taken at its word.

    Raises:
        DataError: If there is no such folder, no edition in it, or more than one.
        ConfigError: If there is no edition `name`.
    """
    if name is not None and name not in NAMED:
        known = "one of " + ", ".join(NAMED)
        raise ConfigError(mismatch("--edition", known, repr(name), "choose"))
    if raw.is_file():
        wanted, advice = "a folder with originals", "name the folder that it is in"
        raise DataError(mismatch(raw, wanted, "a file", advice))
    if not raw.is_dir():
        raise DataError(mismatch(raw, "a folder with the ILSVRC tars", "no folder", "see devkit/"))
    named, level = NAMED[name] if name else None, [raw]
    for depth in range(DEPTH + 1):
        found = [here for folder in level if (here := _recognised(folder, named)) is not None]
        if len(found) > 1:
            names = [f"{here.edition.name} in {here.folder.relative_to(raw)}/" for here in found]
            raise DataError(mismatch(raw, "one data set", examples(names), "name its folder"))
        if found:
            return found[0]
        level = [below for folder in level for below in _below(folder)] if depth < DEPTH else []
    if named:
        return Found(raw, layout_of(named), named)
    raise _nothing(raw)


def _recognised(folder: Path, named: Edition | None) -> Found | None:
    """Return what lies in a folder itself; if an edition is named, of its layouts."""
    for layout in LAYOUTS:
        if named is None:
            edition = layout.recognise(folder)
        elif named.name in layout.EDITIONS:
            edition = named if _is_there(layout, folder) else None
        else:
            edition = None
        if edition is not None:
            return Found(folder, layout, edition)
    return None


def _is_there(layout: Layout, folder: Path) -> bool:
    """Tell whether a layout recognises a folder; which of two editions it has is told already."""
    try:
        return layout.recognise(folder) is not None
    except DataError:
        return True


def _below(folder: Path) -> list[Path]:
    """Return the folders in a folder, but none where there are many, as in one of classes.

    What a stage has written has a manifest or a plan, and is no original.
    """
    with os.scandir(folder) as entries:
        few = list(itertools.islice(entries, MOST))
    paths = sorted(
        Path(entry.path) for entry in few if entry.is_dir() and not entry.name.startswith(".")
    )
    written = ("manifest.json", "plan.json")
    return [path for path in paths if not any((path / name).exists() for name in written)]


def _nothing(raw: Path) -> DataError:
    """Return the error of a folder in which no layout recognises anything."""
    tars = " or ".join(edition.archives["train"] for edition in EDITIONS.values())
    found, advice = folders.describe(raw)
    return DataError(mismatch(raw, f"{tars} or train/ with class folders", found, advice))


def layout_of(edition: Edition) -> Layout:
    """Return the first layout that has an edition."""
    return next(layout for layout in LAYOUTS if edition.name in layout.EDITIONS)
