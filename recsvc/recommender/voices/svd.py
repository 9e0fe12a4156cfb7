"""What the matrix of likes says once its noise is left out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from recsvc.recommender.examples import Examples, History
from recsvc.recommender.factors import FactorOpinion, FactorVoice, damp, multiply
from recsvc.recommender.kernels import weighed
from recsvc.recommender.one_byte import OneByteRows, rounded
from recsvc.recommender.variations import Variations
from recsvc.recommender.voice import Arrays, OnProgress, Parameters, checked

_COMPONENTS = (32, 64, 128, 256, 512)
_GRID: Mapping[str, tuple[float, ...]] = {
    "filter": (0.0, 0.5, 1.0),
    "source_exponent": (0.0, 0.25, 0.5),
    "target_exponent": (0.0, 0.25),
}
_START: Parameters = {"components": 64, "filter": 0.5, "source_exponent": 0.25, "target_exponent": 0.0}
_OVERSAMPLING = 20
_POWER_ITERATIONS = 4


@dataclass(frozen=True)
class TruncatedSVD(FactorVoice):
    """Truncated singular value decomposition of the matrix of likes divided by (user's · item's count)^¼.

    A history is projected onto the leading right singular vectors, each weighed by a power of its singular
    value, and back: PureSVD (Cremonesi, Koren and Turrin 2010) with half the normalisation of GF-CF (Shen et
    al. 2021). The decomposition is randomised (Halko, Martinsson and Tropp 2011).

    Attributes:
        embeddings: Shape (n, d).
        sources: float32, shape (n,): what an item counts for in a history.
        targets: float32, shape (n,): what a candidate's product is multiplied with.
    """

    name = "svd"

    sources: NDArray[np.float32]
    targets: NDArray[np.float32]

    @classmethod
    def choose(
        cls,
        examples: Examples,
        judge: Callable[[Self], float] | None,
        limits: Parameters,
        on_progress: OnProgress,
    ) -> tuple[Self, Parameters] | None:
        """Decomposes once, then tries lengths, filters and exponents one after another."""
        most = min(limits["factors"], min(int(np.count_nonzero(examples.counts)), len(examples.lengths)) - 1)
        if most < 1:
            return None
        if judge is None:
            parameters = {**_START, "components": min(most, _START["components"])}
            return cls.fit(examples, parameters, on_progress), parameters
        vectors, values = _decompose(examples, most, on_progress)
        lengths = sorted({length for length in _COMPONENTS if length < most} | {most})
        variations = Variations(partial(cls._of, examples, vectors, values), judge, _START)
        for name, choices in {"components": lengths, **_GRID}.items():
            variations.vary(**{name: choices})
        return variations.best()

    @classmethod
    def fit(cls, examples: Examples, parameters: Parameters, on_progress: OnProgress) -> Self:
        """Decomposes."""
        vectors, values = _decompose(examples, parameters["components"], on_progress)
        return cls._of(examples, vectors, values, parameters)

    @classmethod
    def _of(
        cls,
        examples: Examples,
        vectors: NDArray[np.float32],
        values: NDArray[np.float32],
        parameters: Parameters,
    ) -> Self:
        length = parameters["components"]
        weights = (values[:length] / values[0]) ** np.float32(parameters["filter"])
        counts = np.maximum(examples.counts, 1).astype(np.float32)
        return cls(
            embeddings=vectors[:, :length] * weights,
            sources=counts ** np.float32(-parameters["source_exponent"]),
            targets=counts ** np.float32(parameters["target_exponent"]),
        )

    def opinion(self, history: History) -> FactorOpinion:
        """The user's vector, and what it is made of: how much each item of the history counts."""
        embeddings = self.embeddings[history.indexes]
        coefficients: NDArray[np.float32] = weighed(self.sources, history.indexes, history.counting)
        vector: NDArray[np.float32] = coefficients @ embeddings
        return FactorOpinion(self, history, embeddings, coefficients, vector)

    def scaled(self, products: NDArray[np.float32], items: NDArray[np.intp] | slice) -> NDArray[np.float32]:
        """Puts the popularity back that the normalisation took."""
        return products * self.targets[items]

    def arrays(self) -> Arrays:
        """What has to be kept."""
        return {**rounded(self.embeddings).arrays(), "sources": self.sources, "targets": self.targets}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], items: int) -> Self:
        """Takes mapped arrays."""
        embeddings = OneByteRows.from_arrays(arrays, items)
        return cls(embeddings, **checked(arrays, {"sources": (items,), "targets": (items,)}))


def _decompose(
    examples: Examples, components: int, on_progress: OnProgress
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Leading right singular vectors, shape (n, d), and singular values, shape (d,)."""
    likes, _ = damp(examples)
    of_items = likes.T.tocsr()
    width = min(components + _OVERSAMPLING, *likes.shape)
    random = np.random.default_rng(examples.seed)
    basis = random.standard_normal((likes.shape[1], width), dtype=np.float32)
    for turn in range(_POWER_ITERATIONS):
        product = multiply(of_items, multiply(likes, basis, examples.threads), examples.threads)
        basis, _ = np.linalg.qr(product)
        on_progress((turn + 1) / (_POWER_ITERATIONS + 1))
    projected = multiply(likes, basis, examples.threads)
    squares, rotation = np.linalg.eigh((projected.T @ projected).astype(np.float64))
    leading = np.argsort(-squares)[:components]
    values = np.sqrt(np.maximum(squares[leading], 0.0)).astype(np.float32)
    vectors: NDArray[np.float32] = basis @ rotation[:, leading].astype(np.float32)
    return vectors, values
