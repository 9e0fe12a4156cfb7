"""Lists for users, visitors, and beside an item. A user is computed from their history at request time."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.exc import SQLAlchemyError

from recsvc.errors import NotFoundError
from recsvc.extensions import db
from recsvc.instruments import instruments
from recsvc.recommender.selection import Selection
from recsvc.services import attribution
from recsvc.services.events import CART, event_book
from recsvc.services.reasons import Reason, because_popular, reasons_for
from recsvc.services.serving import serving
from recsvc.services.serving_view import Names, ServingView, one_at_a_time
from recsvc.services.tastes import Taste, reads_times, seen_by, taste_of_session, taste_of_user
from recsvc.storage.database import is_unavailable
from recsvc.storage.models import now
from recsvc.storage.queries import features, interactions, items, shop_ids
from recsvc.storage.queries.interactions import UserHistory

POPULAR = "popular"
SIMILAR = "similar"
TRENDING = "trending"
LATEST = "latest"

_AFTER_ALL_OTHERS = 2**62  # an interaction's key

# Ids are no secrets. To ask the system for each would let go of the interpreter, and under load wait for it.
_ids = random.Random()
os.register_at_fork(after_in_child=_ids.seed)


class RecommendedItem(NamedTuple):
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
        strategy: `personal`, `folded_in`, `features` or `popular`; `similar` beside an item; `trending`,
            `latest`.
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
        diversity: 0 to 1: how much the items are to be unlike each other.
        explain: Whether each item comes with its reasons.
    """

    k: int
    category: str | None = None
    exclude: Collection[str] = ()
    include_seen: bool = False
    diversity: float = 0.0
    explain: bool = False


@dataclass(frozen=True)
class _Ranked:
    """A list in indexes of a view."""

    view: ServingView
    strategy: str
    chosen: NDArray[np.intp]
    scores: NDArray[np.floating]
    user_id: str | None = None
    experiment: str | None = None
    reasons: list[list[Reason]] | None = None


def for_user(user_id: str, filters: Filters) -> Recommendations:
    """Recommends items to a user, known or not."""
    view, experiment = serving().view_for(user_id)

    def rank() -> _Ranked:
        return _rank_for_user(view, filters, user_id, experiment=experiment)

    return _answer_even_if_away("user", rank, view, filters, user_id=user_id)


def preview_for_user(user_id: str, filters: Filters, basket: Sequence[str]) -> Recommendations:
    """What a user would be recommended who had just put some items into the basket. Nothing is recorded.

    Args:
        user_id: Known or not.
        filters: What the list may hold.
        basket: Ids of items, the newest last; those that are not known are passed over.
    """
    view, experiment = serving().view_for(user_id)
    ranked = _rank_for_user(view, filters, user_id, experiment=experiment, in_basket=_in_basket(basket))
    return _answer(None, filters, [ranked])[0]


def _rank_for_user(
    view: ServingView,
    filters: Filters,
    user_id: str,
    *,
    experiment: str | None,
    in_basket: UserHistory | None = None,
) -> _Ranked:
    user_key, done = interactions.history(user_id, with_times=reads_times(view))
    if in_basket is not None:
        done = in_basket.before(done)
    feature_keys = features.keys_of_owner("user", user_key) if user_key and _reads_features(view) else []
    taste = taste_of_user(view, done, feature_keys)
    selection = _selection(view, filters, seen_by(done, include_seen=filters.include_seen))
    return _rank(view, filters, taste, selection, user_id=user_id, experiment=experiment)


def _in_basket(item_ids: Sequence[str]) -> UserHistory:
    code = event_book().codes.get(CART)
    if not item_ids or code is None:
        return UserHistory()
    keys = tuple(_keys_newest_first(item_ids))
    times = len(keys)
    return UserHistory((_AFTER_ALL_OTHERS,) * times, keys, (code,) * times, (None,) * times, (now(),) * times)


def _keys_newest_first(item_ids: Sequence[str]) -> list[int]:
    keys = shop_ids.keys_of("item", item_ids)
    return [keys[item_id] for item_id in dict.fromkeys(reversed(item_ids)) if item_id in keys]


def for_users(user_ids: Sequence[str], filters: Filters) -> list[Recommendations]:
    """Recommends items to many users at once, as for a newsletter; answers are in the order of the ids."""
    views = {user_id: serving().view_for(user_id) for user_id in user_ids}
    # All are views of the same few versions.
    with_times = any(reads_times(view) for view, _ in views.values())
    histories = interactions.histories(views.keys(), with_times=with_times)
    feature_keys: dict[int, list[int]] = {}
    if any(_reads_features(view) for view, _ in views.values()):
        feature_keys = features.keys_of_owners("user", [user_key for user_key, _ in histories.values()])
    ranked = {}
    for user_id, (view, experiment) in views.items():
        user_key, done = histories.get(user_id, (0, UserHistory()))
        taste = taste_of_user(view, done, feature_keys.get(user_key, []) if _reads_features(view) else [])
        selection = _selection(view, filters, seen_by(done, include_seen=filters.include_seen))
        ranked[user_id] = _rank(view, filters, taste, selection, user_id=user_id, experiment=experiment)
    answers = dict(zip(ranked, _answer("newsletter", filters, list(ranked.values())), strict=True))
    return [answers[user_id] for user_id in user_ids]


def for_session(item_ids: Sequence[str], filters: Filters) -> Recommendations:
    """Recommends items to a visitor of whom only the items looked at are known, the newest last."""
    view = serving().view()

    def rank() -> _Ranked:
        seen = _keys_newest_first(item_ids)
        return _rank(view, filters, taste_of_session(view, seen), _selection(view, filters, seen))

    others = replace(filters, exclude={*filters.exclude, *item_ids})
    return _answer_even_if_away("session", rank, view, others)


def popular(filters: Filters) -> Recommendations:
    """The items that most users like."""
    view = serving().view()

    def rank() -> _Ranked:
        return _rank(view, filters, None, _selection(view, filters, []))

    return _answer_even_if_away(POPULAR, rank, view, filters)


def trending(filters: Filters) -> Recommendations:
    """The items that are liked more than usual in these days; counted anew every minute."""
    view = serving().view()

    def rank() -> _Ranked:
        return _by_score(view, TRENDING, view.trending, filters, _selection(view, filters, []))

    return _answer_even_if_away(TRENDING, rank, view, filters)


def latest(filters: Filters) -> Recommendations:
    """The items published last, those to be published later left out."""
    view = serving().view()

    def rank() -> _Ranked:
        selection = _selection(view, filters, [])
        to_come = np.flatnonzero(view.published > time.time())
        of_today = replace(selection, excluded=np.concatenate([selection.excluded, to_come]))
        return _by_score(view, LATEST, view.published, filters, of_today)

    return _answer_even_if_away(LATEST, rank, view, filters)


def similar_to(item_id: str, filters: Filters, *, is_preview: bool = False) -> Recommendations:
    """Items like an item, by who likes both and by their features; none of its other editions.

    Args:
        item_id: Which.
        filters: What the list may hold.
        is_preview: Whether no visitor is shown it, so that nothing is to be recorded.

    Raises:
        NotFoundError: There is no such item.
    """
    view = serving().view()

    def rank() -> _Ranked:
        item = items.find(item_id)
        if item is None:
            raise NotFoundError("item", item_id)
        selection = _selection(view, filters, [item.item_key])
        index = view.indexes_of(np.array([item.item_key]))
        if view.served is not None and view.newcomers is not None and len(index):
            with one_at_a_time:
                chosen, scores = view.served.model.similar(
                    int(index[0]), filters.k, selection, view.newcomers
                )
            if len(chosen):
                return _Ranked(view, SIMILAR, chosen, scores)
        return _rank(view, filters, None, selection)

    others = replace(filters, exclude={*filters.exclude, item_id})
    return _answer_even_if_away(None if is_preview else SIMILAR, rank, view, others)


def _answer_even_if_away(
    what: str | None,
    rank: Callable[[], _Ranked],
    view: ServingView,
    filters: Filters,
    *,
    user_id: str | None = None,
) -> Recommendations:
    """The list, or what is popular, as this process remembers it, where the database is away."""
    try:
        return _answer(what, filters, [rank()])[0]
    except SQLAlchemyError as error:
        if not is_unavailable(error):
            raise
        db.session.rollback()
    known = {item_id: key for key, (item_id, _) in view.names_of_popular.items()}
    allowed = [key for item_id, key in known.items() if item_id not in filters.exclude]
    members = np.sort(view.indexes_of(np.array(allowed, np.int64)))
    if filters.category is not None:
        members = np.intersect1d(members, view.members(filters.category))
    selection = Selection(view.recommendable, members, np.empty(0, np.intp), view.groups)
    ranked = _rank(view, filters, None, selection, user_id=user_id)
    return _told(what, filters, ranked, view.item_keys[ranked.chosen].tolist(), view.names_of_popular)


def _reads_features(view: ServingView) -> bool:
    return view.served is not None and len(view.served.model.user_feature_keys) > 0


def _rank(
    view: ServingView,
    filters: Filters,
    taste: Taste | None,
    selection: Selection,
    *,
    user_id: str | None = None,
    experiment: str | None = None,
) -> _Ranked:
    if view.served is None or view.newcomers is None:
        ranked = _by_score(view, POPULAR, view.popularity, filters, selection)
        return replace(ranked, user_id=user_id, experiment=experiment)
    model = view.served.model
    reasons = None
    if taste is None:
        with one_at_a_time:
            chosen, scores = model.popular(filters.k, selection, view.newcomers, diversity=filters.diversity)
        if filters.explain:
            reasons = because_popular(chosen)
    else:
        with one_at_a_time:
            prepared = model.prepare(taste.history, view.newcomers)
            chosen, scores = model.rank(prepared, filters.k, selection, diversity=filters.diversity)
        if filters.explain:
            reasons = reasons_for(view, taste, prepared, chosen=chosen, scores=scores)
    strategy = taste.strategy if taste else POPULAR
    return _Ranked(view, strategy, chosen, scores, user_id, experiment, reasons)


def _by_score(
    view: ServingView,
    strategy: str,
    scores: NDArray[np.floating],
    filters: Filters,
    selection: Selection,
) -> _Ranked:
    allowed = selection.everything()
    chosen = allowed[selection.best(allowed, scores[allowed], filters.k)]
    reasons = because_popular(chosen) if filters.explain else None
    return _Ranked(view, strategy, chosen, scores[chosen], reasons=reasons)


def _selection(view: ServingView, filters: Filters, seen: Sequence[int]) -> Selection:
    # Who has seen one edition of a work has seen the work.
    left_out = view.with_editions(view.indexes_of(np.array(seen, np.int64)))
    if filters.exclude:
        excluded = list(shop_ids.keys_of("item", filters.exclude).values())
        left_out = np.concatenate([left_out, view.indexes_of(np.array(excluded, np.int64))])
    members = None if filters.category is None else view.members(filters.category)
    return Selection(view.recommendable, members, left_out, view.groups)


def _answer(what: str | None, filters: Filters, lists: Sequence[_Ranked]) -> list[Recommendations]:
    """Lists in words; a preview, which is of no kind, is not recorded as shown."""
    keys = [ranked.view.item_keys[ranked.chosen].tolist() for ranked in lists]
    # Two views, of an experiment, know the same catalogue.
    named = lists[0].view.names_of({key for of_list in keys for key in of_list})
    return [_told(what, filters, ranked, of_list, named) for ranked, of_list in zip(lists, keys, strict=True)]


def _new_id() -> str:
    return f"{_ids.getrandbits(128):032x}"


def _told(
    what: str | None,
    filters: Filters,
    ranked: _Ranked,
    item_keys: Sequence[int],
    named: Names,
) -> Recommendations:
    reasons: Sequence[list[Reason] | None] = ranked.reasons or [None] * len(item_keys)
    places = zip(item_keys, ranked.scores.tolist(), reasons, strict=True)
    listed = ((named[key], score, why) for key, score, why in places if key in named)
    recommendation_id = _new_id()
    if what is not None:
        attribution.remember(
            recommendation_id,
            user_id=ranked.user_id,
            model_version=ranked.view.version,
            strategy=ranked.strategy,
            experiment=ranked.experiment,
            item_keys=item_keys,
        )
        hot = ranked.view.hot_among(ranked.chosen)
        instruments().recommended(
            what,
            ranked.strategy,
            ranked.view.version,
            asked=filters.k,
            hot=hot,
            cold=len(ranked.chosen) - hot,
        )
    return Recommendations(
        user_id=ranked.user_id,
        model_version=ranked.view.version,
        strategy=ranked.strategy,
        recommendation_id=recommendation_id,
        items=[
            RecommendedItem(item_id, rank, score, title, why)
            for rank, ((item_id, title), score, why) in enumerate(listed, start=1)
        ],
    )
