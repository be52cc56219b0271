"""Which synsets make the classes of a smaller data set: some of them, or groups of them.

Wherever a wnid is asked for, that of an inner node of the devkit's tree stands for all classes
below it.
"""

import re
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from alexrep import files, keyed
from alexrep.errors import ConfigError, DataError, examples, mismatch
from alexrep.ilsvrc import group_file
from alexrep.ilsvrc.classes import ClassTable
from alexrep.ilsvrc.tree import WNID, Names, Tree

DRAW_CLASSES = 1
"""First key of the draw of classes, after the seed; see `selection` for the others."""


@dataclass(frozen=True)
class Group:
    """One class of the smaller data set."""

    name: str
    """The wnid of its only synset, or the name of the group; also its folder's name."""
    words: str
    """Names to show, separated by a comma and a space."""
    wnids: tuple[str, ...]
    """The synsets whose images it has, sorted."""

    @property
    def is_single(self) -> bool:
        """Whether it is a class of the data as it was."""
        return self.wnids == (self.name,)


@dataclass(frozen=True)
class Grouping:
    """What is asked for; of the three last at most one."""

    select: str = ""
    """A number of classes, a file of wnids, or wnids with commas; empty: all classes."""
    digits: int | None = None
    """Classes are joined whose wnids begin with the same digits, so many of them."""
    file: Path | None = None
    """A TOML file of groups."""
    nodes: str = ""
    """Wnids of the devkit's tree, with commas; each is a class, and the others are left out."""

    @property
    def number(self) -> int | None:
        """The number of classes, if that is what is selected."""
        return int(self.select) if re.fullmatch("[0-9]{1,9}", self.select) else None

    def require_one_kind(self) -> None:
        """Refuse two kinds of groups.

        Raises:
            ConfigError: If there are two.
        """
        kinds = {"group-digits": self.digits, "groups": self.file, "group-nodes": self.nodes}
        given = [option for option, value in kinds.items() if value]
        if len(given) > 1:
            found = f"--{given[0]} and --{given[1]}"
            raise ConfigError(mismatch("groups", "one way to make them", found, "leave one out"))


def resolve(
    grouping: Grouping, classes: ClassTable, find_tree: Callable[[], Tree | None], seed: int
) -> tuple[Group, ...]:
    """Return the classes that are asked for, in the order of their names.

    A number of classes is a random sample of them, or of the groups: the same for the same
    seed, and those of a smaller number are among those of a larger one.

    Args:
        grouping: What is asked for.
        classes: The classes of the data.
        find_tree: Returns the devkit's tree, None if there is no devkit; called if needed.
        seed: Seed of the sample.

    Raises:
        ConfigError: If more than one kind of groups is asked for.
        DataError: If a class is not known or in two groups, a group is empty, named twice or
            as a class, or fewer than two classes are left.
    """
    grouping.require_one_kind()
    names = Names(classes.index_of_wnid, find_tree)
    listed = _selected(grouping, names)
    if grouping.digits:
        groups = _by_digits(grouping.digits, listed, classes)
    elif grouping.file is not None:
        groups = _by_file(grouping.file, listed, classes, names)
    elif grouping.nodes:
        groups = _by_nodes(_words(grouping.nodes), listed, names)
    else:
        groups = [_single(wnid, classes) for wnid in listed]
    _require_apart(groups, grouping.file or "groups")
    return _sample(sorted(groups, key=lambda group: group.name), grouping.number, seed)


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _single(wnid: str, classes: ClassTable) -> Group:
    words = classes.synsets[classes.index_of_wnid[wnid]].words
    return Group(wnid, words, (wnid,))


def _selected(grouping: Grouping, names: Names) -> list[str]:
    """Return the wnids that are selected, sorted."""
    if not grouping.select or grouping.number is not None:
        return sorted(names.known)
    where: object = "--select"
    words, path = _words(grouping.select), Path(grouping.select)
    if path.is_file():
        where, words = path, list(_lines(path, names.known))
    wnids = {wnid for word in words for wnid in names.resolve(word, where)}
    if not wnids:
        raise DataError(mismatch(where, "classes of the data", "none", "name some"))
    return sorted(wnids)


def _lines(path: Path, known: Collection[str]) -> Iterator[str]:
    """Yield the wnid of each line; what follows it is a remark, as in lists with words."""
    try:
        lines = files.read_text(path, "utf-8-sig").splitlines()
    except ValueError:
        raise DataError(mismatch(path, "a text file", "other bytes", group_file.ADVICE)) from None
    for line in map(str.strip, lines):
        # Names of class folders may hold blanks.
        if line and not line.startswith("#"):
            yield line if line in known else line.split()[0]


def _by_digits(num: int, listed: Iterable[str], classes: ClassTable) -> list[Group]:
    members: dict[str, list[str]] = {}
    for wnid in listed:
        if not WNID.fullmatch(wnid):
            raise DataError(mismatch("--group-digits", "wnids", repr(wnid), "use --groups"))
        members.setdefault(wnid[: num + 1], []).append(wnid)
    groups = []
    for name, wnids in members.items():
        first = _single(wnids[0], classes).words.split(", ")[0]
        more = f" and {len(wnids) - 1} more" if len(wnids) > 1 else ""
        groups.append(Group(name, f"{name} ({first}{more})", tuple(wnids)))
    return groups


def _by_nodes(nodes: list[str], listed: Collection[str], names: Names) -> list[Group]:
    where = "--group-nodes"
    twice = sorted({node for node in nodes if nodes.count(node) > 1})
    if twice:
        raise DataError(mismatch(where, "each group once", f"{twice[0]} twice", "name it once"))
    tree, groups = names.find_tree(), []
    if tree is None:
        advice = "name its tar or folder with --devkit"
        raise DataError(mismatch(where, "a devkit with the tree", "none", advice))
    for node in nodes:
        wnids = sorted(set(names.resolve(node, where)) & set(listed))
        groups.append(Group(node, tree.words.get(node, node), tuple(wnids)))
    return groups


def _by_file(path: Path, listed: Collection[str], classes: ClassTable, names: Names) -> list[Group]:
    file = group_file.read(path)

    def members(words: Iterable[str]) -> list[str]:
        wnids = {wnid for word in words for wnid in names.resolve(word, path)}
        return sorted(wnids & set(listed))

    groups = [Group(name, name, tuple(members(words))) for name, words in file.groups.items()]
    dropped = set(members(file.drop))
    grouped = {wnid: group.name for group in groups for wnid in group.wnids}
    both = sorted(dropped & grouped.keys())
    if both:
        found = f"{both[0]} in drop and in {grouped[both[0]]!r}"
        raise DataError(mismatch(path, "each class once", found, "take it out of one"))
    others = sorted(set(listed) - grouped.keys() - dropped) if file.others == "keep" else []
    return [*groups, *(_single(wnid, classes) for wnid in others)]


def _require_apart(groups: list[Group], where: object) -> None:
    """Refuse empty groups, a synset in two of them, and a group with the name of a class."""
    owner: dict[str, str] = {}
    for group in groups:
        if not group.wnids:
            found, advice = "none", "add some or leave the group out"
            wanted = f"classes of the data in group {group.name!r}"
            raise DataError(mismatch(where, wanted, found, advice))
        for wnid in group.wnids:
            if wnid in owner:
                found = f"{wnid} in {owner[wnid]!r} and in {group.name!r}"
                raise DataError(
                    mismatch(where, "each class in one group", found, "take it out of one")
                )
            owner[wnid] = group.name
    names = [group.name for group in groups]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        found = f"{twice[0]!r} twice"
        raise DataError(mismatch(where, "another name for each class", found, "rename the group"))


def _sample(groups: list[Group], number: int | None, seed: int) -> tuple[Group, ...]:
    names = [group.name for group in groups]
    if number is not None and number > len(groups):
        found, advice = f"{number}", "ask for fewer"
        raise DataError(mismatch("--select", f"at most {len(groups)} classes", found, advice))
    if number is not None:
        drawn = keyed.permutation(len(groups), seed, DRAW_CLASSES)[:number]
        groups = [groups[position] for position in sorted(drawn)]
    if len(groups) < 2:
        found, advice = examples(names) if groups else "none", "select more"
        raise DataError(mismatch("classes", "two or more", found, advice))
    return tuple(groups)
