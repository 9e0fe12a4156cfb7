"""Items that nobody likes yet."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray

from recsvc.recommender.kernels import best_places
from recsvc.recommender.one_byte import OneByteRows, products
from recsvc.recommender.voices.lightfm import LightFMHybrid

_AT_ONCE = 10_000
_NEWEST = 10_000  # looked through for a list, those that came last


@dataclass(frozen=True)
class Newcomers:
    """Items that nobody likes yet, as their features foretell them: m of a model, and l that came after it.

    What is foretold of the model's own is read where LightFM's voice has it.

    Attributes:
        indexes: Ascending, shape (m + l,).
        has_features: bool, shape (m + l,): whether the model knows any of its features.
        hybrid: LightFM's voice; None, and no newcomers, where it was not fitted.
        later: float32, shape (l, d + 1): embeddings and biases of those that came after the model.
    """

    indexes: NDArray[np.intp]
    has_features: NDArray[np.bool_]
    hybrid: LightFMHybrid | None
    later: NDArray[np.float32]

    @classmethod
    def of_model(cls, cold: NDArray[np.intp], hybrid: LightFMHybrid | None) -> Self:
        """Those of a model, by their indexes."""
        if hybrid is None:
            return cls(np.empty(0, np.intp), np.empty(0, bool), None, np.empty((0, 1), np.float32))
        has_features = np.empty(len(cold), bool)
        for begin in range(0, len(cold), _AT_ONCE):
            some = slice(begin, begin + _AT_ONCE)
            has_features[some] = _are_foretold(_known(hybrid, cold[some]), hybrid)
        return cls(cold, has_features, hybrid, np.empty((0, len(hybrid.mean_item)), np.float32))

    def and_later(self, indexes: NDArray[np.intp], foretold: NDArray[np.float32]) -> Self:
        """These, and those that came after the model.

        Args:
            indexes: Ascending, shape (l,), all above those of the model.
            foretold: float32, shape (l, d + 1).
        """
        if self.hybrid is None:
            return self
        has_features = np.concatenate([self.has_features, _are_foretold(foretold, self.hybrid)])
        return replace(
            self, indexes=np.concatenate([self.indexes, indexes]), has_features=has_features, later=foretold
        )

    def score(
        self, items: NDArray[np.intp], vectors: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Scores some of them as LightFM does.

        Args:
            items: Indexes of newcomers, shape (c,).
            vectors: Of users, shape (…, d).

        Returns:
            Scores, shape (…, c), and which of the items have features, shape (c,).
        """
        have_features = self.are_foretold(items)
        if not len(self.later):
            assert self.hybrid is not None
            return products(vectors, self.hybrid.embeddings, items) + self.hybrid.biases[items], have_features
        known = self._known(items)
        return vectors @ known[:, :-1].T + known[:, -1], have_features

    def are_foretold(self, items: NDArray[np.intp]) -> NDArray[np.bool_]:
        """Which of some newcomers the model knows a feature of, shape (c,)."""
        found: NDArray[np.bool_] = self.has_features[self._places(items)]
        return found

    def best(self, vector: NDArray[np.float32], most: int) -> NDArray[np.intp]:
        """Indexes of the best for a user, of those that came last.

        Args:
            vector: The user's, shape (d,).
            most: How many at the most.
        """
        rows, biases = self._newest
        scores = products(vector, rows, np.arange(len(biases))) + biases
        return self.indexes[-_NEWEST:][best_places(scores, most)]

    @cached_property
    def _newest(self) -> tuple[OneByteRows, NDArray[np.float32]]:
        """Embeddings and biases of those that came last, side by side: they come from memory at once."""
        known = self._known(self.indexes[-_NEWEST:])
        return OneByteRows.of(known[:, :-1]), known[:, -1].copy()

    def embeddings_of(self, items: NDArray[np.intp]) -> NDArray[np.float32]:
        """float32, shape (c, d)."""
        return self._known(items)[:, :-1]

    def _known(self, items: NDArray[np.intp]) -> NDArray[np.float32]:
        """Embeddings and biases of some newcomers, shape (c, d + 1)."""
        assert self.hybrid is not None
        places = self._places(items) - (len(self.indexes) - len(self.later))
        is_own = places < 0
        known = np.empty((len(items), len(self.hybrid.mean_item)), np.float32)
        known[is_own] = _known(self.hybrid, items[is_own])
        known[~is_own] = self.later[places[~is_own]]
        return known

    def _places(self, items: NDArray[np.intp]) -> NDArray[np.intp]:
        return np.searchsorted(self.indexes, items)


def _known(hybrid: LightFMHybrid, items: NDArray[np.intp]) -> NDArray[np.float32]:
    return np.column_stack([hybrid.embeddings[items], hybrid.biases[items]])


def _are_foretold(known: NDArray[np.float32], hybrid: LightFMHybrid) -> NDArray[np.bool_]:
    """Which are known by their features: the others are like the mean of all items."""
    foretold: NDArray[np.bool_] = (known != hybrid.mean_item).any(axis=1)
    return foretold
