"""What is known of whoever a list is for, and what they have seen, in the model's terms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

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
        item_keys: Of the items of the history.
        weighed: Item key, weight and event code of each interaction; empty for a visitor.
        feature_keys: Of the user's features that the model knows.
    """

    strategy: str
    history: History
    item_keys: list[int]
    weighed: Sequence[tuple[int, float, int]]
    feature_keys: list[int]

    @cached_property
    def events(self) -> list[str | None]:
        """Name of the event that says most of each item of the history; None where none is known."""
        strongest: dict[int, tuple[float, int]] = {}
        for item_key, weight, code in self.weighed:
            strongest[item_key] = max(strongest.get(item_key, (-np.inf, 0)), (weight, code))
        names = {code: name for name, code in event_book().codes.items()}
        return [names.get(strongest[key][1]) if key in strongest else None for key in self.item_keys]


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
    weighed = _weighed(rows)
    item_keys, strengths = _strengths(weighed)
    history, kept = _history(model, item_keys, strengths, places[places >= 0])
    if history.liked:
        # Of a user who was there at the training, the oldest interaction as a rule.
        was_trained_on = any(row.interaction_key <= _watermark(view) for row in reversed(rows))
        strategy = PERSONAL if was_trained_on else FOLDED_IN
    elif model.knows_user(history):
        strategy = FEATURES
    else:
        return None
    return Taste(strategy, history, [item_keys[place] for place in kept], weighed, known_keys)


def taste_of_session(view: ServingView, item_keys: Sequence[int]) -> Taste | None:
    """What is known of a visitor who looked at some items; None where the model knows none of them."""
    if view.served is None:
        return None
    strengths = np.ones(len(item_keys), np.float32)
    history, kept = _history(view.served.model, item_keys, strengths, np.empty(0, np.intp))
    return Taste(FOLDED_IN, history, [item_keys[place] for place in kept], [], []) if history.liked else None


def _history(
    model: Model, item_keys: Sequence[int], strengths: NDArray[np.float32], feature_places: NDArray[np.intp]
) -> tuple[History, list[int]]:
    indexes = locate(model.item_keys, np.array(item_keys, np.int64))
    kept = np.flatnonzero((indexes >= 0) & (strengths != 0))
    return History(indexes[kept], strengths[kept], feature_places), kept.tolist()


def _weighed(rows: Sequence[HistoryRow]) -> list[tuple[int, float, int]]:
    """Item key, weight and event code of each interaction, newest first."""
    if not rows:
        return []
    book, half_life = event_book(), current_config().half_life
    _, item_keys, codes, values, moments = zip(*rows, strict=True)
    weights = book.scale.apply(np.array(codes, np.int16), np.array(values, np.float32))
    if half_life is not None:
        ages = [(moments[0] - moment).total_seconds() / 86_400 for moment in moments]
        weights = weights * decay(np.array(ages), half_life)
    return list(zip(item_keys, weights.tolist(), codes, strict=True))


def _strengths(weighed: Sequence[tuple[int, float, int]]) -> tuple[list[int], NDArray[np.float32]]:
    """Item keys of a history, newest first, and how much each is liked."""
    summed: dict[int, float] = {}
    for item_key, weight, _ in weighed:
        if item_key in summed:
            summed[item_key] += weight
        elif len(summed) < _HISTORY_FOR_TASTE:
            summed[item_key] = weight
    return list(summed), strength(np.array(list(summed.values()), np.float32))


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
