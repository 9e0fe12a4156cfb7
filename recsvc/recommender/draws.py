"""Chance by keys: what is drawn of a user or of a pair stays the same while others come and go."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIXES = (
    (np.uint64(30), np.uint64(0xBF58476D1CE4E5B9)),
    (np.uint64(27), np.uint64(0x94D049BB133111EB)),
)


class Purpose(IntEnum):
    """What is drawn. What is drawn for one purpose tells nothing of what is drawn for another."""

    USERS = 0  # to hold something out of, or to evaluate
    ORDER = 1  # of a user's items of the same moment
    ROUNDING = 2  # up or down, of a share of what a user likes
    ITEMS = 3  # to make cold
    JUDGES = 4  # who judges every voice
    TRIALS = 5  # who judges what in a tuning


def chances(seed: int, purpose: Purpose, *keys: NDArray[Any]) -> NDArray[np.float64]:
    """A number for each key, or for each pair of keys.

    A generator's numbers depend on how many are asked for before: where one user more has come, all others
    are drawn anew, and a training chooses otherwise for no other reason. These are hashes, made with what
    SplitMix64 ends with (Steele, Lea and Flood 2014).

    Args:
        seed: Other numbers for each, of the same keys.
        purpose: Likewise.
        keys: Integers, not negative, each of shape (n,).

    Returns:
        float64, shape (n,), from 0 to below 1; evenly spread, and as if independent of each other.
    """
    mixed = np.zeros(1, np.uint64)
    for part in (np.array([seed]), np.array([purpose]), *keys):
        mixed = mixed ^ part.astype(np.uint64, copy=False)
        mixed += _GOLDEN
        for shift, factor in _MIXES:
            mixed ^= mixed >> shift
            mixed *= factor
        mixed ^= mixed >> np.uint64(31)
    numbers: NDArray[np.float64] = (mixed >> np.uint64(11)).astype(np.float64)
    numbers *= 2.0**-53
    return numbers
