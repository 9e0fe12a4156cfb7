"""Bulk writes: many interactions through the driver, in the session's transaction."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from itertools import chain
from typing import Any

from recsvc.extensions import db
from recsvc.storage.models import now
from recsvc.storage.queries.items import mark_catalogue_changed
from recsvc.storage.types import to_microseconds

# user_key, item_key, event_code, value, occurred_at, received_at (microseconds), event_id, recommendation_id
BulkInteraction = tuple[int, int, int, float | None, int, int, str, str | None]

_COLUMNS = "user_key, item_key, event_code, value, occurred_at, received_at, event_id, recommendation_id"
_FIELDS = 8
_ROWS_A_STATEMENT = 100  # SQLite takes 999 parameters in every build of it
_CACHE_KILOBYTES = 131_072
_PAGES_A_CHECKPOINT = 20_000


_KEYS = {
    "user": "SELECT user_id, user_key FROM users WHERE user_id",
    "item": "SELECT item_id, item_key FROM items WHERE item_id",
}
_NEW = {
    "user": ("INSERT INTO users (user_id, created_at) SELECT {id}, {now}", "user_id, user_key"),
    "item": (
        "INSERT INTO items (item_id, available, hidden, attributes, created_at, updated_at)"
        " SELECT {id}, TRUE, FALSE, '{{}}', {now}, {now}",
        "item_id, item_key",
    ),
}


def ensure_keys(noun: str, ids: Collection[str]) -> dict[str, int]:
    """Ids to keys; users or items never heard of are made. Like `ensure` of their queries, for very many.

    Args:
        noun: `user` or `item`.
        ids: The shop's own ids.
    """
    found = keys_of(noun, ids)
    # Always in one order, so that two transactions that make the same rows cannot wait for each other.
    missing = sorted(set(ids) - found.keys())
    if missing:
        start, returned = _NEW[noun]
        if _is_sqlite():
            insert = start.format(id="value", now="?2") + " FROM json_each(?1) WHERE TRUE"
            parameters: tuple[Any, ...] = (json.dumps(missing), to_microseconds(now()))
        else:
            insert = start.format(id="id", now="now()") + " FROM unnest(%s::text[]) AS id"
            parameters = (missing,)
        made = _driver().execute(f"{insert} ON CONFLICT DO NOTHING RETURNING {returned}", parameters)
        found.update(made.fetchall())
        found.update(keys_of(noun, set(missing) - found.keys()))
        if noun == "item":
            mark_catalogue_changed()
    return found


def keys_of(noun: str, ids: Collection[str]) -> dict[str, int]:
    """Ids to keys, of those that exist; one statement, however many.

    Args:
        noun: `user` or `item`.
        ids: The shop's own ids.
    """
    if not ids:
        return {}
    parameter: Any
    if _is_sqlite():
        among, parameter = "IN (SELECT value FROM json_each(?))", json.dumps(list(ids))
    else:
        # As the foreign key will, it locks the rows: no user is erased before the interactions are stored.
        among, parameter = "= ANY(%s::text[]) FOR KEY SHARE", list(ids)
    rows = _driver().execute(f"{_KEYS[noun]} {among}", (parameter,))
    return dict(rows.fetchall())


def insert_interactions(rows: Sequence[BulkInteraction]) -> int:
    """Inserts interactions, leaving out those whose `event_id` is stored already.

    Called within `write_transaction()`, in which the keys were found too.

    Args:
        rows: Tuples; times are microseconds since 1970.

    Returns:
        How many were new.
    """
    return _into_sqlite(_driver(), rows) if _is_sqlite() else _into_postgresql(_driver(), rows)


def _into_sqlite(driver: Any, rows: Sequence[BulkInteraction]) -> int:
    # Ids without an order touch the whole of their index in each chunk: it has to fit into memory.
    driver.execute(f"PRAGMA cache_size = -{_CACHE_KILOBYTES}")
    driver.execute(f"PRAGMA wal_autocheckpoint = {_PAGES_A_CHECKPOINT}")
    whole = len(rows) - len(rows) % _ROWS_A_STATEMENT
    many = driver.executemany(_insert(_ROWS_A_STATEMENT), _parameters(rows[:whole]))
    rest = driver.executemany(_insert(1), rows[whole:])
    inserted: int = max(0, many.rowcount) + max(0, rest.rowcount)
    return inserted


def _insert(rows: int) -> str:
    values = ", ".join([f"({', '.join('?' * _FIELDS)})"] * rows)
    return f"INSERT INTO interactions ({_COLUMNS}) VALUES {values} ON CONFLICT (event_id) DO NOTHING"  # noqa: S608


def _parameters(rows: Sequence[BulkInteraction]) -> Iterator[list[Any]]:
    for start in range(0, len(rows), _ROWS_A_STATEMENT):
        yield list(chain.from_iterable(rows[start : start + _ROWS_A_STATEMENT]))


def _into_postgresql(driver: Any, rows: Sequence[BulkInteraction]) -> int:
    with driver.cursor() as cursor:
        cursor.execute(
            "CREATE TEMPORARY TABLE imported (user_key integer, item_key integer, event_code smallint,"
            " value double precision, occurred_at bigint, received_at bigint, event_id text,"
            " recommendation_id text) ON COMMIT DROP"
        )
        with cursor.copy(f"COPY imported ({_COLUMNS}) FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)
        cursor.execute(
            f"INSERT INTO interactions ({_COLUMNS})"  # noqa: S608
            " SELECT user_key, item_key, event_code, value,"
            " 'epoch'::timestamptz + occurred_at * '1 microsecond'::interval,"
            " 'epoch'::timestamptz + received_at * '1 microsecond'::interval,"
            " event_id, recommendation_id FROM imported ON CONFLICT (event_id) DO NOTHING"
        )
        inserted: int = cursor.rowcount
        cursor.execute("DROP TABLE imported")
        return inserted


def _driver() -> Any:
    return db.session.connection().connection.driver_connection


def _is_sqlite() -> bool:
    return db.session.connection().dialect.name == "sqlite"
