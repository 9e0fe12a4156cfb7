"""Users and items as factors whose product says who likes what."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.linalg import solve_triangular
from threadpoolctl import threadpool_limits

from recsvc.recommender.examples import DISLIKED_WEIGHT, Examples, History
from recsvc.recommender.factors import DAMPING, FoldedInVoice, damp
from recsvc.recommender.fold_in import Numbers, Systems
from recsvc.recommender.kernels import weighed
from recsvc.recommender.one_byte import OneByteRows, rounded
from recsvc.recommender.voice import Arrays, OnProgress, Parameters, checked

_COMPONENTS = (64, 256, 512)
_WEIGHTS: tuple[Parameters, ...] = (
    {"confidence": 10.0, "penalty": 30.0},
    {"confidence": 3.0, "penalty": 30.0},
    {"confidence": 30.0, "penalty": 100.0},
    {"confidence": 30.0, "penalty": 30.0},
)
_ROWS_A_COMPONENT = 4  # users, or items where they are fewer
_ITERATIONS = 10


@dataclass(frozen=True)
class AlternatingLeastSquares(FoldedInVoice):
    """Implicit-feedback matrix factorisation (Hu, Koren and Volinsky 2008), fitted by `implicit`.

    What is fitted are damped likes: those of busy users and of popular items count less.
    The embeddings are kept whitened: multiplied with the inverse root of Σ q qᵀ + penalty, so that a user is
    solved for against the identity.

    Attributes:
        embeddings: Shape (n, d).
        confidence: float32, shape (n,): how much a like of strength 1 counts beside an unobserved one, if it
            is the user's only one.
    """

    name = "als"

    confidence: NDArray[np.float32]

    @classmethod
    def choose(
        cls,
        examples: Examples,
        judge: Callable[[Self], float] | None,
        limits: Parameters,
        on_progress: OnProgress,
    ) -> tuple[Self, Parameters] | None:
        """Tries weights with few components, then what was best, and bolder, with ever more.

        Limits may name one `confidence` and one `penalty`, which are then the only weights tried.
        """
        supported = min(int(np.count_nonzero(examples.counts)), len(examples.lengths)) // _ROWS_A_COMPONENT
        lengths = [length for length in _COMPONENTS if length <= min(supported, limits["factors"])]
        if not lengths:
            return None
        given = {name: limits[name] for name in ("confidence", "penalty") if name in limits}
        weights = [_WEIGHTS[0] | given] if given else _WEIGHTS
        tries = [{"components": lengths[0], **of_try} for of_try in weights]
        if judge is None:
            return cls.fit(examples, tries[0], on_progress), tries[0]
        best: tuple[float, Self, Parameters] | None = None
        rounds = [tries]
        for later, length in enumerate(lengths):
            for done, parameters in enumerate(rounds[-1]):
                on_progress((later + done / len(rounds[-1])) / len(lengths))
                voice = cls.fit(examples, parameters, lambda part: None)
                quality = judge(voice)
                if best is None or quality > best[0]:
                    best = quality, voice, parameters
            assert best is not None
            if length != lengths[-1]:
                rounds.append(_longer(best[2], lengths[later + 1]))
        assert best is not None
        return best[1], best[2]

    @classmethod
    def fit(cls, examples: Examples, parameters: Parameters, on_progress: OnProgress) -> Self:
        """Alternates between users and items."""
        from implicit.cpu.als import AlternatingLeastSquares as Estimator

        likes, by_item = damp(examples)
        # So that confidences mean the same, whatever the damping.
        scale = examples.strengths.data.mean() / likes.data.mean()
        # implicit counts on BLAS to use one thread, and uses all of its own.
        with threadpool_limits(1, "blas"):
            estimator = Estimator(
                factors=parameters["components"],
                alpha=parameters["confidence"],
                regularization=parameters["penalty"],
                iterations=_ITERATIONS,
                num_threads=examples.threads,
                random_state=examples.seed,
            )
            estimator.fit(
                sparse.csr_matrix(likes * scale),
                show_progress=False,
                callback=lambda iteration, *_: on_progress((iteration + 1) / _ITERATIONS),
            )
        factors = np.asarray(estimator.item_factors, np.float64)
        gram = factors.T @ factors
        gram[np.diag_indices(len(gram))] += parameters["penalty"]
        whitened = solve_triangular(np.linalg.cholesky(gram), factors.T, lower=True).T
        return cls(whitened.astype(np.float32), np.float32(parameters["confidence"] * scale) * by_item)

    def systems(self, history: History, left_out: Sequence[float]) -> Systems:
        """What is solved: an unobserved item is wanted as 0, a liked one as 1, each with its confidence."""
        numbers = [_numbers(history.liked - (without > 0)) for without in left_out]
        return Systems(weighed(self.confidence, history.indexes, history.strengths), None, numbers)

    def kinds(self, strengths: NDArray[np.float32]) -> NDArray[np.float32]:
        """A system tells how many items are liked, and nothing else of them all."""
        return np.sign(strengths)

    def arrays(self) -> Arrays:
        """What has to be kept."""
        return {**rounded(self.embeddings).arrays(), "confidence": self.confidence}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], items: int) -> Self:
        """Takes mapped arrays."""
        embeddings = OneByteRows.from_arrays(arrays, items)
        return cls(embeddings, **checked(arrays, {"confidence": (items,)}))


def _numbers(liked: int) -> Numbers:
    """Of a system, for a history of so many liked items."""
    each = max(liked, 1) ** DAMPING
    return Numbers(
        wanting=each,
        counting=each,
        unobserved=1.0,
        disliked=DISLIKED_WEIGHT * each,
        ridge=0.0,
        score=math.nan,
    )


def _longer(parameters: Parameters, components: int) -> list[Parameters]:
    # With more components less is lost to a greater confidence.
    bolder = {
        "confidence": 2 * parameters["confidence"],
        "penalty": 2 * parameters["penalty"],
    }
    return [{**parameters, "components": components}, {**parameters, **bolder, "components": components}]
