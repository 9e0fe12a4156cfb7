"""Items that foretell each other, all others considered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.linalg import lapack

from recsvc.recommender.examples import Examples
from recsvc.recommender.relations import RelatedVoice, Relations, join, strongest
from recsvc.recommender.voice import OnProgress, Parameters

_PENALTIES = (20.0, 5.0, 60.0)  # in units of how many users like an item, on average
_MOST_WORK = 1.5e12  # multiplications: some 15 seconds on four cores
_WORK_FOR_ONE_LOOK = 2e11
_ROWS_AT_ONCE = 1024


@dataclass(frozen=True)
class ItemWeights(RelatedVoice):
    """Linear regression of every item on all others, in closed form: EASE (Steck 2019).

    Strongest where the data is dense and the catalogue small; its cost grows with the cube of the catalogue,
    or of the number of users where they are fewer, so it does not speak for large ones.
    """

    name = "item_weights"

    @classmethod
    def choose(
        cls,
        examples: Examples,
        judge: Callable[[Self], float] | None,
        limits: Parameters,
        on_progress: OnProgress,
    ) -> tuple[Self, Parameters] | None:
        """Tries penalties, as many as the size of the data leaves time for."""
        work = _work(examples)
        if work > _MOST_WORK:
            return None
        penalties = _PENALTIES if judge is not None and work <= _WORK_FOR_ONE_LOOK else _PENALTIES[:1]
        best: tuple[float, Self, Parameters] | None = None
        for place, penalty in enumerate(penalties):
            parameters = {"penalty": penalty, "neighbours": limits["neighbours"]}
            voice = cls.fit(examples, parameters, lambda done: None)
            quality = judge(voice) if judge is not None else 0.0
            if best is None or quality > best[0]:
                best = quality, voice, parameters
            on_progress((place + 1) / len(penalties))
        assert best is not None
        return best[1], best[2]

    @classmethod
    def fit(cls, examples: Examples, parameters: Parameters, on_progress: OnProgress) -> Self:
        """Solves in closed form, and keeps each item's strongest weights."""
        hot = np.flatnonzero(examples.counts)
        likes = examples.strengths[np.flatnonzero(examples.lengths)][:, hot].tocsr()
        penalty = np.float32(parameters["penalty"] * (likes.data @ likes.data) / len(hot))
        inverse = _inverse(likes, penalty)
        diagonal = inverse.diagonal().copy()
        blocks = []
        for begin in range(0, len(hot), _ROWS_AT_ONCE):
            rows = inverse[begin : begin + _ROWS_AT_ONCE] / -diagonal
            rows[np.arange(len(rows)), np.arange(begin, begin + len(rows))] = 0
            lengths, items, weights = strongest(sparse.csr_array(rows), parameters["neighbours"])
            blocks.append((lengths, hot[items].astype(np.int32), weights))
            on_progress((begin + len(rows)) / len(hot))
        related = join(blocks, np.ones(len(hot), np.float32))
        lengths = np.zeros(len(examples.counts), np.int64)
        lengths[hot] = np.diff(related.bounds)
        bounds = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        sources = np.ones(len(lengths), np.float32)
        return cls(Relations(bounds, related.items, related.weights, sources))


def _work(examples: Examples) -> float:
    items = float(np.count_nonzero(examples.counts))
    users = float(np.count_nonzero(examples.lengths))
    return min(items**3, users**3 + items**2 * users)


def _inverse(likes: sparse.csr_array[Any], penalty: np.float32) -> NDArray[np.float32]:
    """Inverse of likes.T @ likes + penalty · I, by whichever side is the shorter (Woodbury's identity)."""
    users, items = likes.shape
    if users >= items:
        return _invert((likes.T @ likes).toarray(), penalty)
    dense = likes.toarray()
    of_users = _invert((likes @ likes.T).toarray(), penalty)
    inverse: NDArray[np.float32] = dense.T @ (of_users @ dense)
    inverse *= -1
    inverse[np.diag_indices(items)] += 1
    inverse /= penalty
    return inverse


def _invert(gram: NDArray[np.float32], penalty: np.float32) -> NDArray[np.float32]:
    gram[np.diag_indices(len(gram))] += penalty
    factor, _ = lapack.spotrf(gram, lower=1, overwrite_a=1)
    inverse, _ = lapack.spotri(factor, lower=1, overwrite_c=1)
    lower = np.tril(inverse)
    full: NDArray[np.float32] = lower + np.tril(inverse, -1).T
    return full
