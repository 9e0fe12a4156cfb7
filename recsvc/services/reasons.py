"""Why an item is on a list, in the shop's terms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NotRequired, TypedDict

import numpy as np
from numpy.typing import NDArray

from recsvc.recommender import explain as explaining
from recsvc.recommender.explain import explain
from recsvc.recommender.model import Model
from recsvc.recommender.scoring import Prepared
from recsvc.services.serving_view import ServingView, one_at_a_time
from recsvc.services.tastes import Taste
from recsvc.storage.queries import features

_OF_FEATURES = frozenset({"user_feature", "item_feature"})


class Reason(TypedDict):
    """Why an item is on a list, as it is answered: a list has hundreds of reasons.

    Attributes:
        because: `interaction`, `history` (the rest of it), `feature` or `popular`.
        share: Part of the item's score, 0 to 1.
        item_id: Of the interaction.
        event: Of the interaction, where one is known.
        feature: `name:value`.
    """

    because: str
    share: float
    item_id: NotRequired[str]
    event: NotRequired[str]
    feature: NotRequired[str]


def because_popular(listed: NDArray[np.intp]) -> list[list[Reason]]:
    """Reasons for each item of a list that is the same for everybody."""
    return [[{"because": "popular", "share": 1.0}] for _ in listed]


def reasons_for(
    view: ServingView,
    taste: Taste,
    prepared: Prepared,
    *,
    chosen: NDArray[np.intp],
    scores: NDArray[np.float32],
) -> list[list[Reason]]:
    """Reasons for each item of a list, the greatest first.

    Args:
        view: What the list was made from.
        taste: Of whom.
        prepared: What the model made of that.
        chosen: Item indexes.
        scores: What they were ranked by.
    """
    features_of = _features_of_cold(view, taste.model, chosen)
    with one_at_a_time:
        explained = explain(taste.model, prepared, chosen, scores, features_of, longer=taste.longer)
    of_items = list(zip(explained, features_of, strict=True))
    interactions = _ids_and_events(view, taste, explained)
    labels = features.labels_of(
        {
            _keys_of(because, taste, of_cold)[place]
            for of_item, of_cold in of_items
            for because, place, _ in of_item
            if because in _OF_FEATURES
        }
    )

    def told(one: explaining.Reason, of_cold: Sequence[int]) -> Reason:
        because, place, share = one
        if because == "interaction":
            item_id, event = interactions[place]
            if event is None:
                return {"because": because, "share": share, "item_id": item_id}
            return {"because": because, "share": share, "item_id": item_id, "event": event}
        if because in _OF_FEATURES:
            label = labels.get(_keys_of(because, taste, of_cold)[place])
            if label is None:  # said of the user until a moment ago
                return {"because": "feature", "share": share}
            return {"because": "feature", "share": share, "feature": ":".join(label)}
        return {"because": because, "share": share}

    return [[told(one, of_cold) for one in of_item] for of_item, of_cold in of_items]


def _ids_and_events(
    view: ServingView, taste: Taste, explained: Sequence[Sequence[explaining.Reason]]
) -> dict[int, tuple[str, str | None]]:
    """Of the interactions of a history that are reasons, by their places."""
    places = {place for of_item in explained for because, place, _ in of_item if because == "interaction"}
    keys = {place: taste.item_keys[place] for place in places}
    names = view.names_of(set(keys.values()))
    return {place: (names[key][0], taste.events.get(key)) for place, key in keys.items()}


def _keys_of(because: str, taste: Taste, of_cold: Sequence[int]) -> Sequence[int]:
    """The feature keys that a reason's place is one of: the user's, or those of a cold item."""
    return taste.feature_keys if because == "user_feature" else of_cold


def _features_of_cold(view: ServingView, model: Model, chosen: NDArray[np.intp]) -> list[list[int]]:
    """Feature keys of each item that nobody likes yet; no other is scored through them."""
    cold = chosen[model.cold_among(chosen)]
    if not len(cold) or not len(model.item_feature_keys):
        return [[] for _ in chosen]
    found = features.keys_of_owners("item", view.item_keys[cold].tolist())
    return [found.get(key, []) for key in view.item_keys[chosen].tolist()]
