"""Bulk reads: whole columns of the database into NumPy arrays, without an object a row."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from itertools import islice
from typing import Any
from urllib.parse import quote, urlencode

import numpy as np
import psycopg
import structlog
from flask import current_app
from numpy.typing import DTypeLike, NDArray
from sqlalchemy import create_engine, make_url
from sqlalchemy.exc import DBAPIError

from recsvc.storage.punctuality import seconds_allowed

logger = structlog.get_logger(__name__)

Columns = dict[str, NDArray[Any]]
Progress = Callable[[int, int], None]

_ROWS_A_FETCH = 65_536

_INTERACTION_DTYPES: Mapping[str, DTypeLike] = {
    "interaction_key": np.int64,
    "user_key": np.int32,
    "item_key": np.int32,
    "event_code": np.int16,
    "value": np.float32,
    "occurred_at": np.int64,
}


def read_interactions(database_url: str, progress: Progress | None = None) -> Columns:
    """Reads ALL interactions, in the order in which they were received.

    Args:
        database_url: SQLAlchemy URL.
        progress: Called now and then with the rows read and the rows there are.

    Returns:
        Arrays of shape (n,): `interaction_key` int64, `user_key` int32, `item_key` int32, `event_code` int16,
        `value` float32 (0 where there is none), `occurred_at` int64 (microseconds since 1970).
    """
    query = (
        "SELECT interaction_key, user_key, item_key, event_code,"
        " CAST(COALESCE(value, 0) AS REAL) AS value, occurred_at"
        " FROM interactions ORDER BY interaction_key"
    )
    total = int(read_columns(database_url, "SELECT COUNT(*) AS n FROM interactions", {"n": np.int64})["n"][0])
    return read_columns(database_url, query, _INTERACTION_DTYPES, expected=total, progress=progress)


def read_items(database_url: str) -> Columns:
    """Reads the catalogue's keys.

    Args:
        database_url: SQLAlchemy URL.

    Returns:
        `item_key` int32 of shape (n,), ascending: every item that is not deleted.
    """
    query = "SELECT item_key FROM items WHERE deleted_at IS NULL ORDER BY item_key"
    return read_columns(database_url, query, {"item_key": np.int32})


def read_listed(database_url: str) -> Columns:
    """Reads what serving needs to know of all items, deleted ones among them.

    Args:
        database_url: SQLAlchemy URL.

    Returns:
        Arrays of shape (n,): `item_key` int32, ascending; `recommendable` int8; `published` int64
        (microseconds since 1970, when it was created where it was not published).
    """
    query = (
        "SELECT item_key, CASE WHEN deleted_at IS NULL AND NOT hidden AND available THEN 1 ELSE 0 END"
        " AS recommendable, COALESCE(published_at, created_at) AS published FROM items ORDER BY item_key"
    )
    dtypes = {"item_key": np.int32, "recommendable": np.int8, "published": np.int64}
    return read_columns(database_url, query, dtypes)


def read_categories(database_url: str) -> Columns:
    """Reads which items are in which categories.

    Args:
        database_url: SQLAlchemy URL.

    Returns:
        `feature_key` int32 and `item_key` int32, both of shape (n,), ordered by both.
    """
    # The plus keeps SQLite from looking each row up by an index.
    query = (
        "SELECT feature_key, item_key FROM item_features"
        " WHERE +feature_key IN (SELECT feature_key FROM features WHERE name = 'category')"
    )
    dtypes = {"feature_key": np.int32, "item_key": np.int32}
    links = read_columns(database_url, query, dtypes)
    # Sorted here: a database would look each up by an index to save itself the sorting.
    order = np.lexsort((links["item_key"], links["feature_key"]))
    return {name: column[order] for name, column in links.items()}


def read_features(database_url: str, noun: str) -> Columns:
    """Reads which features items or users have.

    Args:
        database_url: SQLAlchemy URL.
        noun: `item` or `user`.

    Returns:
        `item_key` (or `user_key`) int32 and `feature_key` int32, both of shape (n,), a row a feature.
    """
    key = {"item": "item_key", "user": "user_key"}[noun]
    query = f"SELECT {key}, feature_key FROM {noun}_features ORDER BY {key}, feature_key"  # noqa: S608
    return read_columns(database_url, query, {key: np.int32, "feature_key": np.int32})


def read_columns(
    database_url: str,
    query: str,
    dtypes: Mapping[str, DTypeLike],
    *,
    expected: int = 0,
    progress: Progress | None = None,
) -> Columns:
    """Reads a query's result into one array a column.

    Args:
        database_url: SQLAlchemy URL.
        query: A SELECT whose columns are numbers or times and never NULL.
        dtypes: Column names to dtypes, in the order of the SELECT.
        expected: How many rows to make room for; more are taken all the same.
        progress: Called after each chunk with the rows read and the rows expected.

    Returns:
        Column names to arrays of shape (rows,).
    """
    columns = {name: np.empty(expected, dtype) for name, dtype in dtypes.items()}
    filled = 0
    for chunk in _chunks(database_url, query, dtypes):
        rows = len(chunk[0])
        for (name, column), values in zip(columns.items(), chunk, strict=True):
            if filled + rows > len(column):
                columns[name] = np.resize(column, max(filled + rows, 2 * len(column)))
            columns[name][filled : filled + rows] = values
        filled += rows
        if progress is not None:
            progress(filled, expected)
    return {name: column[:filled] for name, column in columns.items()}


def _chunks(database_url: str, query: str, dtypes: Mapping[str, DTypeLike]) -> Iterator[list[NDArray[Any]]]:
    if make_url(database_url).get_backend_name() == "sqlite":
        yield from _sqlite_chunks(database_url, query, dtypes)
        return
    try:
        connection = _adbc_connection(database_url)
    except Exception as error:
        logger.warning("bulk_read_by_cursor", why="ADBC does not connect", error=str(error))
        yield from _cursor_chunks(database_url, query)
        return
    with closing(connection), closing(connection.cursor()) as cursor, _errors_as_psycopgs(query):
        cursor.execute(query)
        yield from _arrow_chunks(cursor.fetch_arrow())


def _sqlite_chunks(
    database_url: str, query: str, dtypes: Mapping[str, DTypeLike]
) -> Iterator[list[NDArray[Any]]]:
    # Python's own driver, though ADBC is thrice as fast: it brings a second SQLite into the process, which
    # lets go of what the first one's connections have locked, such as a worker's for its sign of life, when
    # it closes the file: https://sqlite.org/howtocorrupt.html, 2.2.
    row = np.dtype([(name, dtype) for name, dtype in dtypes.items()])
    with closing(sqlite3.connect(str(make_url(database_url).database), **_connect_args())) as connection:
        rows = connection.execute(query)
        while len(chunk := np.fromiter(islice(rows, _ROWS_A_FETCH), row)):
            yield [chunk[name] for name in dtypes]


def _adbc_connection(database_url: str) -> Any:
    import adbc_driver_postgresql.dbapi

    url = make_url(database_url).set(drivername="postgresql")
    # libpq takes a plus, which SQLAlchemy writes for a space, for a plus.
    query = urlencode({**url.query, **_connect_args()}, doseq=True, quote_via=quote)
    uri = url.set(query={}).render_as_string(hide_password=False)
    return adbc_driver_postgresql.dbapi.connect(f"{uri}?{query}")


@contextmanager
def _errors_as_psycopgs(query: str) -> Iterator[None]:
    """Raises what ADBC does not read as if psycopg, by which all else goes, had not read it."""
    import adbc_driver_manager

    try:
        yield
    except (adbc_driver_manager.Error, RuntimeError) as error:  # the latter is nanoarrow's, amid the rows
        state = getattr(error, "sqlstate", None)
        kind = psycopg.errors.lookup(state) if state else psycopg.OperationalError
        raise DBAPIError.instance(query, None, kind(str(error)), psycopg.Error) from error


def _connect_args() -> dict[str, Any]:
    """The engine's own; where somebody waits for what is read, PostgreSQL ends what takes longer."""
    arguments: dict[str, Any] = dict(current_app.config["SQLALCHEMY_ENGINE_OPTIONS"]["connect_args"])
    seconds = seconds_allowed()
    if seconds is not None and "options" in arguments:
        arguments["options"] += f" -c statement_timeout={round(seconds * 1000)}"
    return arguments


def _arrow_chunks(stream: Any) -> Iterator[list[NDArray[Any]]]:
    import nanoarrow

    with nanoarrow.c_array_stream(stream) as arrays:
        for array in arrays:
            yield [_to_numpy(nanoarrow.c_array(child), len(array)) for child in array.children]


def _to_numpy(array: Any, rows: int) -> NDArray[Any]:
    data = np.asarray(array.view().buffer(1))
    return data[array.offset : array.offset + rows]


def _cursor_chunks(database_url: str, query: str) -> Iterator[list[NDArray[Any]]]:
    engine = create_engine(database_url, connect_args=_connect_args())
    try:
        with engine.connect() as connection:
            result = connection.execution_options(stream_results=True).exec_driver_sql(query)
            while rows := result.fetchmany(_ROWS_A_FETCH):
                yield [_numbers(column) for column in zip(*rows, strict=True)]
    finally:
        engine.dispose()


def _numbers(values: tuple[Any, ...]) -> NDArray[Any]:
    if hasattr(values[0], "tzinfo"):
        from recsvc.storage.types import to_microseconds

        return np.fromiter(map(to_microseconds, values), np.int64, len(values))
    return np.asarray(values)
