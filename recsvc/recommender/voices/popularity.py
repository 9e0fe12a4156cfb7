"""What most users like, lately."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from recsvc.recommender.examples import Examples, History
from recsvc.recommender.interactions import decay
from recsvc.recommender.voice import Arrays, OnProgress, Opinion, Parameters, Voice, checked

_HALF_LIVES = (None, 180.0, 60.0, 20.0, 7.0)


@dataclass(frozen=True)
class PopularOpinion(Opinion):
    """Scores that are alike for every history, and to which nothing in it adds."""

    scores: NDArray[np.float32]
    history: History

    def score(self, items: NDArray[np.intp]) -> NDArray[np.float32]:
        """Looks the scores up."""
        scores: NDArray[np.float32] = self.scores[items]
        return scores

    def shares(self, items: NDArray[np.intp]) -> NDArray[np.float32]:
        """Nothing comes from the history."""
        return np.zeros((len(self.history.indexes), len(items)), np.float32)

    def score_without_each(
        self, places: NDArray[np.intp], items: NDArray[np.intp], shares: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """The same scores, whatever is left out: shape (1, c)."""
        return self.score(items)[None]


@dataclass(frozen=True)
class Popularity(Voice):
    """Logarithm of how many users like an item, old likes counting less.

    Attributes:
        scores: float32, shape (n,).
    """

    name = "popularity"

    scores: NDArray[np.float32]

    @classmethod
    def choose(
        cls,
        examples: Examples,
        judge: Callable[[Self], float] | None,
        limits: Parameters,
        on_progress: OnProgress,
    ) -> tuple[Self, Parameters] | None:
        """Tries half-lives of a like."""
        best: tuple[float, Self, Parameters] | None = None
        for half_life in _HALF_LIVES if judge is not None and examples.ages.any() else (None,):
            parameters = {"half_life": half_life}
            voice = cls.fit(examples, parameters, on_progress)
            quality = judge(voice) if judge is not None else 0.0
            if best is None or quality > best[0]:
                best = quality, voice, parameters
        assert best is not None
        return best[1], best[2]

    @classmethod
    def fit(cls, examples: Examples, parameters: Parameters, on_progress: OnProgress) -> Self:
        """Counts."""
        likes = examples.strengths
        weights = decay(examples.ages - examples.ages.min(initial=np.inf), parameters["half_life"])
        counted = np.bincount(likes.indices, weights, minlength=likes.shape[1])
        return cls(np.log1p(counted).astype(np.float32))

    def opinion(self, history: History) -> PopularOpinion:
        """The scores, alike for every history."""
        return PopularOpinion(self.scores, history)

    def score_all(self, histories: Sequence[History]) -> NDArray[np.float32]:
        """Scores all items, alike for every history."""
        return np.broadcast_to(self.scores, (len(histories), len(self.scores)))

    def arrays(self) -> Arrays:
        """What has to be kept."""
        return {"scores": self.scores}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], items: int) -> Self:
        """Takes mapped arrays."""
        return cls(**checked(arrays, {"scores": (items,)}))
