"""The database is locked or away: callers are told to come again, and nothing is half written."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing

import pytest

pytestmark = pytest.mark.processes

TABLES = ("users", "items", "interactions", "training_runs")


def counts(system):
    with closing(sqlite3.connect(system.instance / "recsvc.db")) as connection:
        return {table: connection.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0] for table in TABLES}


def single(number):
    return {"user_id": f"new-{number}", "item_id": f"novelty-{number}", "event": "view"}


def is_told_to_come_again(answer):
    return (
        answer.status_code == 503
        and answer.headers["Content-Type"] == "application/problem+json"
        and answer.json()["code"] == "database_unavailable"
        and int(answer.headers["Retry-After"]) > 0
    )


def test_a_locked_sqlite_refuses_writes_whole_while_lists_are_served(make_system):
    system = make_system(DATABASE_TIMEOUT=0.5)
    system.migrate()
    system.start_redis()
    system.start_web(workers=2)
    system.start_worker()
    system.fill()
    version = system.train()
    before = counts(system)

    with closing(sqlite3.connect(system.instance / "recsvc.db", isolation_level=None)) as locker:
        locker.execute("BEGIN IMMEDIATE")
        refused = [
            system.call("POST", "/interactions", single(1)),
            system.call("POST", "/interactions/batch", {"interactions": [single(n) for n in range(50)]}),
            system.call("PUT", "/items/novelty-99", {"title": "Novelty"}),
            system.call("POST", "/recommendations/train"),
        ]
        lists = [system.recommend() for _ in range(10)]
        during = counts(system)
        locker.execute("ROLLBACK")

    assert [is_told_to_come_again(answer) for answer in refused] == [True] * 4
    assert {answer["model_version"] for answer in lists} == {version}
    assert during == before
    assert counts(system) == before
    assert system.call("POST", "/interactions", single(1)).status_code == 201
    assert counts(system) == before | {
        "users": before["users"] + 1,
        "items": before["items"] + 1,
        "interactions": before["interactions"] + 1,
    }
    assert system.train() != version


def test_a_web_killed_amid_batches_leaves_each_batch_whole_or_not_at_all(system, together, eventually):
    web = system.start_web(workers=2)
    size = 200
    done = threading.Event()

    def write_on():
        acknowledged = 0
        while not done.is_set():
            batch = [single(f"{threading.get_ident()}-{acknowledged}-{n}") for n in range(size)]
            try:
                answer = system.call("POST", "/interactions/batch", {"interactions": batch})
            except Exception:
                return acknowledged  # killed before it answered
            assert answer.status_code == 200, answer.text
            acknowledged += 1
        return acknowledged

    def kill_amid():
        eventually(lambda: counts(system)["interactions"] >= 10 * size, "batches to be under way")
        web.kill()
        done.set()
        return 0

    actors = iter([write_on, write_on, write_on, kill_amid])

    def act():
        return next(actors)()

    acknowledged = sum(together(4, act))

    after = counts(system)
    assert after["interactions"] % size == 0
    assert after["interactions"] >= acknowledged * size
    assert after["items"] == after["users"] == after["interactions"]
    system.start_web()
    assert system.call("POST", "/interactions", single(1)).status_code == 201


def test_while_postgresql_is_away_whom_the_web_knows_is_served_what_is_popular(make_system, own_postgres):
    system = make_system(DATABASE_URL=own_postgres.get_uri(), DATABASE_TIMEOUT=1)
    system.migrate()
    system.start_redis()
    system.start_web()
    system.start_worker()
    system.fill()
    system.call("PATCH", "/items/book-2", {"categories": ["poems"]})
    system.call("PATCH", "/items/book-4", {"categories": ["poems"], "hidden": True})
    version = system.train()
    key = system.run_command("keys", "create", "--role", "service", "--name", "shop")
    token = system.call("POST", "/tokens", {"user_id": "reader-1", "ttl_seconds": 600}).json()["token"]
    asked = {
        "popular": ("GET", "/recommendations/popular?k=5"),
        "user": ("GET", "/recommendations?user_id=reader-1&k=5"),
        "poems": ("GET", "/recommendations?user_id=reader-1&category=poems"),
        "excluding": ("GET", "/recommendations?user_id=reader-1&k=29&exclude=book-2"),
        "session": ("POST", "/recommendations/session", {"item_ids": ["book-1"], "k": 29}),
        "similar": ("GET", "/items/book-3/similar?k=29"),
        "trending": ("GET", "/recommendations/trending?k=5"),
        "latest": ("GET", "/recommendations/latest?k=5"),
    }
    newsletter = ("POST", "/recommendations/batch", {"user_ids": ["reader-1"], "k": 5})

    def ids(answer):
        return [item["item_id"] for item in answer["items"]]

    before = {name: system.call(*call, Authorization=f"Bearer {key}") for name, call in asked.items()}
    of_token = system.call("GET", "/recommendations?k=5", Authorization=f"Bearer {token}")
    own_postgres.stop()
    away = {name: system.call(*call, Authorization=f"Bearer {key}") for name, call in asked.items()}
    of_token_away = system.call("GET", "/recommendations?k=5", Authorization=f"Bearer {token}")
    wrong_key = key[:-1] + ("b" if key[-1] == "a" else "a")
    stranger = system.call("GET", "/recommendations?user_id=reader-1", Authorization=f"Bearer {wrong_key}")

    assert {answer.status_code for answer in [*before.values(), *away.values(), of_token]} == {200}
    lists = {name: answer.json() for name, answer in away.items()}
    popular = lists["popular"]
    assert {one["model_version"] for one in lists.values()} == {version}
    # Of what was listed before, names are known: these need nothing else of the database.
    for name in ("popular", "trending", "latest"):
        assert (name, lists[name]["strategy"]) == (name, name)
        assert lists[name]["items"] == before[name].json()["items"]
    assert {lists[name]["strategy"] for name in ("user", "poems", "excluding", "session", "similar")} == {
        "popular"
    }
    assert ids(lists["user"]) == ids(of_token_away.json()) == ids(popular)
    assert lists["user"]["user_id"] == of_token_away.json()["user_id"] == "reader-1"
    assert ids(lists["poems"]) == ["book-2"]
    everything = {f"book-{number}" for number in range(30)} - {"book-4"}
    assert set(ids(lists["excluding"])) == everything - {"book-2"}
    assert set(ids(lists["session"])) == everything - {"book-1"}
    assert set(ids(lists["similar"])) == everything - {"book-3"}
    assert is_told_to_come_again(stranger)
    # Whoever writes to all of their readers would rather wait.
    assert is_told_to_come_again(system.call(*newsletter, Authorization=f"Bearer {key}"))


def test_a_postgresql_that_comes_back_is_used_again_without_a_restart(make_system, own_postgres, eventually):
    system = make_system(DATABASE_URL=own_postgres.get_uri(), DATABASE_TIMEOUT=1)
    system.migrate()
    system.start_redis()
    web, worker = system.start_web(workers=2), system.start_worker()
    system.fill()
    version = system.train()
    web_processes = sorted(web.children())
    stored = system.call("GET", "/users/reader-1/interactions").json()["interactions"]

    own_postgres.stop()
    ready = system.call("GET", "/readyz")
    refused = [
        call
        for _ in range(4)
        for call in (
            system.call("POST", "/interactions", {"user_id": "reader-1", "item_id": "x", "event": "view"}),
            system.call("GET", "/items/book-1"),
            system.call("POST", "/recommendations/train"),
        )
    ]
    alive = system.call("GET", "/healthz")
    own_postgres.ensure_postgres_running()

    assert (ready.status_code, ready.json()["ready"]) == (503, False)
    assert ready.json()["checks"]["database"] == "The database does not answer."
    assert ready.json()["checks"]["redis"] == "ok"
    assert [is_told_to_come_again(answer) for answer in refused] == [True] * 12
    assert alive.status_code == 200
    eventually(lambda: system.call("GET", "/readyz").status_code == 200, "the web to be ready again")
    assert system.call("GET", "/users/reader-1/interactions").json()["interactions"] == stored
    assert system.call("GET", "/items/x").status_code == 404
    assert system.recommend()["model_version"] == version
    system.write([{"user_id": "reader-1", "item_id": "x", "event": "view"}])
    assert system.train() != version
    assert sorted(web.children()) == web_processes
    assert worker.is_alive
