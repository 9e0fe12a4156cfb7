"""What a shop has to learn from, counted row by row: on the spot where it is small, by a worker where not."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import structlog

from recsvc import queues
from recsvc.services import attribution
from recsvc.services.attribution import Arm, Attributed
from recsvc.services.events import event_book
from recsvc.storage.models import ModelVersion, now
from recsvc.storage.queries import model_versions, stock, totals
from recsvc.storage.queries.stock import ItemStock

logger = structlog.get_logger(__name__)

ENOUGH_OF_USER = 2  # interactions: one to learn from, and one that it can be told by whether that was right
ENOUGH_OF_ITEM = 5  # interactions: of fewer it is chance what else these users did

_COUNTED_ON_THE_SPOT = 100_000  # rows of any table, which takes a tenth of a second or two
_NOTE = "stock"
_COUNTED_EVERY = timedelta(minutes=4)  # a worker is asked every five minutes
_SHARE_OF_TIME = 0.05  # that counting may take of a worker's and a database's


@dataclass(frozen=True)
class Audience:
    """About how many known users get which kind of list from the active version.

    Attributes:
        personal: Their likes were in the training data.
        folded_in: They came to like something since.
        features: They like nothing yet, but have features, and the version knows users by such.
        popular: Nothing is known of them, or there is no model.
    """

    personal: int
    folded_in: int
    features: int
    popular: int


@dataclass(frozen=True)
class Stock:
    """What was counted.

    Attributes:
        counted_at: When.
        seconds: What it took.
        users_with_enough: Users with `ENOUGH_OF_USER` interactions.
        items: Of the catalogue, by what is known of them; enough is `ENOUGH_OF_ITEM` interactions.
        audience: Who is served what.
        attribution: What came of lists.
        arms: The two sides of the experiment; none where there is no experiment.
    """

    counted_at: datetime
    seconds: float
    users_with_enough: int
    items: ItemStock
    audience: Audience
    attribution: list[Attributed]
    arms: list[Arm]


def at_hand() -> Stock | None:
    """The counts: those of now in a small shop, else what a worker counted last; None where none has yet.

    Raises:
        QueueUnavailableError: Redis, where the worker's counts are, does not answer.
    """
    if not is_large():
        return take()
    note = queues.read_note(_NOTE)
    return None if note is None else _read(json.loads(note))


def keep() -> Stock | None:
    """Counts a large shop for those who will ask; called by a worker every few minutes.

    Counting gets no more than a small share of the time, however long it takes.

    Returns:
        What was counted; None where nothing had to be.

    Raises:
        QueueUnavailableError: Redis does not answer.
    """
    if not is_large():
        return None
    present = at_hand()
    if present is not None and not is_due(present.counted_at, present.seconds):
        return None
    taken = take()
    told = asdict(taken) | {"counted_at": taken.counted_at.isoformat(), "items": taken.items._asdict()}
    queues.write_note(_NOTE, json.dumps(told))
    logger.info("stock_counted", seconds=taken.seconds)
    return taken


def is_large() -> bool:
    """Whether a shop is one that is counted by a worker."""
    return totals.are_more_than(_COUNTED_ON_THE_SPOT)


def is_due(counted_at: datetime, seconds: float) -> bool:
    """Whether it is time to count again: the longer it takes, the more seldom.

    Args:
        counted_at: The last time.
        seconds: What it took.
    """
    return now() - counted_at >= max(_COUNTED_EVERY, timedelta(seconds=seconds / _SHARE_OF_TIME))


def take() -> Stock:
    """Counts, here and now."""
    began = time.monotonic()
    active = model_versions.active()
    scale = event_book().scale
    users = stock.count_users(
        enough=ENOUGH_OF_USER,
        liking=np.flatnonzero(scale.weights > 0).tolist(),
        rating_code=scale.rating_code,
        neutral=scale.neutral,
        watermark=_watermark(active),
    )
    known = totals.count().users
    items = stock.count_items(enough=ENOUGH_OF_ITEM)
    arms = attribution.arms()
    return Stock(
        counted_at=now(),
        users_with_enough=users.with_enough,
        items=items,
        audience=_audience(users, known, active),
        attribution=attribution.told(),
        arms=list(arms),
        seconds=round(time.monotonic() - began, 3),
    )


def _watermark(active: ModelVersion | None) -> int:
    return 0 if active is None else int(active.manifest["data"]["watermark"])


def _audience(users: stock.UserStock, known: int, active: ModelVersion | None) -> Audience:
    if active is None:
        return Audience(personal=0, folded_in=0, features=0, popular=known)
    # Of the voices LightFM alone knows users by their features.
    featured = users.featured if "lightfm" in active.manifest["parameters"] else 0
    told = users.likers_before, users.likers_after, featured
    return Audience(*told, popular=max(0, known - sum(told)))


def _read(note: dict[str, Any]) -> Stock:
    return Stock(
        **note
        | {
            "counted_at": datetime.fromisoformat(note["counted_at"]),
            "items": ItemStock(**note["items"]),
            "audience": Audience(**note["audience"]),
            "attribution": [Attributed(**one) for one in note["attribution"]],
            "arms": [Arm(**one) for one in note["arms"]],
        }
    )
