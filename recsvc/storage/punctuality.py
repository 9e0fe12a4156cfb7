"""No call to a database waits for ever, whether it works too long, or the network swallows its answer."""

from __future__ import annotations

import math
import sqlite3
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

import psycopg
from sqlalchemy import Connection, Engine, event

Answer = TypeVar("Answer")

_STEPS_BETWEEN_LOOKS = 100_000  # of SQLite's machine: a millisecond or so
_LOOKS_EVERY = 0.1  # seconds, at which psycopg asks a call whether it still wants to wait
_answer_within: ContextVar[float | None] = ContextVar("answer_within", default=None)


class PunctualConnection(psycopg.Connection[Any]):
    """A connection that is given up, so that the pool makes another, where an answer is too long in coming.

    The server's own time-outs end a statement that takes too long; they say nothing where the server, or the
    network, is silent.
    """

    def wait(
        self,
        gen: Generator[Any, Any, Answer],
        interval: float = _LOOKS_EVERY,
        timeout: float | None = None,
    ) -> Answer:
        """Waits for the answer to what was sent.

        Raises:
            psycopg.OperationalError: It did not come within the time that `answers_within` allows.
        """
        seconds = _answer_within.get()
        if seconds is None or timeout is not None:
            return super().wait(gen, interval, timeout)
        try:
            return super().wait(gen, interval, seconds)
        except psycopg.errors._WaitTimeout as error:
            # What it is about to answer nobody would know any more.
            self.pgconn.finish()
            raise psycopg.OperationalError(f"no answer within {seconds:g} s") from error


def allow_seconds(seconds: float | None) -> Any:
    """Lets this thread's calls wait that long for an answer; None for ever.

    Returns:
        What `as_before` takes.
    """
    return _answer_within.set(seconds)


def seconds_allowed() -> float | None:
    """How long this thread's calls may wait for an answer; None for ever."""
    return _answer_within.get()


def as_before(token: Any) -> None:
    """Undoes one `allow_seconds`."""
    _answer_within.reset(token)


@contextmanager
def answers_within(seconds: float) -> Iterator[None]:
    """Lets calls within the block wait that long for an answer."""
    token = allow_seconds(seconds)
    try:
        yield
    finally:
        as_before(token)


def use_punctual_connections(engine: Engine) -> None:
    """Makes an engine's connections ones that keep to the time allowed, to connect among it."""

    @event.listens_for(engine, "do_connect")
    def connect(_dialect: Any, _record: Any, arguments: Any, parameters: dict[str, Any]) -> Any:
        seconds = _answer_within.get()
        chosen = dict(parameters)
        if seconds is not None:
            chosen["connect_timeout"] = max(1, min(int(seconds), chosen.get("connect_timeout", 60)))
        return PunctualConnection.connect(*arguments, **chosen)


def use_punctual_statements(engine: Engine) -> None:
    """Ends SQLite's statements that take longer than the time allowed, their rows being fetched included."""

    @event.listens_for(engine, "connect")
    def look_at_the_clock(connection: sqlite3.Connection, record: Any) -> None:
        def is_late() -> bool:
            return time.monotonic() > float(record.info.get("ends_at", math.inf))

        connection.set_progress_handler(is_late, _STEPS_BETWEEN_LOOKS)

    @event.listens_for(engine, "before_cursor_execute")
    def start_the_clock(connection: Connection, *_: Any) -> None:
        seconds = _answer_within.get()
        connection.info["ends_at"] = math.inf if seconds is None else time.monotonic() + seconds


def limit_statements(engine: Engine, seconds: float) -> None:
    """Lets the server end statements of connections made from now on that take longer.

    A web process does so. A migration or an import may take its time.
    """
    if engine.dialect.name != "postgresql":
        return

    @event.listens_for(engine, "connect")
    def limit(connection: PunctualConnection, _record: Any) -> None:
        connection.autocommit = True  # a setting made within a transaction would be rolled back with it
        connection.execute(f"SET statement_timeout = {round(seconds * 1000)}")
        connection.autocommit = False
