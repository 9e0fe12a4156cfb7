"""Looking at single users and items, to see why a list is what it is. Nothing is recorded."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np

from recsvc.services import catalogue, recommending
from recsvc.services.catalogue import CatalogueItem
from recsvc.services.events import CART, event_book
from recsvc.services.recommending import Filters, Recommendations
from recsvc.services.serving import serving
from recsvc.storage.queries import features, interactions, items, shop_ids

_LISTED = 12
_HISTORY = 50


@dataclass(frozen=True)
class HistoryEntry:
    """One interaction, as people read it."""

    item_id: str
    title: str | None
    event: str
    value: float | None
    occurred_at: datetime


@dataclass(frozen=True)
class UserLookedAt:
    """A user and their list.

    Attributes:
        user_id: The shop's own id, known or not.
        is_known: Whether anything is held of them.
        features: `name:value`.
        history: The newest interactions, newest first.
        basket: Ids and titles of the items that are put into the basket for a try.
        recommendations: What they would get, with reasons.
        titles: Of the items that reasons name.
    """

    user_id: str
    is_known: bool
    features: list[str]
    history: list[HistoryEntry]
    basket: list[tuple[str, str | None]]
    recommendations: Recommendations
    titles: dict[str, str | None]


@dataclass(frozen=True)
class Neighbour:
    """An item beside another.

    Attributes:
        item_id: The shop's own id.
        title: As the catalogue has it.
        in_common: Labels that both have, as `name:value`.
        by_users: How much of the likeness comes of who likes both, 0 to 1; None where that is not known.
    """

    item_id: str
    title: str | None
    in_common: list[str]
    by_users: float | None


@dataclass(frozen=True)
class ItemLookedAt:
    """An item and what is beside it.

    Attributes:
        item: As the catalogue has it.
        is_cold: Whether nobody liked it when the served model was fitted; None where there is no model.
        strategy: `similar`, or `popular` where nothing is known of the item.
        neighbours: The most alike first.
    """

    item: CatalogueItem
    is_cold: bool | None
    strategy: str
    neighbours: list[Neighbour]


def look_at_user(user_id: str, basket: list[str]) -> UserLookedAt:
    """A user's history beside their list, as if some items had just been put into the basket."""
    user_key, _ = interactions.history(user_id)
    rows = [] if user_key is None else interactions.page(user_key, before=None, limit=_HISTORY, event=None)
    named = items.titles({row.item_key for row, _, _ in rows})
    history = [
        HistoryEntry(item_id, named[row.item_key][1], event, row.value, row.occurred_at)
        for row, item_id, event in rows
    ]
    answer = recommending.preview_for_user(user_id, Filters(k=_LISTED, explain=True), basket)
    because_of = {
        reason["item_id"] for item in answer.items for reason in item.reasons or () if "item_id" in reason
    }
    titles = _titles({*because_of, *basket})
    return UserLookedAt(
        user_id=user_id,
        is_known=user_key is not None,
        features=[] if user_key is None else _labels("user", user_key),
        history=history,
        basket=[(item_id, titles[item_id]) for item_id in basket if item_id in titles],
        recommendations=answer,
        titles=titles,
    )


def look_at_item(item_id: str) -> ItemLookedAt:
    """An item and its neighbours, with what they have in common.

    Raises:
        NotFoundError: There is no such item.
    """
    item = catalogue.get_item(item_id)
    answer = recommending.similar_to(item_id, Filters(k=_LISTED), is_preview=True)
    keys = shop_ids.keys_of("item", [place.item_id for place in answer.items])
    labels = features.of("item", [item.item_key, *keys.values()])
    own = set(labels.get(item.item_key, []))
    is_cold, by_users = _likeness(item.item_key, [keys[place.item_id] for place in answer.items])
    return ItemLookedAt(
        item=item,
        is_cold=is_cold,
        strategy=answer.strategy,
        neighbours=[
            Neighbour(
                place.item_id,
                place.title,
                [":".join(label) for label in labels.get(keys[place.item_id], []) if label in own],
                share,
            )
            for place, share in zip(answer.items, by_users, strict=True)
        ],
    )


def some_user_ids() -> list[str]:
    """A few users to begin with: those who did something last."""
    return interactions.newest_user_ids(6)


def can_take_a_basket() -> bool:
    """Whether there is an event that a try can put on."""
    return CART in event_book().codes


def _titles(item_ids: set[str]) -> dict[str, str | None]:
    named = items.titles(shop_ids.keys_of("item", item_ids).values())
    return dict(named.values())


def _labels(noun: str, key: int) -> list[str]:
    return [":".join(label) for label in features.of(noun, [key]).get(key, [])]


def _likeness(item_key: int, others: list[int]) -> tuple[bool | None, list[float | None]]:
    view = serving().view()
    index = view.indexes_of(np.array([item_key]))
    if view.served is None or not len(index):
        return None, [None] * len(others)
    model, item = view.served.model, int(index[0])
    shares: list[float | None] = [None] * len(others)
    if not model.is_cold(item):
        for place, key in enumerate(others):
            other = int(view.indexes_of(np.array([key]))[0])
            if not model.is_cold(other):
                shares[place] = model.likeness_by_users(item, other)
    return model.is_cold(item), shares
