"""Each page and each form, as requests."""

from __future__ import annotations

import html
import io
import json
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select
from werkzeug.datastructures import FileStorage
from werkzeug.test import encode_multipart

from recsvc import queues
from recsvc.extensions import db
from recsvc.services import (
    catalogue,
    figures,
    ingestion,
    keys,
    recommending,
    registry,
    serving,
    stock,
    training,
)
from recsvc.services.catalogue import ItemContent
from recsvc.services.importing import uploads
from recsvc.services.ingestion import NewInteraction
from recsvc.services.recommending import Filters
from recsvc.storage.models import Interaction, Item
from recsvc.storage.queries import interactions

KEY = "admin-key-of-the-settings"
SHELVES = {shelf: [f"{shelf}-{number}" for number in range(8)] for shelf in ("crime", "poetry")}


class Operator:
    """Somebody who is signed in: sees texts, and sends forms with their token."""

    def __init__(self, client) -> None:
        self.client = client
        self.send("sign-in", "sign-in", key=KEY)

    def look(self, path: str, status: int = 200, **options) -> str:
        answer = self.client.get(f"/console/{path}", **options)
        assert answer.status_code == status, (answer.status_code, answer.location)
        return answer.get_data(as_text=True)

    def send(self, page: str, path: str, **data):
        token = re.search(r'name="csrf_token" value="([^"]+)"', self.look(page))[1]
        # Encoded here: the test client would leave a temporary file of a large form open.
        parts = {
            name: FileStorage(*value) if isinstance(value, tuple) else value for name, value in data.items()
        }
        boundary, body = encode_multipart({"csrf_token": token, **parts})
        kind = f'multipart/form-data; boundary="{boundary}"'
        return self.client.post(f"/console/{path}", data=body, content_type=kind)


def words(page: str) -> str:
    """What a page says, without its marks."""
    main = page[page.index("<main") :]
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", main)))


def ids_on(page: str) -> list[str]:
    """Ids of the items on a page of the catalogue."""
    return re.findall(r'<code class="text-quiet">([^<]*)', page)


@pytest.fixture
def app(make_app, database_url):
    return make_app(database_url, recsvc_admin_key=KEY)


@pytest.fixture
def operator(app) -> Operator:
    return Operator(app.test_client())


@pytest.fixture
def shop(app):
    """Two shelves of eight books and their readers."""
    with app.app_context():
        catalogue.put_items(
            (item_id, ItemContent(title=item_id.title(), categories=[shelf], features={"mood": [shelf]}))
            for shelf, item_ids in SHELVES.items()
            for item_id in item_ids
        )
        rows = [
            NewInteraction(f"{shelf}-reader-{reader}", item_id, "purchase" if number % 3 else "view")
            for shelf, item_ids in SHELVES.items()
            for reader in range(12)
            for number, item_id in enumerate(item_ids)
            if (number + reader) % 4
        ]
        assert not ingestion.record_batch(enumerate(rows)).rejected


@pytest.fixture
def trained(app, shop) -> str:
    """The shop with a model; gives its version."""
    with app.app_context():
        run, _ = training.request("manual", requested_by="test")
        training.run(run.run_id)
        serving.serving().refresh()
        return str(training.get(run.run_id).model_version)


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
    assert says in words(operator.look(path))


def test_the_overview_tells_the_state_in_one_sentence(app, operator, trained):
    with app.app_context():
        catalogue.put_items([("bare", ItemContent(title="Bare"))])
        for reader in ("crime-reader-1", "poetry-reader-1"):
            recommending.for_user(reader, Filters(k=3))
        app.extensions["recsvc.recorder"].write()

    said = words(operator.look("overview"))

    assert "Serving version" in said
    assert "to 2 users in the last day" in said
    assert "1 item without any feature" in said
    assert "next training in" in said


def test_the_overview_tells_problems_first(operator, trained):
    page = operator.look("overview")

    assert "No worker is running" in words(page)
    assert "No scheduler is running" in words(page)
    assert "Who is served what personal: trained on their history 24" in words(page)
    assert page.index("No worker is running") < page.index("Interactions per day")


def test_the_overview_tells_that_redis_is_away(make_app, sqlite_url, tmp_path):
    app = make_app(sqlite_url, recsvc_admin_key=KEY, redis_url=f"unix://{tmp_path}/nobody.sock")

    assert "Redis does not answer" in words(Operator(app.test_client()).look("overview"))


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


def test_items_that_are_never_recommended_are_found(app, operator, trained):
    with app.app_context():
        listed = {i.item_id for i in recommending.for_user("crime-reader-1", Filters(k=3)).items}
        app.extensions["recsvc.recorder"].write()
        catalogue.patch_item("poetry-7", {"hidden": True})
        figures.count()
        never = figures.latest().items_never_shown

    page = operator.look("catalogue/?only=never")

    found = set(ids_on(page))
    everything = {item_id for item_ids in SHELVES.values() for item_id in item_ids}
    assert found == everything - listed - {"poetry-7"}
    assert never == len(found)


def test_a_large_shop_is_counted_by_the_worker_alone(app, operator, monkeypatch, shop):
    monkeypatch.setattr(stock, "_COUNTED_ON_THE_SPOT", 10)
    assert "the first count is still to come" in words(operator.look("overview"))
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


def test_a_page_says_that_the_database_is_away(make_app, sqlite_url, tmp_path):
    secret = "the same for both of them"
    operator = Operator(make_app(sqlite_url, recsvc_admin_key=KEY, secret_key=secret).test_client())
    cookie = operator.client.get_cookie("recsvc_console", path="/console").value
    away = f"postgresql+psycopg://nobody@/none?host={tmp_path}"
    client = make_app(away, recsvc_admin_key=KEY, secret_key=secret).test_client()
    client.set_cookie("recsvc_console", cookie, path="/console")

    for path in ("overview", "catalogue/", "keys/"):
        answer = client.get(f"/console/{path}")
        assert answer.status_code == 503, path
        assert "The database does not answer" in words(answer.get_data(as_text=True))


def test_a_training_is_started_and_cancelled(app, operator, shop):
    answer = operator.send("training/", "training/start", reason="New shelf", force="yes")

    run_id = answer.location.rpartition("/")[2]
    with app.app_context():
        run = training.get(run_id)
        assert (run.status, run.reason, run.force) == ("queued", "New shelf", True)
        assert run.requested_by == "key RECSVC_ADMIN_KEY"
        assert queues.training_job_is_alive(run_id)
    page = operator.look(f"training/{run_id}")
    assert "<progress" in page
    assert "data-poll" in page

    operator.send(f"training/{run_id}", f"training/{run_id}/cancel")
    with app.app_context():
        assert training.get(run_id).status == "cancelled"
    assert "data-poll" not in operator.look(f"training/{run_id}")


def test_a_second_start_leads_to_the_run_that_is_under_way(operator, shop):
    first = operator.send("training/", "training/start")
    second = operator.send(f"training/{first.location.rpartition('/')[2]}", "training/start")

    assert second.location == first.location
    assert "under way already" in words(operator.look("training/"))


def test_a_training_cannot_be_started_while_redis_is_away(make_app, sqlite_url, tmp_path):
    app = make_app(sqlite_url, recsvc_admin_key=KEY, redis_url=f"unix://{tmp_path}/nobody.sock")
    answer = Operator(app.test_client()).send("training/", "training/start")

    assert answer.status_code == 503
    assert "Redis does not answer" in words(answer.get_data(as_text=True))


def test_a_run_that_ended_tells_its_stages_and_the_gate(app, operator, trained):
    with app.app_context():
        run_id = registry.get(trained).run_id

    said = words(operator.look(f"training/{run_id}"))

    assert "succeeded" in said
    assert "Too little data to tell" in said
    for stage in ("read", "build", "evaluate", "fit", "publish", "activate"):
        assert stage in said


def test_a_failed_run_tells_why(app, operator):
    with app.app_context():
        run, _ = training.request("manual", requested_by="test")
        training.fail(run.run_id, "The disk is full.")

    assert "The disk is full." in words(operator.look(f"training/{run.run_id}"))
    assert "The last training failed" in words(operator.look("overview"))


def test_the_gates_decision_is_told_from_its_figures(app, operator):
    compared = {
        "users": 600,
        "ndcg_at_10": 0.12,
        "recall_at_20": 0.19,
        "candidate": {"ndcg_at_10": 0.21, "recall_at_20": 0.3},
        "difference": {
            "ndcg_at_10": {"mean": 0.09, "low": 0.064, "high": 0.116},
            "recall_at_20": {"mean": -0.01, "low": -0.02, "high": -0.001},
        },
    }
    gate = {"decision": "rejected", "reason": "…", "candidate": {}, "popularity": compared, "active": None}
    with app.app_context():
        run, _ = training.request("manual", requested_by="test")
        training.training_runs.change(run.run_id, status="rejected", gate=gate)
        db.session.commit()

    said = words(operator.look(f"training/{run.run_id}"))

    assert "Rejected" in said
    assert "what is popular, among 600 users NDCG@10 0.2100 0.1200" in said
    assert "+0.0900 (+0.0640 … +0.1160) surely better" in said
    assert "Recall@20 0.3000 0.1900 −0.0100 (−0.0200 … −0.0010) surely worse" in said


def test_a_version_is_activated(app, operator, trained):
    with app.app_context():
        run, _ = training.request("manual", requested_by="test")
        training.run(run.run_id)
        newer = training.get(run.run_id).model_version
        assert registry.model_store().pointer().version == newer

    operator.send("versions/", f"versions/{trained}/activate")

    with app.app_context():
        assert registry.model_store().pointer().version == trained
    page = operator.look(f"versions/compare?before={trained}&after={newer}")
    assert "0 came, 0 went" in words(page)


def test_the_experiment_is_told(make_app, sqlite_url):
    from recsvc.config import Experiment

    app = make_app(sqlite_url, recsvc_admin_key=KEY, experiment=Experiment("a", "b", 0.1))

    said = words(Operator(app.test_client()).look("versions/"))

    assert "is served to 10" in said
    assert "None is under way" not in said


def test_a_users_list_stands_beside_their_history_with_reasons(operator, trained):
    said = words(operator.look("explorer/user?user_id=crime-reader-1"))

    assert "Personal: trained on their history" in said
    assert "because of Crime-" in said
    assert "History, the newest first" in said


def test_a_new_visitor_gets_what_is_popular(operator, trained):
    said = words(operator.look("explorer/user?user_id=somebody-new"))

    assert "Popular: nothing is known of them" in said
    assert "This user is not known" in said


def test_an_item_in_the_basket_changes_the_list_and_nothing_is_saved(app, operator, trained):
    def listed(page: str) -> list[str]:
        after = page[page.index("<ol") :]
        return re.findall(r'item\?item_id=([\w-]+)">', after)

    before = listed(operator.look("explorer/user?user_id=somebody-new"))
    with app.app_context():
        stored = db.session.scalar(select(func.count()).select_from(Interaction))
        waiting = app.extensions["recsvc.recorder"].write()

    page = operator.look("explorer/user?user_id=somebody-new&basket=poetry-1")
    after = [item_id for item_id in listed(page) if item_id]

    assert "because of" in words(page)
    assert before != after
    assert "poetry-1" not in after[:1]
    assert waiting == 0
    with app.app_context():
        assert app.extensions["recsvc.recorder"].write() == 0
        assert db.session.scalar(select(func.count()).select_from(Interaction)) == stored
        assert interactions.history("somebody-new") == (None, [])


def test_an_items_neighbours_come_with_what_they_have_in_common(operator, trained):
    said = words(operator.look("explorer/item?item_id=crime-1"))

    assert "Known by who liked it" in said
    assert "In common: category:crime mood:crime" in said
    assert "% who likes both" in said.replace("\xa0", " ")


def test_a_cold_item_is_told_to_be_cold(app, operator, trained):
    with app.app_context():
        catalogue.put_items([("new", ItemContent(title="New", features={"mood": ["poetry"]}))])
        serving.serving().refresh()

    said = words(operator.look("explorer/item?item_id=new"))

    assert "Cold" in said
    assert "In common: mood:poetry" in said


def test_what_is_not_there_is_told_as_a_page(operator):
    for path in ("explorer/item?item_id=none", "training/none", "import/none", "catalogue/item?item_id=none"):
        assert "There is no" in words(operator.look(path, 404))
    assert "There is no such page" in words(operator.look("nowhere/at/all", 404))


def test_the_catalogue_is_searched_by_title_whatever_the_case(operator, shop):
    found = ids_on(operator.look("catalogue/?q=CRIME-3"))

    assert found == ["crime-3"]
    assert "Nothing is like that" in words(operator.look("catalogue/?q=none"))


def test_the_catalogue_is_paged(app, operator):
    with app.app_context():
        catalogue.put_items((f"item-{number:03}", ItemContent()) for number in range(70))
    first = operator.look("catalogue/")
    onward = html.unescape(re.search(r'href="/console/(catalogue/\?[^"]*after=\d+[^"]*)"', first)[1])
    second = operator.look(onward)

    pages = [ids_on(page) for page in (first, second)]
    assert [len(page) for page in pages] == [50, 20]
    assert sorted(pages[0] + pages[1]) == [f"item-{number:03}" for number in range(70)]


def test_an_item_is_hidden_and_shown_again(app, operator, shop):
    def is_hidden() -> bool:
        with app.app_context():
            return catalogue.get_item("crime-1").hidden

    answer = operator.send("catalogue/", "catalogue/hide", item_id="crime-1", hidden="yes", q="crime")
    assert is_hidden()
    assert answer.location == "/console/catalogue/?q=crime"
    assert re.findall(r'<code class="text-quiet">([^<]*)', operator.look("catalogue/?only=hidden")) == [
        "crime-1"
    ]

    operator.send("catalogue/", "catalogue/hide", item_id="crime-1", hidden="")
    assert not is_hidden()


def test_an_item_is_edited_and_what_is_not_in_the_form_stays(app, operator, shop):
    with app.app_context():
        catalogue.patch_item("crime-1", {"attributes": {"year": 1934}})
    operator.send(
        "catalogue/item?item_id=crime-1",
        "catalogue/item",
        item_id="crime-1",
        title="Murder on a Train",
        categories="crime\r\nClassics",
        features="author: Agatha Christie\r\nmood: crime\r\nmood: dark",
        group="murder",
        available="yes",
    )

    with app.app_context():
        item = catalogue.get_item("crime-1")
        assert (item.title, item.group, item.available, item.hidden) == (
            "Murder on a Train",
            "murder",
            True,
            False,
        )
        assert sorted(item.categories) == ["Classics", "crime"]
        assert item.features == {"author": ["Agatha Christie"], "mood": ["crime", "dark"]}
        assert item.attributes == {"year": 1934}


@pytest.mark.parametrize("features", ["no colon", "name:", ": value", "category: x", f"{'n' * 65}: x"])
def test_an_edit_that_cannot_be_kept_is_told_and_loses_nothing(app, operator, shop, features):
    answer = operator.send(
        "catalogue/item?item_id=crime-1", "catalogue/item", item_id="crime-1", title="New", features=features
    )

    assert answer.status_code == 422
    assert html.escape(features) in answer.get_data(as_text=True)
    with app.app_context():
        assert catalogue.get_item("crime-1").title == "Crime-1"


CSV = b"""user_id,item_id,event
ana,book-1,purchase
,book-2,view
bea,book-1,teleport
bea,book-2,view
"""


def upload(operator: Operator, content: bytes = CSV, name: str = "shop.csv", **form: str) -> str:
    data = {"file": (io.BytesIO(content), name), "kind": "interactions", "event": "view", **form}
    answer = operator.send("import/", "import/", **data)
    assert answer.status_code == 302, words(answer.get_data(as_text=True))
    return str(answer.location.rpartition("/")[2])


def test_a_file_is_checked_first_and_stored_when_told_so(app, operator):
    import_id = upload(operator)
    assert "data-poll" in operator.look(f"import/{import_id}")
    with app.app_context():
        uploads.work_on(import_id)
        assert db.session.scalar(select(func.count()).select_from(Interaction)) == 0

    page = operator.look(f"import/{import_id}")
    said = words(page)
    assert "2 rows cannot be stored" in said
    assert "3 user_id is missing ,book-2,view" in said
    assert "4 the event is not configured: 'teleport' bea,book-1,teleport" in said

    operator.send(f"import/{import_id}", f"import/{import_id}/store")
    with app.app_context():
        uploads.work_on(import_id)
        uploads.work_on(import_id)  # a job that is done twice
        assert db.session.scalar(select(func.count()).select_from(Interaction)) == 2
        assert list(uploads.data_imports.chunks(import_id)) == []
    assert "Rows read 4" in words(operator.look(f"import/{import_id}"))


def test_the_same_file_stored_twice_stores_nothing_twice(app, operator):
    lines = b"user_id,item_id,event,occurred_at\nana,book-1,view,2026-01-01T00:00:00Z\n"
    for expected in (1, 1):
        import_id = upload(operator, lines)
        with app.app_context():
            uploads.work_on(import_id)
            uploads.confirm(import_id)
            uploads.work_on(import_id)
            assert db.session.scalar(select(func.count()).select_from(Interaction)) == expected
    assert "There already 1" in words(operator.look(f"import/{import_id}"))


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


def test_a_check_tells_of_items_that_settings_would_refuse(make_app, sqlite_url):
    app = make_app(sqlite_url, recsvc_admin_key=KEY, unknown_items="reject")
    operator = Operator(app.test_client())
    import_id = upload(operator, b"user_id,item_id\nana,nowhere\n")
    with app.app_context():
        uploads.work_on(import_id)
        outcome = uploads.get(import_id).outcome

    assert (outcome["read"], outcome["stored"], outcome["rejected"]) == (1, 0, 1)
    assert "there is no such item" in words(operator.look(f"import/{import_id}"))


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

    said = words(operator.look(f"import/{import_id}"))

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
    assert says in words(answer.get_data(as_text=True))
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


def test_a_key_is_shown_once_and_works_and_is_revoked(app, operator):
    page = operator.send("keys/", "keys/", role="read", name="newsletter").get_data(as_text=True)
    secret = re.search(r"recsvc_\w+_[\w-]+", page)[0]
    key_id = secret.split("_")[1]
    assert secret not in operator.look("keys/")

    def may_read() -> int:
        headers = {"Authorization": f"Bearer {secret}"}
        return app.test_client().get("/api/v1/items", headers=headers).status_code

    assert may_read() == 200
    assert "never" not in words(operator.look("keys/"))
    operator.send("keys/", f"keys/{key_id}/revoke")
    assert may_read() == 401
    assert "revoked" in words(operator.look("keys/"))


def test_a_key_needs_a_role_that_there_is(operator):
    assert operator.send("keys/", "keys/", role="boss").status_code == 422


def test_settings_tell_what_is_in_force_and_where_it_came_from(make_app, sqlite_url, tmp_path, monkeypatch):
    from recsvc import create_app
    from recsvc.config import Config

    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("MODEL_KEEP=7\nTRAIN_SEED=1\n")
    monkeypatch.setenv("TRAIN_SEED", "9")
    monkeypatch.setenv("RECSVC_ADMIN_KEY", KEY)
    monkeypatch.setenv("DATABASE_URL", sqlite_url)
    config = Config.from_environment()
    page = Operator(create_app(config).test_client()).look("settings/")

    rows = {
        row.split()[0]: row for row in map(words_of, re.findall(r"<tr>(.*?)</tr>", page, re.DOTALL)) if row
    }
    assert " 7 .env" in rows["MODEL_KEEP"]
    assert " 9 environment" in rows["TRAIN_SEED"]
    assert rows["GATE_TOLERANCE"].endswith("default")
    assert KEY not in page


def words_of(part: str) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", part).split())


def test_what_the_shop_sends_is_shown_as_text(app, operator, shop):
    evil = "<script>alert(1)</script>"
    with app.app_context():
        catalogue.put_items([("evil", ItemContent(title=evil, categories=[evil], features={"mood": [evil]}))])
        ingestion.record(NewInteraction("<b>user</b>", "evil", "view"))
    for path in (
        "catalogue/",
        "explorer/",
        "explorer/user?user_id=<b>user</b>",
        "explorer/item?item_id=evil",
    ):
        page = operator.look(path)
        assert evil not in page
        assert "<b>user" not in page
