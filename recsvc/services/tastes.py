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
_NONE = np.empty(0, np.intp)


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
    item_keys: Sequence[int]
    done: UserHistory
    weights: Sequence[float]
    feature_keys: Sequence[int]

    @cached_property
    def events(self) -> list[str | None]:
        """Name of the event that says most of each item of the history; None where none is known."""
        strongest: dict[int, tuple[float, int]] = {}
        # By weight and code, so that of two events that say as much always the same one is named.
        for item_key, event in zip(
            self.done.item_keys, zip(self.weights, self.done.event_codes, strict=True), strict=True
        ):
            if item_key not in strongest or event > strongest[item_key]:
                strongest[item_key] = event
        names = event_book().names
        return [names.get(strongest[key][1]) if key in strongest else None for key in self.item_keys]


def reads_times() -> bool:
    """Whether it counts when something was done."""
    return current_config().half_life is not None


def taste_of_user(view: ServingView, done: UserHistory, feature_keys: Sequence[int]) -> Taste | None:
    """What is known of a user; None where nothing says anything of what they like.

    Args:
        view: What the list is made from.
        done: What the user did, with times where they count.
        feature_keys: Of the user's features.
    """
    if view.served is None:
        return None
    model = view.served.model
    places = _NONE
    if feature_keys:
        places = locate(model.user_feature_keys, np.array(feature_keys, np.int64))
        feature_keys = [key for key, place in zip(feature_keys, places.tolist(), strict=True) if place >= 0]
    weights = _weights(done)
    item_keys, strengths = _strengths(done.item_keys, weights)
    history, item_keys = _history(model, item_keys, strengths, places[places >= 0])
    if history.liked:
        was_trained_on = min(done.interaction_keys) <= _watermark(view)
        strategy = PERSONAL if was_trained_on else FOLDED_IN
    elif model.knows_user(history):
        strategy = FEATURES
    else:
        return None
    return Taste(strategy, history, item_keys, done, weights, feature_keys)


def taste_of_session(view: ServingView, item_keys: Sequence[int]) -> Taste | None:
    """What is known of a visitor who looked at some items, newest first; None where the model knows none."""
    if view.served is None:
        return None
    strengths = np.ones(len(item_keys), np.float32)
    history, item_keys = _history(view.served.model, item_keys, strengths, _NONE)
    return Taste(FOLDED_IN, history, item_keys, UserHistory(), [], []) if history.liked else None


def _history(
    model: Model, item_keys: Sequence[int], strengths: NDArray[np.float32], feature_places: NDArray[np.intp]
) -> tuple[History, Sequence[int]]:
    """The history in the model's indexes, and the keys of the items that are in it."""
    indexes = locate(model.item_keys, np.array(item_keys, np.int64))
    is_in = (indexes >= 0) & (strengths != 0)
    if is_in.all():
        return History(indexes, strengths, feature_places), item_keys
    kept = np.flatnonzero(is_in)
    return History(indexes[kept], strengths[kept], feature_places), [item_keys[at] for at in kept.tolist()]


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


def _strengths(
    item_keys: Sequence[int], weights: Sequence[float]
) -> tuple[Sequence[int], NDArray[np.float32]]:
    """Item keys of a history, newest first, and how much each is liked."""
    summed: dict[int, float] = {}
    for item_key, weight in zip(item_keys, weights, strict=True):
        summed[item_key] = summed.get(item_key, 0.0) + weight
    newest = list(islice(summed, _HISTORY_FOR_TASTE))
    return newest, strength(np.fromiter(summed.values(), np.float32, len(newest)))


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
