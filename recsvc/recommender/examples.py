"""What a voice learns from, and what it is asked about."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recsvc.recommender.features import FeatureMatrix
from recsvc.recommender.interactions import InteractionMatrix
from recsvc.recommender.kernels import without_each
from recsvc.recommender.split import HeldOut

DISLIKED_WEIGHT = 0.3  # beside a liked item of the same strength; see docs/adr/0005


@dataclass(frozen=True)
class History:
    """What is known of one user at request time.

    Attributes:
        indexes: Item indexes, shape (h,), distinct; newest first where the order is known.
        strengths: float32, shape (h,), not 0; negative where the user dislikes the item.
        features: Positions of the user's features in the model, shape (f,).
        recency: How much more the newest count: 0 where they count like the others.
    """

    indexes: NDArray[np.intp]
    strengths: NDArray[np.float32]
    features: NDArray[np.intp] = field(default_factory=lambda: np.empty(0, np.intp))
    recency: float = 0.0

    @cached_property
    def weights(self) -> NDArray[np.float32]:
        """What each item counts for, float32, shape (h,): liked ones by their place among these."""
        by_place = weights_by_place(self.liked, self.recency)
        if self.liked == len(self.strengths):
            return by_place
        weights = np.ones(len(self.strengths), np.float32)
        weights[self.strengths > 0] = by_place
        return weights

    def weights_without_each(self, places: NDArray[np.intp]) -> NDArray[np.float32]:
        """What each item counts for once another is not there, into whose place it then may have moved.

        Args:
            places: Of the items to leave out, shape (p,).

        Returns:
            float32, shape (p, h); 0 for the item left out.
        """
        fewer = weights_by_place(max(self.liked - 1, 0), self.recency)
        return without_each(self.strengths, self.weights, fewer, places)

    @cached_property
    def liked(self) -> int:
        """How many items are liked."""
        return len(self._liking)

    @cached_property
    def sums(self) -> tuple[float, float]:
        """The sum of the strengths of liked items, and that of their squares."""
        return sum(self._liking), sum(strength * strength for strength in self._liking)

    @cached_property
    def counting(self) -> NDArray[np.float32]:
        """Strengths as they are added up, float32, shape (h,): by place, and less of what is disliked."""
        counting: NDArray[np.float32] = self.strengths * self.weights
        if self.liked == len(self.strengths):
            return counting
        return np.where(self.strengths > 0, np.float32(1), np.float32(DISLIKED_WEIGHT)) * counting

    @cached_property
    def _liking(self) -> list[float]:
        # In doubles: beside a great strength the others may be little.
        return [strength for strength in self.strengths.tolist() if strength > 0]


@dataclass(frozen=True)
class Examples:
    """What voices learn from. n items, u users, p pairs.

    Attributes:
        strengths: CSR float32, shape (u, n), sorted; p positive entries.
        ages: float32, shape (p,): days from a pair's last interaction to the newest of all.
        item_features: Rows of the items.
        user_features: Rows of the users.
        seed: Of everything random.
        threads: Threads to learn with.
        on_epoch: Told the number of each pass over the examples, from 1, by a voice that makes passes.
    """

    strengths: sparse.csr_array[Any]
    ages: NDArray[np.float32]
    item_features: FeatureMatrix
    user_features: FeatureMatrix
    seed: int
    threads: int
    on_epoch: Callable[[int], None] = lambda epoch: None

    @cached_property
    def counts(self) -> NDArray[np.intp]:
        """How many users like each item, shape (n,)."""
        return np.bincount(self.strengths.indices, minlength=self.strengths.shape[1])

    @cached_property
    def lengths(self) -> NDArray[np.intp]:
        """How many items each user likes, shape (u,)."""
        return np.diff(self.strengths.indptr)

    def rest_of(self, matrix: InteractionMatrix, held_out: HeldOut) -> Examples:
        """The same examples without what was held out of them.

        Args:
            matrix: What the examples are of.
            held_out: A split of it.
        """
        rest = held_out.strengths
        ages = matrix.ages[np.isin(_pairs(matrix.strengths), _pairs(rest), assume_unique=True)]
        return replace(self, strengths=rest, ages=ages)

    def histories(self, held_out: HeldOut) -> list[History]:
        """What is known of each user that something was held out of."""
        known, features = held_out.histories, self.user_features.rows
        return [
            History(
                *_row(known, place),
                features.indices[features.indptr[user] : features.indptr[user + 1]].astype(np.intp),
            )
            for place, user in enumerate(held_out.user_indexes.tolist())
        ]


@lru_cache(maxsize=4096)
def weights_by_place(length: int, recency: float) -> NDArray[np.float32]:
    """What the liked items of a history count for, newest first: (1 + place)^-recency, 1 on average.

    Args:
        length: Of the history.
        recency: 0 or more.

    Returns:
        float32, shape (length,); not to be written to.
    """
    weights = (1 + np.arange(length)) ** -recency
    found = (weights / weights.mean() if length else weights).astype(np.float32)
    found.flags.writeable = False
    return found


def _row(rows: sparse.csr_array[Any], place: int) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    begin, end = rows.indptr[place], rows.indptr[place + 1]
    return rows.indices[begin:end].astype(np.intp), rows.data[begin:end].astype(np.float32)


def _pairs(rows: sparse.csr_array[Any]) -> NDArray[np.int64]:
    users = np.repeat(np.arange(rows.shape[0]), np.diff(rows.indptr))
    pairs: NDArray[np.int64] = users * np.int64(rows.shape[1]) + rows.indices
    return pairs
