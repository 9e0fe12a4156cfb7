"""The best of many scores, in no order."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Index = TypeVar("Index", bound=np.integer[Any])


def best_of(items: NDArray[Index], scores: NDArray[Any], most: int) -> NDArray[Index]:
    """So many of some items with the greatest scores, in no order; all where they are fewer."""
    if len(items) <= most:
        return items
    return items[np.argpartition(scores, len(items) - most)[len(items) - most :]]


def best_of_rows(scores: NDArray[np.float32], most: int) -> NDArray[np.intp]:
    """So many items with the greatest scores of each row, in no order.

    Args:
        scores: Shape (rows, items), of at least so many items.
        most: How many.

    Returns:
        Item indexes, shape (rows, most).
    """
    items = scores.shape[1]
    if np.count_nonzero(scores) > scores.size // 2:
        return np.argpartition(scores, items - most, axis=1)[:, items - most :]
    # A partition of what is equal takes ten times as long.
    return np.stack([_best_of_sparse(row, most) for row in scores])


def _best_of_sparse(row: NDArray[np.float32], most: int) -> NDArray[np.intp]:
    above = np.flatnonzero(row > 0)
    if len(above) < most:
        above = np.concatenate([above, np.flatnonzero(row == 0)[: most - len(above)]])
    if len(above) < most:
        above = np.arange(len(row))
    return best_of(above, row[above], most)
