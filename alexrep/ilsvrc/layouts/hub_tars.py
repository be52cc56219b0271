"""A hub's compressed tars: data/train_images_0.tar.gz to 4, val_images, test_images.

Each is read from its beginning to its end once, when it is prepared: what a member of a tar.gz
is called is known only when all before it was decompressed. So a tar.gz is a unit. The names
have the wnid of the image at the end.
"""

import functools
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from alexrep.errors import DataError, mismatch
from alexrep.ilsvrc import class_lists, original_names, splits, streams
from alexrep.ilsvrc.assemble import unlisted
from alexrep.ilsvrc.editions import EDITIONS as KNOWN
from alexrep.ilsvrc.editions import Edition
from alexrep.ilsvrc.layouts.layout import Request
from alexrep.ilsvrc.unit import Original, Source, Unit

EDITIONS = ("ilsvrc2012",)
"""Names of the editions in this form."""
LISTS = ("classes",)
"""Lists that a user may name for what this form may lack."""
_NAME = re.compile(r"(train|val|validation|test)_images(?:_\d+)?\.(?:tar\.gz|tgz)")


def recognise(folder: Path) -> Edition | None:
    """See `Layout`: by the names of the files, in the folder or in data/ there."""
    return KNOWN["ilsvrc2012"] if _files(folder) else None


def survey(request: Request) -> Source:
    """See `Layout`."""
    edition, classes = class_lists.choose(request.folder, request.classes, {})
    read = functools.partial(_read, classes.index_of_wnid)
    return unlisted(request, edition, classes, _files(request.folder), read)


def _files(folder: Path) -> dict[str, list[Path]]:
    """Return the files of each split, in the folder or in data/ there."""
    return splits.named_below(folder, "*_images*gz", _NAME)


def _read(index_of_wnid: Mapping[str, int], unit: Unit) -> Iterator[Original]:
    """Read the images of a tar.gz as they come; those of test have no label.

    Raises:
        DataError: If the file is damaged, or an image of train or val has no wnid of a class.
    """
    for path, content in streams.images(unit.archive):
        name, wnid = original_names.of_hub(path)
        label = index_of_wnid.get(wnid, -1)
        if label < 0 and (wnid or unit.split != "test"):
            where, wanted = f"{unit.archive}: {path}", "a name that ends in the wnid of a class"
            advice = "name the list of classes with --classes"
            raise DataError(mismatch(where, wanted, wnid or "none", advice))
        yield Original(name, label, content)
