"""A smaller data set on the command line: its options, and the source that they ask for."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from alexrep.ilsvrc.editions import Edition
    from alexrep.ilsvrc.groups import Grouping
    from alexrep.ilsvrc.selection import Amounts
    from alexrep.ilsvrc.tree import Tree
    from alexrep.ilsvrc.unit import Source

Select = Annotated[
    str,
    typer.Option(
        metavar="N|FILE|WNIDS",
        help="Only so many classes, drawn by --seed; or those of a file, or of a,b,c.",
    ),
]
Images = Annotated[
    int | None,
    typer.Option(
        "--images", metavar="N", min=1, help="Only so many training images of each class."
    ),
]
Seed = Annotated[int, typer.Option(min=0, help="Seed of what is drawn.")]
GroupDigits = Annotated[
    int | None,
    typer.Option(
        metavar="N", min=1, max=8, help="Join classes whose wnids begin with the same N digits."
    ),
]
Groups = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Join classes as a TOML file says.")
]
GroupNodes = Annotated[
    str,
    typer.Option(
        metavar="WNIDS", help="Join all classes below each of these nodes of the devkit's tree."
    ),
]
Devkit = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Devkit with the tree; that in RAW if not given."),
]
ValImages = Annotated[
    int | None,
    typer.Option(metavar="N", min=1, help="Only so many val and test images of each class."),
]
ValFraction = Annotated[
    float | None,
    typer.Option(metavar="F", help="Take this share of train for val, in place of the data's val."),
]


def of_raw(
    raw: Path,
    edition: str | None,
    partial: bool,
    grouping: Grouping,
    amounts: Amounts,
    devkit: Path | None = None,
    classes: Path | None = None,
    labels: Path | None = None,
) -> Source:
    """Survey a folder of originals, and select what is asked for; all if nothing is."""
    from alexrep.ilsvrc import source

    own_val = amounts.val_fraction is None
    whole = source.survey(raw, edition, partial, own_val=own_val, classes=classes, labels=labels)
    return _select(whole, grouping, amounts, functools.partial(_tree, devkit, raw, whole.edition))


def of_data(
    data: Path, side: int, grouping: Grouping, amounts: Amounts, devkit: Path | None
) -> tuple[Source, bool]:
    """Select among prepared images; return also whether they were a part of their edition."""
    from alexrep.prepare import prepared, shrink

    images = prepared.open_prepared(data)
    shrink.require_smaller(images, side)
    find_tree = functools.partial(_tree, devkit, None, None)
    chosen = _select(shrink.of_prepared(images), grouping, amounts, find_tree)
    return chosen, images.manifest.settings["partial"] is True


def _select(
    whole: Source, grouping: Grouping, amounts: Amounts, find_tree: functools.partial[Tree | None]
) -> Source:
    from alexrep.ilsvrc import groups, selection
    from alexrep.ilsvrc.groups import Grouping
    from alexrep.ilsvrc.selection import Amounts

    if (grouping, amounts) == (Grouping(), Amounts(seed=amounts.seed)):
        return whole
    chosen = groups.resolve(grouping, whole.classes, functools.cache(find_tree), amounts.seed)
    return selection.select(whole, chosen, amounts)


def _tree(devkit: Path | None, raw: Path | None, edition: Edition | None) -> Tree | None:
    """Return the tree of the devkit that is named, or lies in the folder of originals."""
    from alexrep.ilsvrc import tree

    if devkit is not None:
        return tree.read(devkit)
    if raw is None or edition is None or not edition.prefix:
        return None
    from alexrep.ilsvrc.devkit import locate

    return tree.read(locate(raw, edition))
