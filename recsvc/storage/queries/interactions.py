"""Interactions: inserted once, read by user."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import astuple, dataclass
from datetime import datetime
from functools import cache
from itertools import groupby
from operator import add, itemgetter
from typing import Any, cast

from sqlalchemy import Table, and_, bindparam, case, delete, func, or_, select, update

from recsvc.extensions import db
from recsvc.storage.database import chunks, insert_ignoring_conflicts, insert_rows, read_directly
from recsvc.storage.models import Event, Interaction, Item, User
from recsvc.storage.queries import shop_ids

_LOOKED_THROUGH = 1_000  # interactions, for users who did something last

_users, _items, _interactions = (cast(Table, model.__table__) for model in (User, Item, Interaction))
# Of tables, and put together once: to put it together each time takes longer than to answer it.
_HISTORY = (
    select(
        _interactions.c.user_key,
        _interactions.c.interaction_key,
        _interactions.c.item_key,
        _interactions.c.event_code,
        _interactions.c.value,
    )
    # No join: PostgreSQL would sort what it then reads in order.
    .where(
        _interactions.c.user_key
        == select(_users.c.user_key).where(_users.c.user_id == bindparam("user_id")).scalar_subquery()
    )
    .order_by(_interactions.c.occurred_at.desc(), _interactions.c.interaction_key.desc())
)
_HISTORY_WITH_TIMES = _HISTORY.add_columns(_interactions.c.occurred_at)


_OF_ONE = ("event_code", "value", "occurred_at", "received_at", "event_id", "recommendation_id", "user_hash")
_WRITTEN = ("user_key", "item_key", *_OF_ONE)
# Both ids are looked up by the statement that inserts, and neither is locked but by the foreign keys.
_KNOWN = (
    select(
        _users.c.user_key,
        _items.c.item_key,
        *(bindparam(name, type_=_interactions.c[name].type) for name in _OF_ONE),
    )
    .select_from(_users.join(_items, _items.c.item_id == bindparam("of_item")))
    .where(_users.c.user_id == bindparam("of_user"), _items.c.deleted_at.is_(None))
)


@dataclass(frozen=True)
class UserHistory:
    """Everything a user did, newest first, in columns: one entry an interaction.

    Attributes:
        interaction_keys: Ascending with the order in which they came in.
        item_keys: Of which items.
        event_codes: Which events.
        values: None where there is none.
        occurred_at: When, falling; empty where that was not asked for.
    """

    interaction_keys: tuple[int, ...] = ()
    item_keys: tuple[int, ...] = ()
    event_codes: tuple[int, ...] = ()
    values: tuple[float | None, ...] = ()
    occurred_at: tuple[datetime, ...] = ()

    def __len__(self) -> int:
        return len(self.item_keys)

    def before(self, earlier: UserHistory) -> UserHistory:
        """These interactions, and what was done earlier."""
        return UserHistory(*map(add, astuple(self), astuple(earlier)))


def insert_new(rows: Sequence[dict[str, Any]]) -> list[int]:
    """Inserts interactions, leaving out those whose user has one of that `event_id` already.

    Args:
        rows: Values of the columns, a dictionary a row, all with the same names.

    Returns:
        The new interaction keys.
    """
    return list(insert_rows(_interactions, rows, _interactions.c.interaction_key).scalars())


def insert_of_known(user_id: str, item_id: str, values: dict[str, Any]) -> int | None:
    """Inserts an interaction of a user and a listed item that are there, in one statement.

    Args:
        user_id: The shop's own id.
        item_id: The shop's own id.
        values: Of the columns but the keys.

    Returns:
        Its key; None, and nothing is written, where one of them is not there, or the user has one of
        that `event_id`.
    """
    parameters = {**values, "of_user": user_id, "of_item": item_id}
    key: int | None = db.session.scalar(_insert_of_known(db.engine.dialect.name), parameters)
    return key


@cache
def _insert_of_known(_dialect: str) -> Any:
    insert = insert_ignoring_conflicts(_interactions).from_select(_WRITTEN, _KNOWN)
    return insert.returning(_interactions.c.interaction_key)


def key_of_event(user_id: str, event_id: str) -> int:
    """Key of the interaction that a user has under an event id."""
    owner = select(User.user_key).where(User.user_id == user_id).scalar_subquery()
    statement = select(Interaction.interaction_key)
    return db.session.scalars(
        statement.where(Interaction.user_key == owner, Interaction.event_id == event_id)
    ).one()


def history(user_id: str, *, with_times: bool = False) -> tuple[int | None, UserHistory]:
    """Everything a user did, newest first, in one query; one more where that is nothing.

    Args:
        user_id: The shop's own id.
        with_times: Whether to read when, which takes as long as a sixth of the rest.

    Returns:
        The user's key, None where there is no such user, and their history.
    """
    rows = read_directly(_HISTORY_WITH_TIMES if with_times else _HISTORY, {"user_id": user_id})
    if not rows:
        return shop_ids.keys_of("user", [user_id]).get(user_id), UserHistory()
    return rows[0][0], _in_columns(rows)


def _in_columns(rows: Sequence[Any]) -> UserHistory:
    """A user's rows: the user's key, and what is told of an interaction."""
    _, *columns = zip(*rows, strict=True)
    return UserHistory(*columns)


def histories(user_ids: Collection[str], *, with_times: bool = False) -> dict[str, tuple[int, UserHistory]]:
    """Everything that users did, newest first, in one query.

    Args:
        user_ids: The shop's own ids.
        with_times: Whether to read when.

    Returns:
        Ids of known users to key and history.
    """
    found: dict[str, tuple[int, UserHistory]] = {}
    for chunk in chunks(user_ids):
        rows = db.session.execute(
            select(
                User.user_id,
                User.user_key,
                Interaction.interaction_key,
                Interaction.item_key,
                Interaction.event_code,
                Interaction.value,
                *([Interaction.occurred_at] if with_times else []),
            )
            .outerjoin(Interaction, Interaction.user_key == User.user_key)
            .where(User.user_id.in_(chunk))
            .order_by(User.user_key, Interaction.occurred_at.desc(), Interaction.interaction_key.desc())
        )
        for user_id, of_user in groupby(rows, key=itemgetter(0)):
            told = [row[1:] for row in of_user]
            is_idle = told[0][1] is None
            found[user_id] = told[0][0], UserHistory() if is_idle else _in_columns(told)
    return found


def page(
    user_key: int, *, before: tuple[datetime, int] | None, limit: int, event: str | None
) -> Sequence[tuple[Interaction, str, str]]:
    """A user's interactions, newest first.

    Args:
        user_key: Whose.
        before: Time and key of the last one of the page before.
        limit: How many at the most.
        event: Only of this event.

    Returns:
        Interactions, each with the id of its item and the name of its event.
    """
    statement = (
        select(Interaction, Item.item_id, Event.name)
        .join(Item, Item.item_key == Interaction.item_key)
        .join(Event, Event.event_code == Interaction.event_code)
        .where(Interaction.user_key == user_key)
    )
    if event is not None:
        statement = statement.where(Event.name == event)
    if before is not None:
        moment, key = before
        statement = statement.where(
            or_(
                Interaction.occurred_at < moment,
                and_(Interaction.occurred_at == moment, Interaction.interaction_key < key),
            )
        )
    ordered = statement.order_by(Interaction.occurred_at.desc(), Interaction.interaction_key.desc())
    return [(row, item_id, name) for row, item_id, name in db.session.execute(ordered.limit(limit))]


def delete_one(interaction_key: int, user_id: str | None = None) -> bool:
    """Deletes an interaction; False where there is none of that key.

    Args:
        interaction_key: Which.
        user_id: Only if it is this user's.
    """
    statement = delete(Interaction).where(Interaction.interaction_key == interaction_key)
    if user_id is not None:
        owner = select(User.user_key).where(User.user_id == user_id).scalar_subquery()
        statement = statement.where(Interaction.user_key == owner)
    return db.session.execute(statement.returning(Interaction.interaction_key)).first() is not None


def delete_before(moment: datetime, keys: tuple[int, int]) -> int:
    """Deletes what occurred before a moment; returns how many interactions that were.

    Args:
        moment: In time.
        keys: Lowest and highest interaction key to look at, so that nobody waits for long.
    """
    low, high = keys
    deleted = db.session.execute(
        delete(Interaction)
        .where(Interaction.interaction_key.between(low, high), Interaction.occurred_at < moment)
        .execution_options(synchronize_session=False)
    )
    return int(deleted.rowcount)  # type: ignore[attr-defined]


def key_range() -> tuple[int, int]:
    """Lowest and highest interaction key; 0 and -1 where there is none."""
    low, high = db.session.execute(
        select(func.min(Interaction.interaction_key), func.max(Interaction.interaction_key))
    ).one()
    return (0, -1) if low is None else (low, high)


def move(from_user_key: int, to_user_key: int, to_hash: int) -> int:
    """Makes one user's interactions another's, who has another hash too; returns how many.

    What both have under one event id is one event: the other's stays, and this one is deleted.
    """
    of_other = select(Interaction.event_id).where(
        Interaction.user_key == to_user_key, Interaction.event_id.is_not(None)
    )
    db.session.execute(
        delete(Interaction)
        .where(Interaction.user_key == from_user_key, Interaction.event_id.in_(of_other))
        .execution_options(synchronize_session=False)
    )
    moved = db.session.execute(
        update(Interaction)
        .where(Interaction.user_key == from_user_key)
        .values(user_key=to_user_key, user_hash=case((Interaction.user_hash.is_not(None), to_hash)))
        .execution_options(synchronize_session=False)
    )
    return int(moved.rowcount)  # type: ignore[attr-defined]


def recent_item_counts(
    limit: int,
    event_codes: Collection[int],
    *,
    rating_code: int,
    neutral: float,
    since: datetime | None = None,
) -> list[tuple[int, int]]:
    """Item keys, and how many users like each by the interactions received last.

    Args:
        limit: How many interactions to look at, so that the cost has a bound.
        event_codes: Events that speak for an item.
        rating_code: The event whose value decides.
        neutral: Ratings above it speak for an item.
        since: Only what occurred after it.
    """
    recent = select(Interaction).order_by(Interaction.interaction_key.desc()).limit(limit).subquery()
    rows = db.session.execute(
        select(recent.c.item_key, func.count(recent.c.user_key.distinct()))
        .where(
            recent.c.event_code.in_(event_codes),
            or_(recent.c.event_code != rating_code, recent.c.value > neutral),
            *([] if since is None else [recent.c.occurred_at > since]),
        )
        .group_by(recent.c.item_key)
        .order_by(recent.c.item_key)
    )
    return [(item_key, count) for item_key, count in rows]


def newest_user_ids(most: int) -> list[str]:
    """Ids of users who did something last, the newest first.

    Args:
        most: How many at the most.
    """
    newest = (
        select(Interaction.user_key, Interaction.interaction_key)
        .order_by(Interaction.interaction_key.desc())
        .limit(_LOOKED_THROUGH)
        .subquery()
    )
    rows = db.session.scalars(
        select(User.user_id)
        .join(newest, newest.c.user_key == User.user_key)
        .group_by(User.user_id)
        .order_by(func.max(newest.c.interaction_key).desc())
        .limit(most)
    )
    return list(rows)


def event_codes() -> dict[str, int]:
    """Events' names to the codes that stand for them."""
    rows = db.session.execute(select(Event.name, Event.event_code))
    return {name: code for name, code in rows}  # noqa: C416 — dict() takes no Row for a pair


def ensure_event_codes(names: Collection[str]) -> dict[str, int]:
    """Events' names to codes; a name not seen before is given the next code."""
    codes = event_codes()
    for name in names:
        if name not in codes:
            db.session.execute(insert_ignoring_conflicts(Event), [{"name": name}])
    return event_codes() if set(names) - codes.keys() else codes


def first_key(user_key: int) -> int | None:
    """Key of the first interaction received of a user."""
    return db.session.scalar(
        select(func.min(Interaction.interaction_key)).where(Interaction.user_key == user_key)
    )
