"""Pairs of a user and an item that the user likes: when each came about, and which are held out."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recsvc.recommender.interactions import InteractionColumns, InteractionMatrix
from recsvc.recommender.keys import locate

_AT_ONCE = 1 << 18  # interactions; what is needed to date one is then small beside the columns themselves


@dataclass(frozen=True)
class Pairs:
    """The liked pairs of some users, user by user, each user's by ascending item.

    Attributes:
        user_indexes: intp, shape (n,), ascending.
        positions: Integers, shape (p,): where in the matrix's `indices` and `data` each pair is.
        bounds: Integers, shape (n + 1,): the pairs of the i-th user are bounds[i] up to bounds[i + 1].
    """

    user_indexes: NDArray[np.intp]
    positions: NDArray[Any]
    bounds: NDArray[Any]

    def counts(self) -> NDArray[Any]:
        """How many pairs each of the users has: integers, shape (n,)."""
        counts: NDArray[Any] = np.diff(self.bounds)
        return counts

    def owners(self) -> NDArray[np.int32]:
        """Which of the users each pair is of: int32, shape (p,)."""
        return np.repeat(np.arange(len(self.user_indexes), dtype=np.int32), self.counts())


def pairs_of(matrix: InteractionMatrix, users: NDArray[np.intp]) -> Pairs:
    """All liked pairs of some users.

    Args:
        matrix: Where they are from.
        users: Rows of it, ascending, shape (n,).
    """
    indptr = matrix.strengths.indptr
    counts = np.diff(indptr)[users]
    bounds = _bounds(counts, indptr.dtype)
    # A count-up, moved for each user to where their row begins.
    positions = np.repeat(indptr[users] - bounds[:-1], counts)
    positions += np.arange(len(positions), dtype=indptr.dtype)
    return Pairs(users, positions, bounds)


def date(
    matrix: InteractionMatrix,
    columns: InteractionColumns,
    pairs: Pairs,
    of_two: np.ufunc,
    *,
    by: NDArray[np.int64] | None = None,
    before: NDArray[np.int64] | None = None,
) -> NDArray[np.int64]:
    """Dates pairs by their first or their last interaction.

    Args:
        matrix: Built from `columns`.
        columns: All interactions.
        pairs: Which pairs.
        of_two: `np.minimum` for the first, `np.maximum` for the last.
        by: A number of each interaction; when it occurred, where not given.
        before: Of each of the n users, only interactions with smaller numbers count; all, where not given.
            A pair that has none is as late or as early as can be.

    Returns:
        int64, shape (p,): microseconds since 1970.
    """
    items = matrix.strengths.shape[1]
    place = np.full(len(matrix.user_keys), -1, np.int64)
    place[pairs.user_indexes] = np.arange(len(pairs.user_indexes))
    # One ascending number a pair: users ascend, and in a row of a CSR made from coordinates items do.
    numbers = pairs.owners() * np.int64(items)
    numbers += matrix.strengths.indices[pairs.positions]
    limit = np.iinfo(np.int64)
    moments = np.full(len(numbers), limit.max if of_two is np.minimum else limit.min, np.int64)
    for start in range(0, len(columns), _AT_ONCE):
        some = slice(start, start + _AT_ONCE)
        owners = place[locate(matrix.user_keys, columns.user_keys[some])]
        rows = np.flatnonzero(owners >= 0)
        if before is not None:
            numbers_of_rows = (columns.occurred_at if by is None else by)[some][rows]
            rows = rows[numbers_of_rows < before[owners[rows]]]
        wanted = owners[rows] * items + locate(matrix.item_keys, columns.item_keys[some][rows])
        # Looking numbers up in their order reads memory in its order: several times as fast.
        order = np.argsort(wanted)
        found = locate(numbers, wanted[order])
        is_liked = found >= 0
        of_two.at(moments, found[is_liked], columns.occurred_at[some][rows[order[is_liked]]])
    return moments


def latest(
    pairs: Pairs, moments: NDArray[np.int64], wanted: NDArray[np.intp], ties: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Which pairs are a user's latest.

    Args:
        pairs: All liked pairs of some users.
        moments: Of each pair, shape (p,).
        wanted: intp, shape (n,): how many of each user's.
        ties: Shape (p,): of pairs of the same moment, those with the greater numbers are later.

    Returns:
        Shape (p,).
    """
    order = np.lexsort((ties, moments, pairs.owners()))
    # Sorted so, every user's pairs stay between the same bounds.
    is_last = np.arange(len(order)) >= np.repeat(pairs.bounds[1:] - wanted, pairs.counts())
    held = np.zeros(len(order), dtype=bool)
    held[order[is_last]] = True
    return held


def divide(
    matrix: InteractionMatrix,
    pairs: Pairs,
    moments: NDArray[np.int64],
    held: NDArray[np.bool_],
    ties: NDArray[np.float64],
) -> tuple[sparse.csr_array[Any], list[NDArray[np.intp]]]:
    """Divides users' pairs into histories and held-out items.

    Args:
        matrix: Where the pairs are from.
        pairs: All liked pairs of n users.
        moments: Of each pair, shape (p,).
        held: Shape (p,): which are held out.
        ties: Shape (p,): of pairs of the same moment, those with the smaller numbers come first. Where nobody
            knows the order, that of keys must not pass for it.

    Returns:
        CSR float32, shape (n, items), each row newest first, as a web process reads it; and for each user the
        held-out item indexes, ascending.
    """
    strengths = matrix.strengths
    held_counts = count_by(pairs.bounds, held)
    newest_first = np.lexsort((ties, ~moments, pairs.owners()))
    kept = pairs.positions[newest_first[~held[newest_first]]]
    histories = sparse.csr_array(
        (
            strengths.data[kept],
            strengths.indices[kept],
            _bounds(pairs.counts() - held_counts, strengths.indptr.dtype),
        ),
        shape=(len(pairs.user_indexes), strengths.shape[1]),
    )
    items = strengths.indices[pairs.positions[held]].astype(np.intp)
    bounds = _bounds(held_counts, np.intp).tolist()
    return histories, [items[begin:end] for begin, end in pairwise(bounds)]


def without(matrix: InteractionMatrix, held: NDArray[Any]) -> sparse.csr_array[Any]:
    """A copy of the strengths without some, which are told by a mask or by their positions."""
    rest = matrix.strengths.copy()
    rest.data[held] = 0
    rest.eliminate_zeros()
    return rest


def part(share: float, counts: NDArray[Any]) -> NDArray[np.intp]:
    """A share of each count, rounded, at least one."""
    return np.maximum(1, np.rint(share * counts)).astype(np.intp)


def part_by_chance(share: float, counts: NDArray[Any], drawn: NDArray[np.float64]) -> NDArray[np.intp]:
    """A share of each count, rounded up or down by chance, so that of all it is the share; may be none.

    Args:
        share: From 0 to 1.
        counts: Shape (n,).
        drawn: Shape (n,): from 0 to below 1, by chance; the greater, the sooner it is rounded up.
    """
    return np.floor(share * counts + drawn).astype(np.intp)


def _bounds(counts: NDArray[Any], dtype: Any) -> NDArray[Any]:
    """Where the runs of these lengths begin, and where the last one ends: shape (n + 1,)."""
    bounds = np.zeros(len(counts) + 1, dtype)
    np.cumsum(counts, out=bounds[1:])
    return bounds


def count_by(bounds: NDArray[Any], mask: NDArray[np.bool_]) -> NDArray[Any]:
    """How many are true from each bound to the next: shape (n,) for n + 1 bounds."""
    # By differences of a running count, as `np.add.reduceat` does not give 0 where two bounds are the same.
    counts: NDArray[Any] = np.diff(_bounds(mask, bounds.dtype)[bounds])
    return counts
