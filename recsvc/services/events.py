"""The configured events and the codes that stand for them in the database."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from flask import current_app

from recsvc.config import Config, current_config
from recsvc.errors import InvalidInputError
from recsvc.recommender.interactions import EventScale
from recsvc.sentences import Sentence
from recsvc.storage.database import write_transaction
from recsvc.storage.queries import interactions

PURCHASE = "purchase"
CART = "cart"
DISLIKE = "dislike"
RATING = "rating"
# What was bought or disliked never comes back, whatever the settings say of the rest.
FINAL_EVENTS = frozenset({PURCHASE, DISLIKE})

_REMEMBERED = 10_000  # codes and values, of ratings mostly


@dataclass(frozen=True)
class EventBook:
    """The events of this service.

    Attributes:
        codes: Configured events' names to codes.
        scale: What each event says of a liking, by code.
        left_out_codes: Codes after which an item is left out by default.
        final_codes: Those of them after which it is left out always.
    """

    codes: dict[str, int]
    scale: EventScale
    left_out_codes: frozenset[int]
    final_codes: frozenset[int]

    @cached_property
    def names(self) -> dict[int, str]:
        """Codes to configured events' names."""
        return {code: name for name, code in self.codes.items()}

    @cached_property
    def weigh(self) -> Callable[[int, float | None], float]:
        """What one event of a code and with a value says of a liking.

        Those of a history are few and mostly the same ones: to remember them is faster than arithmetic.
        """

        @lru_cache(_REMEMBERED)
        def weigh(code: int, value: float | None) -> float:
            return float(self.scale.apply(np.array([code], np.int16), np.array([value or 0], np.float32))[0])

        return weigh

    def code_of(self, event: str) -> int:
        """The code of an event.

        Raises:
            InvalidInputError: It is not configured.
        """
        try:
            return self.codes[event]
        except KeyError:
            message = Sentence(
                "Unknown event %(event)s; it must be one of %(events)s.",
                event=repr(event),
                events=", ".join(self.codes),
            )
            raise InvalidInputError(message, errors={"event": [str(message)]}) from None


def event_book() -> EventBook:
    """The events of the settings; read once in a process, codes given where an event is new."""
    book: EventBook | None = current_app.extensions.get("recsvc.events")
    if book is None:
        book = _book(current_config())
        current_app.extensions["recsvc.events"] = book
    return book


def scale_of(config: Config) -> EventScale:
    """What each event says of a liking by some settings, be they in force or not."""
    return _book(config).scale


def _book(config: Config) -> EventBook:
    known = interactions.event_codes()
    if not set(config.event_weights) <= known.keys():
        with write_transaction():
            known = interactions.ensure_event_codes(list(config.event_weights))
    # An event that settings name no more keeps its code, and says nothing.
    weights = np.zeros(max(known.values()) + 1, np.float32)
    for event, weight in config.event_weights.items():
        weights[known[event]] = weight
    final = {known[event] for event in FINAL_EVENTS if event in known}
    return EventBook(
        codes={event: known[event] for event in config.event_weights},
        scale=EventScale(
            weights=weights,
            rating_code=known[RATING] if RATING in config.event_weights else -1,
            neutral=config.rating_neutral,
            best=config.rating_best,
        ),
        left_out_codes=frozenset(final | {known[event] for event in config.seen_events if event in known}),
        final_codes=frozenset(final),
    )
