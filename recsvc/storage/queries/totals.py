"""How many rows there are, told in milliseconds however many there are."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import and_, case, func, inspect, literal, select, text

from recsvc.extensions import Base, db
from recsvc.storage.models import Event, Interaction, Item, ShownRecommendation, User

_COUNTED_EXACTLY = (
    1_000_000  # rows: both databases count by looking at each, but know about how many there are
)


class Totals(NamedTuple):
    """Numbers of rows; about, where they are very many.

    Attributes:
        interactions: All that are kept.
        users: Known ones.
        items: In the catalogue.
        recommendable_items: Of these, neither hidden nor unavailable.
        newest_interaction_at: When the interaction received last was received.
    """

    interactions: int
    users: int
    items: int
    recommendable_items: int
    newest_interaction_at: datetime | None


class Recent(NamedTuple):
    """The interactions received last.

    Attributes:
        events: Names of events to how many there were of each.
        naming_a_list: How many said which list they came from.
    """

    events: dict[str, int]
    naming_a_list: int


def count() -> Totals:
    """Counts."""
    recommendable = and_(Item.hidden.is_(False), Item.available.is_(True))
    listed = select(func.count(), func.count(case((recommendable, 1)))).where(Item.deleted_at.is_(None))
    items, recommendable_items = db.session.execute(listed).one()
    newest = select(Interaction.received_at).order_by(Interaction.interaction_key.desc()).limit(1)
    return Totals(
        interactions=_about(Interaction),
        users=_about(User),
        items=items,
        recommendable_items=recommendable_items,
        newest_interaction_at=db.session.scalar(newest),
    )


def are_more_than(rows: int) -> bool:
    """Whether any table that grows with a shop has more rows; looks at no more than so many of each."""

    def has_more(table: type[Base]) -> bool:
        some = select(literal(1)).select_from(table).limit(rows + 1).subquery()
        return (db.session.scalar(select(func.count()).select_from(some)) or 0) > rows

    return any(has_more(table) for table in (Interaction, User, Item, ShownRecommendation))


def recent(limit: int) -> Recent:
    """What the interactions received last have in common.

    Args:
        limit: How many to look at.
    """
    newest = (
        select(Interaction.event_code, Interaction.recommendation_id)
        .order_by(Interaction.interaction_key.desc())
        .limit(limit)
        .subquery()
    )
    rows = db.session.execute(
        select(Event.name, func.count(), func.count(newest.c.recommendation_id))
        .join(newest, newest.c.event_code == Event.event_code)
        .group_by(Event.name)
    ).all()
    return Recent({name: count for name, count, _ in rows}, sum(naming for *_, naming in rows))


def _about(table: type[Base]) -> int:
    estimate = _estimate(table)
    if estimate > _COUNTED_EXACTLY:
        return estimate
    return db.session.scalar(select(func.count()).select_from(table)) or 0


def _estimate(table: type[Base]) -> int:
    if db.engine.dialect.name == "postgresql":
        known = text("SELECT reltuples::bigint FROM pg_class WHERE oid = to_regclass(:name)")
        return int(db.session.scalar(known, {"name": table.__tablename__}) or 0)
    # Keys are given out in order, so there are no more rows than that, and fewer where some were deleted.
    (key,) = inspect(table).primary_key
    ends = select(select(func.min(key)).scalar_subquery(), select(func.max(key)).scalar_subquery())
    low, high = db.session.execute(ends).one()
    return 0 if low is None else int(high - low + 1)
