"""Rows of sparse matrices, as of what is related to items."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse


def relate(
    bounds: NDArray[np.int64],
    items: NDArray[np.int32],
    weights: NDArray[np.float32],
    history: NDArray[np.intp],
    counting: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Adds up some rows of a sparse matrix, each times a number.

    Args:
        bounds: int64, shape (n + 1,): where each row begins.
        items: int32, shape (e,): columns, below n, distinct within a row.
        weights: float32, shape (e,).
        history: Rows, shape (h,).
        counting: float32, shape (h,): what each is multiplied with.

    Returns:
        float32, shape (n,).

    Raises:
        IndexError: A row or a column is none of n.
    """
    entries, of_entry = _entries(bounds, history)
    added = np.bincount(items[entries], weights[entries] * counting[of_entry], minlength=len(bounds) - 1)
    if len(added) >= len(bounds):
        raise IndexError(f"a related item is none of {len(bounds) - 1}")
    return added.astype(np.float32)


def shares(
    bounds: NDArray[np.int64],
    items: NDArray[np.int32],
    weights: NDArray[np.float32],
    history: NDArray[np.intp],
    counting: NDArray[np.float32],
    wanted: NDArray[np.intp],
) -> NDArray[np.float32]:
    """What each row adds to some of the sums of `relate`.

    Args:
        bounds: As for `relate`.
        items: As for `relate`.
        weights: As for `relate`.
        history: As for `relate`.
        counting: As for `relate`.
        wanted: Columns, distinct, shape (c,).

    Returns:
        float32, shape (h, c).
    """
    entries, of_entry = _entries(bounds, history)
    # Column 0 is of all other items.
    columns = np.zeros(len(bounds) - 1, np.intp)
    columns[wanted] = np.arange(1, len(wanted) + 1)
    of_wanted = columns[items[entries]]
    found = np.zeros((len(history), len(wanted) + 1), np.float32)
    found[of_entry, of_wanted] = weights[entries] * counting[of_entry]
    return found[:, 1:]


def blurred(
    bounds: NDArray[np.int64],
    items: NDArray[np.int32],
    weights: NDArray[np.float32],
    through_bounds: NDArray[np.int64],
    through_items: NDArray[np.int32],
    through_weights: NDArray[np.float32],
) -> NDArray[np.float32]:
    """How strongly the entries of some rows are reached through others: entries of a product of two matrices.

    Args:
        bounds: int64, shape (m + 1,): where the entries of each row begin and end.
        items: int32, shape (e,): columns, distinct within a row.
        weights: w, float32, shape (e,).
        through_bounds: int64, shape (n + 1,): likewise of the rows of all n columns.
        through_items: int32, shape (f,).
        through_weights: p, float32, shape (f,).

    Returns:
        float32: Σ_k w_ik p_kj for each entry (i, j) of the m rows, in their order.

    Raises:
        IndexError: An item is none of n, or a row is not within the entries.
        ValueError: There are not as many numbers as items.
    """
    size = len(through_bounds) - 1
    check_entries(bounds, items, weights, size)
    check_entries(through_bounds, through_items, through_weights, size)
    own = slice(bounds[0], bounds[-1])
    shape = len(bounds) - 1, size
    rows = sparse.csr_array((weights[own], items[own], bounds - bounds[0]), shape=shape)
    both = rows @ sparse.csr_array((through_weights, through_items, through_bounds), shape=(size, size))
    both.sort_indices()
    wanted, reached = _keys(rows), _keys(both)
    if not len(reached):
        return np.zeros(len(wanted), np.float32)
    places = np.minimum(np.searchsorted(reached, wanted), len(reached) - 1)
    return np.where(reached[places] == wanted, both.data[places], np.float32(0))


def check_entries(
    bounds: NDArray[np.int64], items: NDArray[np.int32], numbers: NDArray[np.float32], size: int
) -> None:
    """Raises where a row is not there, or an item of one."""
    if len(items) != len(numbers):
        raise ValueError(f"{len(items)} items, and {len(numbers)} numbers of them")
    if np.any(np.diff(bounds, prepend=0, append=len(items)) < 0):
        raise IndexError(f"a row is not within {len(items)} entries")
    if len(items) and not 0 <= items.min() <= items.max() < size:
        raise IndexError(f"an item is none of {size}")


def _entries(
    bounds: NDArray[np.int64], history: NDArray[np.intp]
) -> tuple[NDArray[np.int64], NDArray[np.intp]]:
    """Entries of some rows, one row after another, and which of the rows each is of."""
    lengths = bounds[history + 1] - bounds[history]
    of_entry = np.repeat(np.arange(len(history)), lengths)
    before = np.cumsum(lengths) - lengths
    return np.arange(len(of_entry)) + (bounds[history] - before)[of_entry], of_entry


def _keys(rows: sparse.csr_array[Any]) -> NDArray[np.int64]:
    of_row = np.repeat(np.arange(rows.shape[0], dtype=np.int64), np.diff(rows.indptr))
    keys: NDArray[np.int64] = of_row * rows.shape[1] + rows.indices
    return keys
