"""Lists for users, visitors, and beside an item. A user is computed from their history at request time."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recsvc.config import current_config
from recsvc.errors import NotFoundError
from recsvc.recommender import explain as explaining
from recsvc.recommender.examples import History
from recsvc.recommender.explain import explain
from recsvc.recommender.interactions import decay, strength
from recsvc.recommender.keys import locate
from recsvc.recommender.model import Model, Selection
from recsvc.recommender.ranking import top_k
from recsvc.services.events import event_book
from recsvc.services.serving import ServingView, serving
from recsvc.storage.queries import features, interactions, items, shop_ids
from recsvc.storage.queries.interactions import HistoryRow

PERSONAL = "personal"
FOLDED_IN = "folded_in"
FEATURES = "features"
POPULAR = "popular"
SIMILAR = "similar"

_HISTORY_FOR_TASTE = 500  # newest items of a history that decide on a taste

# How the numerics' reasons are called outside.
_BECAUSE = {
    "interaction": "interaction",
    "history": "history",
    "user_feature": "feature",
    "item_feature": "feature",
    "popular": "popular",
}


@dataclass(frozen=True)
class Reason:
    """Why an item is on a list.

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


@dataclass(frozen=True)
class RecommendedItem:
    """One place of a list."""

    item_id: str
    rank: int
    score: float
    title: str | None
    reasons: list[Reason] | None = None


@dataclass(frozen=True)
class Recommendations:
    """A list, and how it came about.

    Attributes:
        user_id: For whom; None for a visitor.
        model_version: What it was computed with; None where there is no model yet.
        strategy: `personal`, `folded_in`, `features` or `popular`; `similar` beside an item.
        recommendation_id: Names this answer, so that an interaction can say what it came from.
        items: Best first.
    """

    user_id: str | None
    model_version: str | None
    strategy: str
    recommendation_id: str
    items: list[RecommendedItem]


@dataclass(frozen=True)
class Filters:
    """What a list may hold, and how much is said of it.

    Attributes:
        k: How many items.
        category: Only items in it.
        exclude: Ids of items to leave out.
        include_seen: Whether items may come back that the user has seen but neither bought nor disliked.
        explain: Whether each item comes with its reasons.
    """

    k: int
    category: str | None = None
    exclude: Collection[str] = ()
    include_seen: bool = False
    explain: bool = False


@dataclass(frozen=True)
class Taste:
    """What is known of whoever a list is for.

    Attributes:
        strategy: Where the list comes from.
        history: In the model's indexes.
        events: Name of the strongest event with each item of the history.
        feature_keys: Of the user's features that the model knows.
    """

    strategy: str
    history: History
    events: list[str | None]
    feature_keys: list[int]


def for_user(user_id: str, filters: Filters) -> Recommendations:
    """Recommends items to a user, known or not."""
    view = serving().view()
    user_key, rows = interactions.history(user_id)
    taste = None if user_key is None else _taste_of_user(view, user_key, rows)
    seen = _seen(rows, include_seen=filters.include_seen)
    return _list(view, filters, taste, user_id=user_id, seen=seen)


def for_session(item_ids: Sequence[str], filters: Filters) -> Recommendations:
    """Recommends items to a visitor of whom only the items looked at are known."""
    view = serving().view()
    seen = list(shop_ids.keys_of("item", item_ids).values())
    taste = _taste_of_session(view, seen)
    return _list(view, filters, taste, user_id=None, seen=seen)


def popular(filters: Filters) -> Recommendations:
    """The items that most users like."""
    return _list(serving().view(), filters, None, user_id=None, seen=[])


def similar_to(item_id: str, filters: Filters) -> Recommendations:
    """Items like an item, by who likes both and by their features.

    Raises:
        NotFoundError: There is no such item.
    """
    item = items.find(item_id)
    if item is None:
        raise NotFoundError("item", item_id)
    view = serving().view()
    index = view.indexes_of(np.array([item.item_key]))
    if view.served is not None and view.newcomers is not None and len(index):
        selection = _selection(view, filters, [item.item_key])
        chosen, scores = view.served.model.similar(int(index[0]), filters.k, selection, view.newcomers)
        if len(chosen):
            return _answer(view, SIMILAR, None, chosen, scores)
    return _list(view, filters, None, user_id=None, seen=[item.item_key])


def _taste_of_user(view: ServingView, user_key: int, rows: Sequence[HistoryRow]) -> Taste | None:
    if view.served is None:
        return None
    model = view.served.model
    feature_keys = features.keys_of_owner("user", user_key) if len(model.user_feature_keys) else []
    places = locate(model.user_feature_keys, np.array(feature_keys, np.int64))
    known_keys = [key for key, place in zip(feature_keys, places.tolist(), strict=True) if place >= 0]
    item_keys, strengths, events = _strengths(rows)
    history, kept = _history(model, item_keys, strengths, places[places >= 0])
    if history.liked:
        was_trained_on = any(row.interaction_key <= _watermark(view) for row in rows)
        strategy = PERSONAL if was_trained_on else FOLDED_IN
    elif model.knows_user(history):
        strategy = FEATURES
    else:
        return None
    return Taste(strategy, history, [events[place] for place in kept], known_keys)


def _taste_of_session(view: ServingView, item_keys: Sequence[int]) -> Taste | None:
    if view.served is None:
        return None
    strengths = np.ones(len(item_keys), np.float32)
    history, kept = _history(view.served.model, item_keys, strengths, np.empty(0, np.intp))
    return Taste(FOLDED_IN, history, [None] * len(kept), []) if history.liked else None


def _history(
    model: Model, item_keys: Sequence[int], strengths: NDArray[np.float32], feature_places: NDArray[np.intp]
) -> tuple[History, list[int]]:
    indexes = locate(model.item_keys, np.array(item_keys, np.int64))
    kept = np.flatnonzero((indexes >= 0) & (strengths != 0))
    return History(indexes[kept], strengths[kept], feature_places), kept.tolist()


def _strengths(rows: Sequence[HistoryRow]) -> tuple[list[int], NDArray[np.float32], list[str | None]]:
    """Item keys of a history, newest first, how much each is liked, and the event that says most of it."""
    book, half_life = event_book(), current_config().half_life
    codes = np.fromiter((row.event_code for row in rows), np.int16, len(rows))
    values = np.fromiter((row.value for row in rows), np.float32, len(rows))
    weights = book.scale.apply(codes, values)
    if half_life is not None and rows:
        newest = rows[0].occurred_at
        ages = [(newest - row.occurred_at).total_seconds() / 86_400 for row in rows]
        weights = weights * decay(np.array(ages), half_life)
    summed: dict[int, float] = {}
    strongest: dict[int, tuple[float, int]] = {}
    for row, weight in zip(rows, weights.tolist(), strict=True):
        if row.item_key not in summed and len(summed) == _HISTORY_FOR_TASTE:
            continue
        summed[row.item_key] = summed.get(row.item_key, 0.0) + weight
        strongest[row.item_key] = max(strongest.get(row.item_key, (-np.inf, 0)), (weight, row.event_code))
    names = {code: name for name, code in book.codes.items()}
    events = [names.get(code) for _, code in strongest.values()]
    return list(summed), strength(np.fromiter(summed.values(), np.float32, len(summed))), events


def _seen(rows: Sequence[HistoryRow], *, include_seen: bool) -> list[int]:
    book = event_book()
    codes = book.final_codes if include_seen else book.final_codes | book.seen_codes
    return list({row.item_key for row in rows if row.event_code in codes})


def _watermark(view: ServingView) -> int:
    assert view.served is not None
    return int(view.served.manifest["data"]["watermark"])


def _list(
    view: ServingView, filters: Filters, taste: Taste | None, *, user_id: str | None, seen: Sequence[int]
) -> Recommendations:
    selection = _selection(view, filters, seen)
    if view.served is None or view.newcomers is None:
        assert view.popularity is not None
        chosen = top_k(view.popularity, selection.everything(), filters.k)
        scores = view.popularity[chosen]
    elif taste is None:
        chosen, scores = view.served.model.popular(filters.k, selection)
    else:
        chosen, scores = view.served.model.recommend(taste.history, filters.k, selection, view.newcomers)
    reasons = _reasons(view, taste, chosen) if filters.explain else None
    return _answer(view, taste.strategy if taste else POPULAR, user_id, chosen, scores, reasons=reasons)


def _selection(view: ServingView, filters: Filters, seen: Sequence[int]) -> Selection:
    excluded = list(shop_ids.keys_of("item", filters.exclude).values()) if filters.exclude else []
    members = None
    if filters.category is not None:
        members = view.categories.get(filters.category, np.empty(0, np.intp))
    return Selection(view.recommendable, members, view.indexes_of(np.array([*seen, *excluded], np.int64)))


def _reasons(view: ServingView, taste: Taste | None, chosen: NDArray[np.intp]) -> list[list[Reason]]:
    if taste is None or view.served is None or view.newcomers is None:
        return [[Reason("popular", 1.0)] for _ in chosen]
    model = view.served.model
    cold = [int(view.item_keys[index]) for index in chosen.tolist() if model.is_cold(index)]
    features_of_cold = features.keys_of_owners("item", cold) if cold else {}
    features_of = [features_of_cold.get(int(view.item_keys[index]), []) for index in chosen.tolist()]
    explained = explain(model, taste.history, chosen, view.newcomers, features_of)
    named_keys = {
        int(model.item_keys[taste.history.indexes[reason.place]])
        for of_item in explained
        for reason in of_item
        if reason.because == "interaction"
    }
    ids = items.titles(list(named_keys))
    labels = features.labels_of({key for keys in features_of for key in keys} | {*taste.feature_keys})

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


def _answer(
    view: ServingView,
    strategy: str,
    user_id: str | None,
    chosen: NDArray[np.intp],
    scores: NDArray[np.float32],
    *,
    reasons: list[list[Reason]] | None = None,
) -> Recommendations:
    named = items.titles([int(key) for key in view.item_keys[chosen]])
    places = [
        (place, *named[int(view.item_keys[index])])
        for place, index in enumerate(chosen.tolist())
        if int(view.item_keys[index]) in named
    ]
    return Recommendations(
        user_id=user_id,
        model_version=view.version,
        strategy=strategy,
        recommendation_id=uuid.uuid4().hex,
        items=[
            RecommendedItem(item_id, rank, float(scores[place]), title, reasons[place] if reasons else None)
            for rank, (place, item_id, title) in enumerate(places, start=1)
        ],
    )
