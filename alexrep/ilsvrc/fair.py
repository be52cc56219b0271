"""Fair draws: an order of images in which every beginning is a fair share of each synset."""

from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np

from alexrep import keyed
from alexrep.files import sha256_bytes

Image = TypeVar("Image")


def equal_shares(pools: Mapping[str, Sequence[Image]], *keys: int) -> list[Image]:
    """Order images so that the first n have as many of each synset, for any n.

    The synsets take turns, in a new random order each time; one that has no more is passed
    over. The images of a synset come in random order.

    Args:
        pools: The images of each synset, by wnid, in an order that does not change.
        keys: Seed and purpose of the draw, see `keyed`.
    """
    return _in_turn(pools, dict.fromkeys(pools, 1.0), keys)


def shares_by_size(pools: Mapping[str, Sequence[Image]], *keys: int) -> list[Image]:
    """Order images so that the first n have the same fraction of each synset, for any n."""
    return _in_turn(pools, {wnid: 1 / max(1, len(pool)) for wnid, pool in pools.items()}, keys)


def _in_turn(
    pools: Mapping[str, Sequence[Image]], step: Mapping[str, float], keys: tuple[int, ...]
) -> list[Image]:
    """Order images by their rank in the synset's random order, times the synset's step."""
    drawn: list[tuple[float, int, Image]] = []
    for wnid, pool in pools.items():
        own = int(sha256_bytes(wnid.encode())[:16], 16)
        order = keyed.permutation(len(pool), *keys, own, 0)
        turns = keyed.bits(*keys, own, 1, np.arange(len(pool)))
        for rank, position in enumerate(order):
            drawn.append(((rank + 0.5) * step[wnid], int(turns[rank]), pool[int(position)]))
    drawn.sort(key=lambda entry: entry[:2])
    return [image for _, _, image in drawn]
