"""What was shown, and the interactions that name it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from typing import cast as typing_cast

from sqlalchemy import (
    ColumnElement,
    Integer,
    Table,
    cast,
    delete,
    false,
    func,
    literal_column,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB

from recsvc.extensions import db
from recsvc.storage.database import chunks, insert_ignoring_conflicts, insert_rows
from recsvc.storage.models import ErasedUser, Event, Interaction, ShownRecommendation

Shown = ShownRecommendation
_shown = typing_cast(Table, Shown.__table__)


class ShownCount(NamedTuple):
    """How much was shown of one version and strategy."""

    model_version: str | None
    strategy: str
    recommendations: int
    users: int


def insert(rows: Sequence[dict[str, Any]]) -> None:
    """Records lists, none of a user who was erased since they were shown.

    Args:
        rows: Values of the columns; at least one.
    """
    since = min(row["shown_at"] for row in rows)
    found = select(ErasedUser.user_hash, ErasedUser.erased_at).where(ErasedUser.erased_at >= since)
    erased: dict[int | None, datetime] = {}
    erased.update((hashed, moment) for hashed, moment in db.session.execute(found))
    kept = [
        row for row in rows if row["user_hash"] not in erased or row["shown_at"] > erased[row["user_hash"]]
    ]
    if kept:
        insert_rows(_shown, kept)


def mark_erased(user_hash: int, moment: datetime) -> None:
    """Keeps what a user was shown up to now from being recorded later, by whoever still has it in hand."""
    row = {"user_hash": user_hash, "erased_at": moment}
    db.session.execute(insert_ignoring_conflicts(ErasedUser), [row])
    db.session.execute(
        update(ErasedUser)
        .where(ErasedUser.user_hash == user_hash)
        .values(erased_at=moment)
        .execution_options(synchronize_session=False)
    )


def forget_erased_before(moment: datetime) -> None:
    """Forgets that users were erased, once nobody has anything of theirs in hand."""
    db.session.execute(delete(ErasedUser).where(ErasedUser.erased_at < moment))


def counts(since: datetime) -> list[ShownCount]:
    """How much was shown, by version and strategy, the newest version first."""
    rows = db.session.execute(
        select(Shown.model_version, Shown.strategy, func.count(), func.count(Shown.user_hash.distinct()))
        .where(Shown.shown_at >= since)
        .group_by(Shown.model_version, Shown.strategy)
        .order_by(Shown.model_version.desc().nulls_last(), Shown.strategy)
    )
    return [ShownCount(*row) for row in rows]


def attributed(since: datetime, events: Collection[str]) -> dict[tuple[str | None, str, str], int]:
    """Version, strategy and event to how many interactions came of what was shown."""
    statement = attributed_only(
        select(Shown.model_version, Shown.strategy, Event.name, func.count()), events
    ).where(Shown.shown_at >= since)
    rows = db.session.execute(statement.group_by(Shown.model_version, Shown.strategy, Event.name))
    return {(version, strategy, event): count for version, strategy, event, count in rows}


def attributed_among(
    interaction_keys: Collection[int], events: Collection[str]
) -> list[tuple[int, str, str | None, str]]:
    """Those of some interactions that came of what was shown: key, strategy, version and event of each."""
    columns = select(Interaction.interaction_key, Shown.strategy, Shown.model_version, Event.name)
    found: list[tuple[int, str, str | None, str]] = []
    for chunk in chunks(interaction_keys):
        statement = attributed_only(columns, events).where(Interaction.interaction_key.in_(chunk))
        found += [
            (key, strategy, version, event) for key, strategy, version, event in db.session.execute(statement)
        ]
    return found


def counts_of_experiment(experiment: str, since: datetime) -> dict[str | None, tuple[int, int]]:
    """Versions to how many users took part, and how many lists they were shown."""
    rows = db.session.execute(
        select(Shown.model_version, func.count(Shown.user_hash.distinct()), func.count())
        .where(Shown.shown_at >= since, Shown.experiment == experiment)
        .group_by(Shown.model_version)
    )
    return {version: (users, lists) for version, users, lists in rows}


def users_of_experiment(
    experiment: str, since: datetime, events: Collection[str]
) -> dict[tuple[str | None, str], int]:
    """Version and event to how many users did so from a list."""
    statement = attributed_only(
        select(Shown.model_version, Event.name, func.count(Shown.user_hash.distinct())), events
    ).where(Shown.shown_at >= since, Shown.experiment == experiment)
    rows = db.session.execute(statement.group_by(Shown.model_version, Event.name))
    return {(version, event): users for version, event, users in rows}


def of_user(user_hash: int) -> Sequence[ShownRecommendation]:
    """What a user was shown, newest first."""
    statement = select(Shown).where(Shown.user_hash == user_hash)
    return db.session.scalars(statement.order_by(Shown.shown_at.desc(), Shown.recommendation_id)).all()


def erase(user_hash: int) -> int:
    """Deletes what a user was shown; returns how many lists that were."""
    deleted = db.session.execute(delete(Shown).where(Shown.user_hash == user_hash))
    return int(deleted.rowcount)  # type: ignore[attr-defined]


def move(from_hash: int, to_hash: int) -> int:
    """Makes what one user was shown what another was; returns how many lists."""
    moved = db.session.execute(
        update(Shown)
        .where(Shown.user_hash == from_hash)
        .values(user_hash=to_hash)
        .execution_options(synchronize_session=False)
    )
    return int(moved.rowcount)  # type: ignore[attr-defined]


def delete_before(moment: datetime, most: int) -> int:
    """Deletes what was shown before a moment; returns how many lists that were.

    Args:
        moment: In time.
        most: How many at once, so that nobody waits for long.
    """
    old = select(Shown.recommendation_id).where(Shown.shown_at < moment).limit(most)
    deleted = db.session.execute(
        delete(Shown)
        .where(Shown.recommendation_id.in_(old.scalar_subquery()))
        .execution_options(synchronize_session=False)
    )
    return int(deleted.rowcount)  # type: ignore[attr-defined]


def attributed_only(columns: Any, events: Collection[str]) -> Any:
    """Selects columns of lists and of what came of them: of the same user, and with an item of the list.

    A visitor's list may be anybody's, and what was imported is taken for what it says.

    Args:
        columns: What to select, of `ShownRecommendation`, `Interaction` and `Event`.
        events: Only these.
    """
    return (
        columns.select_from(Shown)
        .join(Interaction, Interaction.recommendation_id == Shown.recommendation_id)
        .join(Event, Event.event_code == Interaction.event_code)
        .where(
            Event.name.in_(events),
            (Shown.user_hash == Interaction.user_hash).is_not(false()),
            _is_on_the_list(),
        )
    )


def _is_on_the_list() -> ColumnElement[bool]:
    if db.engine.dialect.name == "sqlite":
        listed: Any = func.json_each(Shown.item_keys).table_valued("value", joins_implicitly=True)
        found: Any = select(literal_column("1")).where(cast(listed.c.value, Integer) == Interaction.item_key)
        exists: ColumnElement[bool] = found.exists()
        return exists
    holds: ColumnElement[bool] = cast(Shown.item_keys, JSONB).contains(func.to_jsonb(Interaction.item_key))
    return holds
