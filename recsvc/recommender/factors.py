"""Voices that score an item by the product of its embedding with a vector made from the history."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recsvc.recommender.examples import Examples, History
from recsvc.recommender.voice import Voice

_ROWS_AT_ONCE = 4096
_ROWS_IN_CACHE = 64


class FactorVoice(Voice):
    """A voice of item embeddings.

    Attributes:
        embeddings: float32, shape (n, d).
    """

    embeddings: NDArray[np.float32]

    @abstractmethod
    def counting(
        self, history: History, embeddings: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        """How much each item of the history counts: its coefficient in the user's vector.

        Args:
            history: Of one user, or variations of it, strengths being of shape (v, h).
            embeddings: float32, shape (h, d): of the items in it.

        Returns:
            float32, of the shape of the strengths; and what the vector's components are multiplied with,
            float32, shape (d,) or (v, d), None for nothing.
        """

    def parts(self, history: History) -> NDArray[np.float32]:
        """What each item of the history adds to the user's vector, float32, shape (h, d)."""
        embeddings = self.embeddings[history.indexes]
        coefficients, metric = self.counting(history, embeddings)
        parts = coefficients[:, None] * embeddings
        return parts if metric is None else parts * metric

    def vector(self, history: History) -> NDArray[np.float32]:
        """The user's vector, float32, shape (d,); shape (v, d) for variations of a history."""
        embeddings = self.embeddings[history.indexes]
        coefficients, metric = self.counting(history, embeddings)
        vector = coefficients @ embeddings
        return vector if metric is None else vector * metric

    def finish(self, scores: NDArray[np.float32], items: NDArray[np.intp] | slice) -> NDArray[np.float32]:
        """Turns products into scores, along the last axis; here it leaves them as they are."""
        return scores

    def prepare(self, history: History) -> NDArray[np.float32]:
        """The user's vector."""
        return self.vector(history)

    def score_prepared(self, prepared: NDArray[Any], items: NDArray[np.intp]) -> NDArray[np.float32]:
        """Multiplies the items' embeddings with the user's vector."""
        products = np.empty((*prepared.shape[:-1], len(items)), np.float32)
        # A few at a time: the copy of them stays in the core's own cache, and drives nothing out of it.
        for begin in range(0, len(items), _ROWS_IN_CACHE):
            some = self.embeddings.take(items[begin : begin + _ROWS_IN_CACHE], axis=0, mode="clip")
            products[..., begin : begin + _ROWS_IN_CACHE] = prepared @ some.T
        return self.finish(products, items)

    def score_all(self, histories: Sequence[History]) -> NDArray[np.float32]:
        """Scores all items for many histories."""
        vectors = np.stack([self.vector(history) for history in histories])
        return self.finish(vectors @ self.embeddings.T, slice(None))

    def shares(self, history: History, items: NDArray[np.intp]) -> NDArray[np.float32]:
        """What each item of the history adds."""
        return self.parts(history) @ self.embeddings[items].T


def damp(examples: Examples) -> tuple[sparse.csr_array[Any], NDArray[np.float32]]:
    """Likes divided by (user's · item's number of likes)^¼.

    It is half the normalisation of GF-CF (Shen et al. 2021).

    Args:
        examples: Whose likes.

    Returns:
        CSR float32, shape (users, n), and what the items' part of it is: float32, shape (n,).
    """
    likes = examples.strengths.copy()
    by_user = damping_of(np.maximum(examples.lengths, 1))
    by_item = damping_of(np.maximum(examples.counts, 1))
    likes.data = likes.data * np.repeat(by_user, examples.lengths) * by_item[likes.indices]
    return likes, by_item


def damping_of(counts: NDArray[np.integer]) -> NDArray[np.float32]:
    """What a like counts for by how many there are of a user or an item: count^-¼; see docs/adr/0008."""
    return counts.astype(np.float32) ** np.float32(-0.25)


def multiply(rows: sparse.csr_array[Any], dense: NDArray[np.float32], threads: int) -> NDArray[np.float32]:
    """A sparse matrix times a dense one, by several threads.

    Args:
        rows: CSR, shape (m, n).
        dense: float32, shape (n, d).
        threads: How many.

    Returns:
        float32, shape (m, d).
    """
    product = np.empty((rows.shape[0], dense.shape[1]), np.float32)

    def work(begin: int) -> None:
        product[begin : begin + _ROWS_AT_ONCE] = rows[begin : begin + _ROWS_AT_ONCE] @ dense

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, range(0, rows.shape[0], _ROWS_AT_ONCE)))
    return product
