"""Which items a list may hold."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from recsvc.recommender.diversity import best_of_each_group


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
        return np.unique(self.excluded)

    def allows(self, items: NDArray[np.intp]) -> NDArray[np.bool_]:
        """Which of some items the list may hold."""
        allowed: NDArray[np.bool_] = self.recommendable[items] & ~_is_in(items, self._excluded)
        return allowed if self.members is None else allowed & _is_in(items, self.members)

    def among(self, items: NDArray[np.intp]) -> NDArray[np.intp]:
        """Those of some items that the list may hold, in the order given."""
        return items[self.allows(items)]

    def best(self, items: NDArray[np.intp], scores: NDArray[np.float32], k: int) -> NDArray[np.intp]:
        """Places of the best of some items, one of each group at the most."""
        return best_of_each_group(scores, None if self.groups is None else self.groups[items], k)

    def everything(self) -> NDArray[np.intp]:
        """All items that the list may hold, ascending."""
        if self.members is not None:
            members: NDArray[np.intp] = self.members[self.recommendable[self.members]]
            return members[~_is_in(members, self._excluded)]
        allowed = self.recommendable.copy()
        allowed[self._excluded] = False
        return np.flatnonzero(allowed)


def _is_in(items: NDArray[np.intp], ascending: NDArray[np.intp]) -> NDArray[np.bool_]:
    if not len(ascending):
        return np.zeros(len(items), dtype=bool)
    places = np.minimum(np.searchsorted(ascending, items), len(ascending) - 1)
    found: NDArray[np.bool_] = ascending[places] == items
    return found
