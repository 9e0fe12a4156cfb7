"""Which items a list may hold."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from recsvc.recommender.diversity import best_of_each_group
from recsvc.recommender.kernels import nearest
from recsvc.recommender.kernels.plain import is_in


@dataclass(frozen=True)
class Selection:
    """Which items a list may hold. N items: the model's, and those that came after it.

    Attributes:
        recommendable: bool, shape (N,).
        members: Ascending indexes of the items to choose from; None for all.
        excluded: Indexes of items to leave out.
        groups: int64, shape (N,): of items with the same number, other than 0, a list holds one at the most;
            None where nothing has a group.
    """

    recommendable: NDArray[np.bool_]
    members: NDArray[np.intp] | None
    excluded: NDArray[np.intp]
    groups: NDArray[np.int64] | None = None

    @cached_property
    def _excluded(self) -> NDArray[np.intp]:
        return np.sort(self.excluded)

    def nearest(
        self, near: NDArray[np.float32], others: NDArray[np.intp], most: int
    ) -> tuple[NDArray[np.intp], int]:
        """Items that the list may hold: so many of those that are most related to a history, and others.

        Args:
            near: float32, shape (n,): how much each item of the model is related.
            others: Item indexes.
            most: How many of the related ones.

        Returns:
            Item indexes, distinct and ascending; and how many of them are related.
        """
        return nearest(near, others, most, self.recommendable, self._excluded, self.members)

    def best(self, items: NDArray[np.intp], scores: NDArray[np.float32], k: int) -> NDArray[np.intp]:
        """Places of the best of some items, one of each group at the most."""
        return best_of_each_group(scores, None if self.groups is None else self.groups[items], k)

    def everything(self) -> NDArray[np.intp]:
        """All items that the list may hold, ascending."""
        if self.members is not None:
            members: NDArray[np.intp] = self.members[self.recommendable[self.members]]
            return members[~is_in(members, self._excluded)]
        allowed = self.recommendable.copy()
        allowed[self._excluded] = False
        return np.flatnonzero(allowed)
