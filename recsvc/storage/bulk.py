"""Bulk writes: many interactions through the driver, in the session's transaction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

from sqlalchemy import Connection

from recsvc.extensions import db

# user_key, item_key, event_code, value, occurred_at, received_at (microseconds), event_id, recommendation_id
BulkInteraction = tuple[int, int, int, float | None, int, int, str, str | None]

_COLUMNS = "user_key, item_key, event_code, value, occurred_at, received_at, event_id, recommendation_id"
_ONCE = "ON CONFLICT (event_id, user_key) DO NOTHING"
_FIELDS = 8
_ROWS_A_STATEMENT = 100  # SQLite takes 999 parameters in every build of it
_CACHE_KILOBYTES = 131_072
_PAGES_A_CHECKPOINT = 20_000


def insert_interactions(rows: Sequence[BulkInteraction]) -> int:
    """Inserts interactions, leaving out those whose user has one of that `event_id` already.

    Called within `write_transaction()`, in which the keys were found too.

    Args:
        rows: Tuples; times are microseconds since 1970.

    Returns:
        How many were new.
    """
    connection = db.session.connection()
    if connection.dialect.name == "sqlite":
        return _into_sqlite(connection, rows)
    return _into_postgresql(connection.connection.driver_connection, rows)


def _into_sqlite(connection: Connection, rows: Sequence[BulkInteraction]) -> int:
    # Ids without an order touch the whole of their index in each chunk: it has to fit into memory.
    connection.exec_driver_sql(f"PRAGMA cache_size = -{_CACHE_KILOBYTES}")
    connection.exec_driver_sql(f"PRAGMA wal_autocheckpoint = {_PAGES_A_CHECKPOINT}")
    whole = len(rows) - len(rows) % _ROWS_A_STATEMENT
    inserted = 0
    for statement, parameters in (
        (_insert(_ROWS_A_STATEMENT), list(_parameters(rows[:whole]))),
        (_insert(1), list(rows[whole:])),
    ):
        if parameters:
            inserted += connection.exec_driver_sql(statement, parameters).rowcount
    return inserted


def _insert(rows: int) -> str:
    values = ", ".join([f"({', '.join('?' * _FIELDS)})"] * rows)
    return f"INSERT INTO interactions ({_COLUMNS}) VALUES {values} {_ONCE}"  # noqa: S608


def _parameters(rows: Sequence[BulkInteraction]) -> Iterator[tuple[Any, ...]]:
    for start in range(0, len(rows), _ROWS_A_STATEMENT):
        yield tuple(chain.from_iterable(rows[start : start + _ROWS_A_STATEMENT]))


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
            f" event_id, recommendation_id FROM imported {_ONCE}"
        )
        inserted: int = cursor.rowcount
        cursor.execute("DROP TABLE imported")
        return inserted
