"""What Prometheus is told: exact counts, how things stand, and nothing of anybody."""

from __future__ import annotations

import pytest
from flask import Flask
from prometheus_client.mmap_dict import MmapedDict, mmap_key
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import text

from recsvc import queues
from recsvc.extensions import db
from recsvc.instruments import instruments
from recsvc.services import attribution, training
from recsvc.services.serving import serving

API = "/api/v1"
PERSON, BOOK = "maria-da-silva", "dom-casmurro"
TOKEN = "what-prometheus-must-send"


@pytest.fixture
def app(sqlite_app: Flask) -> Flask:
    return sqlite_app


def read(app: Flask, name: str, **headers: str) -> dict[str, float]:
    """A metric's samples: their labels' values, in the order of the labels' names, to their values."""
    answer = app.test_client().get("/metrics", headers=headers)
    assert answer.status_code == 200, answer.json
    found = {}
    for family in text_string_to_metric_families(answer.get_data(as_text=True)):
        for sample in family.samples:
            if sample.name == name:
                found[" ".join(value for _, value in sorted(sample.labels.items()))] = sample.value
    return found


@pytest.fixture
def version(app, service) -> str:
    """A shop of eight books, one of them added after the training, and six readers; its model is served."""
    rows = [
        {"user_id": f"u{user}", "item_id": f"b{item}", "event": "view"}
        for user in range(6)
        for item in range(7)
        if (user + item) % 3
    ]
    assert service.post(f"{API}/interactions/batch", json={"interactions": rows}).json["accepted"] == 28
    with app.app_context():
        run, _ = training.request("manual", requested_by="test")
        training.run(run.run_id)
        service.put(f"{API}/items/b7", json={})
        serving().refresh()
        made = training.get(run.run_id).model_version
    assert made is not None
    return made


def test_requests_are_counted_and_timed_by_route_and_status(app, service, call_as):
    for name in ("b1", "b2", "b3"):
        service.get(f"{API}/items/{name}")
    service.put(f"{API}/items/b1", json={})
    service.get(f"{API}/items/b1")
    call_as(None).get(f"{API}/items/b1")
    service.get("/no/such/page")
    app.test_client().open("/healthz", method="BREW")

    requests = read(app, "recsvc_http_requests_total")
    timed = read(app, "recsvc_http_request_duration_seconds_count")

    item = f"{API}/items/{{item_id}}"
    expected = {
        f"GET {item} 404": 3,
        f"PUT {item} 201": 1,
        f"GET {item} 200": 1,
        f"GET {item} 401": 1,
        "GET none 404": 1,
        "other none 405": 1,
    }
    assert {name: requests[name] for name in expected} == expected
    assert timed[f"GET {item}"] == 5


def test_an_error_of_our_own_is_counted_as_one(app):
    def explode() -> None:
        raise RuntimeError("halfway")

    explode.allowed_roles = ()
    app.view_functions["health.healthz"] = explode

    app.test_client().get("/healthz")

    assert read(app, "recsvc_http_requests_total")["GET /healthz 500"] == 1


def test_interactions_are_counted_by_what_became_of_them(app, service):
    good = {"user_id": PERSON, "item_id": BOOK, "event": "view"}
    path = f"{API}/interactions"
    for body in (good, good | {"event_id": "1"}, good | {"event_id": "1"}, good | {"event": "stare"}):
        service.post(path, json=body)
    service.post(path, json=good | {"stranger": 1})
    service.post(path, data="{", headers={"Content-Type": "application/json"})
    batch = [good, good | {"event_id": "1"}, good | {"event_id": "2"}, {}, good | {"event": "stare"}]
    service.post(f"{path}/batch", json={"interactions": batch})

    # Two and two of the batch; one and one of it; three alone and two of the batch.
    assert read(app, "recsvc_interactions_total") == {"accepted": 4, "duplicate": 2, "rejected": 5}


def test_nothing_has_happened_yet_is_told_as_zero(app):
    assert read(app, "recsvc_interactions_total") == {"accepted": 0, "duplicate": 0, "rejected": 0}
    assert read(app, "recsvc_model_reloads_total") == {"served": 0, "refused": 0}
    ended = dict.fromkeys(("succeeded", "rejected", "failed", "cancelled"), 0)
    assert read(app, "recsvc_training_runs_total") == ended
    assert read(app, "recsvc_gate_decisions_total") == {"passed": 0, "rejected": 0, "forced": 0}


def test_lists_are_counted_by_what_was_asked_for_the_strategy_and_the_version(app, service, version):
    for path in (
        "recommendations?user_id=u1",
        "recommendations?user_id=u2",
        "recommendations?user_id=nobody-known",
        "recommendations/popular",
        "items/b1/similar",
    ):
        assert service.get(f"{API}/{path}").status_code == 200
    service.post(f"{API}/recommendations/batch", json={"user_ids": ["u1", "u2", "u3"], "k": 1})

    assert read(app, "recsvc_recommendations_total") == {
        f"user {version} personal": 2,
        f"user {version} popular": 1,
        f"popular {version} popular": 1,
        f"similar {version} similar": 1,
        f"newsletter {version} personal": 3,
    }
    assert read(app, "recsvc_serving_processes") == {version: 1}
    assert read(app, "recsvc_model_reloads_total") == {"served": 1, "refused": 0}


def test_lists_that_are_empty_or_short_are_counted(app, service, version):
    service.get(f"{API}/recommendations/popular?k=8")
    service.get(f"{API}/recommendations/popular?k=9")
    service.get(f"{API}/recommendations/popular?k=3&category=none-such")
    service.get(f"{API}/recommendations/trending?k=3&category=none-such")

    assert read(app, "recsvc_short_recommendations_total") == {
        "short popular": 1,
        "empty popular": 1,
        "empty trending": 1,
    }


def test_places_are_counted_by_whether_the_model_was_trained_with_the_item(app, service, version):
    assert read(app, "recsvc_recommended_items_total") == {"hot": 0, "cold": 0}, "a rate grows from there"
    service.get(f"{API}/recommendations/popular?k=8")
    service.get(f"{API}/recommendations/popular?k=2")

    # Seven books were in the training, one came after it.
    assert read(app, "recsvc_recommended_items_total") == {"hot": 9, "cold": 1}


def test_what_came_of_lists_is_counted_by_event_strategy_and_version(app, service, version):
    def act(listed: dict, item_id: str, event: str, **more: str) -> None:
        body = {"user_id": "u1", "item_id": item_id, "event": event, **more}
        answer = service.post(
            f"{API}/interactions", json=body | {"recommendation_id": listed["recommendation_id"]}
        )
        assert answer.status_code in {200, 201}

    first = service.get(f"{API}/recommendations?user_id=u1&k=2").json
    on_it, also_on_it = (item["item_id"] for item in first["items"])
    other = service.get(f"{API}/recommendations/popular?k=1").json
    act(first, on_it, "view", event_id="1")
    act(first, on_it, "view", event_id="1")
    act(first, on_it, "purchase")
    act(first, "never-listed", "cart")
    act(first, also_on_it, "like")
    act({"recommendation_id": "of-nowhere"}, on_it, "view")
    batch = [{"user_id": "u1", "item_id": on_it, "event": "cart"}]
    batch += [batch[0] | {"recommendation_id": first["recommendation_id"]}]
    batch += [batch[1] | {"user_id": "u2"}]
    batch += [{"user_id": "u2", "item_id": other["items"][0]["item_id"], "event": "view"}]
    batch[3]["recommendation_id"] = other["recommendation_id"]
    service.post(f"{API}/interactions/batch", json={"interactions": batch})

    with app.app_context():
        attribution.recorder().attribute()
        assert read(app, "recsvc_attributed_interactions_total") == {}, "no list is written yet"
        attribution.flush()
        for _ in range(7):
            attribution.recorder().attribute()

    assert read(app, "recsvc_attributed_interactions_total") == {
        f"view {version} personal": 1,
        f"purchase {version} personal": 1,
        f"cart {version} personal": 1,
        f"view {version} popular": 1,
    }
    assert read(app, "recsvc_shown_recommendations_total") == {
        f"{version} personal": 1,
        f"{version} popular": 1,
    }


def test_runs_are_told_by_how_they_ended_and_how_long_the_last_took(app, version):
    with app.app_context():
        failed, _ = training.request("manual", requested_by="test")
        training.fail(failed.run_id, "out of paper")
        training.request("manual", requested_by="test")

    assert read(app, "recsvc_training_runs_total") == {
        "succeeded": 1,
        "rejected": 0,
        "failed": 1,
        "cancelled": 0,
    }
    assert read(app, "recsvc_training_runs_under_way") == {"queued": 1, "running": 0}
    assert read(app, "recsvc_last_training_run")["failed"] == 1
    assert sum(read(app, "recsvc_last_training_run").values()) == 1
    assert read(app, "recsvc_gate_decisions_total") == {"passed": 1, "rejected": 0, "forced": 0}
    assert read(app, "recsvc_active_model_created_timestamp_seconds").keys() == {version}


def test_each_stage_of_the_run_that_ended_last_is_told(app, version):
    stages = read(app, "recsvc_last_training_stage_seconds")

    assert stages.keys() == {"read", "build", "evaluate", "gate", "fit", "publish", "activate"}


def test_queues_workers_and_the_scheduler_are_told(app, redis):
    queues.note_scheduler(redis)
    with app.app_context():
        queues.enqueue_training("one")
        queues.enqueue_training("two")

    assert read(app, "recsvc_queue_jobs") == {"maintenance": 0, "training": 2}
    ages = read(app, "recsvc_queue_oldest_job_age_seconds")
    assert ages["maintenance"] == 0
    assert 0 < ages["training"] < 60
    assert read(app, "recsvc_workers") == {"": 0}
    (seen,) = read(app, "recsvc_scheduler_seen_timestamp_seconds").values()
    assert seen == pytest.approx(float(redis.time()[0]), abs=60)


def test_no_scheduler_ever_is_told_by_saying_nothing(app):
    assert read(app, "recsvc_scheduler_seen_timestamp_seconds") == {}


def test_a_redis_that_is_away_is_told_and_hides_nothing_else(make_app, sqlite_url, tmp_path):
    app = make_app(sqlite_url, redis_url=f"unix://{tmp_path}/nobody.sock")

    assert read(app, "recsvc_dependency_up") == {"database": 1, "redis": 0}
    assert read(app, "recsvc_queue_jobs") == {}
    assert read(app, "recsvc_training_runs_total")["failed"] == 0


def test_a_database_that_is_away_is_told_and_hides_nothing_else(app):
    with app.app_context():
        db.session.execute(text("ALTER TABLE training_runs RENAME TO gone"))
        db.session.commit()

    assert read(app, "recsvc_dependency_up") == {"database": 0, "redis": 1}
    assert read(app, "recsvc_training_runs_total") == {}
    assert read(app, "recsvc_queue_jobs") == {"maintenance": 0, "training": 0}


def test_a_database_that_nobody_answers_for_is_told(make_app):
    app = make_app("postgresql+psycopg://nobody@127.0.0.1:1/none")

    assert read(app, "recsvc_dependency_up") == {"database": 0, "redis": 1}


def test_how_things_stand_is_looked_up_once_for_many_who_ask(app, redis):
    queues.note_scheduler(redis)
    first = read(app, "recsvc_scheduler_seen_timestamp_seconds")
    queues.note_scheduler(redis)

    assert read(app, "recsvc_scheduler_seen_timestamp_seconds") == first


def test_no_label_and_no_value_names_anybody_or_gives_a_secret_away(app, service, version):
    service.post(f"{API}/interactions", json={"user_id": PERSON, "item_id": BOOK, "event": "view"})
    listed = service.get(f"{API}/recommendations?user_id={PERSON}").json["recommendation_id"]
    for path in (f"users/{PERSON}", f"users/{PERSON}/export", f"items/{BOOK}", f"items/{BOOK}/similar"):
        service.get(f"{API}/{path}")
        service.get(f"{API}/{path}/{PERSON}")
    service.get(f"{API}/recommendations?user_id={PERSON}&category={PERSON}")

    told = app.test_client().get("/metrics").get_data(as_text=True)

    assert len(told) > 1000
    for secret in (PERSON, BOOK, listed, service._headers["Authorization"].split("_", 2)[2]):
        assert secret not in told


def test_of_many_versions_the_newest_are_told(app):
    with app.app_context():
        for day in range(1, 26):
            version = f"202611{day:02}T000007Z-1f0c9a77"
            instruments().serves(version)
            instruments().recommended("user", "personal", version, asked=1, hot=1, cold=0)
        instruments().recommended("user", "popular", None, asked=1, hot=0, cold=1)

    told = read(app, "recsvc_recommendations_total")

    assert told.keys() == {
        "user none popular",
        *(f"user 202611{day:02}T000007Z-1f0c9a77 personal" for day in range(6, 26)),
    }
    assert read(app, "recsvc_serving_processes") == {"20261125T000007Z-1f0c9a77": 1}


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (None, 401),
        ("", 401),
        (TOKEN, 401),
        ("Bearer", 401),
        (f"Bearer {TOKEN}x", 401),
        (f"Bearer {TOKEN[:-1]}", 401),
        (f"Basic {TOKEN}", 401),
        (f"Bearer {TOKEN}é", 401),
        (f"Bearer {TOKEN}", 200),
    ],
)
def test_where_a_token_is_set_it_must_be_sent(make_app, sqlite_url, sent, status):
    app = make_app(sqlite_url, metrics_token=TOKEN)
    headers = {} if sent is None else {"Authorization": sent}

    answer = app.test_client().get("/metrics", headers=headers)

    assert answer.status_code == status
    if status == 401:
        assert answer.json["code"] == "unauthorized"
        assert answer.headers["WWW-Authenticate"].lower().startswith("bearer")
        assert "recsvc_" not in answer.get_data(as_text=True)


def test_a_process_that_just_makes_its_file_does_not_keep_the_others_from_being_told(
    app, monkeypatch, tmp_path
):
    folder = tmp_path / "metrics"
    folder.mkdir()
    counted = MmapedDict(str(folder / "counter_1.db"))
    name = "recsvc_interactions"
    counted.write_value(mmap_key(name, f"{name}_total", ["outcome"], ["accepted"], "Came in."), 3.0, 0.0)
    counted.close()
    # Between being opened and being given its length a file is empty.
    (folder / "counter_2.db").touch()
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(folder))

    assert read(app, "recsvc_interactions_total") == {"accepted": 3.0}
