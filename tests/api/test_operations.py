"""What operators see: the status, and logs that name nobody."""

from __future__ import annotations

import io
import json

import pytest
from sqlalchemy import text

from recsvc.config import Experiment
from recsvc.extensions import db
from recsvc.logs import configure_logging
from recsvc.services import attribution, keys, tokens, training
from recsvc.services.serving import serving

API = "/api/v1"


SECRET = "the-provider-secret-of-this-shop-0"


def test_an_empty_service_says_what_to_do(admin):
    status = admin.get(f"{API}/status").json

    assert status["data"]["verdict"] == "none"
    assert "import" in status["data"]["advice"]
    assert (status["serving"]["model_version"], status["last_run"], status["experiment"]) == (None,) * 3
    assert "no model yet" in status["serving"]["why"]
    assert status["attribution"] == []
    assert status["next_training_at"].endswith("T00:00:00+00:00")


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("get", "/recommendations?user_id=ana", None),
        ("post", "/recommendations/session", {"item_ids": ["b1"]}),
        ("post", "/recommendations/batch", {"user_ids": ["ana"]}),
    ],
)
def test_what_only_reads_has_its_statements_prepared(make_app, postgresql_url, method, path, body):
    app = make_app(postgresql_url)
    with app.app_context():
        key = keys.create("service", "shop")[1]
    for _ in range(7):  # the first notes that the key is used; psycopg prepares what comes for the sixth time
        answer = app.test_client().open(
            f"{API}{path}", method=method, json=body, headers={"Authorization": f"Bearer {key}"}
        )
        assert answer.status_code == 200

    with app.app_context():
        prepared = db.session.scalars(text("SELECT statement FROM pg_prepared_statements")).all()
    assert any("FROM api_keys" in statement for statement in prepared)


@pytest.fixture
def shop_and_run(app, service):
    rows = [
        {"user_id": f"u{user}", "item_id": f"b{item}", "event": "view"}
        for user in range(6)
        for item in range(8)
        if (user + item) % 3
    ]
    service.post(f"{API}/interactions/batch", json={"interactions": rows})
    service.put(f"{API}/items/b0", json={"hidden": True})
    with app.app_context():
        run, _ = training.request("manual", requested_by="test")
        training.run(run.run_id)
        serving().refresh()
        return training.get(run.run_id)


def test_the_status_tells_what_there_is_and_what_is_served(admin, service, app, shop_and_run):
    listed = service.get(f"{API}/recommendations?user_id=u1&k=1").json
    body = {"user_id": "u1", "item_id": listed["items"][0]["item_id"], "event": "purchase"}
    service.post(f"{API}/interactions", json=body | {"recommendation_id": listed["recommendation_id"]})
    with app.app_context():
        attribution.flush()

    status = admin.get(f"{API}/status").json

    assert status["data"]["totals"].items() >= {"interactions": 33, "users": 6, "items": 8}.items()
    assert status["data"]["totals"]["recommendable_items"] == 7
    assert status["data"]["verdict"] == "little"
    assert status["serving"]["model_version"] == shop_and_run.model_version
    assert shop_and_run.run_id in status["serving"]["why"]
    assert status["last_run"]["run_id"] == shop_and_run.run_id
    (told,) = status["attribution"]
    assert told.items() >= {"strategy": "personal", "recommendations": 1, "users": 1}.items()
    assert told["events"] == {"view": 0, "cart": 0, "purchase": 1}


def test_the_status_tells_of_an_experiment(make_app, app, shop_and_run):
    version = shop_and_run.model_version
    other = make_app(app.config["SQLALCHEMY_DATABASE_URI"], experiment=Experiment(version, "other", 0.1))
    with other.app_context():
        headers = {"Authorization": f"Bearer {keys.create('admin', 'x')[1]}"}

    told = other.test_client().get(f"{API}/status", headers=headers).json["experiment"]

    assert (told["control"]["model_version"], told["treatment"]["model_version"]) == (version, "other")
    assert (told["share"], told["differences"]["purchase"]) == (0.1, None)


PERSON = "maria-da-silva"


def test_logs_name_no_user_and_no_secret(make_app, database_url):
    app = make_app(database_url, jwt_secret=SECRET, rate_limits={"user": "9/minute"})
    log = io.StringIO()
    with app.app_context():
        key = keys.create("admin", "operations")[1]
        token = tokens.issue(PERSON, 60)[0]
    configure_logging("DEBUG", "json", log)
    client = app.test_client()

    def explode() -> None:
        raise RuntimeError("halfway")

    for credential in (key, token, key + "x", token + "x"):
        headers = {"Authorization": f"Bearer {credential}"}
        body = {"user_id": PERSON, "item_id": "b", "event": "view"}
        for _ in range(4):
            client.post(f"{API}/interactions", json=body, headers=headers)
        client.get(f"{API}/recommendations?user_id={PERSON}", headers=headers)
        client.get(f"{API}/users/{PERSON}/export", headers=headers)
        client.post(f"{API}/users/{PERSON}/merge", json={"into": PERSON + "-2"}, headers=headers)
    app.view_functions["users.get_user"] = _allowed(explode)
    client.get(f"{API}/users/{PERSON}")
    with app.app_context():
        db.session.execute(text("ALTER TABLE users RENAME TO gone"))
        db.session.commit()
    headers = {"Authorization": f"Bearer {key}"}
    assert client.get(f"{API}/users/{PERSON}/export", headers=headers).status_code >= 500
    assert client.delete(f"{API}/users/{PERSON}", headers=headers).status_code >= 500

    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    assert len([line for line in lines if line["level"] == "error"]) == 3
    for secret in (PERSON, key.split("_", 2)[2], token, SECRET):
        assert secret not in log.getvalue()


def _allowed(act):
    def view(**_: object) -> None:
        act()

    view.allowed_roles = ()
    return view
