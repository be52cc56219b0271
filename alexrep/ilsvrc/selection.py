"""Makes a smaller data set: chosen classes, images of each, val taken from train.

The draws are functions of the seed and of names only: the same from the originals as from
prepared images, and the images of a smaller number are among those of a larger one.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from pydantic import JsonValue

from alexrep.errors import ConfigError, DataError, examples, mismatch
from alexrep.files import sha256_bytes, to_json
from alexrep.ilsvrc import fair
from alexrep.ilsvrc.classes import ClassTable, Synset
from alexrep.ilsvrc.editions import SPLITS
from alexrep.ilsvrc.groups import Group
from alexrep.ilsvrc.unit import Source, Unit

DRAW_IMAGES = {"train": 2, "val": 3, "test": 4}
DRAW_VAL = 5
"""Second keys of the draws of images and of val, after the seed; see `groups` for the first."""

GROUPS_OF = "groups of "
"""Before the name of an edition of which classes were joined."""

Image = tuple[str, str]
"""The unit and the name of an image."""
Pools = dict[str, list[Image]]
"""The images of each synset of a class, by wnid."""


@dataclass(frozen=True)
class Amounts:
    """How many images are asked for."""

    images: int | None = None
    """Images of train of each class, those that val takes among them; None: all."""
    val_images: int | None = None
    """Images of val, and of test, of each class; None: all."""
    val_fraction: float | None = None
    """Share of the training images of each class that become val; None: the data's own val."""
    seed: int = 1
    """Seed of all draws, of classes too."""

    def __post_init__(self) -> None:
        """Refuse a share that is none, and two sizes of val.

        Raises:
            ConfigError: If there is one.
        """
        share, option = self.val_fraction, "--val-fraction"
        if share is not None and not 0 < share < 1:
            raise ConfigError(mismatch(option, "a share between 0 and 1", share, "as 0.1"))
        if share is not None and self.val_images is not None:
            raise ConfigError(mismatch(option, "one size of val", "--val-images too", "choose one"))

    @property
    def takes_all_train(self) -> bool:
        """Whether the training images stay as they are."""
        return self.images is None and self.val_fraction is None

    def wanted(self, split: str) -> int | None:
        """Return the number of images of each class that is asked for; None: all."""
        return self.images if split == "train" else self.val_images

    def settings(self) -> dict[str, JsonValue]:
        """Return what is asked for, as the manifest records it."""
        asked: dict[str, JsonValue] = {
            "images": self.images,
            "val images": self.val_images,
            "val fraction": self.val_fraction,
        }
        return {name: value for name, value in asked.items() if value is not None}


def select(whole: Source, groups: Sequence[Group], amounts: Amounts) -> Source:
    """Return the source of a smaller data set.

    Images of a group are drawn in equal shares from its synsets; what one of them lacks, and
    the remainder, comes from the others. Val by fraction is the same share of each class and of
    each synset in it, and takes the place of the data's own. Test images without a label are
    left out. Tars of synsets are listed only where images are drawn from them.

    Args:
        whole: The data set.
        groups: Its classes, in order of their names.
        amounts: How many images are asked for.

    Raises:
        DataError: If a class has no training images, or val by fraction would leave it none in
            train or in val.
    """
    if not whole.is_listed:
        wanted, found = "names of all images before they are read", "archives without a list"
        advice = "prepare all of them, then alexrep shrink DATA"
        raise DataError(mismatch("a selection", wanted, found, advice))
    selector = _Selector(whole, groups, amounts)
    train = selector.mixed_train if whole.is_mixed else selector.train
    units = [*train()] if any(unit.split == "train" for unit in whole.units) else []
    for split in ("val", "test") if amounts.val_fraction is None else ("test",):
        units += selector.flat(split)
    units.sort(key=lambda unit: SPLITS.index(unit.split))
    return _describe(whole, units, groups, amounts, selector.short)


@dataclass
class _Selector:
    """Selects units of a source."""

    whole: Source
    groups: Sequence[Group]
    amounts: Amounts
    short: dict[str, dict[str, int]] = field(default_factory=dict)
    """Number of images of each class that has fewer than are asked for, by split."""

    @cached_property
    def new_label(self) -> dict[int, int]:
        """Index among the groups of each class of the data that is in one."""
        index_of_wnid = self.whole.classes.index_of_wnid
        return {
            index_of_wnid[wnid]: label
            for label, group in enumerate(self.groups)
            for wnid in group.wnids
        }

    def train(self) -> Iterator[Unit]:
        """Yield the units of train, and those of val by fraction."""
        of_class: dict[int, list[Unit]] = {label: [] for label in range(len(self.groups))}
        for unit in self.whole.units:
            if unit.split == "train" and unit.labels[0] in self.new_label:
                of_class[self.new_label[unit.labels[0]]].append(unit)
        for label, units in of_class.items():
            group = self.groups[label]
            if not units:
                advice = "leave the class out"
                raise DataError(mismatch(group.name, "training images", "none", advice))
            if self.amounts.takes_all_train:
                for unit in units:
                    yield replace(unit, name=_name("train", unit, group), labels=(label,))
            else:
                yield from self._drawn(label, group, [unit.listed() for unit in units])

    def _drawn(self, label: int, group: Group, units: list[Unit]) -> Iterator[Unit]:
        """Yield the units of one class, of train and of val by fraction."""
        pools = self._pools(units)[label]
        train = set(self._take("train", group.name, pools))
        val: set[Image] = set()
        if self.amounts.val_fraction is not None:
            # An image that a patch adds stays in train, whose units alone can have such.
            held = {(unit.name, member.name) for unit in units for member in unit.members}
            held &= train
            rest = {wnid: [i for i in pool if i in held] for wnid, pool in pools.items()}
            val = set(_held_out(group.name, rest, self.amounts.val_fraction, self.amounts.seed))
        for split, images in (("train", train - val), ("val", val)):
            labels = dict.fromkeys(images, label)
            for unit in units:
                yield from _cut(unit, _name(split, unit, group), labels)

    def mixed_train(self) -> Iterator[Unit]:
        """Yield the units of train, and those of val by fraction, that hold any classes."""
        units = [unit for unit in self.whole.units if unit.split == "train"]
        pools, chosen = self._pools(units), {"train": dict[Image, int](), "val": dict[Image, int]()}
        for label, group in enumerate(self.groups):
            train, val = set(self._take("train", group.name, pools.get(label, {}))), set[Image]()
            if not train:
                advice = "leave the class out"
                raise DataError(mismatch(group.name, "training images", "none", advice))
            if self.amounts.val_fraction is not None:
                own = pools[label].items()
                rest = {wnid: [image for image in pool if image in train] for wnid, pool in own}
                val = set(_held_out(group.name, rest, self.amounts.val_fraction, self.amounts.seed))
            chosen["train"] |= dict.fromkeys(train - val, label)
            chosen["val"] |= dict.fromkeys(val, label)
        for split, images in chosen.items():
            for unit in units:
                yield from _cut(unit, unit.name.replace("train", split, 1), images)

    def flat(self, split: str) -> Iterator[Unit]:
        """Yield the units of val or test, with the images of the classes."""
        units = [unit for unit in self.whole.units if unit.split == split]
        pools, chosen = self._pools(units), dict[Image, int]()
        for label, group in enumerate(self.groups if units else ()):
            chosen |= dict.fromkeys(self._take(split, group.name, pools.get(label, {})), label)
        for unit in units:
            yield from _cut(unit, unit.name, chosen)

    def _pools(self, units: Iterable[Unit]) -> dict[int, Pools]:
        """Return the images that are in a class, in the order of their names."""
        pools: dict[int, Pools] = {}
        for unit in units:
            for name, label in unit.label_of.items():
                if label in self.new_label:
                    wnid = self.whole.classes.synsets[label].wnid
                    of_class = pools.setdefault(self.new_label[label], {})
                    of_class.setdefault(wnid, []).append((unit.name, name))
        for of_class in pools.values():
            for pool in of_class.values():
                pool.sort(key=lambda image: image[1])
        return pools

    def _take(self, split: str, name: str, pools: Pools) -> list[Image]:
        """Draw as many images of a class as are asked for, and note if it has fewer."""
        wanted = self.amounts.wanted(split)
        if wanted is None:
            return [image for pool in pools.values() for image in pool]
        drawn = fair.equal_shares(pools, self.amounts.seed, DRAW_IMAGES[split])
        if len(drawn) < wanted:
            self.short.setdefault(split, {})[name] = len(drawn)
        return drawn[:wanted]


def _name(split: str, unit: Unit, group: Group) -> str:
    rest = unit.name.split("/", 1)[1]
    return "/".join((split, rest) if group.is_single else (split, group.name, rest))


def _cut(unit: Unit, name: str, chosen: Mapping[Image, int]) -> Iterator[Unit]:
    """Yield the unit with the chosen images only, if it has any; their new labels are given."""
    images = {image: (unit.name, image) for image in unit.label_of}
    labels = {image: chosen[key] for image, key in images.items() if key in chosen}
    if labels:
        yield unit.cut(name, labels)


def _held_out(name: str, pools: Pools, fraction: float, seed: int) -> list[Image]:
    """Return the images of a class that become val."""
    total = sum(map(len, pools.values()))
    num = math.floor(fraction * total + 0.5)
    if not 0 < num < total:
        wanted = "images of every class in train and in val"
        found = f"{num:,} of the {total:,} of {name} for val"
        advice = "take more images or another share"
        raise DataError(mismatch("--val-fraction", wanted, found, advice))
    return fair.shares_by_size(pools, seed, DRAW_VAL)[:num]


def _describe(
    whole: Source,
    units: list[Unit],
    groups: Sequence[Group],
    amounts: Amounts,
    short: Mapping[str, Mapping[str, int]],
) -> Source:
    """Return the source of the units, with its class table and what is recorded of it."""
    classes = _table(whole.classes, groups, amounts)
    merged = _synsets_of_groups(whole, groups)
    num_images = {
        split: sum(unit.num_images for unit in units if unit.split == split) for split in SPLITS
    }
    # Under its own name the paper's errors would be taken for those of the same classes.
    name = whole.edition.name
    if merged and not name.startswith(GROUPS_OF):
        name = GROUPS_OF + name
    remarks = [
        f"{split}: {len(numbers):,} of the classes have fewer than {amounts.wanted(split):,} "
        f"images, all are taken: {examples([f'{name} {num:,}' for name, num in numbers.items()])}"
        for split, numbers in short.items()
    ]
    unlabelled = sum(u.labels.count(-1) for u in whole.units if u.split == "test")
    if unlabelled:
        remarks.append(f"test: {unlabelled:,} images without a label are left out")
    details: dict[str, JsonValue] = {"groups": merged} if merged else {}
    details |= (
        {"shortage": {split: dict(numbers) for split, numbers in short.items()}} if short else {}
    )
    return replace(
        whole,
        edition=replace(whole.edition, name=name, num_images=num_images),
        classes=classes,
        units=tuple(units),
        digests=whole.digests
        | {"classes": classes.digest()}
        | ({"groups": sha256_bytes(to_json(merged).encode())} if merged else {}),
        remarks=(*whole.remarks, *remarks),
        settings=amounts.settings(),
        seed=amounts.seed,
        details=whole.details | details,
    )


def _synsets_of_groups(whole: Source, groups: Sequence[Group]) -> dict[str, JsonValue]:
    """Return the synsets of each group, also of those that the data had before."""
    before = whole.details.get("groups")
    known: dict[str, Any] = before if isinstance(before, dict) else {}
    return {
        group.name: [synset for wnid in group.wnids for synset in known.get(wnid, [wnid])]
        for group in groups
        if not group.is_single or group.name in known
    }


def _table(whole: ClassTable, groups: Sequence[Group], amounts: Amounts) -> ClassTable:
    """Make the class table; ids are the devkit's where every class is one of the devkit's."""
    if all(group.is_single for group in groups):
        kept = [whole.synsets[whole.index_of_wnid[group.name]] for group in groups]
        if not amounts.takes_all_train:
            # The devkit's number would be wrong; counted, it would make another class table.
            kept = [replace(synset, num_train_images=0) for synset in kept]
        return ClassTable(tuple(replace(s, index=index) for index, s in enumerate(kept)))
    named = enumerate(groups)
    return ClassTable(tuple(Synset(index, g.name, index + 1, g.words, 0) for index, g in named))
