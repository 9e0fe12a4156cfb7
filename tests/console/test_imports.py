"""Files: uploaded, checked, stored when told so."""

from __future__ import annotations

import io
import json
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select

from recsvc import queues
from recsvc.extensions import db
from recsvc.services import (
    catalogue,
)
from recsvc.services.importing import uploads
from recsvc.storage.models import Interaction, Item

KEY = "admin-key-of-the-settings"


CSV = b"""user_id,item_id,event
ana,book-1,purchase
,book-2,view
bea,book-1,teleport
bea,book-2,view
"""


def upload(operator: Any, content: bytes = CSV, name: str = "shop.csv", **form: str) -> str:
    data = {"file": (io.BytesIO(content), name), "kind": "interactions", "event": "view", **form}
    answer = operator.send("import/", "import/", **data)
    assert answer.status_code == 302, operator.words(answer.get_data(as_text=True))
    return str(answer.location.rpartition("/")[2])


def test_a_file_is_checked_first_and_stored_when_told_so(app, operator):
    import_id = upload(operator)
    assert "data-poll" in operator.look(f"import/{import_id}")
    with app.app_context():
        uploads.work_on(import_id)
        assert db.session.scalar(select(func.count()).select_from(Interaction)) == 0

    page = operator.look(f"import/{import_id}")
    said = operator.words(page)
    assert "2 rows cannot be stored" in said
    assert "3 user_id is missing ,book-2,view" in said
    assert "4 the event is not configured: 'teleport' bea,book-1,teleport" in said

    operator.send(f"import/{import_id}", f"import/{import_id}/store")
    with app.app_context():
        uploads.work_on(import_id)
        uploads.work_on(import_id)  # a job that is done twice
        assert db.session.scalar(select(func.count()).select_from(Interaction)) == 2
        assert list(uploads.data_imports.chunks(import_id)) == []
    assert "Rows read 4" in operator.say(f"import/{import_id}")


def test_the_same_file_stored_twice_stores_nothing_twice(app, operator):
    lines = b"user_id,item_id,event,occurred_at\nana,book-1,view,2026-01-01T00:00:00Z\n"
    for expected in (1, 1):
        import_id = upload(operator, lines)
        with app.app_context():
            uploads.work_on(import_id)
            uploads.confirm(import_id)
            uploads.work_on(import_id)
            assert db.session.scalar(select(func.count()).select_from(Interaction)) == expected
    assert "There already 1" in operator.say(f"import/{import_id}")


def test_items_come_in_as_json_lines_over_several_chunks(app, operator, monkeypatch):
    monkeypatch.setattr(uploads, "_CHUNK_BYTES", 50)
    lines = "".join(json.dumps({"item_id": f"b-{n}", "title": f"Title é {n}"}) + "\n" for n in range(30))
    import_id = upload(operator, lines.encode(), "items.jsonl", kind="items")
    with app.app_context():
        uploads.work_on(import_id)
        assert db.session.scalar(select(func.count()).select_from(Item)) == 0
        uploads.confirm(import_id)
        uploads.work_on(import_id)
        assert catalogue.get_item("b-29").title == "Title é 29"
        assert db.session.scalar(select(func.count()).select_from(Item)) == 30


def test_a_check_tells_of_items_that_settings_would_refuse(make_app, sqlite_url, sign_in):
    app = make_app(sqlite_url, recsvc_admin_key=KEY, unknown_items="reject")
    operator = sign_in(app)
    import_id = upload(operator, b"user_id,item_id\nana,nowhere\n")
    with app.app_context():
        uploads.work_on(import_id)
        outcome = uploads.get(import_id).outcome

    assert (outcome["read"], outcome["stored"], outcome["rejected"]) == (1, 0, 1)
    assert "there is no such item" in operator.say(f"import/{import_id}")


@pytest.mark.parametrize(
    ("content", "name", "says"),
    [
        (b"customer,product\na,b\n", "shop.csv", "shop.csv has no column user_id, item_id"),
        (b"\xff\xfe\x00garbage", "shop.csv", "shop.csv"),
        (b"not a gzip file", "shop.csv.gz", "shop.csv.gz"),
    ],
)
def test_a_file_that_makes_no_sense_fails_with_a_reason_and_no_path(app, operator, content, name, says):
    import_id = upload(operator, content, name)
    with app.app_context():
        uploads.work_on(import_id)
        assert list(uploads.data_imports.chunks(import_id)) == []

    said = operator.say(f"import/{import_id}")

    assert "failed" in said
    assert says in said
    assert "recsvc-import-" not in said


@pytest.mark.parametrize(
    ("form", "says"),
    [
        ({"name": "shop.xlsx"}, "must end in .csv or .jsonl"),
        ({"content": b""}, "The file is empty"),
        ({"name": ""}, "Choose a file first"),
        ({"kind": "x"}, "is none of"),
        ({"event": "x"}, "Unknown event"),
    ],
)
def test_an_upload_that_cannot_be_meant_is_refused(app, operator, form, says):
    form = {"kind": "items", "event": "view", "content": b"x", "name": "a.csv", **form}
    file = (io.BytesIO(form.pop("content")), form.pop("name"))
    answer = operator.send("import/", "import/", file=file, **form)

    assert answer.status_code == 422
    assert says in operator.words(answer.get_data(as_text=True))
    with app.app_context():
        assert uploads.newest() == []


def test_an_upload_may_be_larger_than_a_request_of_the_api_but_not_than_said(app, operator, monkeypatch):
    from recsvc.console import security

    row = b"ana,book-1\n"
    upload(operator, b"user_id,item_id\n" + row * (6_000_000 // len(row)))
    monkeypatch.setattr(security, "MAX_BYTES", 100_000)
    answer = operator.send(
        "import/", "import/", file=(io.BytesIO(row * 20_000), "a.csv"), kind="items", event="view"
    )
    assert answer.status_code == 413


def test_a_file_that_a_worker_is_at_is_neither_stored_nor_forgotten(operator):
    import_id = upload(operator)

    for what in ("store", "discard"):
        assert operator.send("import/", f"import/{import_id}/{what}").status_code == 409


def test_a_forgotten_file_leaves_nothing(app, operator):
    import_id = upload(operator)
    with app.app_context():
        uploads.work_on(import_id)
    operator.send(f"import/{import_id}", f"import/{import_id}/discard")

    operator.look(f"import/{import_id}", 404)
    with app.app_context():
        assert list(uploads.data_imports.chunks(import_id)) == []


def test_an_import_whose_job_was_lost_is_queued_again_and_old_ones_are_forgotten(
    app, operator, redis, monkeypatch
):
    import_id = upload(operator)
    redis.flushall()
    with app.app_context():
        uploads.sweep()
        assert not queues.import_job_is_alive(import_id, "checking")
        monkeypatch.setattr(uploads, "_LOST_AFTER", timedelta(0))
        uploads.sweep()
        assert queues.import_job_is_alive(import_id, "checking")
        monkeypatch.setattr(uploads, "_FORGOTTEN_AFTER", timedelta(0))
        uploads.sweep()
        assert uploads.newest() == []
