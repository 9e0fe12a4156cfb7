"""A made-up shop of any size, written into a real database: it has something to learn in it.

    python -m benchmarks.synthetic --interactions N [--seed N] [--instance-dir DIR] [--database-url URL]

Of n interactions: n/50 users, n/100 items but 100,000 at the most, and a taste for every 200 items, so 50 at
a million. An item belongs to two tastes, and its five features tell of them more or less; a user has three.
How popular an item is and how active a user is follow power laws; nobody does more than 2,000 things. Views,
carts and purchases are stored in the order in which they happened, over the year 2025.

The same size and seed make the same rows. The database must be empty or new; it is migrated first. SQLite's
file is written without syncing: a crash meanwhile leaves it damaged.
"""

from __future__ import annotations

import argparse
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from flask_migrate import upgrade
from numpy.typing import NDArray
from sqlalchemy import Engine, Table, func, insert, select, text

from recsvc.config import DATABASE_URL, Config
from recsvc.extensions import db
from recsvc.factory import create_app
from recsvc.services.events import event_book
from recsvc.storage.database import chunks
from recsvc.storage.models import Feature, Interaction, Item, ItemFeature, User
from recsvc.storage.types import to_microseconds

BEGAN = datetime(2025, 1, 1, tzinfo=UTC)
YEAR = timedelta(days=365)
EVENTS = {"view": 0.72, "cart": 0.18, "purchase": 0.10}

_MOST_ITEMS = 100_000
_MOST_A_USER = 2_000
_ITEMS_A_TASTE = 200
_UNEXPLAINED = 0.15  # share of interactions that come from popularity alone
_ROWS_A_CHUNK = 250_000
_COLUMNS = "user_key, item_key, event_code, occurred_at, received_at, event_id"


@dataclass(frozen=True)
class Rows:
    """Interactions as columns of equal length; users, items and events by their position, from 0.

    Attributes:
        users: int32.
        items: int32.
        events: int8, positions in `EVENTS`.
        occurred_at: int64, microseconds since 1970, ascending.
    """

    users: NDArray[np.int32]
    items: NDArray[np.int32]
    events: NDArray[np.int8]
    occurred_at: NDArray[np.int64]


class Shop:
    """Who is there, and what they do.

    Attributes:
        interactions: How many there are.
        users: How many there are.
        items: How many there are.
        began: When the first interaction may have happened; the last, a year later.
        labels: Name and value of each feature.
        features: int32, shape (items, 5): positions in `labels`.
    """

    def __init__(
        self,
        interactions: int,
        seed: int = 0,
        *,
        users: int | None = None,
        items: int | None = None,
        began: datetime = BEGAN,
    ) -> None:
        self.interactions = interactions
        self.began = began
        self.users = users or max(20, interactions // 50)
        self.items = items or min(max(50, interactions // 100), _MOST_ITEMS)
        self._tastes = max(2, self.items // _ITEMS_A_TASTE)
        self._seed = seed
        chance = np.random.default_rng([seed, 0])
        popularity = (np.arange(self.items) + 10.0) ** -0.9
        chance.shuffle(popularity)
        of_items = chance.integers(self._tastes, size=(self.items, 2))
        self._of_users = chance.integers(self._tastes, size=(self.users, 3))
        self._bounds = chance.dirichlet((3.0, 1.5, 0.7), self.users).cumsum(axis=1)
        self._activity = _activity(chance, self.users, interactions)
        self._shelves(popularity, of_items)
        self._describe(chance, of_items)

    def rows(self) -> Iterator[Rows]:
        """All interactions in the order of time, some 250,000 at a time: memory does not grow with them."""
        chance = np.random.default_rng([self._seed, 1])
        to_do = self._activity.copy()
        began, year = to_microseconds(self.began), YEAR // timedelta(microseconds=1)
        for start in range(0, self.interactions, _ROWS_A_CHUNK):
            size = min(_ROWS_A_CHUNK, self.interactions - start)
            drawn = chance.multivariate_hypergeometric(to_do, size, method="marginals")
            to_do -= drawn
            users = np.repeat(np.arange(self.users, dtype=np.int32), drawn)
            chance.shuffle(users)
            moments = np.sort(chance.random(size)) * size + start
            yield Rows(
                users,
                self._choose_items(chance, users),
                chance.choice(len(EVENTS), size, p=list(EVENTS.values())).astype(np.int8),
                began + (moments * (year / self.interactions)).astype(np.int64),
            )

    def _shelves(self, popularity: NDArray[np.float64], of_items: NDArray[np.int64]) -> None:
        # A stretch of one long shelf for each taste, and a last one of everything; items as wide as likely.
        everything = np.arange(self.items)
        tastes = np.concatenate([of_items[:, 0], of_items[:, 1], np.full(self.items, self._tastes)])
        widths = np.concatenate([popularity * 0.7, popularity * 0.3, popularity])
        order = np.argsort(tastes, kind="stable")
        self._shelf = np.tile(everything, 3)[order].astype(np.int32)
        self._ends = widths[order].cumsum()
        last = np.searchsorted(tastes[order], np.arange(self._tastes + 1), side="right")
        self._edges = np.concatenate([[0.0], self._ends])[np.concatenate([[0], last])]

    def _choose_items(self, chance: np.random.Generator, users: NDArray[np.int32]) -> NDArray[np.int32]:
        which = (chance.random(len(users))[:, None] > self._bounds[users, :2]).sum(axis=1)
        tastes = self._of_users[users, which]
        tastes[chance.random(len(users)) < _UNEXPLAINED] = self._tastes
        low, high = self._edges[tastes], self._edges[tastes + 1]
        found = np.searchsorted(self._ends, low + chance.random(len(users)) * (high - low), side="right")
        return self._shelf[np.minimum(found, len(self._shelf) - 1)]

    def _describe(self, chance: np.random.Generator, of_items: NDArray[np.int64]) -> None:
        # Name, how many values, the value that follows from the tastes, how often it is that one.
        first, second = of_items.T
        authors = first * 20 + chance.integers(20, size=self.items)
        kinds = (
            ("author", self._tastes * 20, authors, 0.95),
            ("genre", self._tastes // 5 + 1, first // 5, 0.90),
            ("theme", self._tastes, second, 0.90),
            ("publisher", self._tastes * 2, first * 2 + authors % 2, 0.50),
            ("language", 5, first % 5, 0.25),
        )
        self.labels: list[tuple[str, str]] = []
        self.features = np.empty((self.items, len(kinds)), np.int32)
        for column, (name, values, told, share) in enumerate(kinds):
            any_of_them = chance.integers(values, size=self.items)
            chosen = np.where(chance.random(self.items) < share, told, any_of_them)
            self.features[:, column] = len(self.labels) + chosen
            self.labels += [(name, f"{name} {value}") for value in range(values)]


def write(shop: Shop, config: Config) -> float:
    """Writes a shop into the database of the settings, which is migrated first.

    Args:
        shop: What to write.
        config: Where to.

    Returns:
        Seconds.

    Raises:
        ValueError: There are users in the database already.
    """
    began = perf_counter()
    with create_app(config).app_context():
        upgrade()
        if db.session.scalar(select(func.count()).select_from(User)):
            raise ValueError("The database has users already; a made-up shop goes into an empty one.")
        db.session.rollback()
        codes = np.array([event_book().codes[name] for name in EVENTS])
        # Made again afterwards, all at once, which is several times faster.
        indexes = Interaction.__table__.indexes  # type: ignore[attr-defined]
        for index in indexes:
            index.drop(db.engine)
        _write_catalogue(shop, db.engine)
        into = _into_sqlite if db.engine.dialect.name == "sqlite" else _into_postgresql
        into(db.engine, _columns(shop, codes))
        for index in indexes:
            index.create(db.engine)
        db.engine.dispose()
    return perf_counter() - began


def _write_catalogue(shop: Shop, engine: Engine) -> None:
    users = (
        {"user_key": key, "user_id": f"user-{key}", "created_at": BEGAN} for key in range(1, shop.users + 1)
    )
    items = (
        {"item_key": key, "item_id": f"item-{key}", "title": f"Item {key}"}
        | {"created_at": BEGAN, "updated_at": BEGAN}
        for key in range(1, shop.items + 1)
    )
    features = (
        {"feature_key": key, "name": name, "value": value}
        for key, (name, value) in enumerate(shop.labels, start=1)
    )
    of_items = (
        {"item_key": key, "feature_key": feature + 1}
        for key, row in enumerate(shop.features.tolist(), start=1)
        for feature in row
    )
    for model, rows in ((User, users), (Item, items), (Feature, features), (ItemFeature, of_items)):
        _insert(engine, model.__table__, rows)


def _insert(engine: Engine, table: Any, rows: Iterable[dict[str, Any]]) -> None:
    with engine.begin() as connection:
        for chunk in chunks(rows, 20_000):
            connection.execute(insert(table), chunk)
        if engine.dialect.name == "postgresql" and len(table.primary_key.columns) == 1:
            _advance_sequence(connection, table)


def _advance_sequence(connection: Any, table: Table) -> None:
    (key,) = table.primary_key.columns
    of_table = text("SELECT setval(pg_get_serial_sequence(:table, :key), :last)")
    last = connection.scalar(select(func.max(key)))
    connection.execute(of_table, {"table": table.name, "key": key.name, "last": last})


def _columns(shop: Shop, codes: NDArray[np.int64]) -> Iterator[tuple[list[Any], ...]]:
    written = 0
    for rows in shop.rows():
        moments = rows.occurred_at.tolist()
        event_ids = [f"event-{number:010}" for number in range(written, written + len(moments))]
        columns = rows.users + 1, rows.items + 1, codes[rows.events]
        yield *(column.tolist() for column in columns), moments, moments, event_ids
        written += len(moments)


def _into_sqlite(engine: Engine, chunks_of_columns: Iterable[tuple[list[Any], ...]]) -> None:
    engine.dispose()
    connection = sqlite3.connect(str(engine.url.database))
    for pragma in ("journal_mode = OFF", "synchronous = OFF", "cache_size = -262144"):
        connection.execute(f"PRAGMA {pragma}")
    statement = f"INSERT INTO interactions ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)"
    for columns in chunks_of_columns:
        connection.executemany(statement, zip(*columns, strict=True))
    connection.commit()
    connection.execute("PRAGMA journal_mode = WAL")
    connection.close()


def _into_postgresql(engine: Engine, chunks_of_columns: Iterable[tuple[list[Any], ...]]) -> None:
    with engine.begin() as connection, connection.connection.cursor() as cursor:
        if connection.scalar(text("SELECT current_setting('is_superuser')")) == "on":
            # Every key is known to be there: looking it up takes longer than writing the row.
            cursor.execute("SET LOCAL session_replication_role = replica")
        with cursor.copy(f"COPY interactions ({_COLUMNS}) FROM STDIN") as copy:
            for users, items, events, moments, _moments, event_ids in chunks_of_columns:
                times = np.datetime_as_string(np.array(moments, "datetime64[us]"), timezone="UTC").tolist()
                rows = zip(users, items, events, times, times, event_ids, strict=True)
                copy.write("".join(f"{u}\t{i}\t{e}\t{t}\t{r}\t{k}\n" for u, i, e, t, r, k in rows))


def _activity(chance: np.random.Generator, users: int, interactions: int) -> NDArray[np.int64]:
    """How many interactions each user has: at least one, a power law's tail, and the right number in all."""
    tail = chance.pareto(1.2, users)

    def scaled(factor: float) -> NDArray[np.int64]:
        return np.minimum(1 + tail * factor, _MOST_A_USER).astype(np.int64)

    low, high = 0.0, 1e9
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if scaled(middle).sum() <= interactions else (low, middle)
    activity = scaled(low)
    able = np.flatnonzero(activity < _MOST_A_USER)
    activity[chance.choice(able, interactions - activity.sum(), replace=False)] += 1
    return activity


def main() -> None:
    """Reads the arguments, and writes the shop."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--interactions", type=int, required=True, help="at least 1,000")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--instance-dir", type=Path, default=Path("instance/synthetic"))
    parser.add_argument(
        "--database-url", type=DATABASE_URL.parse, default="", help="default: SQLite in the instance folder"
    )
    arguments = parser.parse_args()
    if arguments.interactions < 1_000:
        parser.error("--interactions takes at least 1000")
    shop = Shop(arguments.interactions, arguments.seed)
    config = Config(instance_dir=arguments.instance_dir, database_url=arguments.database_url)
    seconds = write(shop, config)
    print(f"{shop.interactions:,} interactions of {shop.users:,} users with {shop.items:,} items")
    print(f"{seconds:.1f} s, {shop.interactions / seconds:,.0f} interactions/s")


if __name__ == "__main__":
    main()
