"""How much more the newest of a history is to count: chosen by what was held out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from recsvc.recommender.examples import Examples
from recsvc.recommender.judging import Jury
from recsvc.recommender.voice import Parameters
from recsvc.recommender.voices.neighbours import Neighbours
from recsvc.recommender.voices.popularity import Popularity

_CHOICES = (0.25, 0.5, 0.75, 1.0)
_MOST_NEIGHBOURS = 200
_STANDARD_ERRORS = 2.0  # of the gain, which has to be more: where nobody knows an order, chance makes one


def with_recency(jury: Jury, recency: float) -> Jury:
    """The same users, the newest of whose histories counts more."""
    return replace(jury, histories=[replace(history, recency=recency) for history in jury.histories])


def choose_recency(
    examples: Examples, jury: Jury, limits: Mapping[str, Parameters], on_look: Callable[[], None]
) -> float:
    """Finds how much the newest is to count, by plain neighbours, which are the quickest to fit.

    Before anything else is chosen, so that all else is chosen for histories as they will count.

    Args:
        examples: What to learn from.
        jury: Who judges, some users at least; histories newest first.
        limits: Names of the voices wanted to what settings say of them.
        on_look: Called before each look. May raise, which ends the search.

    Returns:
        The exponent of `examples.weights_by_place`; 0 where no other is better beyond what chance makes.
    """
    if limits.keys() <= {Popularity.name}:
        return 0.0  # it says the same whatever a history is
    allowed = [of_voice["neighbours"] for of_voice in limits.values() if "neighbours" in of_voice]
    voice = Neighbours.plain(examples, min([_MOST_NEIGHBOURS, *allowed]), lambda done: on_look())
    alike = jury.ndcg(voice, examples.threads)
    best, most = 0.0, 0.0
    for recency in _CHOICES:
        on_look()
        gains = with_recency(jury, recency).ndcg(voice, examples.threads) - alike
        gain = float(gains.mean())
        if gain > max(most, _STANDARD_ERRORS * float(gains.std()) / np.sqrt(len(gains))):
            best, most = recency, gain
    return best
