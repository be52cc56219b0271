"""Surveys a folder of originals: its layout, classes, and units of work with labels."""

import dataclasses
from pathlib import Path

from alexrep.errors import ConfigError, DataError, mismatch
from alexrep.ilsvrc.editions import Edition
from alexrep.ilsvrc.layouts import find
from alexrep.ilsvrc.layouts.find import Found
from alexrep.ilsvrc.layouts.layout import Request
from alexrep.ilsvrc.unit import Source


def survey(
    raw: Path,
    edition: Edition | str | None,
    partial: bool,
    *,
    own_val: bool = True,
    only: str | None = None,
    classes: Path | None = None,
    labels: Path | None = None,
) -> Source:
    """Find the layout, read classes and indices, check the counts, and divide the work.

    Args:
        raw: Folder with the originals.
        edition: The edition that it holds, or its name; None: found by the names in the folder.
        partial: Whether fewer images than the edition has are accepted.
        own_val: Whether val is read; without, it is to be taken from train.
        only: The one split that is needed, as for evaluation; all if None.
        classes: A list of wnids and words, for data that come without one.
        labels: A list of images and their classes, for data that come without one.

    Raises:
        DataError: If an archive is missing, broken or of another edition, or a
            count is wrong.
        ConfigError: If there is no such edition, or a list is named for data that have none.
    """
    if isinstance(edition, Edition):
        found = Found(raw, find.layout_of(edition), edition)
    else:
        found = find.find(raw, edition)
    request = Request(found.folder, found.edition, partial, own_val, only, classes, labels)
    for name, path in ("classes", classes), ("labels", labels):
        if path is not None and name not in found.layout.LISTS:
            wanted, what = f"data that come without {name}", f"{found.folder}, which has its own"
            raise ConfigError(mismatch(f"--{name}", wanted, what, "leave it out"))
    source = found.layout.survey(request)
    if isinstance(edition, str) and source.edition.name != edition:
        raise _another(found.folder, edition, source)
    if found.folder == raw:
        return source
    where = f"read from {found.folder.relative_to(raw)}/ in {raw.resolve().name}/"
    return dataclasses.replace(source, remarks=(where, *source.remarks))


def _another(folder: Path, named: str, source: Source) -> DataError:
    """Return the error of a folder whose classes are those of another edition than was named."""
    synsets = source.classes.synsets
    names = f"{synsets[0].wnid} to {synsets[-1].wnid}"
    what = f"{len(synsets)} classes of {source.edition.name}, {names}"
    return DataError(mismatch(folder, f"the classes of {named}", what, "leave --edition out"))
