"""Importing files, on both databases."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select, update
from sqlalchemy.exc import IntegrityError

from recsvc.errors import InvalidInputError
from recsvc.extensions import db
from recsvc.services.catalogue import get_item, get_user
from recsvc.services.importing import BadRow, Outcome, Request, UnreadableFileError, import_path
from recsvc.services.importing.checks import read_time
from recsvc.services.importing.rows import RowError
from recsvc.services.ingestion import NewInteraction, history_page, record
from recsvc.services.privacy import erase_user
from recsvc.storage.database import write_transaction
from recsvc.storage.models import Interaction, Item, User

Write = Callable[[str, str | bytes], str]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def to_file(name: str, content: str | bytes) -> str:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)

    return to_file


@pytest.fixture
def sqlite_context(sqlite_app: Flask) -> Iterator[Flask]:
    with sqlite_app.app_context():
        yield sqlite_app


def run(format_: str, path: str | Path, **options: Any) -> tuple[Outcome, list[BadRow]]:
    bad: list[BadRow] = []
    return import_path(Request(format_, str(path), **options), on_bad_row=bad.append), bad


def counts(outcome: Outcome) -> tuple[int, int, int, int, int]:
    return outcome.read, outcome.stored, outcome.replaced, outcome.duplicates, outcome.rejected


def rows_of(model: type) -> int:
    return db.session.scalar(select(func.count()).select_from(model)) or 0


def history(user_id: str) -> list[tuple[str, str, float | None, datetime]]:
    rows = history_page(user_id, before=None, limit=100, event=None)
    return [(item_id, event, row.value, row.occurred_at) for row, item_id, event in rows]


# Interactions in CSV


def test_a_csv_of_interactions_is_stored_with_every_field(context, write):
    path = write(
        "in.csv",
        "user_id,item_id,event,value,occurred_at,event_id,recommendation_id\n"
        "r1,b1,purchase,,2024-05-01T10:00:00+02:00,order-1,rec-9\n"
        'r1,"b,2",rating,4.5,1714557600,,\n',
    )

    outcome, bad = run("csv", path)

    assert (counts(outcome), bad) == ((2, 2, 0, 0, 0), [])
    assert history("r1") == [
        ("b,2", "rating", 4.5, datetime(2024, 5, 1, 10, tzinfo=UTC)),
        ("b1", "purchase", None, datetime(2024, 5, 1, 8, tzinfo=UTC)),
    ]
    stored = db.session.scalars(select(Interaction).order_by(Interaction.interaction_key)).all()
    assert [row.recommendation_id for row in stored] == ["rec-9", None]
    assert stored[0].event_id == "order-1"


def test_run_twice_nothing_is_stored_twice(context, write):
    path = write("in.csv", "user_id,item_id,occurred_at\nr1,b1,\nr1,b2,100\nr2,b1,\n")

    first, _ = run("csv", path)
    second, _ = run("csv", path)

    assert counts(first) == (3, 3, 0, 0, 0)
    assert counts(second) == (3, 0, 0, 3, 0)
    assert (rows_of(Interaction), rows_of(User), rows_of(Item)) == (3, 2, 2)


def test_equal_rows_of_a_file_are_one_and_rows_that_differ_in_any_field_are_not(context, write):
    path = write(
        "in.csv",
        "user_id,item_id,event,value,occurred_at\n"
        "r1,b1,view,,100\n"
        "r1,b1,view,,100\n"
        "r1,b1,view,,101\n"
        "r1,b1,cart,,100\n"
        "r1,b1,view,2,100\n"
        "r1,b2,view,,100\n"
        "r2,b1,view,,100\n"
        "r1,b1,view,,1970-01-01T00:01:40Z\n",
    )

    assert counts(run("csv", path)[0]) == (8, 6, 0, 2, 0)


def test_an_event_id_of_the_file_is_kept_so_the_shops_own_retry_is_a_duplicate(context, write):
    record(NewInteraction("r1", "b1", "purchase", event_id="order-1"))

    outcome, _ = run("csv", write("in.csv", "user_id,item_id,event_id\nr1,b1,order-1\nr1,b1,order-2\n"))

    assert counts(outcome) == (2, 1, 0, 1, 0)


def test_an_event_id_of_the_file_is_its_users_own(context, write):
    record(NewInteraction("r1", "b1", "purchase", event_id="order-1"))
    path = write("in.csv", "user_id,item_id,event_id\nr1,b1,order-1\nr2,b1,order-1\n")

    assert counts(run("csv", path)[0]) == (2, 1, 0, 1, 0)
    assert counts(run("csv", path)[0]) == (2, 0, 0, 2, 0)


def test_bad_rows_are_told_with_line_and_reason_and_the_rest_is_stored(context, write):
    path = write(
        "in.csv",
        "user_id,item_id,event,value,occurred_at\n"
        "r1,b1,view,,\n"
        ",b1,view,,\n"
        "r1,,view,,\n"
        "r1,b1,gaze,,\n"
        "r1,b1,rating,,\n"
        "r1,b1,rating,much,\n"
        "r1,b1,rating,nan,\n"
        "r1,b1,rating,1e10,\n"
        "r1,b1,view,,yesterday\n"
        "r1,b1,view,,2999-01-01\n"
        "r1,b1,view\n"
        "r1,b1,view,,,,\n"
        "r\x001,b1,view,,\n"
        f"{'r' * 256},b1,view,,\n"
        "\n"
        "r2,b2,view,,\n",
    )

    outcome, bad = run("csv", path)

    assert counts(outcome) == (15, 2, 0, 0, 13)
    assert [(row.line, row.reason) for row in bad] == [
        (3, "user_id is missing"),
        (4, "item_id is missing"),
        (5, "the event is not configured: 'gaze'"),
        (6, "a rating needs a value"),
        (7, "value is not a number"),
        (8, "value is not between -1e9 and 1e9"),
        (9, "value is not between -1e9 and 1e9"),
        (10, "occurred_at is neither an RFC 3339 time nor seconds since 1970"),
        (11, "occurred_at is more than 5 minutes in the future"),
        (12, "fewer columns than the header"),
        (13, "more columns than the header"),
        (14, "user_id is not 1 to 255 printable characters"),
        (15, "user_id is not 1 to 255 printable characters"),
    ]
    assert bad[2].row == "r1,b1,gaze,,"
    assert outcome.reasons["value is not between -1e9 and 1e9"] == 2
    assert [row.line for row in outcome.first_rejected] == [3, 4, 5, 6, 7]
    assert [item_id for item_id, *_ in history("r2")] == ["b2"]


def test_bytes_that_are_not_utf_8_cost_one_row(context, write):
    outcome, bad = run("csv", write("in.csv", b"user_id,item_id\nr1,caf\xe9\nr1,caf\xc3\xa9\n"))

    assert counts(outcome) == (2, 1, 0, 0, 1)
    assert [(row.line, row.reason) for row in bad] == [(2, "not UTF-8 text")]
    assert [item_id for item_id, *_ in history("r1")] == ["café"]


def test_a_quote_that_is_never_closed_costs_one_line(context, write):
    outcome, bad = run("csv", write("in.csv", 'user_id,item_id\nr1,"b1\nr1,b2\nr1,"b3"\nr1,b4\n'))

    assert counts(outcome) == (4, 3, 0, 0, 1)
    assert [(row.line, row.row) for row in bad] == [(2, 'r1,"b1')]
    assert {item_id for item_id, *_ in history("r1")} == {"b2", "b3", "b4"}


def test_lines_are_counted_in_the_file_even_after_a_field_of_several_lines(context, write):
    _, bad = run("csv", write("in.csv", 'user_id,item_id,note\nr1,b1,"two\nlines"\nr1,,x\n'))

    assert [row.line for row in bad] == [4]


def test_columns_of_other_names_are_mapped(context, write):
    path = write("in.csv", "customer,sku,time\nr1,b1,100\n")

    run(
        "csv",
        path,
        mapping={"user_id": "customer", "item_id": "sku", "occurred_at": "time"},
        event="purchase",
    )

    assert history("r1") == [("b1", "purchase", None, datetime(1970, 1, 1, 0, 1, 40, tzinfo=UTC))]


def test_a_row_without_a_time_occurs_at_the_moment_of_the_import(context, write):
    before = datetime.now(UTC)
    run("csv", write("in.csv", "user_id,item_id\nr1,b1\n"))
    after = datetime.now(UTC)

    assert before - timedelta(milliseconds=1) <= history("r1")[0][3] <= after


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("0", datetime(1970, 1, 1, tzinfo=UTC)),
        ("1714557600.25", datetime(2024, 5, 1, 10, 0, 0, 250_000, tzinfo=UTC)),
        ("-1", datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC)),
        ("2024-05-01", datetime(2024, 5, 1, tzinfo=UTC)),
        ("2024-05-01 10:00:00", datetime(2024, 5, 1, 10, tzinfo=UTC)),
        ("2024-05-01T10:00:00.123456Z", datetime(2024, 5, 1, 10, 0, 0, 123_456, tzinfo=UTC)),
        ("2024-05-01T10:00:00-03:00", datetime(2024, 5, 1, 13, tzinfo=UTC)),
    ],
)
def test_times_are_understood_to_the_microsecond(context, write, given, meant):
    run("csv", write("in.csv", f"user_id,item_id,occurred_at\nr1,b1,{given}\n"))

    assert history("r1")[0][3] == meant


@pytest.mark.parametrize("given", ["1e400", "-99999999999999", "nan", "1714557600000", "24-05-01", "²"])
def test_times_that_cannot_be_are_refused(sqlite_context, write, given):
    outcome, _ = run("csv", write("in.csv", f"user_id,item_id,occurred_at\nr1,b1,{given}\n"))

    assert counts(outcome) == (1, 0, 0, 0, 1)


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        (b"", {}, "is empty"),
        (b"user,item_id\nr1,b1\n", {}, "has no column user_id; it has user, item_id. .*--map user_id=COLUMN"),
        (b"user_id,item_id\n", {"mapping": {"value": "stars"}}, "has no column stars"),
        (b"user_id,item_id\n", {"mapping": {"price": "item_id"}}, "no field price; --map takes user_id"),
        (b"user_id,item_id,item_id\n", {}, "twice"),
        (b"\xff\xfeu\x00s\x00", {}, "not UTF-8"),
    ],
)
def test_a_file_that_cannot_be_understood_says_why_and_stores_nothing(
    sqlite_context, write, content, options, message
):
    with pytest.raises(UnreadableFileError, match=message):
        run("csv", write("in.csv", content), **options)


def test_an_event_that_is_not_configured_is_refused_before_reading(sqlite_context, write):
    with pytest.raises(InvalidInputError, match="Unknown event 'gaze'"):
        run("csv", write("in.csv", "user_id,item_id\nr1,b1\n"), event="gaze")


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm(sqlite_context, write):
    outcome, _ = run("csv", write("in.csv", b"\xef\xbb\xbfuser_id, item_id\r\nr1, b1\r\n"))

    assert counts(outcome) == (1, 1, 0, 0, 0)
    assert history("r1")[0][0] == "b1"


def test_compressed_files_are_read(sqlite_context, write):
    outcome, _ = run("csv", write("in.csv.gz", gzip.compress(b"user_id,item_id\nr1,b1\n")))

    assert counts(outcome) == (1, 1, 0, 0, 0)


@pytest.mark.parametrize("format_", ["csv", "jsonl"])
def test_a_file_that_only_calls_itself_compressed_is_told_by_name(sqlite_context, write, format_):
    with pytest.raises(UnreadableFileError, match=r"in\.gz cannot be read"):
        run(format_, write("in.gz", b"user_id,item_id\nr1,b1\n"))

    assert rows_of(Interaction) == 0


def test_of_a_compressed_file_that_breaks_off_what_came_before_is_stored(sqlite_context, write):
    lines = "".join(f"r{number},b{number * 7919 % 1000}\n" for number in range(20_000))
    whole = gzip.compress(b"user_id,item_id\n" + lines.encode())

    with pytest.raises(UnreadableFileError, match="cannot be read to its end"):
        run("csv", write("in.csv.gz", whole[: len(whole) // 2]))

    assert 1_000 < rows_of(Interaction) < 20_000


# Many rows, unknown items, erased users


def test_rows_beyond_a_chunk_are_all_stored_in_order(context, write):
    lines = [f"r{number % 700} b{number % 901}" for number in range(120_001)]

    outcome, _ = run("pairs", write("pairs.txt", "\n".join(lines)))

    # 700 and 901 have no common divisor, so the first 630,700 pairs are all different.
    assert counts(outcome) == (120_001, 120_001, 0, 0, 0)
    assert (rows_of(User), rows_of(Item)) == (700, 901)
    assert counts(run("pairs", write("pairs.txt", "\n".join(lines)))[0]) == (120_001, 0, 0, 120_001, 0)


def test_unknown_items_are_rejected_where_settings_refuse_them(make_app, database_url, write):
    with make_app(database_url, unknown_items="reject").app_context():
        run("csv", write("items.csv", "item_id\nb1\n"), kind="items")

        outcome, bad = run("csv", write("in.csv", "user_id,item_id\nr1,b1\nr2,b2\n"))

        assert counts(outcome) == (2, 1, 0, 0, 1)
        assert [(row.line, row.reason, row.row) for row in bad] == [
            (3, "there is no such item, and settings refuse unknown ones", "r2,b2")
        ]
        assert (rows_of(Item), rows_of(User)) == (1, 1)


def test_an_import_after_an_erasure_makes_the_user_anew(context, write):
    path = write("pairs.txt", "r1 b1 b2\nr2 b1\n")
    run("pairs", path)
    erase_user("r2")

    outcome, _ = run("pairs", path)

    assert counts(outcome) == (3, 1, 0, 2, 0)


def test_after_an_import_the_database_refuses_again_what_refers_to_nothing(context, write):
    run("pairs", write("pairs.txt", "r1 b1\n"))

    with pytest.raises(IntegrityError), write_transaction():
        db.session.execute(update(Interaction).values(item_key=99))


# Items and users


def test_items_of_a_csv_have_lists_and_features(context, write):
    path = write(
        "items.csv",
        "item_id,title,categories,feature.genre,writer,available,published_at\n"
        "b1,Dom Casmurro,Fiction|Classics, Novel | Novel ,Machado de Assis,no,1899-01-01\n"
        "b2,,,,,,\n",
    )

    outcome, _ = run("csv", path, kind="items", mapping={"feature.author": "writer"})

    assert counts(outcome) == (2, 2, 0, 0, 0)
    item = get_item("b1")
    assert item.title == "Dom Casmurro"
    assert sorted(item.categories) == ["Classics", "Fiction"]
    assert item.features == {"author": ["Machado de Assis"], "genre": ["Novel"]}
    assert (item.available, item.hidden) == (False, False)
    assert item.published_at == datetime(1899, 1, 1, tzinfo=UTC)
    assert (get_item("b2").title, get_item("b2").features, get_item("b2").available) == (None, {}, True)


def test_items_imported_again_are_replaced(context, write):
    run("csv", write("items.csv", "item_id,title\nb1,Old\nb2,Old\n"), kind="items")

    outcome, _ = run("csv", write("items.csv", "item_id,title\nb1,New\nb3,New\nb3,Newer\n"), kind="items")

    assert counts(outcome) == (3, 1, 2, 0, 0)
    assert [get_item(name).title for name in ("b1", "b2", "b3")] == ["New", "Old", "Newer"]


def test_items_out_of_bounds_are_rejected_alone(context, write):
    path = write(
        "items.csv",
        "item_id,title,available,feature.genre\n"
        f"b1,{'t' * 1001},,\n"
        "b2,,maybe,\n"
        f"b3,,,{'g' * 256}\n"
        "b4,\x07,,\n"
        f"b5,{'t' * 1000},,{'g' * 255}\n",
    )

    outcome, bad = run("csv", path, kind="items")

    assert counts(outcome) == (5, 1, 0, 0, 4)
    assert [row.line for row in bad] == [2, 3, 4, 5]


def test_texts_for_people_may_have_joiners_and_wide_spaces(context, write):
    run("csv", write("items.csv", "item_id,title\nb1,محمد\u200cزاده\nb2,吾輩\u3000猫\n"), kind="items")

    assert get_item("b1").title == "محمد\u200cزاده"
    assert get_item("b2").title == "吾輩\u3000猫"


def test_users_of_a_csv_have_features(context, write):
    outcome, _ = run("csv", write("u.csv", "user_id,feature.language\nr1,pt|en\nr2,\n"), kind="users")

    assert counts(outcome) == (2, 2, 0, 0, 0)
    assert get_user("r1").features == {"language": ["en", "pt"]}
    assert get_user("r2").features == {}


# JSON Lines


def test_json_lines_have_the_form_of_the_api(context, write):
    rows = [
        {"user_id": "r1", "item_id": "b1", "event": "purchase", "occurred_at": "2024-05-01T10:00:00Z"},
        {"user_id": "r1", "item_id": "b2", "value": 3, "occurred_at": 100, "event_id": None},
    ]

    outcome, _ = run("jsonl", write("in.jsonl", "\n\n".join(map(json.dumps, rows))))

    assert counts(outcome) == (2, 2, 0, 0, 0)
    assert history("r1") == [
        ("b1", "purchase", None, datetime(2024, 5, 1, 10, tzinfo=UTC)),
        ("b2", "view", 3.0, datetime(1970, 1, 1, 0, 1, 40, tzinfo=UTC)),
    ]


def test_broken_json_lines_cost_a_row_each(context, write):
    lines = [
        b'{"user_id": "r1", "item_id": "b1"',
        b'["r1", "b1"]',
        b'{"user_id": 7, "item_id": "b1"}',
        b'{"user_id": "r1", "item_id": "b\\u0000"}',
        b'{"user_id": "r1", "item_id": "b\\ud800"}',
        b'{"user_id": "r1", "item_id": "b1", "occured_at": 7}',
        b'{"user_id": "r1", "item_id": "b1", "value": true}',
        b'{"user_id": "r1", "item_id": "b1", "value": 1' + b"0" * 400 + b"}",
        b'{"user_id": "r1", "item_id": "b1", "event": ["view"]}',
        b"[" * 100_000,
        b'{"user_id": "r\xff", "item_id": "b1"}',
        b'{"user_id": "r1", "item_id": "b1"}',
    ]

    outcome, bad = run("jsonl", write("in.jsonl", b"\n".join(lines)))

    assert counts(outcome) == (12, 1, 0, 0, 11)
    assert [row.line for row in bad] == list(range(1, 12))
    assert [row.reason for row in bad][:3] == [
        "not JSON",
        "not a JSON object",
        "user_id is not 1 to 255 printable characters, as a text",
    ]
    assert bad[5].reason == "unknown field: 'occured_at'"
    assert bad[10].reason == "not UTF-8 text"


def test_items_of_json_lines_have_attributes(context, write):
    item = {
        "item_id": "b1",
        "title": "T",
        "features": {"author": ["A"]},
        "attributes": {"pages": [256, None]},
    }

    run("jsonl", write("in.jsonl", json.dumps(item)), kind="items")

    assert get_item("b1").attributes == {"pages": [256, None]}
    assert get_item("b1").features == {"author": ["A"]}


@pytest.mark.parametrize(
    "content",
    [
        {"features": {"category": ["x"]}},
        {"features": {"author": "x"}},
        {"features": {"a" * 65: ["x"]}},
        {"features": {"author": [""]}},
        {"features": None},
        {"categories": ["c" * 256]},
        {"attributes": {"a": ["b\0"]}},
        {"attributes": {"a": {"b\ud800": 1}}},
        {"attributes": {"a": float("nan")}},
        {"attributes": {"a": "b" * 16_377}},
        {"available": "yes"},
        {"title": 5},
        {"published_at": "soon"},
    ],
)
def test_items_of_json_lines_that_cannot_be_kept_are_rejected(context, write, content):
    lines = [json.dumps({"item_id": "b1"} | content), json.dumps({"item_id": "b2"})]

    outcome, bad = run("jsonl", write("in.jsonl", "\n".join(lines)), kind="items")

    assert (counts(outcome), [row.line for row in bad]) == ((2, 1, 0, 0, 1), [1])


def test_keys_of_json_lines_are_mapped(context, write):
    line = json.dumps({"sku": "b1", "writer": "A", "title": "T"})

    run(
        "jsonl",
        write("in.jsonl", line),
        kind="items",
        mapping={"item_id": "sku", "feature.author": "writer"},
    )

    assert get_item("b1").features == {"author": ["A"]}


def test_an_empty_file_of_json_lines_holds_no_rows(sqlite_context, write):
    assert counts(run("jsonl", write("in.jsonl", ""))[0]) == (0, 0, 0, 0, 0)


# Data sets


def test_pairs_are_a_user_followed_by_items(context, write):
    outcome, bad = run("pairs", write("p.txt", f"r1 b1 b2 b1\n\nr2\nr3 {'b' * 256} b3\n"), event="like")

    assert counts(outcome) == (6, 3, 0, 1, 2)
    assert [(row.line, row.reason) for row in bad] == [
        (3, "a user without items"),
        (4, "item_id is not 1 to 255 printable characters"),
    ]
    assert {(item_id, event) for item_id, event, *_ in history("r1")} == {("b1", "like"), ("b2", "like")}


def test_pairs_cannot_be_ratings(sqlite_context, write):
    with pytest.raises(InvalidInputError, match="needs a value"):
        run("pairs", write("p.txt", "r1 b1\n"), event="rating")


def test_movielens_gives_items_with_genres_and_decade_and_ratings(context, write):
    write(
        "ml/movies.csv",
        "movieId,title,genres\n"
        "1,Toy Story (1995),Adventure|Comedy\n"
        '2,"American President, The (1995) ",(no genres listed)\n'
        "3,Death Note (2006–2007),Mystery\n"
        "4,Babylon 5,Sci-Fi\n",
    )
    path = write("ml/ratings.csv", "userId,movieId,rating,timestamp\n7,1,4.0,964982703\n7,2,,964982703\n")

    outcome, bad = run("movielens", Path(path).parent)

    assert counts(outcome) == (6, 5, 0, 0, 1)
    assert (Path(bad[0].file).name, bad[0].line, bad[0].reason) == (
        "ratings.csv",
        3,
        "a rating needs a value",
    )
    assert get_item("1").features == {"decade": ["1990s"], "genre": ["Adventure", "Comedy"]}
    assert get_item("2").features == {"decade": ["1990s"]}
    assert get_item("2").title == "American President, The (1995)"
    assert get_item("3").features == {"decade": ["2000s"], "genre": ["Mystery"]}
    assert get_item("4").features == {"genre": ["Sci-Fi"]}
    assert history("7") == [("1", "rating", 4.0, datetime(2000, 7, 30, 18, 45, 3, tzinfo=UTC))]


def test_goodbooks_gives_items_and_ratings_where_there_are_any(context, write):
    header = "book_id,authors,original_publication_year,title,language_code\n"
    path = write(
        "gb/books.csv",
        header + '1,"Mikhail Bulgakov, Mirra  Ginsburg, Mikhail Bulgakov",1967.0,Мастер и Маргарита ,rus\n'
        "2,Homer,-750.0,The Iliad,\n"
        "3,X,soon,Y,\n",
    )

    outcome, bad = run("goodbooks", path)

    assert (counts(outcome), bad[0].reason) == (
        (3, 2, 0, 0, 1),
        "original_publication_year is not a number",
    )
    assert get_item("1").title == "Мастер и Маргарита"
    assert get_item("1").features == {
        "author": ["Mikhail Bulgakov", "Mirra Ginsburg"],
        "decade": ["1960s"],
        "language": ["rus"],
    }
    assert get_item("2").features == {"author": ["Homer"]}

    write("gb/ratings.csv", "user_id,book_id,rating\n5,1,3\n")
    assert counts(run("goodbooks", Path(path).parent)[0]) == (4, 1, 2, 0, 1)
    assert [row[:3] for row in history("5")] == [("1", "rating", 3.0)]


@pytest.mark.parametrize("format_", ["movielens", "goodbooks", "pairs", "csv", "jsonl"])
def test_a_path_that_is_not_there_is_told(sqlite_context, tmp_path, format_):
    with pytest.raises(UnreadableFileError, match="nowhere"):
        run(format_, tmp_path / "nowhere")


def test_a_folder_without_the_files_of_its_format_is_told(sqlite_context, tmp_path):
    with pytest.raises(UnreadableFileError, match=r"movies\.csv"):
        run("movielens", tmp_path)


# Real data


@pytest.mark.realdata
def test_real_movielens_is_stored_whole(sqlite_context, shared_data):
    outcome, _ = run("movielens", shared_data / "ml-latest-small")

    assert counts(outcome) == (110_578, 110_578, 0, 0, 0)
    assert (rows_of(Interaction), rows_of(Item), rows_of(User)) == (100_836, 9_742, 610)
    assert get_item("1").features["decade"] == ["1990s"]
    assert counts(run("movielens", shared_data / "ml-latest-small")[0]) == (110_578, 0, 9_742, 100_836, 0)


@pytest.mark.realdata
def test_real_goodbooks_is_stored_whole_with_its_accents(sqlite_context, shared_data):
    outcome, _ = run("goodbooks", shared_data / "goodbooks" / "books.csv")

    assert counts(outcome) == (10_000, 10_000, 0, 0, 0)
    assert get_item("2").features["author"] == ["J.K. Rowling", "Mary GrandPré"]


@pytest.mark.realdata
def test_real_pairs_are_stored_whole(sqlite_context, shared_data):
    outcome, _ = run("pairs", shared_data / "gowalla" / "test.txt")

    assert (outcome.stored, outcome.duplicates) == (217_242, 0)
    assert rows_of(Interaction) == 217_242


@pytest.mark.parametrize(
    ("field", "given"), [("occurred_at", "20260101"), ("published_at", "20260101"), ("published_at", "1899")]
)
def test_a_day_or_a_year_in_digits_is_not_taken_for_seconds_since_1970(field, given):
    with pytest.raises(RowError, match=f"{field} is neither an RFC 3339 time nor seconds"):
        read_time(field, given)
