"""What the console tells without counting it at every look: a worker counts, pages read what it counted."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import structlog
from sqlalchemy.exc import SQLAlchemyError

from recsvc.config import current_config
from recsvc.extensions import db
from recsvc.services import stock
from recsvc.services.attribution import ATTRIBUTED
from recsvc.services.catalogue import CatalogueItem
from recsvc.storage.database import is_unavailable, write_transaction
from recsvc.storage.models import now
from recsvc.storage.queries import figures as queries
from recsvc.storage.queries.figures import ShownDay

logger = structlog.get_logger(__name__)

DAYS = 30  # of interactions

_FRESH = timedelta(seconds=20)
_LATELY = timedelta(days=1)


@dataclass(frozen=True)
class Figures:
    """What was counted.

    Attributes:
        counted_at: When.
        seconds: What it took.
        items_never_shown: Recommendable items that were on no list in the last ATTRIBUTION_DAYS.
        users_shown: To how many users a list was shown within a day.
        interactions_by_day: Day, event and number, of the last 30 days that had any.
        shown_by_day: What was shown of each version, of the last ATTRIBUTION_DAYS.
    """

    counted_at: datetime
    seconds: float
    items_never_shown: int
    users_shown: int
    interactions_by_day: list[tuple[date, str, int]]
    shown_by_day: list[ShownDay]


def latest() -> Figures | None:
    """What was counted last: a moment ago in a small shop; None where a large one was not counted yet."""
    counted = _kept()
    if (counted is None or now() - counted.counted_at > _FRESH) and not stock.is_large():
        try:
            count()
        except SQLAlchemyError as error:
            if not is_unavailable(error):
                raise
            db.session.rollback()
            logger.warning("figures_not_counted", error=str(error.__cause__ or error))
        counted = _kept()
    return counted


def keep() -> None:
    """Counts a large shop for those who will look; called by a worker every few minutes."""
    counted = _kept()
    if stock.is_large() and (counted is None or stock.is_due(counted.counted_at, counted.seconds)):
        count()


def of_items(found: Sequence[CatalogueItem]) -> dict[int, tuple[int, int]]:
    """Item keys to how often each was shown, and taken from a list; items never shown are left out."""
    return queries.of_items([item.item_key for item in found])


def count() -> None:
    """Counts everything, and keeps it."""
    began, moment = time.monotonic(), now()
    shown_since = moment - timedelta(days=current_config().attribution_days)
    items = queries.items_shown(shown_since, ATTRIBUTED)
    content: dict[str, Any] = {
        "items_never_shown": queries.items_never_shown(items.keys()),
        "users_shown": queries.users_shown(moment - _LATELY),
        "interactions_by_day": [
            [day.isoformat(), event, number]
            for day, event, number in queries.interactions_by_day(moment - timedelta(days=DAYS))
        ],
        "shown_by_day": [
            [row.day.isoformat(), row.model_version, row.lists, row.taken]
            for row in queries.shown_by_day(shown_since, ATTRIBUTED)
        ],
        "seconds": round(time.monotonic() - began, 3),
    }
    with write_transaction():
        queries.store(content, moment, items)


def _kept() -> Figures | None:
    stored = queries.stored()
    if stored is None:
        return None
    told = stored.content
    by_day = [(date.fromisoformat(day), event, number) for day, event, number in told["interactions_by_day"]]
    shown = [
        ShownDay(date.fromisoformat(day), version, lists, taken)
        for day, version, lists, taken in told["shown_by_day"]
    ]
    return Figures(
        counted_at=stored.counted_at,
        seconds=told["seconds"],
        items_never_shown=told["items_never_shown"],
        users_shown=told["users_shown"],
        interactions_by_day=by_day,
        shown_by_day=shown,
    )
