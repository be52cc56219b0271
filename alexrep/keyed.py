"""Random numbers as pure functions of their keys: no generator, no state, no order.

The same keys give the same numbers on any machine, in any process and for any batch, which
makes a resume exact. Mixing is that of SplitMix64 (Steele, Lea and Flood 2014), applied once
per key.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)


def bits(*keys: ArrayLike) -> NDArray[np.uint64]:
    """Return 64 random bits for the keys, which broadcast against one another.

    Args:
        keys: Integers from 0 to 2**64 - 1.
    """
    mixed = np.zeros((), np.uint64)
    with np.errstate(over="ignore"):  # wrapping is intended
        for key in keys:
            mixed = _mix(mixed ^ _mix(np.asarray(key).astype(np.uint64) + _GAMMA))
    return mixed


def below(bound: int, *keys: ArrayLike) -> NDArray[np.int64]:
    """Return integers from 0 to bound - 1, equally likely to within bound / 2**32.

    Raises:
        ValueError: If `bound` is not from 1 to 2**32.
    """
    if not 1 <= bound <= 1 << 32:
        raise ValueError(f"bound: expected 1 to 2**32, found {bound}")
    high = bits(*keys) >> np.uint64(32)
    return ((high * np.uint64(bound)) >> np.uint64(32)).astype(np.int64)


def uniform(*keys: ArrayLike) -> NDArray[np.float64]:
    """Return numbers of equal probability from 0 to below 1, multiples of 2**-53."""
    return (bits(*keys) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def normal(*keys: ArrayLike) -> NDArray[np.float64]:
    """Return normal numbers of mean 0 and variance 1, by the Box-Muller transform."""
    first, second = _uniform(bits(*keys, 1)), _uniform(bits(*keys, 2))
    values: NDArray[np.float64] = np.sqrt(-2 * np.log(first)) * np.cos(2 * np.pi * second)
    return values


def permutation(num: int, *keys: ArrayLike) -> NDArray[np.int64]:
    """Return a random permutation of 0 .. num - 1; costs num log(num)."""
    return np.argsort(bits(*keys, np.arange(num)), kind="stable")


def _uniform(random: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Map 64 random bits to (0, 1], where the logarithm is finite."""
    return ((random >> np.uint64(11)).astype(np.float64) + 1) * 2.0**-53


def _mix(value: NDArray[np.uint64]) -> NDArray[np.uint64]:
    value = (value ^ (value >> np.uint64(30))) * _FIRST
    value = (value ^ (value >> np.uint64(27))) * _SECOND
    return value ^ (value >> np.uint64(31))
