"""Dividing scores among what speaks for them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

ROUNDING = 1e-6  # of the size of all that a score is the sum of: a fall by less may come of float32 alone


def greatest(added: NDArray[np.float32], most: int) -> NDArray[np.intp]:
    """Places of the greatest of each column, the first of equal ones first.

    Args:
        added: float32 without NaN, shape (h, c).
        most: How many.

    Returns:
        Shape (min(most, h), c), the greatest first.
    """
    return np.argsort(-added, axis=0, kind="stable")[:most]


def parts_of_scores(
    by_history: NDArray[np.float32],
    by_features: NDArray[np.float32],
    scores: NDArray[np.float32],
    greatest: NDArray[np.intp],
    places: NDArray[np.intp],
    without: NDArray[np.float32],
) -> NDArray[np.float64]:
    """Divides scores among what speaks for them.

    An item of the history that adds to a score has a part of its own only where it is one of those that add
    most, and the score falls without it by more than what it is rounded by; where the score without it is not
    known (NaN), it does.

    Args:
        by_history: float32, shape (h, c): what each item of the history adds.
        by_features: float32, shape (f, c): what each feature of the user adds.
        scores: float32, shape (c,).
        greatest: Places in the history of those that add most, shape (m, c).
        places: All of these, ascending, shape (p,).
        without: float32, shape (p, c): the scores without each of them.

    Returns:
        float64, shape (m + 1 + f + 1, c), not negative: the parts of those that add most, of all else in the
        history, of the features, and of what is the same for all users.

    Raises:
        IndexError: A place is none of h, or one of those that add most is not among the places.
        ValueError: The shapes do not belong together.
    """
    named, features = len(greatest), len(by_features)
    columns = np.arange(len(scores))
    terms = np.concatenate([by_history, by_features]).astype(np.float64)
    falls = ~(without >= scores - ROUNDING * (np.abs(scores) + np.abs(terms).sum(axis=0)))
    of_history = np.maximum(by_history, 0).astype(np.float64)
    parts = np.zeros((named + 1 + features + 1, len(scores)))
    own = of_history[greatest, columns]
    parts[:named] = np.where(falls[np.searchsorted(places, greatest), columns], own, 0)
    parts[named] = np.maximum(of_history.sum(axis=0) - parts[:named].sum(axis=0), 0)
    parts[named + 1 : -1] = np.maximum(by_features, 0)
    parts[-1] = np.maximum(scores - terms.sum(axis=0), 0)
    return parts


def portions(parts: NDArray[np.float64], whole: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Divides a whole number by parts, by largest remainders: each portion is within 1 of its own.

    Args:
        parts: float64, shape (m, c), not negative.
        whole: How much is divided for each column.

    Returns:
        Portions, shape (c, m), that add up to the whole, 0 where a column has no part above 0; and their
        places in each row, shape (c, m), the greatest portion first, the first of equal ones first.
    """
    totals = parts.sum(axis=0)
    exact = np.divide(parts * whole, totals, out=np.zeros_like(parts), where=totals > 0)
    found = exact.astype(np.intp)
    ranks = np.argsort(np.argsort(found - exact, axis=0, kind="stable"), axis=0, kind="stable")
    found += ranks < np.where(totals > 0, whole - found.sum(axis=0), 0)
    return found.T, np.argsort(-found, axis=0, kind="stable").T
