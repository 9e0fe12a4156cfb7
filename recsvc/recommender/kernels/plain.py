"""What kernels do, with NumPy and LAPACK."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack

# The stubs of SciPy's versions differ in which shapes they say it takes.
_dposv: Callable[..., Any] = lapack.dposv

NOT_FINITE = "a history cannot be folded in: its embeddings are not finite"


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
        threshold = np.partition(scores, len(scores) - most)[len(scores) - most]
        above = np.flatnonzero(scores > threshold)
        level = np.flatnonzero(scores == threshold)[: most - len(above)]
        places = np.sort(np.concatenate([above, level]))
    return places[np.argsort(-scores[places], kind="stable")]


def rows(
    numbers: NDArray[np.int8], units: NDArray[np.float32], chosen: NDArray[np.intp]
) -> NDArray[np.float32]:
    """Reads some rows.

    Args:
        numbers: int8, shape (n, d).
        units: float32, shape (n,): what 1 stands for in each row.
        chosen: Rows, shape (c,).

    Returns:
        float32, shape (c, d).

    Raises:
        IndexError: A row is none of n.
    """
    found: NDArray[np.float32] = numbers[chosen] * units[chosen][:, None]
    return found


def products(
    numbers: NDArray[np.int8],
    units: NDArray[np.float32],
    chosen: NDArray[np.intp],
    vector: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Multiplies some rows with a vector.

    Args:
        numbers: As for `rows`.
        units: As for `rows`.
        chosen: As for `rows`.
        vector: float32, shape (d,).

    Returns:
        float32, shape (c,).

    Raises:
        IndexError: A row is none of n.
    """
    found: NDArray[np.float32] = (numbers[chosen].astype(np.float32) @ vector) * units[chosen]
    return found


def fold_among_items(
    whitened: NDArray[np.floating], roots: NDArray[np.floating], wanted: NDArray[np.floating]
) -> NDArray[np.float32]:
    """Solves (I + R W Wᵀ R) z = R W Wᵀ w, R being the diagonal of the roots, for w - R z: see `fold_in`.

    Args:
        whitened: W, float32, shape (h, d), a row an item of the history; at least one.
        roots: Of the confidences, shape (h,).
        wanted: w, shape (h,).

    Returns:
        float32, shape (h,).

    Raises:
        ValueError: The numbers are not finite.
    """
    products = whitened @ whitened.T
    residual = solve(roots[:, None] * products * roots, roots * (products @ wanted))
    coefficients: NDArray[np.floating] = wanted - roots * residual
    return coefficients.astype(np.float32)


def fold_among_items_without_each(
    whitened: NDArray[np.floating],
    roots: NDArray[np.floating],
    wanted: NDArray[np.floating],
    places: NDArray[np.intp],
) -> NDArray[np.float32]:
    """The same without one of the items at a time.

    Args:
        whitened: As for `fold_among_items`.
        roots: As for `fold_among_items`.
        wanted: As for `fold_among_items`.
        places: Of the items to leave out, shape (p,).

    Returns:
        float32, shape (p, h); 0 for the item left out.

    Raises:
        IndexError: A place is none of h.
        ValueError: The numbers are not finite.
    """
    each = np.arange(len(places))
    left = np.empty((len(places), len(whitened)))
    left[:] = wanted
    left[each, places] = 0
    products = whitened @ whitened.T
    right = np.zeros((2 * len(places), len(whitened)))
    right[: len(places)] = roots * (left @ products)
    right[len(places) + each, places] = 1
    solved = solve(roots[:, None] * products * roots, right.T).T
    residual, inverse = solved[: len(places)], solved[len(places) :]
    # The inverse of a matrix without a row and its column, by that of the whole (block inversion).
    residual = residual - (residual[each, places] / inverse[each, places])[:, None] * inverse
    coefficients: NDArray[np.float64] = left - roots * residual
    coefficients[each, places] = 0
    return coefficients.astype(np.float32)


def solve(matrix: NDArray[np.floating], right: NDArray[np.floating]) -> NDArray[np.floating]:
    """Solves (I + matrix) x = right for a symmetric matrix that is positive semidefinite.

    Args:
        matrix: Shape (m, m). It is overwritten.
        right: Shape (m,), or (m, sides).

    Returns:
        As the right side.

    Raises:
        ValueError: The numbers are not finite.
    """
    places = np.arange(len(matrix))
    matrix[places, places] += 1
    _, solution, failed = _dposv(matrix, right, lower=1)
    if failed or not np.isfinite(solution).all():
        raise ValueError(NOT_FINITE)
    found: NDArray[np.floating] = solution
    return found


def is_in(items: NDArray[np.intp], ascending: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Which of some items are among others that ascend."""
    if not len(ascending):
        return np.zeros(len(items), dtype=bool)
    places = np.minimum(np.searchsorted(ascending, items), len(ascending) - 1)
    found: NDArray[np.bool_] = ascending[places] == items
    return found


def _entries(
    bounds: NDArray[np.int64], history: NDArray[np.intp]
) -> tuple[NDArray[np.int64], NDArray[np.intp]]:
    """Entries of some rows, one row after another, and which of the rows each is of."""
    lengths = bounds[history + 1] - bounds[history]
    of_entry = np.repeat(np.arange(len(history)), lengths)
    before = np.cumsum(lengths) - lengths
    return np.arange(len(of_entry)) + (bounds[history] - before)[of_entry], of_entry
