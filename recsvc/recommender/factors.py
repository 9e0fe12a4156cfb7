"""Voices that score an item by the product of its embedding with a vector made from the history."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from threading import Lock
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recsvc.recommender.examples import Examples, History
from recsvc.recommender.fold_in import fold_in, fold_in_without_each
from recsvc.recommender.one_byte import Rows, products, rounded
from recsvc.recommender.voice import Opinion, Voice

_ROWS_AT_ONCE = 4096
_one_at_a_time = Lock()


@dataclass(frozen=True)
class FactorVoice(Voice):
    """A voice of item embeddings.

    Attributes:
        embeddings: Shape (n, d), rounded to one byte a number where they are served.
    """

    embeddings: Rows

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

    def completed(
        self, vectors: NDArray[np.float32], history: History, liked: int | NDArray[np.intp]
    ) -> NDArray[np.float32]:
        """Adds to vectors, shape (…, d), what is known of a user beside so many liked items, shape (…, 1)."""
        return vectors

    def scaled(self, products: NDArray[np.float32], items: NDArray[np.intp] | slice) -> NDArray[np.float32]:
        """Brings products, shape (…, c), to the scale of scores; here they are on it."""
        return products

    def finish(self, products: NDArray[np.float32], items: NDArray[np.intp] | slice) -> NDArray[np.float32]:
        """Turns products, shape (…, c), into scores."""
        return self.scaled(products, items)

    def opinion(self, history: History) -> FactorOpinion:
        """The user's vector, and what it is made of."""
        return FactorOpinion(self, history, *self._made(history))

    def _made(
        self, history: History
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32] | None, NDArray[np.float32]]:
        """Embeddings, coefficients, metric and vector of a `FactorOpinion`."""
        embeddings = self.embeddings[history.indexes]
        coefficients, metric = self.counting(history, embeddings)
        vector = coefficients @ embeddings
        if metric is not None:
            vector *= metric
        return embeddings, coefficients, metric, self.completed(vector, history, history.liked)

    def vector(self, history: History) -> NDArray[np.float32]:
        """The user's vector, float32, shape (d,)."""
        return self.opinion(history).vector

    def products(self, vectors: NDArray[np.float32], items: NDArray[np.intp]) -> NDArray[np.float32]:
        """Multiplies vectors, shape (…, d), with the embeddings of some items, shape (c,): (…, c)."""
        return products(vectors, self.embeddings, items)

    def score_all(self, histories: Sequence[History]) -> NDArray[np.float32]:
        """Scores all items for many histories."""
        # Many short steps: threads that take them at once wait for the interpreter longer than they work.
        with _one_at_a_time:
            vectors = np.stack([self.vector(history) for history in histories])
        return self.finish(products(vectors, self.embeddings, slice(None)), slice(None))

    def served(self) -> Self:
        """The voice with rounded embeddings."""
        return replace(self, embeddings=rounded(self.embeddings))


@dataclass(frozen=True)
class FactorOpinion(Opinion):
    """A user's vector, to be multiplied with the embeddings of items.

    Attributes:
        voice: Whose opinion it is.
        history: Of the user.
        embeddings: float32, shape (h, d): of the items in it.
        coefficients: float32, shape (h,): of these in the vector.
        metric: float32, shape (d,): what the vector's components were multiplied with; None for nothing.
        vector: float32, shape (d,).
    """

    voice: FactorVoice
    history: History
    embeddings: NDArray[np.float32]
    coefficients: NDArray[np.float32]
    metric: NDArray[np.float32] | None
    vector: NDArray[np.float32]

    @property
    def parts(self) -> NDArray[np.float32]:
        """What each item of the history adds to the vector, float32, shape (h, d)."""
        parts = self.coefficients[:, None] * self.embeddings
        return parts if self.metric is None else parts * self.metric

    def score(self, items: NDArray[np.intp]) -> NDArray[np.float32]:
        """Multiplies the items' embeddings with the vector."""
        return self.voice.finish(self.voice.products(self.vector, items), items)

    def shares(self, items: NDArray[np.intp]) -> NDArray[np.float32]:
        """Multiplies the items' embeddings with the parts of the vector."""
        return self.voice.scaled(self.voice.products(self.parts, items), items)


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

    def kinds(self, strengths: NDArray[np.float32]) -> NDArray[np.float32]:
        """Items of one kind leave the same system when they are left out; here, those of one strength."""
        return strengths

    def counting(
        self, history: History, embeddings: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        """How much each item of the history counts."""
        system = self.system(history)
        coefficients = fold_in(embeddings, system.confidences, system.wanted, system.base)
        metric = None if system.base is None else np.float32(1) / system.base
        if system.score is not None:
            products = (system.wanted @ embeddings) * (coefficients @ embeddings)
            coefficients *= _stretch(products if metric is None else products * metric, system.score)
        return coefficients, metric

    def opinion(self, history: History) -> FoldedInOpinion:
        """The user's vector, and what it was solved from."""
        return FoldedInOpinion(self, history, *self._made(history))


@dataclass(frozen=True)
class FoldedInOpinion(FactorOpinion):
    """A user's vector that was solved for."""

    voice: FoldedInVoice

    def score_without_each(
        self, places: NDArray[np.intp], items: NDArray[np.intp], shares: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Scores items by the vectors that are found without."""
        return self.score_by(self.vectors_without_each(places), items)

    def score_by(self, vectors: NDArray[np.float32], items: NDArray[np.intp]) -> NDArray[np.float32]:
        """Scores items by other vectors, shape (p, d); float32, shape (p, c)."""
        return self.voice.finish(self.voice.products(vectors, items), items)

    def vectors_without_each(self, places: NDArray[np.intp]) -> NDArray[np.float32]:
        """The vector without one item of the history at a time, one system for all items of a kind.

        Args:
            places: In the history, of the items to leave out, shape (p,).

        Returns:
            float32, shape (p, d).
        """
        strengths = self.history.strengths[places]
        kinds, kind_of = np.unique(self.voice.kinds(strengths), return_inverse=True)
        coefficients = np.empty((len(places), len(self.embeddings)), np.float32)
        systems = []
        for kind in range(len(kinds)):
            alike = np.flatnonzero(kind_of == kind)
            system = self.voice.system(self.history, without=float(strengths[alike[0]]))
            coefficients[alike] = fold_in_without_each(
                self.embeddings, system.confidences, system.wanted, system.base, places[alike]
            )
            systems.append(system)
        vectors = coefficients @ self.embeddings
        bases = [system.base for system in systems if system.base is not None]
        if bases:
            vectors /= np.stack(bases)[kind_of]
        scores = [system.score for system in systems if system.score is not None]
        if scores:
            products = np.stack([system.wanted for system in systems])[kind_of]
            products *= vectors @ self.embeddings.T
            # Not by subtraction: what is left beside a great strength may be little.
            products[np.arange(len(places)), places] = 0
            vectors *= _stretch(products, np.array(scores)[kind_of])[:, None]
        liked = np.array([system.liked for system in systems])[kind_of, None]
        return self.voice.completed(vectors, self.history, liked)


def _stretch(products: NDArray[np.floating], score: float | NDArray[np.floating]) -> NDArray[np.float32]:
    """What to multiply with, so that products, shape (…, n), add up to a score, shape (…); shape (…)."""
    scored = products.sum(axis=-1)
    return np.where(scored > 0, score / np.where(scored > 0, scored, 1), 0.0).astype(np.float32)


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
