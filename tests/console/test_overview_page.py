"""The first page, what it counts, and what an empty shop is told."""

from __future__ import annotations

import html
import json
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from recsvc.extensions import db
from recsvc.services import (
    catalogue,
    figures,
    ingestion,
    keys,
    recommending,
    stock,
)
from recsvc.services.catalogue import ItemContent
from recsvc.services.ingestion import NewInteraction
from recsvc.services.recommending import Filters

KEY = "admin-key-of-the-settings"


def test_an_empty_shop_is_told_the_next_three_steps_with_commands_to_copy(operator):
    page = operator.look("overview")

    commands = [html.unescape(text) for text in re.findall(r'<pre class="command"[^>]*>([^<]*)', page)]
    assert len(commands) == 3
    assert "/api/v1/interactions" in commands[0]
    assert "/api/v1/recommendations/train" in commands[1]
    assert "/api/v1/recommendations?user_id=" in commands[2]


def test_the_commands_of_an_empty_shop_work_as_they_stand(app, operator):
    page = operator.look("overview")
    with app.app_context():
        key = keys.create("admin", "x")[1]
    for text in re.findall(r'<pre class="command"[^>]*>([^<]*)', page):
        command = html.unescape(text)
        path = re.search(r"http://localhost(/[^ ']*)", command)[1]
        body = re.search(r" -d '([^']*)'", command)
        call = app.test_client().post if "-X POST" in command else app.test_client().get
        more = {"json": json.loads(body[1])} if body else {}
        answer = call(path, headers={"Authorization": f"Bearer {key}"}, **more)
        assert answer.status_code in {200, 201, 202}, command


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("training/", "No training yet"),
        ("versions/", "There is no version yet"),
        ("explorer/", "Nobody has done anything yet"),
        ("catalogue/", "The catalogue is empty"),
        ("import/", "Upload a file"),
        ("keys/", "None was made"),
        ("explorer/user?user_id=nobody", "There is nothing to recommend"),
    ],
)
def test_pages_of_an_empty_shop_say_what_to_do(operator, path, says):
    assert says in operator.say(path)


def test_problems_and_what_to_do_about_them_are_told_in_the_visitors_language(operator):
    operator.client.get("/console/language/pt_BR")
    said = operator.say("overview")

    assert "Nenhum worker dá sinal de vida: nada será treinado. Inicie um: python worker.py." in said


def test_the_overview_tells_the_state_in_one_sentence(app, operator, trained):
    with app.app_context():
        catalogue.put_items([("bare", ItemContent(title="Bare"))])
        for reader in ("crime-reader-1", "poetry-reader-1"):
            recommending.for_user(reader, Filters(k=3))
        app.extensions["recsvc.recorder"].write()

    said = operator.say("overview")

    assert "Serving version" in said
    assert "to 2 users in the last day" in said
    assert "1 item without any feature" in said
    assert "next training in" in said


def test_the_overview_tells_problems_first(operator, trained):
    page = operator.look("overview")

    assert "No worker is running" in operator.words(page)
    assert "No scheduler is running" in operator.words(page)
    assert "Who is served what personal: trained on their history 24" in operator.words(page)
    assert page.index("No worker is running") < page.index("Interactions per day")


def test_the_overview_tells_that_redis_is_away(make_app, sqlite_url, tmp_path, sign_in):
    app = make_app(sqlite_url, recsvc_admin_key=KEY, redis_url=f"unix://{tmp_path}/nobody.sock")

    assert "Redis does not answer" in sign_in(app).say("overview")


def test_interactions_are_counted_by_day_and_event(app, operator):
    present = datetime.now(UTC)
    with app.app_context():
        for days, event in ((0, "view"), (0, "view"), (3, "view"), (3, "purchase"), (45, "view")):
            ingestion.record(NewInteraction("a", "b", event, occurred_at=present - timedelta(days=days)))
        figures.count()
        counted = figures.latest().interactions_by_day

    today, before = present.date(), (present - timedelta(days=3)).date()
    assert counted == [(before, "purchase", 1), (before, "view", 1), (today, "view", 2)]
    assert "<svg" in operator.look("overview")


def test_lists_that_were_taken_up_are_counted_by_day_and_version(app, trained):
    with app.app_context():
        answers = [recommending.for_user(f"crime-reader-{reader}", Filters(k=3)) for reader in range(4)]
        app.extensions["recsvc.recorder"].write()
        taken = answers[0]
        for event in ("view", "purchase"):  # twice from one list counts once
            ingestion.record(
                NewInteraction(
                    "crime-reader-0",
                    taken.items[0].item_id,
                    event,
                    recommendation_id=taken.recommendation_id,
                )
            )
        figures.count()
        (row,) = figures.latest().shown_by_day
        item = catalogue.get_item(taken.items[0].item_id)
        shown = figures.of_items([item])[item.item_key]

    assert (row.model_version, row.lists, row.taken) == (trained, 4, 1)
    assert shown[0] == sum(item.item_id in {i.item_id for i in answer.items} for answer in answers)
    assert shown[1] == 2


def test_a_large_shop_is_counted_by_the_worker_alone(app, operator, monkeypatch, shop):
    monkeypatch.setattr(stock, "_COUNTED_ON_THE_SPOT", 10)
    assert "the first count is still to come" in operator.say("overview")
    with app.app_context():
        assert figures.latest() is None
        figures.keep()
        counted = figures.latest()
        assert counted is not None
        ingestion.record(NewInteraction("new", "crime-1", "view"))
        figures.keep()  # it is not yet time to count again
        assert figures.latest() == counted


def test_two_may_count_at_the_same_moment(app, trained):
    def count_in_a_process_of_its_own(_) -> None:
        with app.app_context():
            figures.count()
            db.session.remove()

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(count_in_a_process_of_its_own, range(12))) == [None] * 12


def test_a_page_says_that_the_database_is_away(make_app, sqlite_url, tmp_path, sign_in):
    secret = "the same for both of them"
    operator = sign_in(make_app(sqlite_url, recsvc_admin_key=KEY, secret_key=secret))
    cookie = operator.client.get_cookie("recsvc_console", path="/console").value
    away = f"postgresql+psycopg://nobody@/none?host={tmp_path}"
    client = make_app(away, recsvc_admin_key=KEY, secret_key=secret).test_client()
    client.set_cookie("recsvc_console", cookie, path="/console")

    for path in ("overview", "catalogue/", "keys/"):
        answer = client.get(f"/console/{path}")
        assert answer.status_code == 503, path
        assert "The database does not answer" in operator.words(answer.get_data(as_text=True))
