"""What is known of whoever a list is for, and what they have seen, in the model's terms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from recsvc.config import current_config
from recsvc.recommender.examples import History
from recsvc.recommender.interactions import decay, strength
from recsvc.recommender.keys import locate
from recsvc.recommender.model import Model
from recsvc.services.events import event_book
from recsvc.services.serving_view import ServingView
from recsvc.storage.queries.interactions import UserHistory

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
        done: What the user did; nothing for a visitor.
        weights: Of each interaction.
        feature_keys: Of the user's features that the model knows.
    """

    strategy: str
    history: History
    item_keys: list[int]
    done: UserHistory
    weights: Sequence[float]
    feature_keys: list[int]

    @cached_property
    def events(self) -> list[str | None]:
        """Name of the event that says most of each item of the history; None where none is known."""
        # By weight and code, so that of two events that say as much always the same one is named.
        by_weight = sorted(zip(self.weights, self.done.event_codes, self.done.item_keys, strict=True))
        strongest = {item_key: code for _, code, item_key in by_weight}
        names = {code: name for name, code in event_book().codes.items()}
        return [names.get(strongest[key]) if key in strongest else None for key in self.item_keys]


def taste_of_user(view: ServingView, done: UserHistory, feature_keys: Sequence[int]) -> Taste | None:
    """What is known of a user; None where nothing says anything of what they like.

    Args:
        view: What the list is made from.
        done: What the user did.
        feature_keys: Of the user's features.
    """
    if view.served is None:
        return None
    model = view.served.model
    places = locate(model.user_feature_keys, np.array(feature_keys, np.int64))
    known_keys = [key for key, place in zip(feature_keys, places.tolist(), strict=True) if place >= 0]
    weights = _weights(done)
    item_keys, strengths = _strengths(done.item_keys, weights)
    history, kept = _history(model, item_keys, strengths, places[places >= 0])
    if history.liked:
        was_trained_on = min(done.interaction_keys) <= _watermark(view)
        strategy = PERSONAL if was_trained_on else FOLDED_IN
    elif model.knows_user(history):
        strategy = FEATURES
    else:
        return None
    return Taste(strategy, history, [item_keys[place] for place in kept], done, weights, known_keys)


def taste_of_session(view: ServingView, item_keys: Sequence[int]) -> Taste | None:
    """What is known of a visitor who looked at some items; None where the model knows none of them."""
    if view.served is None:
        return None
    strengths = np.ones(len(item_keys), np.float32)
    history, kept = _history(view.served.model, item_keys, strengths, np.empty(0, np.intp))
    return (
        Taste(FOLDED_IN, history, [item_keys[place] for place in kept], UserHistory(), [], [])
        if history.liked
        else None
    )


def _history(
    model: Model, item_keys: Sequence[int], strengths: NDArray[np.float32], feature_places: NDArray[np.intp]
) -> tuple[History, list[int]]:
    indexes = locate(model.item_keys, np.array(item_keys, np.int64))
    kept = np.flatnonzero((indexes >= 0) & (strengths != 0))
    return History(indexes[kept], strengths[kept], feature_places), kept.tolist()


def _weights(done: UserHistory) -> list[float]:
    """What each interaction says of a liking, newest first."""
    weigh = event_book().weigh
    weights = list(map(weigh, done.event_codes, done.values))
    half_life = current_config().half_life
    if half_life is None or not weights:
        return weights
    newest = done.occurred_at[0]
    ages = [(newest - moment).total_seconds() / 86_400 for moment in done.occurred_at]
    decayed: list[float] = (np.array(weights) * decay(np.array(ages), half_life)).tolist()
    return decayed


def _strengths(item_keys: Sequence[int], weights: Sequence[float]) -> tuple[list[int], NDArray[np.float32]]:
    """Item keys of a history, newest first, and how much each is liked."""
    summed = dict.fromkeys(item_keys, 0.0)
    for item_key, weight in zip(item_keys, weights, strict=True):
        summed[item_key] += weight
    newest = dict(islice(summed.items(), _HISTORY_FOR_TASTE))
    return list(newest), strength(np.array(list(newest.values()), np.float32))


def seen_by(done: UserHistory, *, include_seen: bool) -> list[int]:
    """Keys of the items that are left out of a user's lists.

    Args:
        done: What the user did.
        include_seen: Leave out only what was bought or disliked.
    """
    book = event_book()
    codes = book.final_codes if include_seen else book.left_out_codes
    return list({key for key, code in zip(done.item_keys, done.event_codes, strict=True) if code in codes})


def _watermark(view: ServingView) -> int:
    assert view.served is not None
    return int(view.served.manifest["data"]["watermark"])
