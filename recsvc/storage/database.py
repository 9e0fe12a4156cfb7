"""How sessions and transactions behave on SQLite and PostgreSQL."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache, lru_cache
from typing import Any, TypeVar

import psycopg
import structlog
from flask import Flask, current_app
from sqlalchemy import (
    ARRAY,
    Column,
    ColumnElement,
    Connection,
    Dialect,
    Engine,
    Executable,
    Result,
    Select,
    Table,
    bindparam,
    event,
    func,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm import DeclarativeBase

from recsvc.extensions import BY_STATEMENT, db
from recsvc.storage.punctuality import use_punctual_connections, use_punctual_statements

Written = TypeVar("Written")

logger = structlog.get_logger(__name__)

_TRIED_AGAIN_EVERY = 2.0  # seconds
_MODE_TRIED_AGAIN_EVERY = 0.01  # seconds
_DEADLOCK_DETECTED = "40P01"
_DEADLOCKS = 3  # in a row, after which the fourth is told


def engine_options(database_url: str, timeout: float, connections: int = 1) -> dict[str, Any]:
    """Options of the engine, so that a database that is away or locked is noticed within `timeout` seconds.

    Args:
        database_url: SQLAlchemy URL.
        timeout: Seconds.
        connections: How many may be open to PostgreSQL at once.

    Returns:
        Keyword arguments of `sqlalchemy.create_engine`.
    """
    if database_url.startswith("sqlite"):
        return {
            "hide_parameters": True,
            "connect_args": {"timeout": timeout, "check_same_thread": False},
        }
    return {
        # Parameters are people's ids, and an error that names them ends up in a log.
        "hide_parameters": True,
        "pool_pre_ping": True,
        "pool_timeout": timeout,
        # One that was opened stays open: under load another would be opened for every other request.
        "pool_size": connections,
        "max_overflow": 0,
        # The one used last: what PostgreSQL keeps of it is at hand.
        "pool_use_lifo": True,
        "connect_args": {
            "connect_timeout": max(1, round(timeout)),
            # So long may the other side's kernel leave what was sent without a sign of life.
            "tcp_user_timeout": round(timeout * 1000),
            # After so long without a word it is asked for one.
            "keepalives_idle": max(1, round(timeout)),
            "options": f"-c lock_timeout={round(timeout * 1000)} -c timezone=UTC",
        },
    }


def prepare_engine(app: Flask, engine: Engine) -> None:
    """Makes SQLite keep its promises, as its driver does not, and PostgreSQL answer in time."""
    if engine.dialect.name != "sqlite":
        use_punctual_connections(engine)
        app.extensions[BY_STATEMENT] = engine.execution_options(isolation_level="AUTOCOMMIT")
        return
    use_punctual_statements(engine)

    @event.listens_for(engine, "connect")
    def configure(connection: sqlite3.Connection, _record: object) -> None:
        # The driver would otherwise begin transactions by its own rules, too late to choose their kind.
        connection.isolation_level = None
        # SQLite's own LIKE takes É and é for two letters.
        connection.create_function("casefold", 1, _casefold, deterministic=True)
        _write_ahead(connection)
        for pragma in ("synchronous=NORMAL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        options = connection.get_execution_options()
        checks = options.get("sqlite_foreign_keys", "ON")
        # SQLite changes this only between transactions, and a connection of the pool keeps it.
        if connection.info.get("foreign_keys", "ON") != checks:
            connection.exec_driver_sql(f"PRAGMA foreign_keys={checks}")
            connection.info["foreign_keys"] = checks
        connection.exec_driver_sql(f"BEGIN {options.get('sqlite_begin', 'DEFERRED')}")


def _write_ahead(connection: sqlite3.Connection) -> None:
    # Of several that would change a new file's mode at once SQLite refuses all but one, and lets none wait.
    (milliseconds,) = connection.execute("PRAGMA busy_timeout").fetchone()
    give_up_at = time.monotonic() + milliseconds / 1000
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > give_up_at:
                raise
            time.sleep(_MODE_TRIED_AGAIN_EVERY)


def _casefold(text: str | None) -> str | None:
    return None if text is None else text.casefold()


def contains(column: Any, text: str) -> ColumnElement[bool]:
    """A condition: the column's text holds another text, whatever the case, in any script.

    Args:
        column: Of a table.
        text: What to look for.
    """
    if db.engine.dialect.name == "sqlite":
        found: ColumnElement[bool] = func.instr(func.casefold(column), text.casefold()) > 0
        return found
    pattern = "%" + text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
    # In a third less time than ILIKE takes.
    alike: ColumnElement[bool] = func.lower(column).like(func.lower(pattern), escape="\\")
    return alike


def read_by_statement() -> None:
    """Makes each statement of this session a transaction of its own, but within `write_transaction`.

    On PostgreSQL, which shows a statement what is committed by then either way: see docs/adr/0024. On SQLite
    a transaction costs next to nothing.
    """
    if BY_STATEMENT in current_app.extensions:
        db.session.info[BY_STATEMENT] = current_app.extensions[BY_STATEMENT]


@contextmanager
def write_transaction(*, keys_are_known: bool = False) -> Iterator[None]:
    """One transaction that writes: committed at the end, rolled back whole on any error.

    On SQLite the write lock is taken at once: a transaction that first reads and then writes fails, instead
    of waiting, where another process has written in between. On PostgreSQL what was read before, as who makes
    a request, belongs to the same transaction: to end it first would take three more round trips. Where it
    was read by statement there is none to belong to.

    Args:
        keys_are_known: The rows to insert refer to rows that this transaction has seen. SQLite, where no
            other can delete them meanwhile, is then spared looking each up again.
    """
    by_statement = db.session.info.pop(BY_STATEMENT, None)
    try:
        if by_statement is not None or db.engine.dialect.name == "sqlite":
            db.session.commit()
        if db.engine.dialect.name == "sqlite":
            checks = "OFF" if keys_are_known else "ON"
            options = {"sqlite_begin": "IMMEDIATE", "sqlite_foreign_keys": checks}
            db.session.connection(execution_options=options)
        yield
        db.session.commit()
    except BaseException:
        db.session.rollback()
        raise
    finally:
        if by_statement is not None:
            db.session.info[BY_STATEMENT] = by_statement


def again_after_deadlock(write: Callable[[], Written]) -> Written:
    """Does a write that is one transaction; once more where PostgreSQL chose it to end a deadlock.

    Two batches that hold the same new `event_id`s in opposite orders wait for each other: one of them is
    rolled back whole, and finds the other's rows when it comes again.

    Args:
        write: Does it, and gives what it wrote.
    """
    for _ in range(_DEADLOCKS):
        try:
            return write()
        except OperationalError as error:
            if getattr(error.orig, "sqlstate", None) != _DEADLOCK_DETECTED:
                raise
    return write()


def is_unavailable(error: SQLAlchemyError) -> bool:
    """Whether the driver says that the database is away or locked, rather than that a statement is wrong."""
    if isinstance(error, OperationalError | PoolTimeoutError):
        return True
    return isinstance(error, DBAPIError) and error.connection_invalidated


def outlast_outage(work: Callable[[], Written], patience: float) -> Written:
    """Does some work, again and again while the database is away.

    Args:
        work: A transaction, or a part of one that was rolled back.
        patience: Seconds after which it is no longer tried again.

    Returns:
        What the work gives.
    """
    give_up_at = time.monotonic() + patience
    while True:
        try:
            return work()
        except SQLAlchemyError as error:
            db.session.rollback()
            if not is_unavailable(error) or time.monotonic() > give_up_at:
                raise
            logger.warning("waiting_for_database", error=str(error.__cause__ or error))
            time.sleep(_TRIED_AGAIN_EVERY)


def read_directly(statement: Select[Any], parameters: dict[str, Any]) -> Sequence[Sequence[Any]]:
    """Reads rows as they come from the database: for what every list asks.

    From PostgreSQL they are read past SQLAlchemy, which takes longer than the driver does; see docs/adr/0024.
    Its errors are SQLAlchemy's all the same.

    Args:
        statement: Of columns that need nothing done to what the driver gives.
        parameters: All that it has, by name.

    Returns:
        The rows, in the order of the statement's columns.

    Raises:
        sqlalchemy.exc.DBAPIError: The database is away, or refuses the statement.
    """
    connection = db.session.connection()
    if connection.dialect.name != "postgresql":
        return connection.execute(statement, parameters).all()
    driver: Any = connection.connection.driver_connection
    text = _text(statement, connection.dialect)
    try:
        rows: list[tuple[Any, ...]] = driver.execute(text, parameters, binary=True).fetchall()
    except psycopg.Error as error:
        if driver.closed:
            connection.invalidate(error)
        raise DBAPIError.instance(
            text,
            parameters,
            error,
            psycopg.Error,
            hide_parameters=True,
            connection_invalidated=connection.invalidated,
        ) from error
    return rows


@lru_cache
def _text(statement: Select[Any], dialect: Dialect) -> str:
    return str(statement.compile(dialect=dialect))


def insert_ignoring_conflicts(model: type[DeclarativeBase] | Table) -> sqlite.Insert | postgresql.Insert:
    """An INSERT that leaves rows alone which a unique constraint refuses.

    Args:
        model: The table to insert into.

    Returns:
        A statement to execute with a list of rows; add `.returning(…)` to learn which were new.
    """
    insert = sqlite.insert if db.engine.dialect.name == "sqlite" else postgresql.insert
    return insert(model).on_conflict_do_nothing()


def insert_rows(table: Table, rows: Sequence[dict[str, Any]], *returning: Column[Any]) -> Result[Any]:
    """Inserts rows, leaving out those that a unique constraint refuses.

    Args:
        table: The table to insert into.
        rows: Values of the columns, a dictionary a row, all with the same names; at least one.
        *returning: What to learn of the new ones.

    Returns:
        That, in no order.
    """
    names = tuple(rows[0])
    if db.engine.dialect.name == "postgresql":
        by_column = {name: [row[name] for row in rows] for name in names}
        return db.session.execute(_insert_arrays(table, names, returning), by_column)
    statement = insert_ignoring_conflicts(table)
    return db.session.execute(statement.returning(*returning) if returning else statement, rows)


@cache
def _insert_arrays(table: Table, names: tuple[str, ...], returning: tuple[Column[Any], ...]) -> Executable:
    # An array a column: neither the driver nor the database has to read a statement of thousands of places.
    arrays = [bindparam(name, type_=ARRAY(table.c[name].type, dimensions=1)) for name in names]
    rows = func.unnest(*arrays).table_valued(*names).render_derived()
    insert = postgresql.insert(table).from_select(names, select(*rows.c)).on_conflict_do_nothing()
    return insert.returning(*returning) if returning else insert


def chunks(values: Iterable[Any], size: int = 500) -> Iterator[list[Any]]:
    """Cuts values into lists that fit into one statement's parameters."""
    chunk = []
    for value in values:
        chunk.append(value)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
