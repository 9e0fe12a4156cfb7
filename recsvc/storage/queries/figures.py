"""What the console counts: by a job, into one row and a table, so that no page has to."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    Integer,
    cast,
    delete,
    extract,
    func,
    insert,
    select,
    true,
    type_coerce,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB

from recsvc.extensions import db
from recsvc.storage.database import insert_ignoring_conflicts
from recsvc.storage.models import (
    Event,
    Figures,
    Interaction,
    Item,
    ItemFigures,
    ShownRecommendation,
)
from recsvc.storage.queries.shown import attributed_only

_DAY = 86_400
_ONLY_ROW = 1

Shown = ShownRecommendation


class ShownDay(NamedTuple):
    """What was shown of one version on a day.

    Attributes:
        day: In UTC.
        model_version: None where there was no model.
        lists: How many.
        taken: Of these, how many an interaction named.
    """

    day: date
    model_version: str | None
    lists: int
    taken: int


def stored() -> Figures | None:
    """What was counted last."""
    return db.session.get(Figures, _ONLY_ROW, populate_existing=True)


def store(content: dict[str, Any], counted_at: datetime, items: Mapping[int, tuple[int, int]]) -> None:
    """Keeps what was counted, in the place of what was before.

    Args:
        content: Of the one row.
        counted_at: When.
        items: Item keys to how often each was shown and taken.
    """
    counted = {"content": content, "counted_at": counted_at}
    # Two who counted at the same moment take turns from here on: each waits for the other's row.
    db.session.execute(insert_ignoring_conflicts(Figures), [{"figures_key": _ONLY_ROW, **counted}])
    db.session.execute(update(Figures).values(**counted).execution_options(synchronize_session=False))
    db.session.execute(delete(ItemFigures).execution_options(synchronize_session=False))
    rows = [
        {"item_key": key, "shown": shown, "taken": taken} for key, (shown, taken) in sorted(items.items())
    ]
    if rows:
        db.session.execute(insert(ItemFigures), rows)


def interactions_by_day(since: datetime) -> list[tuple[date, str, int]]:
    """Days and events to how many interactions occurred, the earliest day first."""
    day = _day_of(Interaction.occurred_at).label("day")
    rows = db.session.execute(
        select(day, Event.name, func.count())
        .join(Event, Event.event_code == Interaction.event_code)
        .where(Interaction.occurred_at >= since)
        .group_by(day, Event.name)
        .order_by(day, Event.name)
    )
    return [(_date(number), event, count) for number, event, count in rows]


def shown_by_day(since: datetime, events: Collection[str]) -> list[ShownDay]:
    """What was shown of each version on each day, the earliest first."""
    day = _day_of(Shown.shown_at).label("day")
    lists = select(day, Shown.model_version, func.count()).where(Shown.shown_at >= since)
    counted = db.session.execute(lists.group_by(day, Shown.model_version).order_by(day)).all()
    columns = select(day, Shown.model_version, func.count(Shown.recommendation_id.distinct()))
    taken = attributed_only(columns, events).where(Shown.shown_at >= since)
    taken_of = {
        (number, version): count
        for number, version, count in db.session.execute(taken.group_by(day, Shown.model_version))
    }
    return [
        ShownDay(_date(number), version, count, taken_of.get((number, version), 0))
        for number, version, count in counted
    ]


def users_shown(since: datetime) -> int:
    """To how many users something was shown; visitors are not counted."""
    counted = select(func.count(Shown.user_hash.distinct())).where(Shown.shown_at >= since)
    return db.session.scalar(counted) or 0


def items_shown(since: datetime, events: Collection[str]) -> dict[int, tuple[int, int]]:
    """Item keys to how often each was on a list, and how often it was taken from one."""
    if db.engine.dialect.name == "sqlite":
        elements: Any = func.json_each(Shown.item_keys)
    else:
        elements = func.jsonb_array_elements(cast(Shown.item_keys, JSONB))
    listed = elements.table_valued("value")
    key = cast(listed.c.value, Integer)
    shown = (
        select(key, func.count())
        .select_from(Shown)
        .join(listed, true())
        .where(Shown.shown_at >= since)
        .group_by(key)
    )
    taken = attributed_only(select(Interaction.item_key, func.count()), events).where(Shown.shown_at >= since)
    taken_of = {key: count for key, count in db.session.execute(taken.group_by(Interaction.item_key))}  # noqa: C416
    return {key: (count, taken_of.get(key, 0)) for key, count in db.session.execute(shown)}


def items_never_shown(shown: Collection[int]) -> int:
    """How many recommendable items are on no list.

    Args:
        shown: Keys of all items that are on one.
    """
    keys = db.session.scalars(_recommendable(Item.item_key))
    return sum(key not in shown for key in keys)


def of_items(item_keys: Collection[int]) -> dict[int, tuple[int, int]]:
    """Item keys to how often each was shown and taken; one never shown is left out."""
    rows = db.session.execute(
        select(ItemFigures.item_key, ItemFigures.shown, ItemFigures.taken).where(
            ItemFigures.item_key.in_(item_keys)
        )
    )
    return {key: (shown, taken) for key, shown, taken in rows}


def _recommendable(columns: Any) -> Any:
    return select(columns).where(Item.deleted_at.is_(None), Item.hidden.is_(False), Item.available.is_(True))


def _day_of(moment: Any) -> Any:
    if db.engine.dialect.name == "sqlite":
        return type_coerce(moment, BigInteger) // (_DAY * 1_000_000)
    return cast(func.floor(extract("epoch", moment) / _DAY), Integer)


def _date(number: int) -> date:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=int(number))).date()
