"""A PostgreSQL that is silent, or takes too long, is given up in time."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import psycopg
import pytest
from sqlalchemy import make_url, text
from sqlalchemy.exc import OperationalError, ProgrammingError, SQLAlchemyError

from recsvc.extensions import db
from recsvc.services import keys, readiness
from recsvc.storage import columns
from recsvc.storage.database import is_unavailable, write_transaction
from recsvc.storage.punctuality import answers_within

POSTGRESQL = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)


class Tunnel:
    """A TCP port that leads to PostgreSQL's socket, until it swallows all that comes."""

    def __init__(self, socket_path: str) -> None:
        self._path = socket_path
        self.swallows = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets = [self._listener]
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._sockets.append(client)
            if self.swallows.is_set():
                continue  # connected, and never answered
            server = socket.socket(socket.AF_UNIX)
            self._sockets.append(server)
            server.connect(self._path)
            for source, target in ((client, server), (server, client)):
                threading.Thread(target=self._pass_on, args=(source, target), daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        try:
            while data := source.recv(65_536):
                if not self.swallows.is_set():
                    target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def close(self) -> None:
        for end in self._sockets:
            end.close()


@contextmanager
def locked(url: str, table: str) -> Iterator[None]:
    """Holds a lock that lets nobody even read, for as long as the block lasts."""
    plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(plain) as connection:
        connection.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        yield


@pytest.fixture
def tunnel(database_url: str) -> Iterator[tuple[Tunnel, str]]:
    url = make_url(database_url)
    made = Tunnel(f"{url.query['host']}/.s.PGSQL.{url.port or 5432}")
    through = url.set(host="127.0.0.1", port=made.port).difference_update_query(["host", "port"])
    yield made, through.render_as_string(hide_password=False)
    made.close()


@POSTGRESQL
def test_a_server_that_falls_silent_is_given_up_and_found_again(make_app, tunnel):
    way, url = tunnel
    with make_app(url, database_timeout=1.0).app_context():
        assert db.session.scalar(text("SELECT 1")) == 1
        db.session.rollback()
        way.swallows.set()
        began = time.monotonic()
        with pytest.raises(SQLAlchemyError) as silent, answers_within(0.5):
            db.session.execute(text("SELECT 1"))
        db.session.rollback()

        assert is_unavailable(silent.value)
        assert time.monotonic() - began < 10
        way.swallows.clear()
        assert db.session.scalar(text("SELECT 1")) == 1


@POSTGRESQL
def test_readiness_is_told_soon_though_the_server_is_silent(make_app, tunnel):
    way, url = tunnel
    with make_app(url, database_timeout=5.0).app_context():
        assert readiness.check()[0]
        way.swallows.set()
        began = time.monotonic()

        ready, checks = readiness.check()

    assert not ready
    assert checks["database"] == "The database does not answer."
    assert time.monotonic() - began < 10


@POSTGRESQL
def test_a_request_to_a_silent_server_ends_in_503(make_app, tunnel):
    way, url = tunnel
    app = make_app(url, database_timeout=1.0, database_statement_timeout=0.2, log_level="ERROR")
    with app.app_context():
        headers = {"Authorization": f"Bearer {keys.create('read', 'x')[1]}"}
    client = app.test_client()
    assert client.get("/api/v1/items", headers=headers).status_code == 200
    way.swallows.set()

    answer = client.get("/api/v1/items", headers=headers)

    assert (answer.status_code, answer.json["code"]) == (503, "database_unavailable")


@POSTGRESQL
def test_the_server_ends_a_statement_of_a_web_process_that_takes_too_long(make_app, database_url, serve):
    app = make_app(database_url, database_statement_timeout=0.2)
    with serve(app), app.app_context():
        began = time.monotonic()
        with pytest.raises(SQLAlchemyError) as ended:
            db.session.execute(text("SELECT pg_sleep(20)"))
        db.session.rollback()

    assert is_unavailable(ended.value)
    assert isinstance(ended.value.orig, psycopg.errors.QueryCanceled)
    assert time.monotonic() - began < 10


@POSTGRESQL
def test_other_processes_may_take_their_time(make_app, database_url):
    with make_app(database_url, database_statement_timeout=0.1).app_context():
        db.session.execute(text("SELECT pg_sleep(0.3)"))


def slow_read(url: str, seconds: float) -> columns.Columns:
    return columns.read_columns(url, f"SELECT 1 AS n FROM pg_sleep({seconds})", {"n": np.int32})


@pytest.fixture(params=["adbc", "cursor"])
def driver(request, monkeypatch) -> None:
    def refuse(url):
        raise OSError("no driver here")

    if request.param == "cursor":
        monkeypatch.setattr(columns, "_adbc_connection", refuse)


@POSTGRESQL
def test_a_bulk_read_that_somebody_waits_for_is_ended_too(make_app, database_url, driver):
    with make_app(database_url).app_context():
        began = time.monotonic()
        with pytest.raises(OperationalError) as ended, answers_within(0.3):
            slow_read(database_url, 20)

    assert is_unavailable(ended.value)
    assert time.monotonic() - began < 10


@POSTGRESQL
def test_a_bulk_read_of_a_training_may_take_its_time(make_app, database_url, driver):
    with make_app(database_url, database_statement_timeout=0.1).app_context():
        assert slow_read(database_url, 0.3)["n"].tolist() == [1]


@POSTGRESQL
def test_a_bulk_read_waits_for_a_lock_no_longer_than_settings_say(make_app, database_url, driver):
    with make_app(database_url, database_timeout=0.2).app_context(), locked(database_url, "items"):
        began = time.monotonic()
        with pytest.raises(OperationalError) as ended:
            columns.read_items(database_url)

    assert isinstance(ended.value.orig, psycopg.errors.LockNotAvailable)
    assert time.monotonic() - began < 10


@POSTGRESQL
def test_what_is_wrong_with_a_bulk_read_is_not_taken_for_an_outage(context, database_url):
    with pytest.raises(ProgrammingError) as wrong:
        columns.read_columns(database_url, "SELECT nothing FROM items", {"nothing": np.int32})

    assert not is_unavailable(wrong.value)


@POSTGRESQL
def test_the_first_list_of_a_process_does_not_wait_for_a_catalogue_that_is_locked(make_app, database_url):
    app = make_app(database_url, database_timeout=0.5, log_level="ERROR")
    with app.app_context():
        headers = {"Authorization": f"Bearer {keys.create('read', 'x')[1]}"}
    with locked(database_url, "items"):
        answer = app.test_client().get("/api/v1/recommendations/popular", headers=headers)

    assert (answer.status_code, answer.json["code"]) == (503, "database_unavailable")
    again = app.test_client().get("/api/v1/recommendations/popular", headers=headers)
    assert again.status_code == 200


ENDLESS = text("WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c")


def test_a_statement_of_sqlites_ends_when_its_time_is_over_and_the_connection_goes_on(sqlite_app):
    with sqlite_app.app_context():
        began = time.monotonic()
        with answers_within(0.3), pytest.raises(OperationalError, match="interrupted") as told:
            db.session.execute(ENDLESS)

        assert 0.3 <= time.monotonic() - began < 5
        assert is_unavailable(told.value)
        db.session.rollback()
        assert db.session.scalar(text("SELECT 1")) == 1


def test_a_write_of_sqlites_that_takes_too_long_leaves_nothing(sqlite_app):
    with sqlite_app.app_context():
        slow = text(
            "INSERT INTO users (user_id, created_at) SELECT x, 0 FROM"
            " (WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT x FROM c)"
        )
        with answers_within(0.2), pytest.raises(OperationalError), write_transaction():
            db.session.execute(slow)

        assert db.session.scalar(text("SELECT count(*) FROM users")) == 0
