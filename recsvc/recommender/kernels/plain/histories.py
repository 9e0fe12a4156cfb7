"""What a history says of items, and where these are."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from recsvc.recommender.interactions import strength
from recsvc.recommender.keys import locate


def find(known: NDArray[np.int32], later: NDArray[np.int32], keys: NDArray[np.int64]) -> NDArray[np.intp]:
    """Finds keys among others.

    Args:
        known: int32, shape (n,), distinct, ascending.
        later: int32, distinct, ascending, none of them known: their places follow those of the known ones.
        keys: int64, shape (m,).

    Returns:
        Their places, in the order of the keys; of those that are not there, none.
    """
    places, beyond = locate(known, keys), locate(later, keys)
    places = np.where(beyond >= 0, beyond + len(known), places)
    return places[places >= 0]


def likings(
    known: NDArray[np.int32], keys: Sequence[int], weights: Sequence[float], most: int
) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Adds up what interactions say of a liking, by item.

    Args:
        known: int32, shape (n,), distinct, ascending: keys of the items that are of use.
        keys: Of the item of each interaction, newest first.
        weights: What each says.
        most: With how many items, the newest first, whether of use or not; what was done with others is
            passed over.

    Returns:
        Places of the items among those known, newest first, shape (h,); and how much each is liked, float32,
        shape (h,). Those that are not known, or of which nothing is said, are left out.

    Raises:
        ValueError: There are not as many weights as keys.
    """
    summed: dict[int, float] = {}
    for key, weight in zip(keys, weights, strict=True):
        summed[key] = summed.get(key, 0.0) + weight
    newest = list(islice(summed, most))
    strengths = strength(np.fromiter(summed.values(), np.float32, len(newest)))
    places = locate(known, np.array(newest, np.int64))
    kept = (places >= 0) & (strengths != 0)
    return places[kept], strengths[kept]


def weighed(
    weights: NDArray[np.float32], chosen: NDArray[np.intp], numbers: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Multiplies numbers with some weights.

    Args:
        weights: float32, shape (n,).
        chosen: Places in `weights`, shape (h,).
        numbers: float32, shape (h,).

    Returns:
        float32, shape (h,).

    Raises:
        IndexError: A place is none of n.
        ValueError: There are not as many places as numbers.
    """
    found: NDArray[np.float32] = weights[chosen] * numbers
    return found


def without_each(
    strengths: NDArray[np.float32],
    weights: NDArray[np.float32],
    fewer: NDArray[np.float32],
    places: NDArray[np.intp],
) -> NDArray[np.float32]:
    """What the items of a history count for once one is not there, at a time.

    Without a liked item, those after it move up among those that are liked.

    Args:
        strengths: float32, shape (h,): above 0 where the item is liked.
        weights: float32, shape (h,): what each counts for while all are there.
        fewer: float32, shape (liked - 1,): what the liked ones count for, in order, where one is missing.
        places: Of the items to leave out, shape (p,).

    Returns:
        float32, shape (p, h); 0 for the item left out.

    Raises:
        IndexError: A place is none of h.
    """
    found = np.repeat(weights[None], len(places), axis=0)
    is_liked = strengths > 0
    if len(fewer):
        among_liked = np.cumsum(is_liked) - 1
        moved = among_liked - (np.arange(len(strengths)) > places[:, None])
        moves = is_liked & is_liked[places, None]
        found[moves] = fewer[np.clip(moved, 0, len(fewer) - 1)][moves]
    found[np.arange(len(places)), places] = 0
    return found
