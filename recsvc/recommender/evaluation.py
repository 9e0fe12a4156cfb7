"""Ranking for many users at once, and how good the lists are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from recsvc.recommender.examples import History
from recsvc.recommender.kernels import best_places

_SCORES_AT_ONCE = 16_000_000  # 64 MB of float32

ScoreAll = Callable[[Sequence[History]], NDArray[np.float32]]


def rank_all(score_all: ScoreAll, histories: Sequence[History], k: int, threads: int = 1) -> NDArray[np.intp]:
    """Ranks all items that are not in a history, for many histories.

    Args:
        score_all: From histories to scores of all items, shape (histories, items). Called by all threads.
        histories: One a user.
        k: How many items to keep.
        threads: How many.

    Returns:
        Item indexes, best first, -1 where there are fewer than k; shape (histories, k).
    """
    lists = np.full((len(histories), k), -1, np.intp)

    def rank(start: int, end: int) -> int:
        chunk = histories[start:end]
        scores = score_all(chunk)
        for of_user, history, listed in zip(scores, chunk, lists[start:end], strict=True):
            open_to = of_user.astype(np.float32)
            open_to[history.indexes] = -np.inf
            best = best_places(open_to, k)
            best = best[open_to[best] > -np.inf]
            listed[: len(best)] = best
        return int(scores.shape[1])

    if not histories:
        return lists
    # The first tells how many items there are.
    with ThreadPoolExecutor(threads) as pool, _libraries().limit(limits=1, user_api="blas"):
        at_once = max(1, _SCORES_AT_ONCE // rank(0, 1) // threads)
        starts = range(1, len(histories), at_once)
        list(pool.map(rank, starts, [start + at_once for start in starts]))
    return lists


@cache
def _libraries() -> ThreadpoolController:
    # To find them takes longer than to rank for some users.
    return ThreadpoolController()
