"""Transactions, pragmas, and the plans of the queries that every request makes."""

from __future__ import annotations

import re
import sqlite3
import threading
import time
from datetime import UTC, datetime

import pytest
from sqlalchemy import bindparam, event, func, literal_column, select, text, update
from sqlalchemy.exc import DataError, IntegrityError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from recsvc.extensions import db
from recsvc.storage.columns import read_interactions
from recsvc.storage.database import (
    chunks,
    is_unavailable,
    read_by_statement,
    read_directly,
    write_transaction,
)
from recsvc.storage.models import Interaction, User
from recsvc.storage.queries import interactions, users


def pragma(name: str):
    return db.session.execute(text(f"PRAGMA {name}")).scalar_one()


def commits_by_itself() -> bool:
    return db.session.connection().connection.driver_connection.autocommit


def test_sqlite_writes_ahead_waits_and_keeps_foreign_keys(make_app, sqlite_url):
    app = make_app(sqlite_url, database_timeout=3.0)

    with app.app_context():
        assert pragma("journal_mode") == "wal"
        assert pragma("busy_timeout") == 3_000
        assert pragma("foreign_keys") == 1


def test_of_a_new_sqlite_file_that_another_is_changing_a_connection_waits_for_its_turn(make_app, tmp_path):
    file = tmp_path / "new.db"
    other = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    releasing = threading.Timer(0.3, other.rollback)
    releasing.start()

    with make_app(f"sqlite:///{file}").app_context():
        assert pragma("journal_mode") == "wal"
    releasing.join()
    other.close()


def test_a_new_sqlite_file_that_another_keeps_is_told_as_locked_in_time(make_app, tmp_path):
    file = tmp_path / "new.db"
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    with (
        make_app(f"sqlite:///{file}", database_timeout=0.2).app_context(),
        pytest.raises(OperationalError, match="database is locked"),
    ):
        pragma("journal_mode")
    other.close()


def test_what_was_read_before_a_write_is_of_its_transaction_where_the_database_lets_it(context):
    begun: list[None] = []
    event.listen(db.engine, "begin", lambda _: begun.append(None))

    assert users.find("ana") is None
    with write_transaction():
        db.session.add(User(user_id="ana"))

    # SQLite takes its lock before anything is read, or may not get it.
    assert len(begun) == (1 if db.engine.dialect.name == "postgresql" else 2)
    db.session.rollback()
    assert users.find("ana") is not None


def test_a_write_after_reading_by_statement_is_one_transaction(context):
    def write_and_fail():
        with write_transaction():
            db.session.add(User(user_id="ana"))
            db.session.flush()
            assert users.find("ana") is not None
            raise ZeroDivisionError

    read_by_statement()
    assert users.find("ana") is None

    with pytest.raises(ZeroDivisionError):
        write_and_fail()

    assert users.find("ana") is None


def test_after_a_write_the_next_is_read_by_statement_again(make_app, postgresql_url):
    with make_app(postgresql_url).app_context():
        read_by_statement()
        with write_transaction():
            db.session.add(User(user_id="ana"))
            assert not commits_by_itself()

        assert users.find("ana") is not None
        assert commits_by_itself()


def test_what_is_read_by_statement_again_and_again_is_planned_once(make_app, postgresql_url):
    app = make_app(postgresql_url)
    for _ in range(6):
        with app.app_context():
            read_by_statement()
            interactions.history("ana")

    with app.app_context():
        prepared = db.session.scalars(text("SELECT statement FROM pg_prepared_statements")).all()
    assert any("WHERE interactions.user_key = (SELECT users" in statement for statement in prepared)


def test_rows_that_cannot_be_read_are_told_of_and_whose_they_are_is_not(make_app, postgresql_url):
    never = select(literal_column("1 / 0")).where(bindparam("user_id") != literal_column("''"))

    with (
        make_app(postgresql_url).app_context(),
        pytest.raises(DataError, match="division by zero") as told,
    ):
        read_directly(never, {"user_id": "ana"})

    assert "user_id" in str(told.value)
    assert "ana" not in str(told.value)
    assert not told.value.connection_invalidated


def test_a_connection_that_is_lost_while_rows_are_read_is_not_used_again(make_app, postgresql_url):
    with make_app(postgresql_url).app_context():
        read_by_statement()
        with pytest.raises(OperationalError) as told:
            read_directly(select(func.pg_terminate_backend(func.pg_backend_pid())), {})

        assert is_unavailable(told.value)
        assert told.value.connection_invalidated
        db.session.rollback()
        assert users.find("ana") is None


def test_a_row_that_points_nowhere_is_refused(make_interactions):
    make_interactions(1)

    with pytest.raises(IntegrityError), write_transaction():
        db.session.execute(text("UPDATE interactions SET item_key = 999"))


def test_an_error_rolls_a_transaction_back_whole(context):
    def write_and_fail():
        with write_transaction():
            db.session.add(User(user_id="u1"))
            db.session.flush()
            raise RuntimeError("halfway")

    with pytest.raises(RuntimeError, match="halfway"):
        write_and_fail()

    assert users.find("u1") is None


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize("end", [db.session.close, db.session.remove, db.session.rollback])
def test_a_session_whose_connection_was_lost_ends_well_and_the_next_one_has_another(context, end):
    process = db.session.execute(text("SELECT pg_backend_pid()")).scalar_one()
    with db.engine.connect() as other:
        other.execute(text("SELECT pg_terminate_backend(:process, 5000)"), {"process": process})

    end()

    assert db.session.execute(text("SELECT pg_backend_pid()")).scalar_one() != process


def test_what_was_read_before_does_not_get_in_the_way_of_writing(context):
    # On SQLite a transaction that reads, and writes after somebody else has written, fails at once.
    assert users.find("u1") is None
    app = context

    def write_elsewhere():
        with app.app_context(), write_transaction():
            db.session.add(User(user_id="u1"))

    other = threading.Thread(target=write_elsewhere)
    other.start()
    other.join()

    with write_transaction():
        db.session.add(User(user_id="u2"))
    assert users.find("u1") is not None


def test_writers_wait_for_one_another_and_lose_nothing(app):
    def count_up():
        for _ in range(10):
            with app.app_context(), write_transaction():
                statement = "SELECT revision FROM catalogue_state"
                if db.engine.dialect.name == "postgresql":
                    statement += " FOR UPDATE"
                revision = db.session.execute(text(statement)).scalar_one()
                time.sleep(0.001)
                db.session.execute(
                    text("UPDATE catalogue_state SET revision = :next"), {"next": revision + 1}
                )

    threads = [threading.Thread(target=count_up) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    with app.app_context():
        assert db.session.execute(text("SELECT revision FROM catalogue_state")).scalar_one() == 60


def test_a_database_that_stays_locked_is_told_apart_from_a_wrong_statement(make_app, database_url):
    app = make_app(database_url, database_timeout=0.2)
    locked, done = threading.Event(), threading.Event()

    def hold():
        with app.app_context(), write_transaction():
            db.session.execute(text("UPDATE catalogue_state SET revision = 7"))
            locked.set()
            done.wait(10)

    holder = threading.Thread(target=hold)
    holder.start()
    locked.wait(10)
    began = time.monotonic()
    with app.app_context(), pytest.raises(Exception) as refused, write_transaction():  # noqa: PT011
        db.session.execute(text("UPDATE catalogue_state SET revision = 8"))
    done.set()
    holder.join()

    assert is_unavailable(refused.value)
    assert time.monotonic() - began < 5


def test_a_unique_constraint_that_refuses_is_no_outage(context):
    with pytest.raises(IntegrityError) as refused, write_transaction():
        db.session.add_all([User(user_id="same"), User(user_id="same")])

    assert not is_unavailable(refused.value)


@pytest.mark.parametrize(
    ("values", "size", "expected"),
    [([], 2, []), ([1], 2, [[1]]), ([1, 2], 2, [[1, 2]]), ([1, 2, 3], 2, [[1, 2], [3]])],
)
def test_values_are_cut_into_chunks(values, size, expected):
    assert list(chunks(values, size)) == expected


class Plans:
    """Records the plan of every SELECT that a block makes."""

    def __init__(self) -> None:
        self.plans: list[str] = []

    def __enter__(self) -> Plans:
        if db.engine.dialect.name == "postgresql":
            db.session.execute(text("SET LOCAL enable_seqscan = off"))
        event.listen(db.engine, "before_cursor_execute", self._explain)
        return self

    def __exit__(self, *_: object) -> None:
        event.remove(db.engine, "before_cursor_execute", self._explain)

    def _explain(self, connection, cursor, statement, parameters, _context, _many) -> None:
        if not statement.startswith("SELECT"):
            return
        is_sqlite = connection.dialect.name == "sqlite"
        own = connection.connection.cursor()
        own.execute(f"EXPLAIN {'QUERY PLAN ' if is_sqlite else ''}{statement}", parameters)
        self.plans.append("\n".join(str(row[-1]) for row in own.fetchall()))
        own.close()

    def assert_by_index(self) -> None:
        assert self.plans
        for plan in self.plans:
            assert "Seq Scan" not in plan, plan
            assert not any(line.startswith("SCAN") and "USING" not in line for line in plan.splitlines()), (
                plan
            )


@pytest.fixture
def plans(make_interactions) -> Plans:
    make_interactions(1_000)
    db.session.execute(text("ANALYZE"))
    db.session.commit()
    return Plans()


def test_histories_are_read_from_an_index_alone(make_interactions):
    made = make_interactions(300)
    with write_transaction():
        others = [User(user_id=f"other-{number}") for number in range(200)]
        db.session.add_all(others)
        db.session.flush()
        for other in others:
            db.session.execute(
                Interaction.__table__.insert(), [{**row, "user_key": other.user_key} for row in made[:50]]
            )
    keeps_house = "VACUUM ANALYZE" if db.engine.dialect.name == "postgresql" else "ANALYZE"
    with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(keeps_house))

    assert len(interactions.history("other-1")[1]) == 50
    with Plans() as plans:
        # PostgreSQL is asked past what tells of statements.
        assert len(db.session.execute(interactions._HISTORY, {"user_id": "other-1"}).all()) == 50
        assert len(interactions.histories(["other-1", "other-2"])) == 2

    plans.assert_by_index()
    for plan in plans.plans:
        assert re.search(
            r"(Index Only Scan( Backward)? using|COVERING INDEX) ix_interactions_history", plan
        ), plan


def test_a_page_of_a_user_is_found_by_an_index(plans):
    user = users.find("u1")
    with plans:
        interactions.page(user.user_key, before=(datetime.now(UTC), 9), limit=10, event=None)

    assert "ix_interactions_history" in plans.plans[0]


def test_a_retry_is_found_by_an_index(plans):
    key = db.session.scalar(select(Interaction.interaction_key).join(User).where(User.user_id == "u1"))
    with write_transaction():
        db.session.execute(
            update(Interaction).where(Interaction.interaction_key == key).values(event_id="e1")
        )
    with plans:
        assert interactions.key_of_event("u1", "e1") == key

    plans.assert_by_index()
    assert "uq_interactions_event_user" in plans.plans[0]


def test_what_was_received_last_is_found_without_sorting_all(plans):
    with plans:
        interactions.recent_item_counts(50, [1, 2], rating_code=4, neutral=2.5)

    assert "Sort Key: interactions.interaction_key" not in plans.plans[0]
    assert "FOR ORDER BY" not in plans.plans[0]


def test_a_bulk_read_needs_no_sorting(plans, database_url):
    is_sqlite = database_url.startswith("sqlite")
    prefix = "EXPLAIN QUERY PLAN" if is_sqlite else "EXPLAIN"
    if not is_sqlite:
        db.session.execute(text("SET LOCAL enable_seqscan = off"))

    rows = db.session.execute(text(f"{prefix} SELECT item_key FROM interactions ORDER BY interaction_key"))
    plan = "\n".join(str(row[-1]) for row in rows)

    assert "Sort" not in plan
    assert "TEMP B-TREE" not in plan
    assert len(read_interactions(database_url)["item_key"]) == 1_000


def test_a_process_opens_no_more_connections_than_it_may(make_app, postgresql_url):
    app = make_app(postgresql_url, database_connections=2, database_timeout=0.1)
    with app.app_context(), db.engine.connect(), db.engine.connect(), pytest.raises(PoolTimeoutError):
        db.engine.connect()


def test_a_connection_that_was_opened_stays_open(make_app, postgresql_url):
    app = make_app(postgresql_url, database_connections=7)
    with app.app_context():
        opened = [db.engine.connect() for _ in range(7)]
        for connection in opened:
            connection.close()

        with db.engine.connect() as newest:
            known = newest.scalar(
                text("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")
            )
    assert known == 7
