"""Rows to read back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask

from recsvc.extensions import db
from recsvc.storage.database import write_transaction
from recsvc.storage.models import Event, Interaction, Item, User

MakeInteractions = Callable[[int], list[dict[str, Any]]]


@pytest.fixture
def make_interactions(context: Flask) -> MakeInteractions:
    """Inserts interactions of three users with four items; every third has no value, some are negative."""

    def make(rows: int) -> list[dict[str, Any]]:
        with write_transaction():
            db.session.add_all([User(user_id=f"u{number}") for number in range(3)])
            db.session.add_all([Item(item_id=f"b{number}") for number in range(4)])
            db.session.add_all([Event(name=name) for name in ("view", "rating")])
        users = sorted(user.user_key for user in db.session.query(User))
        items = sorted(item.item_key for item in db.session.query(Item))
        events = sorted(event.event_code for event in db.session.query(Event))
        begin = datetime(1969, 12, 31, 23, 59, 58, 5, tzinfo=UTC)
        made = [
            {
                "user_key": users[number % 3],
                "item_key": items[number % 4],
                "event_code": events[number % 2],
                "value": None if number % 3 == 0 else 0.5 * number - 7.25,
                "occurred_at": begin + timedelta(seconds=number, microseconds=number),
                "received_at": begin,
            }
            for number in range(rows)
        ]
        if made:
            with write_transaction():
                db.session.execute(Interaction.__table__.insert(), made)
        return made

    return make


@pytest.fixture
def fresh_database_url(request: pytest.FixtureRequest, tmp_path: Any, database_url: str) -> Iterator[str]:
    """A database with nothing in it, not even tables."""
    if database_url.startswith("sqlite"):
        yield f"sqlite:///{tmp_path / 'fresh.db'}"
        return
    import psycopg
    from sqlalchemy import make_url

    url = make_url(database_url)
    name = f"{url.database}_fresh"
    server = url.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE template0")
    yield url.set(database=name).render_as_string(hide_password=False)
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
