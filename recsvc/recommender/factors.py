"""Voices that score an item by the product of its embedding with a vector made from the history."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recsvc.recommender.examples import Examples, History
from recsvc.recommender.fold_in import fold_in, fold_in_without_each
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
            history: Of one user.
            embeddings: float32, shape (h, d): of the items in it.

        Returns:
            float32, shape (h,); and what the vector's components are multiplied with, float32, shape (d,),
            None for nothing.
        """

    def parts(self, history: History) -> NDArray[np.float32]:
        """What each item of the history adds to the user's vector, float32, shape (h, d)."""
        embeddings = self._embeddings_of(history)
        coefficients, metric = self.counting(history, embeddings)
        parts = coefficients[:, None] * embeddings
        return parts if metric is None else parts * metric

    def vector(self, history: History) -> NDArray[np.float32]:
        """The user's vector, float32, shape (d,)."""
        embeddings = self._embeddings_of(history)
        coefficients, metric = self.counting(history, embeddings)
        vector = coefficients @ embeddings
        return vector if metric is None else vector * metric

    def _embeddings_of(self, history: History) -> NDArray[np.float32]:
        return self.embeddings.take(history.indexes, axis=0, mode="clip")

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


@dataclass(frozen=True)
class System:
    """What is solved for a user's vector, as `fold_in` takes it.

    Attributes:
        confidences: Shape (h,).
        wanted: Shape (h,).
        base: Shape (d,); None for the identity.
        liked: How many items are liked.
        score: What the history is to score in all, each item as often as it is wanted; None where scores have
            a scale of their own.
    """

    confidences: NDArray[np.floating]
    wanted: NDArray[np.floating]
    base: NDArray[np.float32] | None
    liked: int
    score: float | None


class FoldedInVoice(FactorVoice):
    """A voice of item embeddings whose users are solved for."""

    @abstractmethod
    def system(self, history: History, without: float = 0.0) -> System:
        """What is solved for a history.

        Args:
            history: Of one user.
            without: Strength of an item that is to be left out; 0 for none. What is common to all items, as
                how many there are, is told without it.
        """

    def completed(self, vectors: NDArray[np.float32], history: History, liked: int) -> NDArray[np.float32]:
        """Adds to vectors, shape (…, d), what is known of a user beside so many liked items."""
        return vectors

    def counting(
        self, history: History, embeddings: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        """How much each item of the history counts."""
        system = self.system(history)
        coefficients = fold_in(embeddings, system.confidences, system.wanted, system.base)
        scaled = _scaled(coefficients, system.wanted, embeddings, system)
        return scaled, None if system.base is None else np.float32(1) / system.base

    def vector(self, history: History) -> NDArray[np.float32]:
        """The user's vector."""
        return self.completed(super().vector(history), history, history.liked)

    def prepare_without_each(self, history: History, places: NDArray[np.intp]) -> NDArray[np.float32]:
        """The user's vectors, one solution for all items of one strength."""
        embeddings = self._embeddings_of(history)
        vectors = np.empty((len(places), embeddings.shape[1]), np.float32)
        strengths = history.strengths[places]
        for strength in np.unique(strengths).tolist():
            alike = np.flatnonzero(strengths == strength)
            left_out = places[alike]
            system = self.system(history, without=strength)
            coefficients = fold_in_without_each(
                embeddings, system.confidences, system.wanted, system.base, left_out
            )
            wanted = np.tile(system.wanted, (len(alike), 1))
            wanted[np.arange(len(alike)), left_out] = 0
            found = _scaled(coefficients, wanted, embeddings, system) @ embeddings
            if system.base is not None:
                found = found / system.base
            vectors[alike] = self.completed(found, history, system.liked)
        return vectors


def _scaled(
    coefficients: NDArray[np.float32],
    wanted: NDArray[np.floating],
    embeddings: NDArray[np.float32],
    system: System,
) -> NDArray[np.float32]:
    """Stretches coefficients, shape (…, h), until the history scores what it is to."""
    if system.score is None:
        return coefficients
    products = (wanted @ embeddings) * (coefficients @ embeddings)
    scored = (products if system.base is None else products / system.base).sum(axis=-1)
    stretch = np.where(scored > 0, system.score / np.where(scored > 0, scored, 1), 0.0)
    return coefficients * stretch.astype(np.float32)[..., None]


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
