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
from recsvc.recommender.fold_in import Systems, fold_in
from recsvc.recommender.one_byte import Rows, products, rounded
from recsvc.recommender.voice import Opinion, Voice

DAMPING = -0.25  # to which power of how many there are of a user or an item a like counts; docs/adr/0008

_ROWS_AT_ONCE = 4096
_one_at_a_time = Lock()
_NOTHING_LEFT_OUT = (0.0,)
_FIRST = np.zeros(1, np.intp)
_NONE = np.full(1, -1, np.intp)


@dataclass(frozen=True)
class FactorVoice(Voice):
    """A voice of item embeddings.

    Attributes:
        embeddings: Shape (n, d), rounded to one byte a number where they are served.
    """

    embeddings: Rows

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

    @abstractmethod
    def opinion(self, history: History) -> FactorOpinion:
        """The user's vector, and what it is made of."""

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
        vector: float32, shape (d,).
    """

    voice: FactorVoice
    history: History
    embeddings: NDArray[np.float32]
    coefficients: NDArray[np.float32]
    vector: NDArray[np.float32]

    @property
    def parts(self) -> NDArray[np.float32]:
        """What each item of the history adds to the vector, float32, shape (h, d)."""
        return self.coefficients[:, None] * self.directions

    @property
    def directions(self) -> NDArray[np.float32]:
        """Into which direction each item of the history draws the vector, float32, shape (h, d)."""
        return self.embeddings

    def score(self, items: NDArray[np.intp]) -> NDArray[np.float32]:
        """Multiplies the items' embeddings with the vector."""
        return self.voice.finish(self.voice.products(self.vector, items), items)

    def shares(self, items: NDArray[np.intp]) -> NDArray[np.float32]:
        """Multiplies the items' embeddings with the directions, and that with their coefficients."""
        products = self.coefficients[:, None] * self.voice.products(self.directions, items)
        return self.voice.scaled(products, items)


class FoldedInVoice(FactorVoice):
    """A voice of item embeddings whose users are solved for."""

    @abstractmethod
    def systems(self, history: History, left_out: Sequence[float]) -> Systems:
        """What is solved for a history.

        Args:
            history: Of one user.
            left_out: Of each system, the strength of an item that is to be left out; 0 for none.
                What is common to all items, as how many there are, is told without it.
        """

    def kinds(self, strengths: NDArray[np.float32]) -> NDArray[np.float32]:
        """Items of one kind leave the same system when they are left out; here, those of one strength."""
        return strengths

    def opinion(self, history: History) -> FoldedInOpinion:
        """The user's vector, and what it was solved from."""
        embeddings = self.embeddings[history.indexes]
        systems = self.systems(history, _NOTHING_LEFT_OUT)
        coefficients, vectors = fold_in(embeddings, systems, history.weights[None], _FIRST, _NONE)
        vector = self.completed(vectors[0], history, history.liked)
        return FoldedInOpinion(self, history, embeddings, coefficients[0], vector, systems)


@dataclass(frozen=True)
class FoldedInOpinion(FactorOpinion):
    """A user's vector that was solved for.

    Attributes:
        systems: The one that it solves.
    """

    voice: FoldedInVoice
    systems: Systems

    @property
    def directions(self) -> NDArray[np.float32]:
        """Those of the embeddings, against the diagonal that is solved with."""
        return self.embeddings if self.systems.spectrum is None else self.embeddings / self.systems.base(0)

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
        left_out = self.history.strengths[places]
        kinds = self.voice.kinds(left_out).tolist()
        system_of = {kind: system for system, kind in enumerate(dict.fromkeys(kinds))}
        of_each = np.array([system_of[kind] for kind in kinds], np.intp)
        systems = self.voice.systems(self.history, list(system_of))
        weights = self.history.weights_without_each(places)
        _, vectors = fold_in(self.embeddings, systems, weights, of_each, places)
        liked = self.history.liked - (left_out > 0)
        return self.voice.completed(vectors, self.history, liked[:, None])


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
    """What a like counts for by how many there are of a user or an item."""
    return counts.astype(np.float32) ** np.float32(DAMPING)


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
