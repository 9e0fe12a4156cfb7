"""How much more the newest of a history is to count: chosen by what was held out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from recsvc.recommender.examples import Examples
from recsvc.recommender.judging import Jury
from recsvc.recommender.voice import Parameters, Voice
from recsvc.recommender.voices.neighbours import Neighbours
from recsvc.recommender.voices.popularity import Popularity

_CHOICES = (0.25, 0.5, 0.75, 1.0)
_MOST_NEIGHBOURS = 200
_STANDARD_ERRORS = 2.0  # of the gain, which has to be more: where nobody knows an order, chance makes one


def with_recency(jury: Jury, recency: float) -> Jury:
    """The same users, the newest of whose histories counts more."""
    return replace(jury, histories=[replace(history, recency=recency) for history in jury.histories])


def fit_plain(
    examples: Examples, limits: Mapping[str, Parameters], on_look: Callable[[], None]
) -> Neighbours | None:
    """Fits what it is looked by how much the newest is to count: plain neighbours, the quickest to fit.

    Args:
        examples: What to learn from.
        limits: Names of the voices wanted to what settings say of them.
        on_look: Called often. May raise, which ends the fit.

    Returns:
        The voice; None where only popularity is wanted, which says the same whatever a history is.
    """
    if limits.keys() <= {Popularity.name}:
        return None
    allowed = [of_voice["neighbours"] for of_voice in limits.values() if "neighbours" in of_voice]
    return Neighbours.plain(examples, min([_MOST_NEIGHBOURS, *allowed]), lambda done: on_look())


def choose_recency(voice: Voice | None, jury: Jury, threads: int, on_look: Callable[[], None]) -> float:
    """Finds how much the newest is to count.

    Before anything else is chosen, so that all else is chosen for histories as they will count.

    Args:
        voice: As `fit_plain` gave it.
        jury: Who judges, some users at least; histories newest first.
        threads: How many to rank with.
        on_look: Called before each look. May raise, which ends the search.

    Returns:
        The exponent of `examples.weights_by_place`; 0 where no other is better beyond what chance makes.
    """
    if voice is None:
        return 0.0
    alike = jury.ndcg(voice, threads)
    best, most = 0.0, 0.0
    for recency in _CHOICES:
        on_look()
        gains = with_recency(jury, recency).ndcg(voice, threads) - alike
        gain = float(gains.mean())
        if gain > max(most, _STANDARD_ERRORS * float(gains.std()) / np.sqrt(len(gains))):
            best, most = recency, gain
    return best
