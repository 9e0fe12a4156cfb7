"""From columns of integer keys to a matrix of how much each user likes each item."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recsvc.recommender.keys import distinct


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
        strengths: CSR float32, shape (users, items); only pairs with a positive strength are stored.
    """

    user_keys: NDArray[np.int32]
    item_keys: NDArray[np.int32]
    strengths: sparse.csr_array[Any]


def strength(weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Strength of a pair from the sum of its events' weights: log2(1 + |w|), with the sign of w.

    A weight of 1 stays 1; a hundred views count for more than one view, but not a hundred times as much.
    Damping by the logarithm follows Hu, Koren and Volinsky (2008), equation 6.

    Args:
        weights: float32, shape (n,).

    Returns:
        float32, shape (n,).
    """
    damped: NDArray[np.float32] = np.copysign(np.log2(1.0 + np.abs(weights)), weights)
    return damped


def build_matrix(
    columns: InteractionColumns, scale: EventScale, catalogue: NDArray[np.int32]
) -> InteractionMatrix:
    """Adds up the interactions of each user and item.

    Args:
        columns: All interactions.
        scale: What each event says.
        catalogue: int32, shape (c,): item keys that get a column even without any interaction.

    Returns:
        The matrix, over all users who did anything and all items of the catalogue or of an interaction.
    """
    user_keys, rows = distinct(columns.user_keys)
    item_keys, positions = distinct(np.concatenate([columns.item_keys, catalogue]))
    weights = scale.apply(columns.event_codes, columns.values)
    summed = sparse.csr_array(
        (weights, (rows, positions[: len(columns)])), shape=(len(user_keys), len(item_keys))
    )
    summed.data = strength(summed.data)
    summed.data[summed.data < 0] = 0
    summed.eliminate_zeros()
    return InteractionMatrix(user_keys, item_keys, summed)
