"""Why an item is on a list: what the history, features and popularity add to its score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recsvc.recommender.examples import History
from recsvc.recommender.model import Model
from recsvc.recommender.scoring import Prepared, Terms

MOST_NAMED = 5
_DIGITS = 1_000  # shares are told in thousandths


@dataclass(frozen=True)
class Reason:
    """One reason.

    Attributes:
        because: `interaction`, `history` (the rest of it), `user_feature`, `item_feature` or `popular`.
        place: Place in the history, or in the list of features; -1 for the others.
        share: Part of what speaks for the item, 0 to 1, in thousandths.
    """

    because: str
    place: int
    share: float


def explain(
    model: Model,
    prepared: Prepared,
    items: NDArray[np.intp],
    scores: NDArray[np.floating],
    features_of: Sequence[Sequence[int]],
) -> list[list[Reason]]:
    """Gives the reasons of each item of a list, the greatest first.

    A score is a sum over the history, the user's features, and what is the same for all users: it is divided
    among the terms that are positive. An item that nobody likes yet is scored through its own features, and
    divided among them. An interaction is named only if the item's score falls when it is taken out of the
    history and everything is scored anew; what else the history adds is told as one.

    Args:
        model: What ranked them.
        prepared: What they were ranked for.
        items: Item indexes of the list, shape (c,).
        scores: What they were ranked by, shape (c,).
        features_of: Feature keys of each listed item; read for those that nobody likes yet.

    Returns:
        Reasons of each item; their shares add up to 1.
    """
    if not len(items):
        return []
    if not prepared.opinions:
        return [[Reason("popular", -1, 1.0)] for _ in items]
    terms = model.terms(prepared, items)
    by_history, by_features = terms.by_history, terms.by_features
    rest = scores - by_history.sum(axis=0) - by_features.sum(axis=0)
    named = _named(model, prepared, items, scores, terms)
    positive = np.maximum(by_history, 0)
    of_history = positive.sum(axis=0).tolist()
    of_features = np.maximum(by_features, 0).T.tolist()
    of_all = np.maximum(rest, 0).tolist()
    reasons = []
    for column, item in enumerate(items.tolist()):
        shares = {place: share for place in named[column] if (share := float(positive[place, column])) > 0}
        parts = [("interaction", place, share) for place, share in shares.items()]
        parts.append(("history", -1, max(of_history[column] - sum(shares.values()), 0.0)))
        parts += [("user_feature", place, share) for place, share in enumerate(of_features[column])]
        parts.append(("popular", -1, of_all[column]))
        if model.is_cold(item):
            parts = _through_features(model, prepared.history, features_of[column], parts)
        reasons.append(_rounded(parts))
    return reasons


def _named(
    model: Model, prepared: Prepared, items: NDArray[np.intp], scores: NDArray[np.floating], terms: Terms
) -> list[list[int]]:
    by_history = terms.by_history
    greatest = np.argsort(-by_history, axis=0, kind="stable")[:MOST_NAMED]
    places = np.unique(greatest)
    without = model.scores_without_each(prepared, places, items, terms)
    # Without an item without which nothing is known of the user, nothing would be scored for them.
    falls = np.zeros(by_history.shape, dtype=bool)
    falls[places] = np.isnan(without) | (without < scores)
    return [
        [place for place in of_item if falls[place, column]]
        for column, of_item in enumerate(greatest.T.tolist())
    ]


def _through_features(
    model: Model, history: History, keys: Sequence[int], terms: list[tuple[str, int, float]]
) -> list[tuple[str, int, float]]:
    """Divides what the history adds to a cold item among the item's features, by what each adds."""
    added = np.maximum(model.feature_terms(history, keys), 0)
    if not added.any():
        return terms
    of_history = sum(term for because, _, term in terms if because in {"interaction", "history"})
    others = [term for term in terms if term[0] not in {"interaction", "history"}]
    parts = added / added.sum() * of_history
    return others + [("item_feature", place, float(part)) for place, part in enumerate(parts)]


def _rounded(terms: Sequence[tuple[str, int, float]]) -> list[Reason]:
    total = sum(term for _, _, term in terms)
    if total <= 0:
        return [Reason("popular", -1, 1.0)]
    exact = [term / total * _DIGITS for _, _, term in terms]
    whole = [int(share) for share in exact]
    # Largest remainders: each share is within a thousandth of its own, and all together are 1.
    by_remainder = sorted(range(len(terms)), key=lambda place: whole[place] - exact[place])
    for place in by_remainder[: _DIGITS - sum(whole)]:
        whole[place] += 1
    return [
        Reason(terms[place][0], terms[place][1], whole[place] / _DIGITS)
        for place in sorted(range(len(terms)), key=lambda place: -whole[place])
        if whole[place] > 0
    ]
