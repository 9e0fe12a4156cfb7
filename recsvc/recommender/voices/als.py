"""Users and items as factors whose product says who likes what."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.linalg import solve_triangular

from recsvc.recommender.examples import DISLIKED_WEIGHT, Examples, History
from recsvc.recommender.factors import DAMPING, FoldedInVoice, damp
from recsvc.recommender.fold_in import Numbers, Systems
from recsvc.recommender.kernels import solve_rows, weighed
from recsvc.recommender.one_byte import OneByteRows, rounded
from recsvc.recommender.relations import blocks
from recsvc.recommender.voice import Arrays, OnProgress, Parameters, checked

_COMPONENTS = (64, 256, 512)
_WEIGHTS: tuple[Parameters, ...] = (
    {"confidence": 10.0, "penalty": 30.0},
    {"confidence": 3.0, "penalty": 30.0},
    {"confidence": 30.0, "penalty": 100.0},
    {"confidence": 30.0, "penalty": 30.0},
)
_LITTLE_WORK = 120_000_000  # likes times components: all weights are tried again
_ROWS_A_COMPONENT = 4  # users, or items where they are fewer
_ITERATIONS = 6
_STEPS = 2  # of conjugate gradients
_ROWS_AT_ONCE = 2048


@dataclass(frozen=True)
class AlternatingLeastSquares(FoldedInVoice):
    """Implicit-feedback matrix factorisation (Hu, Koren and Volinsky 2008).

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

        With few, weights are hard to tell apart: where fits take little time, all are tried with more, too.
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
                longer = lengths[later + 1]
                again = weights if examples.strengths.nnz * longer <= _LITTLE_WORK else ()
                rounds.append(_longer(best[2], longer, again))
        assert best is not None
        return best[1], best[2]

    @classmethod
    def fit(cls, examples: Examples, parameters: Parameters, on_progress: OnProgress) -> Self:
        """Alternates between users and items."""
        likes, by_item = damp(examples)
        # So that confidences mean the same, whatever the damping.
        scale = np.float32(parameters["confidence"] * examples.strengths.data.mean() / likes.data.mean())
        embeddings = _alternate(
            likes * scale,
            parameters["components"],
            parameters["penalty"],
            seed=examples.seed,
            threads=examples.threads,
            on_progress=on_progress,
        )
        return cls(embeddings, scale * by_item)

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


def _alternate(
    confidences: sparse.csr_array[Any],
    components: int,
    penalty: float,
    *,
    seed: int,
    threads: int,
    on_progress: OnProgress,
) -> NDArray[np.float32]:
    """Solves for users and for items in turn, each time against the others' whitened embeddings.

    Two steps of conjugate gradients do (Takács, Pilászy and Tikk 2011): all that is unobserved is the
    identity, and only what is liked is left to be found.

    Args:
        confidences: CSR float32, shape (users, n), sorted.
        components: How many.
        penalty: On the squares of all factors.
        seed: Of the beginning.
        threads: How many.
        on_progress: Told the part that is done.

    Returns:
        The items' whitened embeddings, float32, shape (n, components).
    """
    sides = confidences, confidences.T.tocsr()
    items = confidences.shape[1]
    random = np.random.default_rng(seed).standard_normal((items, components), np.float32)
    solved, inverse = random * np.float32(math.sqrt(penalty / items)), np.eye(components)
    with ThreadPoolExecutor(threads) as pool:
        for turn in range(2 * _ITERATIONS):
            embeddings, inverse = _whiten(solved, inverse, penalty, pool)
            solved = _solve(sides[turn % 2], embeddings, pool)
            on_progress((turn + 1) / (2 * _ITERATIONS))
        return _whiten(solved, inverse, penalty, pool)[0]


def _whiten(
    solved: NDArray[np.float32], inverse: NDArray[np.float64], penalty: float, pool: ThreadPoolExecutor
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Whitens factors that were solved for against whitened ones.

    Args:
        solved: z = Lᵀ x of each factor x, shape (m, d).
        inverse: L⁻¹, which what they were solved against was whitened with, shape (d, d).
        penalty: On the squares of the factors.
        pool: Of threads to do it with.

    Returns:
        The factors multiplied with the inverse root of Σ x xᵀ + penalty; and that root's inverse.
    """
    parts = [solved[begin : begin + _ROWS_AT_ONCE] for begin in range(0, len(solved), _ROWS_AT_ONCE)]
    nothing = np.zeros((len(inverse), len(inverse)), np.float32)
    gram = inverse.T @ sum(pool.map(lambda rows: rows.T @ rows, parts), nothing) @ inverse
    gram[np.diag_indices(len(gram))] += penalty
    root = solve_triangular(np.linalg.cholesky(gram), np.eye(len(gram)), lower=True)
    turn = (inverse @ root.T).astype(np.float32)
    return np.concatenate(list(pool.map(lambda rows: rows @ turn, parts))), root


def _solve(
    confidences: sparse.csr_array[Any], embeddings: NDArray[np.float32], pool: ThreadPoolExecutor
) -> NDArray[np.float32]:
    """Solves for the factors of all rows, as a user is folded in; shape (rows, d)."""
    bounds, items = confidences.indptr.astype(np.int64), confidences.indices.astype(np.int32)
    wanted, counted = confidences.data, np.maximum(confidences.data - 1, 0)
    solved = np.empty((len(bounds) - 1, embeddings.shape[1]), np.float32)

    def work(block: tuple[int, int]) -> None:
        begin, end = block
        solved[begin:end] = solve_rows(embeddings, bounds[begin : end + 1], items, wanted, counted, _STEPS)

    list(pool.map(work, blocks(bounds * embeddings.shape[1])))
    return solved


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


def _longer(parameters: Parameters, components: int, others: Sequence[Parameters]) -> list[Parameters]:
    # With more components less is lost to a greater confidence.
    bolder = {
        "confidence": 2 * parameters["confidence"],
        "penalty": 2 * parameters["penalty"],
    }
    tries = [{**parameters, "components": components}, {**parameters, **bolder, "components": components}]
    tries += [{"components": components, **of_try} for of_try in others]
    return [of_try for place, of_try in enumerate(tries) if of_try not in tries[:place]]
