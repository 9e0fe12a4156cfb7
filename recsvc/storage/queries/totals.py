"""How many rows there are."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import func, select, text

from recsvc.extensions import db
from recsvc.storage.models import Interaction, Item, User

_COUNTED_EXACTLY = 1_000_000  # rows: PostgreSQL counts by looking at each, but knows about how many there are


class Totals(NamedTuple):
    """Numbers of rows.

    Attributes:
        interactions: About, where they are very many.
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


def count() -> Totals:
    """Counts."""
    listed = select(func.count()).select_from(Item).where(Item.deleted_at.is_(None))
    newest = select(Interaction.received_at).order_by(Interaction.interaction_key.desc()).limit(1)
    return Totals(
        interactions=_interactions(),
        users=db.session.scalar(select(func.count()).select_from(User)) or 0,
        items=db.session.scalar(listed) or 0,
        recommendable_items=db.session.scalar(listed.where(Item.hidden.is_(False), Item.available.is_(True)))
        or 0,
        newest_interaction_at=db.session.scalar(newest),
    )


def _interactions() -> int:
    if db.engine.dialect.name == "postgresql":
        estimate = text("SELECT reltuples::bigint FROM pg_class WHERE oid = 'interactions'::regclass")
        about = int(db.session.scalar(estimate) or 0)
        if about > _COUNTED_EXACTLY:
            return about
    return db.session.scalar(select(func.count()).select_from(Interaction)) or 0
