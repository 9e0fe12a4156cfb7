"""Lists for users, visitors, and beside an item. A user is computed from their history at request time."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recsvc.errors import NotFoundError
from recsvc.recommender.bundle import Bundle
from recsvc.recommender.features import weighted_sum
from recsvc.recommender.fold_in import fold_in, join_features
from recsvc.recommender.interactions import strength
from recsvc.recommender.keys import locate
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


@dataclass(frozen=True)
class RecommendedItem:
    """One place of a list."""

    item_id: str
    rank: int
    score: float
    title: str | None


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
    """What a list may hold.

    Attributes:
        k: How many items.
        category: Only items in it.
        exclude: Ids of items to leave out.
        include_seen: Whether items may come back that the user has seen but neither bought nor disliked.
    """

    k: int
    category: str | None = None
    exclude: Collection[str] = ()
    include_seen: bool = False


def for_user(user_id: str, filters: Filters) -> Recommendations:
    """Recommends items to a user, known or not."""
    view = serving().view()
    user_key, history = interactions.history(user_id)
    taste = _taste_of_user(view, user_key, history)
    seen = _seen(history, include_seen=filters.include_seen)
    return _list(view, filters, taste, user_id=user_id, seen=seen)


def for_session(item_ids: Sequence[str], filters: Filters) -> Recommendations:
    """Recommends items to a visitor of whom only the items looked at are known."""
    view = serving().view()
    keys = shop_ids.keys_of("item", item_ids)
    seen = list(keys.values())
    taste = _taste_of_session(view, seen)
    return _list(view, filters, taste, user_id=None, seen=seen)


def popular(filters: Filters) -> Recommendations:
    """The items that most users like."""
    return _list(serving().view(), filters, None, user_id=None, seen=[])


def similar_to(item_id: str, filters: Filters) -> Recommendations:
    """Items like an item, by the angle between their embeddings.

    Raises:
        NotFoundError: There is no such item.
    """
    item = items.find(item_id)
    if item is None:
        raise NotFoundError("item", item_id)
    view = serving().view()
    embedding = _embedding(view, item.item_key)
    scores = None
    if embedding is not None and view.served is not None:
        bundle = view.served.bundle
        lengths = bundle.item_norms * np.linalg.norm(embedding)
        products = bundle.item_embeddings @ embedding
        scores = np.divide(products, lengths, out=np.zeros_like(products), where=lengths > 0)
    taste = None if scores is None else Taste(SIMILAR, scores)
    return _list(view, filters, taste, user_id=None, seen=[item.item_key])


@dataclass(frozen=True)
class Taste:
    """How a user scores the model's items.

    Attributes:
        strategy: Where the scores come from.
        scores: float32, shape (items of the model,).
    """

    strategy: str
    scores: NDArray[np.float32]


def _taste_of_user(view: ServingView, user_key: int | None, history: Sequence[HistoryRow]) -> Taste | None:
    if user_key is None or view.served is None:
        return None
    bundle = view.served.bundle
    of_features, known_features = weighted_sum(
        bundle.user_feature_keys,
        bundle.user_feature_embeddings,
        features.keys_of_owner("user", user_key),
    )
    of_features = of_features + bundle.mean_user
    vector, liked = _fold_in(bundle, *_strengths(history))
    if liked:
        was_trained_on = any(row.interaction_key <= _watermark(view) for row in history)
        strategy = PERSONAL if was_trained_on else FOLDED_IN
        if known_features:
            vector = join_features(vector, liked, of_features)
        return Taste(strategy, bundle.item_embeddings @ vector + bundle.item_biases)
    if known_features:
        return Taste(FEATURES, bundle.item_embeddings @ of_features + bundle.item_biases)
    return None


def _taste_of_session(view: ServingView, item_keys: Sequence[int]) -> Taste | None:
    if view.served is None:
        return None
    bundle = view.served.bundle
    vector, liked = _fold_in(bundle, item_keys, np.ones(len(item_keys), np.float32))
    return Taste(FOLDED_IN, bundle.item_embeddings @ vector + bundle.item_biases) if liked else None


def _fold_in(
    bundle: Bundle, item_keys: Sequence[int], strengths: NDArray[np.float32]
) -> tuple[NDArray[np.float32], int]:
    indexes = locate(bundle.item_keys, np.array(item_keys, np.int64))
    known = (indexes >= 0) & (strengths != 0)
    vector = fold_in(bundle.item_embeddings, bundle.gram, indexes[known], strengths[known])
    liked = int((strengths[known] > 0).sum()) if vector.any() else 0
    return vector, liked


def _strengths(history: Sequence[HistoryRow]) -> tuple[list[int], NDArray[np.float32]]:
    codes = np.fromiter((row.event_code for row in history), np.int16, len(history))
    values = np.fromiter((row.value for row in history), np.float32, len(history))
    summed: dict[int, float] = {}
    for row, weight in zip(history, event_book().scale.apply(codes, values).tolist(), strict=True):
        if row.item_key not in summed and len(summed) == _HISTORY_FOR_TASTE:
            continue
        summed[row.item_key] = summed.get(row.item_key, 0.0) + weight
    return list(summed), strength(np.fromiter(summed.values(), np.float32, len(summed)))


def _seen(history: Sequence[HistoryRow], *, include_seen: bool) -> list[int]:
    book = event_book()
    codes = book.final_codes if include_seen else book.final_codes | book.seen_codes
    return list({row.item_key for row in history if row.event_code in codes})


def _watermark(view: ServingView) -> int:
    assert view.served is not None
    return int(view.served.manifest["data"]["watermark"])


def _embedding(view: ServingView, item_key: int) -> NDArray[np.float32] | None:
    if view.served is None:
        return None
    bundle = view.served.bundle
    index = int(locate(bundle.item_keys, np.array([item_key]))[0])
    if index >= 0:
        embedding: NDArray[np.float32] = bundle.item_embeddings[index]
        return embedding
    vector, known = weighted_sum(
        bundle.item_feature_keys,
        bundle.item_feature_embeddings,
        features.keys_of_owner("item", item_key),
    )
    return vector if known else None


def _list(
    view: ServingView,
    filters: Filters,
    taste: Taste | None,
    *,
    user_id: str | None,
    seen: Sequence[int],
) -> Recommendations:
    candidates = _candidates(view, filters, seen)
    scores = view.popularity if taste is None else _pad(taste.scores, view)
    chosen = top_k(scores, candidates, filters.k)
    named = items.titles([int(key) for key in view.item_keys[chosen]])
    places = [
        (named[int(view.item_keys[index])], float(scores[index]))
        for index in chosen
        if int(view.item_keys[index]) in named
    ]
    return Recommendations(
        user_id=user_id,
        model_version=view.version,
        strategy=POPULAR if taste is None else taste.strategy,
        recommendation_id=uuid.uuid4().hex,
        items=[
            RecommendedItem(item_id, rank, score, title)
            for rank, ((item_id, title), score) in enumerate(places, start=1)
        ],
    )


def _candidates(view: ServingView, filters: Filters, seen: Sequence[int]) -> NDArray[np.intp]:
    allowed = view.recommendable.copy()
    excluded = list(shop_ids.keys_of("item", filters.exclude).values()) if filters.exclude else []
    allowed[view.indexes_of(np.array([*seen, *excluded], np.int64))] = False
    if filters.category is None:
        return np.flatnonzero(allowed)
    members = view.categories.get(filters.category, np.empty(0, np.intp))
    return members[allowed[members]]


def _pad(scores: NDArray[np.float32], view: ServingView) -> NDArray[np.float32]:
    # Items that came after the training have no score yet: they come last, and so fill a list that is short.
    missing = len(view.item_keys) - len(scores)
    lowest = np.float32(scores.min(initial=0.0) - 1.0)
    return np.concatenate([scores, np.full(missing, lowest, np.float32)])
