"""What a web process serves from: swapped when something changed, kept when the new is damaged."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
from sqlalchemy import event

from recsvc.errors import ConflictError, NotFoundError
from recsvc.extensions import db
from recsvc.services import catalogue_arrays, readiness, registry, serving_view
from recsvc.services.catalogue import ItemContent, put_item
from recsvc.services.recommending import Filters, for_user
from recsvc.services.serving import serving, watch
from recsvc.services.serving_view import build_view


def damage(version: str) -> None:
    (registry.model_store().folder(version) / "item_keys.npy").write_bytes(b"x")


def test_a_view_is_kept_until_something_changes(trained):
    view = serving().view()
    assert serving().refresh() is view

    put_item("new", ItemContent())
    changed = serving().refresh()

    assert changed is not view
    assert changed.served is view.served
    assert len(changed.item_keys) == len(view.item_keys) + 1


def test_items_are_found_in_the_order_in_which_they_are_asked_for(trained):
    """Be they in the model or not; those that are nowhere are left out."""
    put_item("new", ItemContent())
    view = serving().refresh()
    new, first, second = int(view.beside[0]), *view.item_keys[:2].tolist()
    asked = np.array([new, second, 10**6, first])

    assert view.item_keys[view.indexes_of(asked)].tolist() == [new, second, first]


@pytest.fixture
def statements(app):
    """What the database is asked from here on."""
    asked: list[str] = []
    event.listen(db.engine, "before_cursor_execute", lambda *about: asked.append(about[2]))
    return asked


def test_a_list_asks_the_database_for_the_history_alone(trained, statements):
    view = serving().view()

    answer = for_user("crime-reader-1", Filters(k=8))

    assert len(answer.items) == 8
    assert serving().view() is view
    assert [statement for statement in statements if "items" in statement] == []
    # PostgreSQL is asked past what tells of statements.
    assert len(statements) == (0 if db.engine.dialect.name == "postgresql" else 1)


def test_names_beyond_those_at_hand_are_read_and_given_up_again(trained, statements, monkeypatch):
    monkeypatch.setattr(serving_view, "_NAMES_AT_HAND", 3)
    monkeypatch.setattr(serving_view, "_MOST_NAMES", 5)
    put_item("new", ItemContent())
    view = build_view(serving().view().served, catalogue_arrays.read(), serving().view().recent, None, None)
    at_hand = set(view.names)
    others = [key for key in view.item_keys.tolist() if key not in at_hand]
    statements.clear()

    assert len(at_hand) == 3
    assert view.names_of(at_hand).keys() == at_hand
    assert statements == []
    for some in (others[:4], others[:4], others[4:], others[4:]):
        assert view.names_of(some).keys() == set(some)
    # The first four were kept, which is more than there is room for; the rest is read each time.
    assert len(statements) == 3
    view.warm()
    assert view.names.keys() == at_hand


def test_a_new_version_is_served_after_the_next_look(trained, train):
    before = serving().view().version
    after = train().model_version

    assert serving().view().version == after != before


def test_a_version_is_said_to_be_served_when_it_is(trained, train, caplog):
    before = serving().view().version
    served_then = []

    def look(record):
        if "model_version_served" in record.getMessage():
            served_then.append(serving().view().version)
        return True

    caplog.handler.addFilter(look)
    with caplog.at_level("INFO"):
        after = train().model_version
        registry.activate(before)
        serving().refresh()
        serving().refresh()

    assert served_then == [after, before]


def test_rolling_back_is_served_after_the_next_look(trained, train):
    before = serving().view().version
    train()

    assert registry.activate(before).status == "active"
    assert serving().refresh().version == before


def test_a_damaged_active_version_is_not_served_and_told(trained, train, monkeypatch):
    good = serving().view().version
    bad = train().model_version
    registry.activate(good)
    serving().refresh()
    damage(bad)
    registry.model_store().activate(bad)

    assert serving().refresh().version == good
    assert f"{bad}: item_keys.npy" in serving().problem
    assert readiness.check()[0]
    assert readiness.check()[1]["model"] == serving().problem

    registry.activate(good)
    serving().refresh()
    assert serving().problem is None
    assert readiness.check()[1]["model"] == "ok"


def test_a_process_that_starts_with_a_damaged_version_serves_the_one_before(
    trained, train, make_app, context
):
    good = serving().view().version
    bad = train().model_version
    damage(bad)
    app = make_app(context.config["SQLALCHEMY_DATABASE_URI"])

    with app.app_context():
        assert serving().refresh().version == good
        assert bad in serving().problem
        assert serving().refresh().version == good


def test_a_damaged_pointer_leaves_the_last_good_version_in_place(trained):
    good = serving().view().version
    (registry.model_store().root / "active.json").write_text("{")

    assert serving().refresh().version == good
    assert "active.json" in serving().problem


def test_a_damaged_version_cannot_be_activated(trained, train):
    good = train().model_version
    bad = train().model_version
    registry.activate(good)
    damage(bad)

    with pytest.raises(ConflictError, match=r"item_keys\.npy"):
        registry.activate(bad)
    assert registry.model_store().pointer().version == good
    with pytest.raises(NotFoundError):
        registry.activate("nope")


def test_a_web_process_starts_whatever_the_pointer_looks_like(make_app, database_url, serve):
    app = make_app(database_url, auto_train_on_startup=True, reload_interval=4.0)
    with app.app_context():
        root = registry.model_store().root
    root.mkdir()
    (root / "active.json").write_text("{")

    with serve(app), app.app_context():
        assert serving().refresh().version is None


def test_the_watcher_swaps_the_view_by_itself(make_app, database_url):
    app = make_app(database_url, reload_interval=0.05)
    stopped = threading.Event()
    threads = watch(app, stopped)
    try:
        with app.app_context():
            put_item("b1", ItemContent())
            deadline = time.monotonic() + 10
            while len(serving().view().item_keys) != 1 and time.monotonic() < deadline:
                time.sleep(0.02)
            assert len(serving().view().item_keys) == 1
    finally:
        stopped.set()
        for thread in threads:
            thread.join()


def test_without_a_model_it_is_ready_and_says_so(context):
    ready, checks = readiness.check()

    assert ready
    assert checks["database"] == checks["migrations"] == checks["redis"] == "ok"
    assert checks["model"].startswith("There is no model yet")


def test_without_redis_it_is_ready_and_says_so(make_app, database_url):
    with make_app(database_url, redis_url="redis://127.0.0.1:1/0").app_context():
        ready, checks = readiness.check()

    assert ready
    assert "Redis does not answer" in checks["redis"]


def test_without_tables_it_is_not_ready(make_app, tmp_path):
    with make_app(f"sqlite:///{tmp_path / 'empty.db'}").app_context():
        ready, checks = readiness.check()

    assert not ready
    assert "recsvc db upgrade" in checks["migrations"]


def test_without_a_database_it_is_not_ready(make_app):
    url = "postgresql+psycopg://nobody@127.0.0.1:1/none"
    with make_app(url, database_timeout=1.0).app_context():
        ready, checks = readiness.check()

    assert not ready
    assert checks["database"] == "The database does not answer."


def test_a_pointer_that_is_gone_leaves_the_present_version_serving_and_is_told(trained):
    version = serving().view().version
    (registry.model_store().root / "active.json").unlink()

    assert serving().refresh().version == version
    assert "is gone" in serving().problem
