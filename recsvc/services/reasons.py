"""Why an item is on a list, in the shop's terms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from recsvc.recommender import explain as explaining
from recsvc.recommender.explain import explain
from recsvc.recommender.model import Model
from recsvc.recommender.scoring import Prepared
from recsvc.services.serving_view import ServingView, one_at_a_time
from recsvc.services.tastes import Taste
from recsvc.storage.queries import features

# How the numerics' reasons are called outside.
_BECAUSE = {
    "interaction": "interaction",
    "history": "history",
    "user_feature": "feature",
    "item_feature": "feature",
    "popular": "popular",
}


class Reason(NamedTuple):
    """Why an item is on a list, which has hundreds of them.

    Attributes:
        because: `interaction`, `history` (the rest of it), `feature` or `popular`.
        share: Part of the item's score, 0 to 1.
        item_id: Of the interaction.
        event: Of the interaction.
        feature: `name:value`.
    """

    because: str
    share: float
    item_id: str | None = None
    event: str | None = None
    feature: str | None = None


def because_popular(listed: NDArray[np.intp]) -> list[list[Reason]]:
    """Reasons for each item of a list that is the same for everybody."""
    return [[Reason("popular", 1.0)] for _ in listed]


def reasons_for(
    view: ServingView,
    model: Model,
    taste: Taste,
    prepared: Prepared,
    *,
    chosen: NDArray[np.intp],
    scores: NDArray[np.floating],
) -> list[list[Reason]]:
    """Reasons for each item of a list, the greatest first.

    Args:
        view: What the list was made from.
        model: What ranked it.
        taste: Of whom.
        prepared: What the model made of that.
        chosen: Item indexes.
        scores: What they were ranked by.
    """
    features_of = _features_of_cold(view, model, chosen)
    with one_at_a_time:
        explained = explain(model, prepared, chosen, scores, features_of)
    named_keys = {
        int(model.item_keys[taste.history.indexes[reason.place]])
        for of_item in explained
        for reason in of_item
        if reason.because == "interaction"
    }
    ids = view.names_of(named_keys)
    speaking = {
        (taste.feature_keys if reason.because == "user_feature" else feature_keys)[reason.place]
        for of_item, feature_keys in zip(explained, features_of, strict=True)
        for reason in of_item
        if _BECAUSE[reason.because] == "feature"
    }
    labels = features.labels_of(speaking)

    def told(reason: explaining.Reason, feature_keys: Sequence[int]) -> Reason:
        because = _BECAUSE[reason.because]
        if because == "interaction":
            key = int(model.item_keys[taste.history.indexes[reason.place]])
            return Reason(because, reason.share, ids[key][0], taste.events[reason.place])
        if because == "feature":
            keys = taste.feature_keys if reason.because == "user_feature" else feature_keys
            return Reason(because, reason.share, feature=":".join(labels[keys[reason.place]]))
        return Reason(because, reason.share)

    return [
        [told(reason, feature_keys) for reason in of_item]
        for of_item, feature_keys in zip(explained, features_of, strict=True)
    ]


def _features_of_cold(view: ServingView, model: Model, chosen: NDArray[np.intp]) -> list[list[int]]:
    """Feature keys of each item that nobody likes yet; no other is scored through them."""
    keys = view.item_keys[chosen].tolist()
    if not len(model.item_feature_keys):
        return [[] for _ in keys]
    cold = [key for key, index in zip(keys, chosen.tolist(), strict=True) if model.is_cold(index)]
    found = features.keys_of_owners("item", cold)
    return [found.get(key, []) for key in keys]
