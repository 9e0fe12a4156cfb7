"""Items that the same users like."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from scipy import sparse

from recsvc.recommender.examples import Examples
from recsvc.recommender.relations import RelatedVoice, Relations, join, strongest
from recsvc.recommender.voice import OnProgress, Parameters

_SOURCE_EXPONENTS = (0.25, 0.5, 0.75, 1.0)
_TARGET_EXPONENTS = (0.0, 0.25, 0.5)
_UNTOLD: Parameters = {"source_exponent": 0.5, "target_exponent": 0.5}
_PAIRS_AT_ONCE = 4_000_000


@dataclass(frozen=True)
class Neighbours(RelatedVoice):
    """Item–item co-occurrence, damped by how popular the items and how busy the users are.

    The weight from item i to item j is Σ_u s_ui s_uj d_u^-½, divided by d_i^a on the side of the history and
    by d_j^b on that of the candidate: cosine at a = b = ½ (Sarwar et al. 2001), and between it and
    conditional probability elsewhere (Deshpande and Karypis 2004). Which exponents suit depends on the data
    more than anything else here does, so a validation split chooses them.
    """

    name = "neighbours"

    @classmethod
    def choose(
        cls,
        examples: Examples,
        judge: Callable[[Self], float] | None,
        limits: Parameters,
        on_progress: OnProgress,
    ) -> tuple[Self, Parameters] | None:
        """Tries every pair of exponents."""
        fixed = {"neighbours": limits["neighbours"]}
        if judge is None:
            parameters = {**_UNTOLD, **fixed}
            return cls.fit(examples, parameters, on_progress), parameters
        related = _relate(examples, _TARGET_EXPONENTS, limits["neighbours"], on_progress)
        best: tuple[float, Self, Parameters] | None = None
        for target, source in itertools.product(_TARGET_EXPONENTS, _SOURCE_EXPONENTS):
            voice = cls(_from_sources(related[target], examples, source))
            quality = judge(voice)
            if best is None or quality > best[0]:
                best = quality, voice, {"source_exponent": source, "target_exponent": target, **fixed}
        assert best is not None
        return best[1], best[2]

    @classmethod
    def fit(cls, examples: Examples, parameters: Parameters, on_progress: OnProgress) -> Self:
        """Counts co-occurrence, a block of items at a time, and keeps each item's strongest neighbours."""
        target = parameters["target_exponent"]
        related = _relate(examples, [target], parameters["neighbours"], on_progress)[target]
        return cls(_from_sources(related, examples, parameters["source_exponent"]))


def _from_sources(relations: Relations, examples: Examples, exponent: float) -> Relations:
    sources = np.maximum(examples.counts, 1).astype(np.float32) ** np.float32(-exponent)
    return Relations(relations.bounds, relations.items, relations.weights, sources)


def _relate(
    examples: Examples, target_exponents: Sequence[float], most: int, on_progress: OnProgress
) -> dict[float, Relations]:
    likes = examples.strengths
    damping = np.maximum(examples.lengths, 1).astype(np.float32) ** np.float32(-0.5)
    damped = likes.copy()
    damped.data = damped.data * np.repeat(damping, examples.lengths)
    of_items = likes.T.tocsr()
    degrees = np.maximum(examples.counts, 1).astype(np.float32)

    def relate(block: tuple[int, int]) -> list[Any]:
        begin, end = block
        together = (of_items[begin:end] @ damped).tocsr()
        rows = np.repeat(np.arange(begin, end), np.diff(together.indptr))
        together.data[rows == together.indices] = 0
        together.eliminate_zeros()
        counted = together.data
        cuts = []
        for exponent in target_exponents:
            together.data = counted * degrees[together.indices] ** np.float32(-exponent)
            cuts.append(strongest(together.copy(), most))
        return cuts

    blocks = list(_blocks(examples, of_items))
    done: list[list[Any]] = []
    with ThreadPoolExecutor(examples.threads) as pool:
        for cuts in pool.map(relate, blocks):
            done.append(cuts)
            on_progress(len(done) / len(blocks))
    nowhere = np.ones(len(degrees), np.float32)
    return {
        exponent: join([cuts[place] for cuts in done], nowhere)
        for place, exponent in enumerate(target_exponents)
    }


def _blocks(examples: Examples, of_items: sparse.csr_array[Any]) -> Iterator[tuple[int, int]]:
    # A block's product can have no more entries than the users of its items have items.
    pairs = np.concatenate([[0], np.cumsum(examples.lengths[of_items.indices])])[of_items.indptr]
    begin, items = 0, of_items.shape[0]
    while begin < items:
        end = int(np.searchsorted(pairs, pairs[begin] + _PAIRS_AT_ONCE, side="right")) - 1
        end = min(max(end, begin + 1), items)
        yield begin, end
        begin = end
