"""What is known of whoever a list is for, and what they have seen, in the model's terms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recsvc.config import current_config
from recsvc.recommender.examples import History
from recsvc.recommender.interactions import decay, strength
from recsvc.recommender.keys import locate
from recsvc.recommender.model import Model
from recsvc.services.events import event_book
from recsvc.services.serving_view import ServingView
from recsvc.storage.queries.interactions import HistoryRow

PERSONAL = "personal"
FOLDED_IN = "folded_in"
FEATURES = "features"

_HISTORY_FOR_TASTE = 500  # newest items of a history that decide on a taste


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


def taste_of_user(view: ServingView, rows: Sequence[HistoryRow], feature_keys: Sequence[int]) -> Taste | None:
    """What is known of a user; None where nothing says anything of what they like.

    Args:
        view: What the list is made from.
        rows: The user's history, newest first.
        feature_keys: Of the user's features.
    """
    if view.served is None:
        return None
    model = view.served.model
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


def taste_of_session(view: ServingView, item_keys: Sequence[int]) -> Taste | None:
    """What is known of a visitor who looked at some items; None where the model knows none of them."""
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


def seen_by(rows: Sequence[HistoryRow], *, include_seen: bool) -> list[int]:
    """Keys of the items that are left out of a user's lists.

    Args:
        rows: The user's history.
        include_seen: Leave out only what was bought or disliked.
    """
    book = event_book()
    codes = book.final_codes if include_seen else book.final_codes | book.seen_codes
    return list({row.item_key for row in rows if row.event_code in codes})


def _watermark(view: ServingView) -> int:
    assert view.served is not None
    return int(view.served.manifest["data"]["watermark"])
