"""What is known of whoever a list is for, and what they have seen, in the model's terms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from recsvc.recommender.examples import History
from recsvc.recommender.interactions import decay
from recsvc.recommender.kernels import likings
from recsvc.recommender.keys import locate
from recsvc.recommender.model import Model
from recsvc.services.events import event_book
from recsvc.services.serving_view import ServedVersion, ServingView
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
        model: In whose indexes the history is.
        history: What is liked, and how much.
        done: What the user did; nothing for a visitor.
        weights: Of each interaction.
        feature_keys: Of the user's features that the model knows.
    """

    strategy: str
    model: Model
    history: History
    done: UserHistory
    weights: Sequence[float]
    feature_keys: Sequence[int]

    @cached_property
    def longer(self) -> History | None:
        """The history and the item that moves up once another is taken out; None where there is none."""
        if len(self.done.item_keys) <= _HISTORY_FOR_TASTE:
            return None
        most = _HISTORY_FOR_TASTE + 1
        longer = _history(self.model, self.done.item_keys, self.weights, self.history.features, most)
        return longer if len(longer.indexes) > len(self.history.indexes) else None

    @cached_property
    def item_keys(self) -> list[int]:
        """Of the items of the history."""
        keys: list[int] = self.model.item_keys[self.history.indexes].tolist()
        return keys

    @cached_property
    def events(self) -> dict[int, str]:
        """Item keys to the name of the event that says most of each; none of a visitor's items has one."""
        # By weight and code, so that of two events that say as much always the same one is named.
        told = sorted(zip(self.weights, self.done.event_codes, self.done.item_keys, strict=True))
        names = event_book().names
        return {item_key: names[code] for _, code, item_key in told if code in names}


def reads_times(view: ServingView) -> bool:
    """Whether it counts when something was done.

    Args:
        view: What a list is made from.
    """
    return view.served is not None and view.served.half_life is not None


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
        places = places[places >= 0]
    weights = _weights(view.served, done)
    history = _history(model, done.item_keys, weights, places, _HISTORY_FOR_TASTE)
    if history.liked:
        was_trained_on = min(done.interaction_keys) <= _watermark(view)
        strategy = PERSONAL if was_trained_on else FOLDED_IN
    elif model.knows_user(history):
        strategy = FEATURES
    else:
        return None
    return Taste(strategy, model, history, done, weights, feature_keys)


def taste_of_session(view: ServingView, item_keys: Sequence[int]) -> Taste | None:
    """What is known of a visitor who looked at some items, newest first; None where the model knows none."""
    if view.served is None:
        return None
    model = view.served.model
    history = _history(model, item_keys, [1.0] * len(item_keys), _NONE, _HISTORY_FOR_TASTE)
    return Taste(FOLDED_IN, model, history, UserHistory(), [], []) if history.liked else None


def _history(
    model: Model,
    item_keys: Sequence[int],
    weights: Sequence[float],
    features: NDArray[np.intp],
    most: int,
) -> History:
    indexes, strengths = likings(model.item_keys, item_keys, weights, most)
    return History(indexes, strengths, features, model.blend.recency)


def _weights(served: ServedVersion, done: UserHistory) -> list[float]:
    """What each interaction says of a liking, newest first, its age being what the training took it for.

    By what the version was trained with, so that whoever judged it judged histories as they are served. Ages
    from a user's own newest would be others' ages once it is taken away, and no reason for anything.
    """
    weigh = event_book().weigh
    weights = list(map(weigh, done.event_codes, done.values))
    if served.half_life is None or not weights:
        return weights
    ages = np.array([(served.until - moment).total_seconds() / 86_400 for moment in done.occurred_at])
    # What was done since is as new as what was newest then.
    left = decay(np.maximum(ages, 0), served.half_life)
    decayed: list[float] = (np.array(weights) * left).tolist()
    return decayed


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
