"""What is liked of late: counted among the interactions received last."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recsvc.recommender.keys import locate
from recsvc.services.events import event_book
from recsvc.storage.models import now
from recsvc.storage.queries import interactions

_FOR_POPULARITY = 10_000  # interactions looked at while there is no model, whatever their age
_FOR_TRENDS = 50_000
_TREND = timedelta(days=7)


@dataclass(frozen=True)
class RecentLikes:
    """How many users liked each item of late. m items.

    Attributes:
        item_keys: int64, shape (m,), ascending.
        counts: int64, shape (m,).
    """

    item_keys: NDArray[np.int64]
    counts: NDArray[np.int64]

    def counts_of(self, item_keys: NDArray[Any]) -> NDArray[np.float32]:
        """Counts of some items, float32, shape (n,)."""
        places = locate(self.item_keys, item_keys)
        if not len(self.item_keys):
            return np.zeros(len(item_keys), np.float32)
        return np.where(places >= 0, self.counts[places], 0).astype(np.float32)

    def trend(
        self, item_keys: NDArray[Any], likes: NDArray[Any], popularity: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """How much more each item is liked of late than is usual for it.

        (count − expected) / √(expected + 1), where the expected count is the item's part of all likes: a
        count of rare events scatters by the root of what is expected of it. Items that nobody liked of late
        come after all others, by popularity.

        Args:
            item_keys: Shape (n,).
            likes: Shape (n,): how many users like each item in all.
            popularity: float32, shape (n,), not negative.

        Returns:
            float32, shape (n,).
        """
        counts = self.counts_of(item_keys).astype(float)
        expected = likes / max(likes.sum(), 1) * counts.sum()
        scores = (counts - expected) / np.sqrt(expected + 1)
        rest = counts == 0
        lowest = scores[~rest].min(initial=0.0)
        scores[rest] = lowest - 2 + popularity[rest] / max(popularity.max(initial=0), 1)
        trend: NDArray[np.float32] = scores.astype(np.float32)
        return trend


def recent_likes(*, has_model: bool) -> RecentLikes:
    """Counts anew: for what is trending, or, while there is no model, for what is popular."""
    scale = event_book().scale
    liking = np.flatnonzero(scale.weights > 0).tolist()
    counted = interactions.recent_item_counts(
        _FOR_TRENDS if has_model else _FOR_POPULARITY,
        liking,
        rating_code=scale.rating_code,
        neutral=scale.neutral,
        since=now() - _TREND if has_model else None,
    )
    keys, counts = np.array(counted, np.int64).reshape(-1, 2).T
    return RecentLikes(keys, counts)
