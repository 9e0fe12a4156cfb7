"""Why an item is on a list: what the history, features and popularity add to its score."""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from recsvc.recommender.model import Model
from recsvc.recommender.scoring import Prepared, Terms

MOST_NAMED = 5
_DIGITS = 1_000  # shares are told in thousandths
_NOWHERE = -1


class Reason(NamedTuple):
    """One reason. A list has hundreds of them.

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
        return [[Reason("popular", _NOWHERE, 1.0)] for _ in items]
    terms = model.terms(prepared, items)
    rest = scores - terms.by_history.sum(axis=0) - terms.by_features.sum(axis=0)
    greatest, falls = _named(model, prepared, items, scores, terms)
    of_history = np.maximum(terms.by_history, 0).astype(np.float64)
    of_named = np.where(falls, np.take_along_axis(of_history, greatest, axis=0), 0)
    of_others = np.maximum(of_history.sum(axis=0) - of_named.sum(axis=0), 0)
    parts = np.vstack([of_named, of_others, np.maximum(terms.by_features, 0), np.maximum(rest, 0)])
    features = len(terms.by_features)
    kinds = ["interaction"] * len(of_named) + ["history"] + ["user_feature"] * features + ["popular"]
    beside = [_NOWHERE, *range(features), _NOWHERE]
    shares = _rounded(parts.T)
    reasons = []
    for column, (item, of_item) in enumerate(zip(items.tolist(), shares.tolist(), strict=True)):
        places = greatest[:, column].tolist() + beside
        if model.is_cold(item):
            added = np.maximum(model.feature_terms(prepared.history, features_of[column]), 0)
            if added.any():
                reasons.append(_through_features(parts[:, column], kinds, places, added))
                continue
        reasons.append(_told(kinds, places, of_item))
    return reasons


def _named(
    model: Model, prepared: Prepared, items: NDArray[np.intp], scores: NDArray[np.floating], terms: Terms
) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Places in the history that add most to each item, shape (m, c), and without which its score falls."""
    greatest = np.argsort(-terms.by_history, axis=0, kind="stable")[:MOST_NAMED]
    places = np.unique(greatest)
    without = model.scores_without_each(prepared, places, items, terms)
    # Without an item without which nothing is known of the user, nothing would be scored for them.
    falls = np.isnan(without) | (without < scores)
    return greatest, np.take_along_axis(falls, np.searchsorted(places, greatest), axis=0)


def _through_features(
    parts: NDArray[np.float64], kinds: Sequence[str], places: Sequence[int], added: NDArray[np.float32]
) -> list[Reason]:
    """Divides what the history adds to a cold item among the item's features, by what each adds."""
    is_of_history = np.isin(kinds, ["interaction", "history"])
    of_features = added / added.sum() * parts[is_of_history].sum()
    others = np.flatnonzero(~is_of_history).tolist()
    shares = _rounded(np.concatenate([parts[others], of_features])[None])[0]
    return _told(
        [kinds[other] for other in others] + ["item_feature"] * len(added),
        [places[other] for other in others] + list(range(len(added))),
        shares.tolist(),
    )


def _rounded(parts: NDArray[np.float64]) -> NDArray[np.intp]:
    """Shares of each row in thousandths, that add up to a thousand; 0 where a row has no part above 0."""
    totals = parts.sum(axis=1, keepdims=True)
    exact = np.divide(parts * _DIGITS, totals, out=np.zeros_like(parts), where=totals > 0)
    whole: NDArray[np.intp] = exact.astype(np.intp)
    # Largest remainders: each share is within a thousandth of its own, and all together are 1.
    ranks = np.argsort(np.argsort(whole - exact, axis=1, kind="stable"), axis=1, kind="stable")
    missing = np.where(totals > 0, _DIGITS - whole.sum(axis=1, keepdims=True), 0)
    whole += ranks < missing
    return whole


def _told(kinds: Sequence[str], places: Sequence[int], shares: Sequence[int]) -> list[Reason]:
    by_share = sorted(zip(shares, kinds, places, strict=True), key=itemgetter(0), reverse=True)
    told = [Reason(kind, place, share / _DIGITS) for share, kind, place in by_share if share]
    return told or [Reason("popular", _NOWHERE, 1.0)]
