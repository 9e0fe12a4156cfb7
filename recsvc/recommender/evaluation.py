"""How well a fit foretells what was held out, ranked as a web process would rank it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recsvc.recommender import metrics
from recsvc.recommender.fold_in import fold_in
from recsvc.recommender.lightfm_model import LearnedFactors
from recsvc.recommender.popularity import popularity
from recsvc.recommender.ranking import top_k
from recsvc.recommender.split import HeldOut

K_OF_RECALL = 20
K_OF_NDCG = 10

Scorer = Callable[[NDArray[np.intp], NDArray[np.float32]], NDArray[np.floating[Any]]]


def evaluate_factors(learned: LearnedFactors, held_out: HeldOut) -> dict[str, float]:
    """Ranks all items for users folded in from the rest of their history.

    Args:
        learned: From a fit to `held_out.strengths`.
        held_out: What it did not see.

    Returns:
        `recall_at_20` and `ndcg_at_10`, means over users.
    """
    embeddings = learned.item_embeddings
    gram = embeddings.T.astype(np.float64) @ embeddings

    def score(indexes: NDArray[np.intp], strengths: NDArray[np.float32]) -> NDArray[np.float32]:
        return embeddings @ fold_in(embeddings, gram, indexes, strengths) + learned.item_biases

    return evaluate(score, held_out)


def evaluate_popularity(held_out: HeldOut) -> dict[str, float]:
    """The same for a list that is everybody's: what a recommender must beat."""
    popular = popularity(held_out.strengths)
    return evaluate(lambda _indexes, _strengths: popular, held_out)


def evaluate(score: Scorer, held_out: HeldOut) -> dict[str, float]:
    """Ranks all items that are not in a user's history, user by user.

    Args:
        score: From a history — item indexes and strengths — to the scores of all items.
        held_out: Histories, and what followed them.

    Returns:
        `recall_at_20` and `ndcg_at_10`, means over users.
    """
    recalls, ndcgs = [], []
    for user, relevant in zip(held_out.user_indexes.tolist(), held_out.relevant, strict=True):
        begin, end = held_out.strengths.indptr[user], held_out.strengths.indptr[user + 1]
        history = held_out.strengths.indices[begin:end].astype(np.intp)
        scores = score(history, held_out.strengths.data[begin:end])
        unseen = np.ones(len(scores), dtype=bool)
        unseen[history] = False
        ranked = top_k(scores, np.flatnonzero(unseen), K_OF_RECALL)
        recalls.append(metrics.recall(ranked, relevant))
        ndcgs.append(metrics.ndcg(ranked[:K_OF_NDCG], relevant))
    return {"recall_at_20": round(float(np.mean(recalls)), 5), "ndcg_at_10": round(float(np.mean(ndcgs)), 5)}
