"""How well a fit foretells what was held out, ranked as a web process would rank it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recsvc.recommender import metrics
from recsvc.recommender.fold_in import fold_in
from recsvc.recommender.lightfm_model import LearnedFactors
from recsvc.recommender.popularity import popularity
from recsvc.recommender.ranking import top_k
from recsvc.recommender.split import HeldOut

K_OF_RECALL = 20
K_OF_NDCG = 10

History = tuple[NDArray[np.intp], NDArray[np.float32]]
Scorer = Callable[[list[History]], NDArray[np.floating[Any]]]

_SCORES_AT_ONCE = 8_000_000  # 32 MB of float32


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

    def score(histories: list[History]) -> NDArray[np.float32]:
        users = np.stack([fold_in(embeddings, gram, *history) for history in histories])
        scores: NDArray[np.float32] = users @ embeddings.T + learned.item_biases
        return scores

    return evaluate(score, held_out)


def evaluate_popularity(held_out: HeldOut) -> dict[str, float]:
    """The same for a list that is everybody's: what a recommender must beat."""
    popular = popularity(held_out.strengths)
    return evaluate(lambda histories: np.tile(popular, (len(histories), 1)), held_out)


def evaluate(score: Scorer, held_out: HeldOut) -> dict[str, float]:
    """Ranks all items that are not in a user's history.

    Args:
        score: From some users' histories — item indexes and strengths each — to their scores of all items,
            shape (users, items).
        held_out: Histories, and what followed them.

    Returns:
        `recall_at_20` and `ndcg_at_10`, means over users.
    """
    recalls, ndcgs = [], []
    rest, users = held_out.strengths, held_out.user_indexes
    at_once = max(1, _SCORES_AT_ONCE // rest.shape[1])
    for start in range(0, len(users), at_once):
        histories = [_row(rest, user) for user in users[start : start + at_once].tolist()]
        for scores, (seen, _), relevant in zip(
            score(histories), histories, held_out.relevant[start : start + at_once], strict=True
        ):
            unseen = np.ones(len(scores), dtype=bool)
            unseen[seen] = False
            ranked = top_k(scores, np.flatnonzero(unseen), K_OF_RECALL)
            recalls.append(metrics.recall(ranked, relevant))
            ndcgs.append(metrics.ndcg(ranked[:K_OF_NDCG], relevant))
    return {"recall_at_20": round(float(np.mean(recalls)), 5), "ndcg_at_10": round(float(np.mean(ndcgs)), 5)}


def _row(strengths: sparse.csr_array[Any], user: int) -> History:
    begin, end = strengths.indptr[user], strengths.indptr[user + 1]
    return strengths.indices[begin:end].astype(np.intp), strengths.data[begin:end]
