"""Items that nobody likes yet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from recsvc.recommender.ranking import best_of


@dataclass(frozen=True)
class Newcomers:
    """Items that nobody likes yet, as their features foretell them. m items.

    Attributes:
        indexes: Ascending, shape (m,).
        known: float32, shape (m, d + 1): embeddings and biases of LightFM.
        has_features: bool, shape (m,): whether the model knows any of its features.
    """

    indexes: NDArray[np.intp]
    known: NDArray[np.float32]
    has_features: NDArray[np.bool_]

    @classmethod
    def of(
        cls, indexes: NDArray[np.intp], known: NDArray[np.float32], mean_item: NDArray[np.float32]
    ) -> Self:
        """Tells which of them have features: the others are like the mean of all items."""
        return cls(indexes, known, (known != mean_item).any(axis=1))

    def score(
        self, items: NDArray[np.intp], vectors: NDArray[Any]
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Scores some of them as LightFM does.

        Args:
            items: Indexes of newcomers, shape (c,).
            vectors: Of users, shape (…, d).

        Returns:
            Scores, shape (…, c), and which of the items have features, shape (c,).
        """
        places = np.searchsorted(self.indexes, items)
        known = self.known[places]
        return vectors @ known[:, :-1].T + known[:, -1], self.has_features[places]

    def best(self, vector: NDArray[Any], most: int, *, among: int) -> NDArray[np.intp]:
        """Indexes of the best for a user, of those that came last.

        Args:
            vector: The user's, shape (d,).
            most: How many at the most.
            among: How many to look through.
        """
        known = self.known[-among:]
        return best_of(self.indexes[-among:], known[:, :-1] @ vector + known[:, -1], most)

    def embeddings_of(self, items: NDArray[np.intp]) -> NDArray[np.float32]:
        """float32, shape (c, d)."""
        return self.known[np.searchsorted(self.indexes, items), :-1]
