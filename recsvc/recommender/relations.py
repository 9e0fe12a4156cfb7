"""Which items are related to which, and how strongly: a sparse matrix that a history is multiplied with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recsvc.recommender.examples import History
from recsvc.recommender.kernels import best_places, relate, shares, weighed
from recsvc.recommender.voice import Arrays, Opinion, Voice, checked

_WORK_OF_A_BLOCK = 4_000_000

RowsOfHistory = tuple[
    NDArray[np.int64], NDArray[np.int32], NDArray[np.float32], NDArray[np.intp], NDArray[np.float32]
]


@dataclass(frozen=True)
class RelatedOpinion(Opinion):
    """Sums of what is related to each of the h items of a history.

    Attributes:
        near: float32, shape (n,): the sums; 0 where nothing in the history is related.
        relations: Of which items.
        history: Of the user.
    """

    near: NDArray[np.float32]
    relations: Relations
    history: History

    @property
    def relations_read(self) -> int:
        """How many relations the items of the history have, no more than so many being to different items."""
        bounds, items = self.relations.bounds, self.history.indexes
        return int((bounds[items + 1] - bounds[items]).sum())

    def score(self, items: NDArray[np.intp]) -> NDArray[np.float32]:
        """Looks the sums up."""
        scores: NDArray[np.float32] = self.near[items]
        return scores

    def shares(self, items: NDArray[np.intp]) -> NDArray[np.float32]:
        """What each item of the history adds."""
        return shares(*self.relations.rows_of(self.history), items)


@dataclass(frozen=True)
class Relations:
    """Rows of related items, for n items with e entries in all.

    Attributes:
        bounds: int64, shape (n + 1,): where each item's row begins.
        items: int32, shape (e,): the related items.
        weights: float32, shape (e,): how strongly.
        sources: float32, shape (n,): what an item counts for in a history.
    """

    bounds: NDArray[np.int64]
    items: NDArray[np.int32]
    weights: NDArray[np.float32]
    sources: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.sources)

    def opinion(self, history: History) -> RelatedOpinion:
        """What is related to a history."""
        return RelatedOpinion(relate(*self.rows_of(history)), self, history)

    def follow(self, near: NDArray[np.float32], most: int) -> NDArray[np.float32]:
        """What is related to that which is related: a step further from a history.

        Args:
            near: float32, shape (n,): how much each item is related.
            most: How many of the nearest to go on from.

        Returns:
            float32, shape (n,): sums as of a history of these items, each liked as much as it is near.
        """
        via = best_places(near, most)
        via = via[near[via] > 0]
        return relate(self.bounds, self.items, self.weights, via, weighed(self.sources, via, near[via]))

    def rows_of(self, history: History) -> RowsOfHistory:
        """What kernels need to know of a history and what is related to it."""
        return self.bounds, self.items, self.weights, history.indexes, self._counting(history)

    def score_all(self, histories: Sequence[History]) -> NDArray[np.float32]:
        """Scores of all items for many histories, float32, shape (histories, n)."""
        return np.stack([relate(*self.rows_of(history)) for history in histories])

    def _counting(self, history: History) -> NDArray[np.float32]:
        return weighed(self.sources, history.indexes, history.counting)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What has to be kept."""
        return {
            "bounds": self.bounds,
            "items": self.items,
            "weights": self.weights,
            "sources": self.sources,
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], items: int) -> Relations:
        """Takes the arrays as they were mapped.

        Raises:
            ValueError: Their shapes do not fit together.
        """
        bounds = arrays.get("bounds", np.zeros(1, np.int64))
        entries = int(bounds[-1]) if bounds.ndim == 1 and len(bounds) else 0
        shapes = {"bounds": (items + 1,), "items": (entries,), "weights": (entries,), "sources": (items,)}
        return cls(**checked(arrays, shapes))


def strongest(
    rows: sparse.csr_array[Any], most: int
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32]]:
    """Cuts each row to its strongest entries, by absolute value.

    Args:
        rows: CSR, shape (m, n).
        most: How many entries a row may keep.

    Returns:
        Lengths of the rows, int64, shape (m,); columns int32 and values float32 of what is kept, ascending by
        column within each row.
    """
    rows.sort_indices()
    lengths = np.diff(rows.indptr).astype(np.int64)
    kept = np.ones(rows.nnz, dtype=bool)
    for row in np.flatnonzero(lengths > most).tolist():
        begin, end = rows.indptr[row], rows.indptr[row + 1]
        weakest = np.argpartition(np.abs(rows.data[begin:end]), end - begin - most)[: end - begin - most]
        kept[begin + weakest] = False
    return np.minimum(lengths, most), rows.indices[kept].astype(np.int32), rows.data[kept].astype(np.float32)


def join(
    blocks: Sequence[tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32]]],
    sources: NDArray[np.float32],
) -> Relations:
    """Puts blocks of rows, as `strongest` cut them, on top of each other."""
    lengths, items, weights = zip(*blocks, strict=True)
    bounds = np.concatenate([[0], np.cumsum(np.concatenate(lengths))]).astype(np.int64)
    return Relations(bounds, np.concatenate(items), np.concatenate(weights), sources)


def blocks(work: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Cuts rows into blocks that take about as much memory each.

    Args:
        work: Ascending, shape (n + 1,): how many products are computed for all rows before each.

    Yields:
        Where a block begins and ends, at least one row apart.
    """
    begin, rows = 0, len(work) - 1
    while begin < rows:
        end = int(np.searchsorted(work, work[begin] + _WORK_OF_A_BLOCK, side="right")) - 1
        end = min(max(end, begin + 1), rows)
        yield begin, end
        begin = end


@dataclass(frozen=True)
class RelatedVoice(Voice):
    """A voice that scores by relations between items."""

    relations: Relations

    def opinion(self, history: History) -> RelatedOpinion:
        """What is related to the history."""
        return self.relations.opinion(history)

    def score_all(self, histories: Sequence[History]) -> NDArray[np.float32]:
        """Scores all items for many histories."""
        return self.relations.score_all(histories)

    def arrays(self) -> Arrays:
        """What has to be kept."""
        return self.relations.arrays()

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], items: int) -> Self:
        """Takes mapped arrays."""
        return cls(Relations.from_arrays(arrays, items))
