"""Items that the same users like."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from recsvc.recommender.examples import Examples
from recsvc.recommender.relations import RelatedVoice, Relations, blocks, join, strongest
from recsvc.recommender.sharpening import blur, sharpen
from recsvc.recommender.variations import Variations
from recsvc.recommender.voice import OnProgress, Parameters

_SOURCE_EXPONENTS = (0.25, 0.5, 0.75, 1.0)
_TARGET_EXPONENTS = (0.0, 0.25, 0.5)
_SHARPENINGS = (0.0, 0.25, 0.5, 1.0, 1.5, 2.0)
_UNTOLD: Parameters = {"source_exponent": 0.5, "target_exponent": 0.5, "sharpening": 0.5}
_COSINE = 0.5  # either exponent of the relations that others are blurred through


@dataclass(frozen=True)
class Neighbours(RelatedVoice):
    """Item–item co-occurrence, damped by how popular the items and how busy the users are, and sharpened.

    The weight from item i to item j is Σ_u s_ui s_uj d_u^-½, divided by d_i^a on the side of the history and
    by d_j^b on that of the candidate: cosine at a = b = ½ (Sarwar et al. 2001), and between it and
    conditional probability elsewhere (Deshpande and Karypis 2004). From it is subtracted what follows from
    relations to third items (Choi et al. 2023). Which exponents suit, and how much is to be subtracted,
    depends on the data more than anything else here does, so a validation split chooses them.
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
        """Tries exponents, then how much to sharpen, then the history's exponent once more."""
        fixed = {"neighbours": limits["neighbours"]}
        if judge is None:
            parameters = {**_UNTOLD, **fixed}
            return cls.fit(examples, parameters, on_progress), parameters
        related = _relate(examples, _TARGET_EXPONENTS, limits["neighbours"], on_progress)
        blurred = {target: _blur(relations, related, examples) for target, relations in related.items()}

        make = partial(cls._sharp, examples, related, blurred)
        variations = Variations(make, judge, {**_UNTOLD, **fixed})
        # Sharp relations want other exponents than blurred ones do.
        variations.vary(
            target_exponent=_TARGET_EXPONENTS,
            source_exponent=_SOURCE_EXPONENTS[1::2],
            sharpening=(0.0, 1.0),
        )
        variations.vary(sharpening=_SHARPENINGS)
        variations.vary(source_exponent=_SOURCE_EXPONENTS)
        return variations.best()

    @classmethod
    def fit(cls, examples: Examples, parameters: Parameters, on_progress: OnProgress) -> Self:
        """Counts co-occurrence, a block of items at a time, keeps each item's strongest, and sharpens."""
        target, most = parameters["target_exponent"], parameters["neighbours"]
        if not parameters["sharpening"]:
            plain = _relate(examples, [target], most, on_progress)[target]
            return cls(_from_sources(plain, examples, parameters["source_exponent"]))
        related = _relate(examples, list({target, _COSINE}), most, on_progress)
        blurred = {target: _blur(related[target], related, examples)}
        return cls._sharp(examples, related, blurred, parameters)

    @classmethod
    def plain(cls, examples: Examples, most: int, on_progress: OnProgress) -> Self:
        """Plain item–item (Sarwar et al. 2001): the cosine, and nothing subtracted.

        Args:
            examples: What to learn from.
            most: How many each item keeps.
            on_progress: As of `fit`.
        """
        cosine = {"source_exponent": _COSINE, "target_exponent": _COSINE, "sharpening": 0.0}
        return cls.fit(examples, {**cosine, "neighbours": most}, on_progress)

    @classmethod
    def _sharp(
        cls,
        examples: Examples,
        related: Mapping[float, Relations],
        blurred: Mapping[float, NDArray[np.float32]],
        parameters: Parameters,
    ) -> Self:
        target = parameters["target_exponent"]
        sharp = sharpen(related[target], blurred[target], parameters["sharpening"])
        return cls(_from_sources(sharp, examples, parameters["source_exponent"]))


def _blur(
    relations: Relations, related: Mapping[float, Relations], examples: Examples
) -> NDArray[np.float32]:
    return blur(relations, _from_sources(related[_COSINE], examples, _COSINE), examples.threads)


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

    # A block's product can have no more entries than the users of its items have items.
    pairs = np.concatenate([[0], np.cumsum(examples.lengths[of_items.indices])])[of_items.indptr]
    cuts_of = list(blocks(pairs))
    done: list[list[Any]] = []
    with ThreadPoolExecutor(examples.threads) as pool:
        for cuts in pool.map(relate, cuts_of):
            done.append(cuts)
            on_progress(len(done) / len(cuts_of))
    nowhere = np.ones(len(degrees), np.float32)
    return {
        exponent: join([cuts[place] for cuts in done], nowhere)
        for place, exponent in enumerate(target_exponents)
    }
