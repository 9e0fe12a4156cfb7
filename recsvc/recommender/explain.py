"""Why an item is on a list: what the history, features and popularity add to its score."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from recsvc.recommender import kernels
from recsvc.recommender.examples import History
from recsvc.recommender.model import Model
from recsvc.recommender.scoring import Prepared

MOST_NAMED = 5
_DIGITS = 1_000  # shares are told in thousandths
_NOWHERE = -1


# One reason, a bare tuple since a list has hundreds of them: `interaction`, `history` (the rest of it),
# `user_feature`, `item_feature` or `popular`; its place in the history, or in the list of features, -1 for
# the others; its part of what speaks for the item, 0 to 1, in thousandths.
Reason = tuple[str, int, float]

_POPULAR: Reason = ("popular", _NOWHERE, 1.0)


def explain(
    model: Model,
    prepared: Prepared,
    items: NDArray[np.intp],
    scores: NDArray[np.float32],
    features_of: Sequence[Sequence[int]],
    *,
    longer: History | None = None,
) -> list[list[Reason]]:
    """Gives the reasons of each item of a list, the greatest first.

    A score is a sum over the history, the user's features, and what is the same for all users: it is divided
    among the terms that are positive. An item that nobody likes yet is scored through its own features, and
    divided among them. An interaction is named only if the item's score falls, by more than it is rounded
    by, when it is taken out of the history and everything is scored anew; what else the history adds is told
    as one.

    Args:
        model: What ranked them.
        prepared: What they were ranked for.
        items: Item indexes of the list, shape (c,).
        scores: What they were ranked by, shape (c,).
        features_of: Feature keys of each listed item; read for those that nobody likes yet.
        longer: The history and, behind it, an item that moves up once another is taken out.

    Returns:
        Reasons of each item; their shares add up to 1.
    """
    if not len(items):
        return []
    if not prepared.opinions:
        return [[_POPULAR] for _ in items]
    terms = model.terms(prepared, items)
    greatest = kernels.greatest(terms.by_history, MOST_NAMED)
    is_among = np.zeros(len(terms.by_history), dtype=bool)
    is_among[greatest] = True
    places = np.flatnonzero(is_among)
    asked, of_asked = prepared, terms
    if longer is not None:
        asked = model.prepare(longer, prepared.newcomers)
        of_asked = model.terms(asked, items)
    without = model.scores_without_each(asked, places, items, of_asked)
    parts = kernels.parts_of_scores(terms.by_history, terms.by_features, scores, greatest, places, without)
    named, features = len(greatest), len(terms.by_features)
    kinds = ["interaction"] * named + ["history"] + ["user_feature"] * features + ["popular"]
    beside = [_NOWHERE, *range(features), _NOWHERE]
    portions, order = kernels.portions(parts, _DIGITS)
    reasons = [
        _told(kinds, of_item + beside, *portioned)
        for of_item, *portioned in zip(greatest.T.tolist(), portions.tolist(), order.tolist(), strict=True)
    ]
    for column in model.cold_among(items).tolist():
        added = np.maximum(model.feature_terms(prepared.history, features_of[column]), 0)
        if added.any():
            beside_history = [_NOWHERE] * named + beside
            reasons[column] = _through_features(parts[:, column], kinds, beside_history, added)
    return reasons


def _through_features(
    parts: NDArray[np.float64], kinds: Sequence[str], places: Sequence[int], added: NDArray[np.float32]
) -> list[Reason]:
    """Divides what the history adds to a cold item among the item's features, by what each adds."""
    is_of_history = np.isin(kinds, ["interaction", "history"])
    of_features = added / added.sum() * parts[is_of_history].sum()
    others = np.flatnonzero(~is_of_history).tolist()
    portions, order = kernels.portions(np.concatenate([parts[others], of_features])[:, None], _DIGITS)
    return _told(
        [kinds[other] for other in others] + ["item_feature"] * len(added),
        [places[other] for other in others] + list(range(len(added))),
        portions[0].tolist(),
        order[0].tolist(),
    )


def _told(
    kinds: Sequence[str], places: Sequence[int], portions: Sequence[int], order: Sequence[int]
) -> list[Reason]:
    told = [(kinds[row], places[row], portions[row] / _DIGITS) for row in order if portions[row]]
    return told or [_POPULAR]
