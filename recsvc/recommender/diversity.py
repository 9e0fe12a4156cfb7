"""What a list is beside being the best by score: one item of each group, and items unlike each other."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from recsvc.recommender.kernels import best_places

_POOL = 100  # so many of the best are chosen from, or a multiple of the list's length
_POOL_PER_PLACE = 5


def best_of_each_group(
    scores: NDArray[np.floating[Any]], groups: NDArray[np.int64] | None, k: int
) -> NDArray[np.intp]:
    """Ranks by score and keeps the best, one of each group at the most.

    Costs one more look at the best few; where most of them are of few groups, a sort of all.

    Args:
        scores: Floats without NaN, shape (c,).
        groups: Shape (c,): equal numbers stand for one group, 0 for none; None where nothing has a group.
        k: How many to keep.

    Returns:
        Places in `scores`, best first: k of them wherever so many are of different groups or of none.
    """
    if groups is None:
        return best_places(scores, k)
    taken = 2 * k
    while True:
        best = best_places(scores, taken)
        of_best = groups[best]
        is_first = np.zeros(len(best), dtype=bool)
        is_first[np.unique(of_best, return_index=True)[1]] = True
        kept: NDArray[np.intp] = best[is_first | (of_best == 0)][:k]
        if len(kept) == k or taken >= len(scores):
            return kept
        taken *= 4


def pool_size(k: int) -> int:
    """How many of the best a diverse list of k is chosen from."""
    return max(_POOL, _POOL_PER_PLACE * k)


def diverse(
    scores: NDArray[np.floating[Any]], vectors: NDArray[np.float32], k: int, diversity: float
) -> NDArray[np.intp]:
    """Chooses a list whose items are good and unlike each other.

    Maximal marginal relevance (Carbonell & Goldstein, SIGIR 1998): place by place the item of the greatest
    (1 − diversity) · score − diversity · greatest cosine to an item chosen before, scores scaled to 0–1.
    Costs k products of the pool's vectors with one of them: O(k · p · d).

    Args:
        scores: Shape (p,), falling.
        vectors: float32, shape (p, d): what items are like. One of zeros is unlike everything.
        k: How many.
        diversity: 0 gives the order of the scores, 1 looks at unlikeness alone after the first place.

    Returns:
        Places in `scores`, in the order of the list: min(k, p) of them.
    """
    if diversity == 0 or len(scores) == 0:
        return np.arange(min(k, len(scores)))
    spread = float(scores.max() - scores.min())
    relevance = (scores - scores.min()) / spread if spread > 0 else np.ones(len(scores))
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    units = np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)
    likeness = np.full(len(scores), -1.0)
    chosen = np.empty(min(k, len(scores)), np.intp)
    worth = relevance.astype(float)
    for place in range(len(chosen)):
        best = int(np.argmax(worth))
        chosen[place] = best
        likeness = np.maximum(likeness, units @ units[best])
        worth = (1 - diversity) * relevance - diversity * likeness
        worth[chosen[: place + 1]] = -np.inf
    return chosen
