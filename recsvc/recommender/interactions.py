"""From columns of integer keys to a matrix of how much each user likes each item."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recsvc.recommender.keys import distinct

_MICROSECONDS_A_DAY = 86_400_000_000
_ROWS_AT_ONCE = 1_000_000
_MOST_HALF_LIVES = 60  # what they leave has a square of full single precision


@dataclass(frozen=True)
class InteractionColumns:
    """Interactions as columns of equal length.

    Attributes:
        user_keys: int32, shape (n,).
        item_keys: int32, shape (n,).
        event_codes: int16, shape (n,).
        values: float32, shape (n,); read for ratings only.
        occurred_at: int64, shape (n,): microseconds since 1970.
    """

    user_keys: NDArray[np.int32]
    item_keys: NDArray[np.int32]
    event_codes: NDArray[np.int16]
    values: NDArray[np.float32]
    occurred_at: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.user_keys)


@dataclass(frozen=True)
class EventScale:
    """What an event says about a user's liking of an item.

    Attributes:
        weights: float32, by event code; 0 for codes that say nothing.
        rating_code: Code of the event whose value counts, -1 for none.
        neutral: Rating that says nothing.
        best: Rating that has the full weight of the event.
    """

    weights: NDArray[np.float32]
    rating_code: int
    neutral: float
    best: float

    def apply(self, event_codes: NDArray[Any], values: NDArray[Any]) -> NDArray[np.float32]:
        """Weighs events.

        A rating's weight grows in a straight line from 0 at `neutral` to the event's weight at `best`, and
        falls below 0 under `neutral`, down to minus the event's weight.

        Args:
            event_codes: Integers, shape (n,).
            values: Floats, shape (n,).

        Returns:
            float32, shape (n,); negative where the event counts against the item.
        """
        # A code newer than this table is that of an event which another process's settings brought.
        known = event_codes < len(self.weights)
        weights = np.where(known, self.weights[event_codes * known], np.float32(0))
        if self.rating_code >= 0:
            rated = event_codes == self.rating_code
            liking = (values[rated] - self.neutral) / (self.best - self.neutral)
            weights[rated] *= np.clip(liking, -1.0, 1.0).astype(np.float32)
        return weights


@dataclass(frozen=True)
class InteractionMatrix:
    """Who likes what, and how much.

    Attributes:
        user_keys: int32, shape (users,), ascending; `user_index` is a position here.
        item_keys: int32, shape (items,), ascending; `item_index` is a position here.
        strengths: CSR float32, shape (users, items), sorted; only pairs with a positive strength are stored.
        ages: float32, shape (pairs,), as `strengths.data` is ordered: days from a pair's last interaction to
            the newest of all.
    """

    user_keys: NDArray[np.int32]
    item_keys: NDArray[np.int32]
    strengths: sparse.csr_array[Any]
    ages: NDArray[np.float32]


def strength(weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Strength of a pair from the sum of its events' weights: log2(1 + |w|), with the sign of w.

    A weight of 1 stays 1; a hundred views count for more than one view, but not a hundred times as much.
    Damping by the logarithm follows Hu, Koren and Volinsky (2008), equation 6. However little |w| is, it is
    not lost beside the 1.

    Args:
        weights: float32, shape (n,).

    Returns:
        float32, shape (n,).
    """
    # In double precision, so that whole logarithms, such as that of one view, are whole.
    damped = np.log1p(np.abs(weights), dtype=np.float64) / np.log(2)
    signed: NDArray[np.float32] = np.copysign(damped, weights).astype(np.float32)
    return signed


def decay(ages: NDArray[Any], half_life: float | None) -> NDArray[np.float32]:
    """What time leaves of a weight: some, of however long ago, for what was liked is known to be liked.

    Args:
        ages: Days, shape (n,).
        half_life: Days after which half is left; None where time takes nothing.

    Returns:
        float32, shape (n,).
    """
    if half_life is None:
        return np.ones(len(ages), np.float32)
    halvings = np.minimum(np.asarray(ages, np.float32) / np.float32(half_life), _MOST_HALF_LIVES)
    left: NDArray[np.float32] = np.exp2(-halvings, dtype=np.float32)
    return left


def build_matrix(
    columns: InteractionColumns,
    scale: EventScale,
    catalogue: NDArray[np.int32],
    half_life: float | None = None,
) -> InteractionMatrix:
    """Adds up the interactions of each user and item.

    Args:
        columns: All interactions.
        scale: What each event says.
        catalogue: int32, shape (c,): item keys that get a column even without any interaction.
        half_life: Days after which an interaction counts half; None where its age does not matter.

    Returns:
        The matrix, over all users who did anything and all items of the catalogue or of an interaction.
    """
    user_keys, users = distinct(columns.user_keys)
    item_keys, items = distinct(np.concatenate([columns.item_keys, catalogue]))
    shape = len(user_keys), len(item_keys)
    pairs = users * np.int64(shape[1]) + items[: len(columns)]
    del users, items
    order = np.argsort(pairs, kind="stable").astype(np.int32)
    pairs = pairs[order]
    newest = columns.occurred_at.max(initial=np.iinfo(np.int64).min)

    counts = np.zeros(shape[0] + 1, np.int64)
    items_liked = [np.empty(0, np.int32)]
    strengths, ages = [np.empty(0, np.float32)], [np.empty(0, np.float32)]
    for begin, end in _chunks(pairs):
        rows = order[begin:end]
        age = ((newest - columns.occurred_at[rows]) / _MICROSECONDS_A_DAY).astype(np.float32)
        weights = scale.apply(columns.event_codes[rows], columns.values[rows]) * decay(age, half_life)
        firsts = np.flatnonzero(np.diff(pairs[begin:end], prepend=-1))
        summed = strength(np.add.reduceat(weights, firsts))
        is_liked = summed > 0
        liking, liked = np.divmod(pairs[begin:end][firsts[is_liked]], shape[1])
        counts += np.bincount(liking + 1, minlength=len(counts))
        items_liked.append(liked.astype(np.int32))
        strengths.append(summed[is_liked])
        ages.append(np.minimum.reduceat(age, firsts)[is_liked])
    del pairs, order

    bounds = np.cumsum(counts).astype(np.int32)
    matrix = sparse.csr_array(
        (np.concatenate(strengths), np.concatenate(items_liked), bounds), shape=shape, dtype=np.float32
    )
    return InteractionMatrix(user_keys, item_keys, matrix, np.concatenate(ages))


def _chunks(pairs: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    # Equal pairs stay together; a chunk at a time, the columns' temporaries never weigh as much as they do.
    begin = 0
    while begin < len(pairs):
        last = pairs[min(begin + _ROWS_AT_ONCE, len(pairs)) - 1]
        end = int(np.searchsorted(pairs, last, side="right"))
        yield begin, end
        begin = end
