"""Bulk reads: the same columns by every driver, and just what was inserted."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing

import numpy as np
import pytest
from sqlalchemy import make_url

from recsvc.config import current_config
from recsvc.services.catalogue import ItemContent, delete_item, put_items, put_users
from recsvc.storage import columns
from recsvc.storage.columns import _cursor_chunks, read_columns, read_features, read_interactions, read_items
from recsvc.storage.types import to_microseconds

MANY = 5_003  # over several of the driver's chunks

QUERY = (
    "SELECT interaction_key, user_key, item_key, event_code, CAST(COALESCE(value, 0) AS REAL) AS value,"
    " occurred_at FROM interactions ORDER BY interaction_key"
)


def assert_equal_to_inserted(read, inserted):
    assert np.all(np.diff(read["interaction_key"]) > 0)
    for name in ("user_key", "item_key", "event_code"):
        assert read[name].tolist() == [row[name] for row in inserted]
    assert read["value"].tolist() == [row["value"] or 0.0 for row in inserted]
    assert read["occurred_at"].tolist() == [to_microseconds(row["occurred_at"]) for row in inserted]


def test_a_bulk_read_gives_what_was_inserted(make_interactions, database_url):
    inserted = make_interactions(MANY)

    read = read_interactions(database_url)

    assert_equal_to_inserted(read, inserted)
    assert {name: column.dtype for name, column in read.items()} == {
        "interaction_key": np.int64,
        "user_key": np.int32,
        "item_key": np.int32,
        "event_code": np.int16,
        "value": np.float32,
        "occurred_at": np.int64,
    }


def test_the_cursor_gives_what_was_inserted_too(make_interactions, database_url):
    inserted = make_interactions(MANY)

    chunks = list(_cursor_chunks(database_url, QUERY))

    names = ("interaction_key", "user_key", "item_key", "event_code", "value", "occurred_at")
    assert_equal_to_inserted(
        dict(zip(names, map(np.concatenate, zip(*chunks, strict=True)), strict=True)), inserted
    )


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_where_adbc_does_not_connect_the_cursor_reads(make_interactions, database_url, monkeypatch):
    inserted = make_interactions(50)

    def refuse(url):
        raise OSError("no driver here")

    monkeypatch.setattr(columns, "_adbc_connection", refuse)

    assert_equal_to_inserted(read_interactions(database_url), inserted)


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_adbc_connects(context, database_url):
    columns._adbc_connection(database_url).close()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_bulk_read_lets_go_of_no_lock_that_its_process_holds(make_interactions, database_url):
    make_interactions(50)
    file = make_url(database_url).database
    ask = "import sqlite3, sys; sqlite3.connect(sys.argv[1], timeout=0.1).execute('BEGIN IMMEDIATE')"

    with closing(sqlite3.connect(file, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("DELETE FROM interactions")
        read = read_interactions(database_url)
        other = subprocess.run([sys.executable, "-c", ask, file], capture_output=True, text=True, check=False)

    assert len(read["interaction_key"]) == 50
    assert "database is locked" in other.stderr


def test_an_empty_table_gives_empty_columns(make_interactions, database_url):
    make_interactions(0)

    read = read_interactions(database_url)

    assert {name: column.shape for name, column in read.items()} == dict.fromkeys(read, (0,))
    assert len(read) == 6


def test_more_rows_than_were_expected_are_read_all_the_same(make_interactions, database_url):
    make_interactions(300)
    query = "SELECT item_key FROM interactions ORDER BY interaction_key"

    few = read_columns(database_url, query, {"item_key": np.int32}, expected=7)
    exact = read_columns(database_url, query, {"item_key": np.int32}, expected=300)

    assert few["item_key"].tolist() == exact["item_key"].tolist()
    assert len(few["item_key"]) == 300


def test_progress_ends_at_the_number_of_rows(make_interactions, database_url):
    make_interactions(MANY)
    told: list[tuple[int, int]] = []

    read_interactions(database_url, lambda done, total: told.append((done, total)))

    assert told[-1] == (MANY, MANY)
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def test_deleted_items_are_not_in_the_catalogue_that_is_read(context, database_url):
    put_items((f"b{number}", ItemContent()) for number in range(3))
    delete_item("b1")

    assert len(read_items(database_url)["item_key"]) == 2


def test_features_are_read_a_row_each(context, database_url):
    put_items([("b1", ItemContent(categories=["x", "y"], features={"author": ["z"]})), ("b2", ItemContent())])
    put_users([("u1", {"language": ["pt"]})])

    assert len(read_features(database_url, "item")["feature_key"]) == 3
    assert read_features(database_url, "user")["user_key"].shape == (1,)


def test_no_features_give_empty_columns(context, database_url):
    assert read_features(database_url, "item")["item_key"].shape == (0,)


def test_a_database_file_with_odd_characters_in_its_path_is_read_in_bulk(make_app, sqlite_url, tmp_path):
    folder = tmp_path / "50% off #1 café"
    folder.mkdir()
    file = folder / "shop.db"
    (tmp_path / "recsvc.db").rename(file)
    app = make_app(f"sqlite:///{file}", instance_dir=folder)

    with app.app_context():
        put_items([("b1", ItemContent())])
        assert len(read_items(current_config().database_url)["item_key"]) == 1
