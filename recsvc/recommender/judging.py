"""How well fitted voices foretell what was held out."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recsvc.recommender.evaluation import rank_all
from recsvc.recommender.examples import History
from recsvc.recommender.metrics import evaluate_lists
from recsvc.recommender.voice import Voice

K = 20


@dataclass(frozen=True)
class Jury:
    """Users that something was held out of.

    Attributes:
        histories: What is known of each.
        relevant: What was held out of each.
    """

    histories: Sequence[History]
    relevant: Sequence[NDArray[np.intp]]

    def ndcg(self, voice: Voice, threads: int) -> NDArray[np.float64]:
        """NDCG@20 of each user's list by a voice alone, shape (users,)."""
        if not self.histories:
            return np.empty(0)
        lists = rank_all(voice.score_all, self.histories, K, threads)
        return evaluate_lists(lists, self.relevant, [K])[f"ndcg_at_{K}"]


class Judge:
    """Mean NDCG@20 of a voice among users that something was held out of.

    Some of them judge first. A voice that is worse by them than the best of its kind so far, by more than the
    standard error of the difference, is not asked for by the others: they would take longer than they would
    tell. So parameters that are near to each other are told apart by more users than those that are not.

    Args:
        some: Who judges every voice.
        others: Who judges those that may be the best; nobody where there are no more.
        threads: How many to rank with.

    Attributes:
        seconds: Spent in judging.
    """

    def __init__(self, some: Jury, others: Jury, threads: int) -> None:
        self.seconds = 0.0
        self._some = some
        self._others = others
        self._threads = threads
        self._best: dict[type[Voice], tuple[float, NDArray[np.float64]]] = {}

    def __call__(self, voice: Voice) -> float:
        """The voice's quality: by all, or what the difference by some makes of that of the best."""
        began = time.perf_counter()
        quality = self._quality(voice)
        self.seconds += time.perf_counter() - began
        return quality

    def _quality(self, voice: Voice) -> float:
        by_some = self._some.ndcg(voice, self._threads)
        best_quality, best_by_some = self._best.get(type(voice), (-np.inf, None))
        if best_by_some is not None:
            differences = by_some - best_by_some
            if differences.mean() < -differences.std() / np.sqrt(len(differences)):
                return best_quality + float(differences.mean())
        quality = float(np.concatenate([by_some, self._others.ndcg(voice, self._threads)]).mean())
        if quality > best_quality:
            self._best[type(voice)] = quality, by_some
        return quality
