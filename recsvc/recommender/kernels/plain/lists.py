"""What comes into a list, and how voices mix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def nearest(
    sums: NDArray[np.float32],
    others: NDArray[np.intp],
    most: int,
    recommendable: NDArray[np.bool_],
    excluded: NDArray[np.intp],
    members: NDArray[np.intp] | None,
) -> tuple[NDArray[np.intp], int]:
    """Chooses so many items with the greatest sums above 0, and adds others, of those that a list may hold.

    Args:
        sums: float32, shape (n,).
        others: Items, shape (o,).
        most: How many of the greatest.
        recommendable: bool, shape (N,), N at least n: what lists may hold.
        excluded: Items to leave out, ascending.
        members: Items to choose from, ascending; None for all.

    Returns:
        Items, distinct and ascending; and how many were chosen by their sums.

    Raises:
        IndexError: One of the others is none of N.
    """

    def allowed(items: NDArray[np.intp]) -> NDArray[np.intp]:
        is_allowed = recommendable[items] & ~is_in(items, excluded)
        return items[is_allowed if members is None else is_allowed & is_in(items, members)]

    related = allowed(np.flatnonzero(sums > 0))
    related = related[best_places(sums[related], most)]
    return np.unique(np.concatenate([related, allowed(others)])), len(related)


def best_places(scores: NDArray[np.floating[Any]], most: int) -> NDArray[np.intp]:
    """Places of the greatest, the first of equal ones first.

    Args:
        scores: float32 or float64 without NaN, shape (c,).
        most: How many.

    Returns:
        Shape (min(most, c),), best first.
    """
    places = np.arange(len(scores) if most else 0)
    if 0 < most < len(scores):
        # Zeros are many where little is related, and a partition of what is equal takes ten times as long.
        related = scores[scores > 0]
        among = related if len(related) >= most else scores
        threshold = np.partition(among, len(among) - most)[len(among) - most]
        above = np.flatnonzero(scores > threshold)
        level = np.flatnonzero(scores == threshold)[: most - len(above)]
        places = np.sort(np.concatenate([above, level]))
    return places[np.argsort(-scores[places], kind="stable")]


def ranks(scores: NDArray[np.float32], rows: NDArray[np.intp], places: NDArray[np.intp]) -> NDArray[np.intp]:
    """Ranks of some scores in their rows: how many are at least as great.

    Args:
        scores: float32, shape (r, c); NaN where there is none.
        rows: Of the scores to rank, shape (s,).
        places: Theirs in these rows, shape (s,).

    Returns:
        Shape (s,), from 1 on.

    Raises:
        IndexError: There is no such row or place, or there are not as many of either.
    """
    found: NDArray[np.intp] = np.count_nonzero(scores[rows] >= scores[rows, places][:, None], axis=1)
    return found


def mixed(
    length: int, weights: NDArray[np.float64], scores: Sequence[NDArray[np.float32] | None]
) -> NDArray[np.float32]:
    """Adds up the scores of voices, each times its weight.

    Args:
        length: c, how many scores are in a row.
        weights: float64, shape (r, v).
        scores: Of each voice, float32, shape (r, c), or (1, c) where all rows are alike; None of one that is
            not heard.

    Returns:
        float32, shape (r, c).

    Raises:
        ValueError: The scores of a voice have another shape, or there are not as many weights as voices.
    """
    summed = np.zeros((len(weights), length))
    for of_voice, weight in zip(scores, weights.T, strict=True):
        if of_voice is None:
            continue
        if of_voice.shape not in {(len(weights), length), (1, length)}:
            raise ValueError(f"scores of shape {of_voice.shape} for {len(weights)} × {length}")
        summed += weight[:, None] * of_voice
    return summed.astype(np.float32)


def cold(likes: NDArray[np.int32], items: NDArray[np.intp]) -> NDArray[np.intp]:
    """Finds those that nobody likes.

    Args:
        likes: int32, shape (n,): how many like each item.
        items: Item indexes, shape (c,); those from n on nobody likes.

    Returns:
        Their places among the items, ascending.

    Raises:
        IndexError: An item is none.
    """
    is_cold = items >= len(likes)
    is_cold[~is_cold] = likes[items[~is_cold]] <= 0
    return np.flatnonzero(is_cold)


def is_in(items: NDArray[np.intp], ascending: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Which of some items are among others that ascend."""
    if not len(ascending):
        return np.zeros(len(items), dtype=bool)
    places = np.minimum(np.searchsorted(ascending, items), len(ascending) - 1)
    found: NDArray[np.bool_] = ascending[places] == items
    return found
