"""Every route does what the contract says, on both databases."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from recsvc.services import training
from recsvc.services.serving import serving

API = "/api/v1"
ITEM = {
    "title": "Dom Casmurro — edição",
    "categories": ["Classics", "Fiction"],
    "features": {"author": ["Machado de Assis"]},
    "available": True,
    "hidden": False,
    "group": "dom-casmurro",
    "published_at": "1899-12-01T00:00:00+00:00",
    "attributes": {"pages": 256, "emoji": "📚"},
}


def test_an_item_is_put_shown_patched_and_deleted(service):
    created = service.put(f"{API}/items/b1", json=ITEM)
    assert created.status_code == 201
    assert created.json.items() >= (ITEM | {"item_id": "b1"}).items()
    assert service.put(f"{API}/items/b1", json=ITEM).status_code == 200
    assert service.get(f"{API}/items/b1").json.items() >= ITEM.items()

    patched = service.patch(f"{API}/items/b1", json={"hidden": True})
    assert patched.json.items() >= (ITEM | {"hidden": True}).items()

    deleted = service.delete(f"{API}/items/b1")
    assert (deleted.status_code, deleted.data) == (204, b"")
    assert service.get(f"{API}/items/b1").status_code == 404
    assert service.delete(f"{API}/items/b1").status_code == 404
    assert service.put(f"{API}/items/b1", json={}).status_code == 201


def test_times_are_answered_in_utc(service):
    answer = service.put(f"{API}/items/b1", json={"published_at": "2026-01-01T01:00:00+03:00"})

    assert answer.json["published_at"] == "2025-12-31T22:00:00+00:00"
    assert answer.json["created_at"].endswith("+00:00")


def test_spaces_and_joiners_of_other_scripts_belong_to_titles(service):
    title = "吾輩は猫である\u3000上 — « à\u00a0lire » 👩\u200d🚀"

    assert service.put(f"{API}/items/b1", json={"title": title}).json["title"] == title


def test_a_user_is_put_shown_patched_and_erased(service):
    path, features = f"{API}/users/ana", {"features": {"language": ["pt"]}}
    assert service.put(path, json=features).status_code == 201
    assert service.put(path, json=features).status_code == 200
    assert service.get(path).json["features"] == features["features"]
    assert service.patch(path, json={"features": {}}).json["features"] == {}
    service.post(f"{API}/interactions", json={"user_id": "ana", "item_id": "b", "event": "view"})

    receipt = service.delete(path)

    assert receipt.status_code == 200
    assert receipt.json.items() >= {"user_id": "ana", "interactions": 1, "model_versions": []}.items()
    assert service.get(path).status_code == 404


def test_batches_of_items_and_users(service):
    items = service.post(f"{API}/items/batch", json={"items": [{"item_id": "a"}, {"item_id": "b"}]})
    users = service.post(f"{API}/users/batch", json={"users": [{"user_id": "a", "features": {"x": ["y"]}}]})

    assert items.json == {"accepted": 2, "rejected": []}
    assert users.json == {"accepted": 1, "rejected": []}
    assert service.get(f"{API}/users/a").json["features"] == {"x": ["y"]}


def test_interactions_are_written_listed_and_deleted(service):
    yesterday = (datetime.now(UTC) - timedelta(days=1)).isoformat()
    body = {"user_id": "u", "item_id": "b", "event": "rating", "value": 4.5, "occurred_at": yesterday}
    key = service.post(f"{API}/interactions", json=body | {"recommendation_id": "r1"}).json["id"]
    batch = [{"user_id": "u", "item_id": "c", "event": "view", "event_id": f"e{n % 2}"} for n in range(3)]
    assert service.post(f"{API}/interactions/batch", json={"interactions": batch}).json == {
        "accepted": 2,
        "duplicates": 1,
        "rejected": [],
    }

    listed = service.get(f"{API}/users/u/interactions").json["interactions"]
    assert [one["event"] for one in listed] == ["view", "view", "rating"]
    assert listed[2].items() >= {"id": key, "item_id": "b", "value": 4.5, "recommendation_id": "r1"}.items()
    assert datetime.fromisoformat(listed[2]["occurred_at"]) == datetime.fromisoformat(yesterday)
    assert len(service.get(f"{API}/users/u/interactions?event=rating").json["interactions"]) == 1

    assert service.delete(f"{API}/interactions/{key}").status_code == 204
    assert service.delete(f"{API}/interactions/{key}").status_code == 404


@pytest.fixture
def trained(app, service):
    rows = [
        {"user_id": f"u{user}", "item_id": f"b{item}", "event": "view"}
        for user in range(6)
        for item in range(8)
        if (user + item) % 3
    ]
    service.post(f"{API}/interactions/batch", json={"interactions": rows})
    with app.app_context():
        run, _ = training.request("manual", requested_by="test")
        training.run(run.run_id)
        serving().refresh()
        return training.get(run.run_id)


def test_recommendations_of_every_kind(service, trained):
    personal = service.get(f"{API}/recommendations?user_id=u1&k=2")
    assert personal.status_code == 200
    assert personal.json.items() >= {"user_id": "u1", "strategy": "personal"}.items()
    assert personal.json["model_version"] == trained.model_version
    assert [item["rank"] for item in personal.json["items"]] == [1, 2]
    assert personal.json["items"][0].keys() == {"item_id", "rank", "score", "title"}

    everything = service.get(f"{API}/recommendations?user_id=new&k=8").json
    assert (everything["strategy"], len(everything["items"])) == ("popular", 8)
    excluded = service.get(f"{API}/recommendations?user_id=new&k=8&exclude=b1&exclude=b2").json
    assert len(excluded["items"]) == 6
    session = service.post(f"{API}/recommendations/session", json={"item_ids": ["b1"], "k": 3}).json
    assert (session["user_id"], session["strategy"], len(session["items"])) == (None, "folded_in", 3)
    assert len(service.get(f"{API}/recommendations/popular?k=3").json["items"]) == 3
    assert len(service.get(f"{API}/items/b1/similar?k=3").json["items"]) == 3


def test_one_purchase_changes_the_next_list_which_no_longer_holds_the_item(service, trained):
    query = {"user_id": "visitor", "k": 5}
    service.post(f"{API}/interactions", json={"user_id": "visitor", "item_id": "b1", "event": "view"})
    before = [
        item["item_id"] for item in service.get(f"{API}/recommendations", query_string=query).json["items"]
    ]

    bought = {"user_id": "visitor", "item_id": before[0], "event": "purchase"}
    assert service.post(f"{API}/interactions", json=bought).status_code == 201
    after = [
        item["item_id"] for item in service.get(f"{API}/recommendations", query_string=query).json["items"]
    ]

    assert after != before
    assert before[0] not in after


def test_reasons_are_told_in_the_shops_words_and_only_when_asked_for(service, trained):
    service.post(f"{API}/interactions", json={"user_id": "visitor", "item_id": "b1", "event": "purchase"})
    query = {"user_id": "visitor", "k": 5}

    plain = service.get(f"{API}/recommendations", query_string=query).json["items"]
    told = service.get(f"{API}/recommendations", query_string=query | {"explain": "true"}).json["items"]
    session = service.post(f"{API}/recommendations/session", json={"item_ids": ["b1"], "explain": True}).json

    assert all("reasons" not in item for item in plain)
    for item in [*told, *session["items"]]:
        assert sum(reason["share"] for reason in item["reasons"]) == pytest.approx(1)
        for reason in item["reasons"]:
            named = {"interaction": {"item_id"}, "feature": {"feature"}}.get(reason["because"], set())
            assert reason.keys() - {"event"} == {"because", "share"} | named
    interactions = [
        reason for item in told for reason in item["reasons"] if reason["because"] == "interaction"
    ]
    assert {(reason["item_id"], reason["event"]) for reason in interactions} == {("b1", "purchase")}


def test_before_any_training_recommendations_are_popular_items(service):
    service.post(f"{API}/interactions", json={"user_id": "u", "item_id": "b", "event": "view"})

    answer = service.get(f"{API}/recommendations?user_id=stranger").json

    assert (answer["model_version"], answer["strategy"]) == (None, "popular")
    assert [item["item_id"] for item in answer["items"]] == ["b"]


def test_a_training_is_asked_for_once_and_can_be_cancelled(admin):
    asked = admin.post(f"{API}/recommendations/train", json={"reason": "New catalogue"})
    assert (asked.status_code, asked.json["status"], asked.json["already_running"]) == (202, "queued", False)
    again = admin.post(f"{API}/recommendations/train")
    assert (again.status_code, again.json["already_running"]) == (200, True)
    assert again.json["run_id"] == asked.json["run_id"]

    run = admin.get(asked.json["url"])
    assert run.json.items() >= {"reason": "New catalogue", "trigger": "manual", "status": "queued"}.items()
    assert admin.post(f"{asked.json['url']}/cancel").json["status"] == "cancelled"
    conflict = admin.post(f"{asked.json['url']}/cancel")
    assert (conflict.status_code, conflict.json["code"]) == (409, "conflict")


def test_a_key_with_a_long_name_can_ask_for_a_training(app):
    from recsvc.services import keys

    with app.app_context():
        headers = {"Authorization": f"Bearer {keys.create('admin', 'x' * 200)[1]}"}

    assert app.test_client().post(f"{API}/recommendations/train", headers=headers).status_code == 202


def test_model_versions_are_listed_and_activated(admin, trained, app):
    listed = admin.get(f"{API}/model-versions").json["model_versions"]
    assert [(one["version"], one["status"]) for one in listed] == [(trained.model_version, "active")]
    path = f"{API}/model-versions/{trained.model_version}"
    assert admin.get(path).json["run_id"] == trained.run_id
    assert admin.post(f"{path}/activate").json["status"] == "active"

    with app.app_context():
        from recsvc.services import registry

        (registry.model_store().folder(trained.model_version) / "likes.npy").unlink()
    conflict = admin.post(f"{path}/activate")
    assert (conflict.status_code, "likes.npy" in conflict.json["detail"]) == (409, True)


def test_lists_are_walked_whole_and_once(admin, walk):
    items = [{"item_id": f"b{number}", "hidden": number % 2 == 0} for number in range(23)]
    admin.post(f"{API}/items/batch", json={"items": items})
    moment = datetime(2026, 1, 1, tzinfo=UTC).isoformat()
    rows = [{"user_id": "u", "item_id": f"b{n}", "event": "view", "occurred_at": moment} for n in range(23)]
    admin.post(f"{API}/interactions/batch", json={"interactions": rows})
    users = [{"user_id": f"v{number}"} for number in range(12)]
    admin.post(f"{API}/users/batch", json={"users": users})
    for _ in range(5):
        admin.post(admin.post(f"{API}/recommendations/train").json["url"] + "/cancel")

    def walked(path: str, name: str, key: str) -> list[list[str]]:
        return [[entry[key] for entry in walk(admin, path, name, limit)] for limit in (1, 5, 23, 200)]

    for path, name, key, length in (
        (f"{API}/items", "items", "item_id", 23),
        (f"{API}/users", "users", "user_id", 13),
        (f"{API}/users/u/interactions", "interactions", "id", 23),
        (f"{API}/training-runs", "training_runs", "run_id", 5),
    ):
        for entries in walked(path, name, key):
            assert len(entries) == len(set(entries)) == length
        assert len({tuple(entries) for entries in walked(path, name, key)}) == 1


ODD_IDS = [
    "a/b",
    "/",
    "//",
    "a b",
    " ",
    "ação",
    "📚",
    "100%",
    "%2F",
    "a+b",
    "a?b=c&d#e",
    ".",
    "..",
    "../x",
    "a;b,c:d",
    "\"'<>\\`",
    "batch",
    "similar",
    "a/similar",
    "x" * 255,
    "é" * 255,
    "/" * 255,
]


@pytest.mark.parametrize("noun", ["items", "users"])
def test_any_printable_id_makes_its_way_through_paths_bodies_and_queries(service, path_of, noun):
    key = {"items": "item_id", "users": "user_id"}[noun]
    for name in ODD_IDS:
        path = path_of(noun, name)
        assert service.put(path, json={}).json[key] == name, name
        assert service.get(path).json[key] == name, name
        body = {"user_id": name, "item_id": name, "event": "view"}
        assert service.post(f"{API}/interactions", json=body).status_code == 201, name
        listed = service.get(f"{path_of('users', name)}/interactions").json["interactions"]
        assert [one["item_id"] for one in listed] == [name]
        assert service.get(f"{path_of('items', name)}/similar").status_code == 200, name
        answer = service.get(f"{API}/recommendations", query_string={"user_id": name})
        assert answer.json["user_id"] == name
    for name in ODD_IDS:
        assert service.delete(path_of(noun, name)).status_code in {200, 204}, name
        assert service.get(path_of(noun, name)).status_code == 404, name


def test_an_encoded_slash_is_no_slash(service):
    service.put(f"{API}/items/b%2Fsimilar", json={"title": "The id ends in /similar"})

    assert service.get(f"{API}/items/b%2fsimilar").json["title"] == "The id ends in /similar"
    assert service.get(f"{API}/items/b/similar").status_code == 404


def test_health_needs_no_key(app):
    client = app.test_client()

    assert client.get("/healthz").json == {"status": "ok"}
    ready = client.get("/readyz")
    assert (ready.status_code, ready.json["ready"]) == (200, True)
    assert ready.json["checks"].keys() >= {"database", "migrations", "redis", "model"}


def test_it_is_not_ready_without_tables_and_says_when_to_ask_again(make_app, tmp_path):
    answer = make_app(f"sqlite:///{tmp_path / 'empty.db'}").test_client().get("/readyz")

    assert (answer.status_code, answer.json["ready"]) == (503, False)
    assert answer.headers["Retry-After"] == "5"


def test_an_id_with_a_slash_is_found_where_the_service_is_mounted_below_the_root(app, service):
    service.put(f"{API}/items/a%2Fb", json={"title": "Found"})
    headers = service._headers
    for script, raw in (
        ("/shop", "/shop/api/v1/items/a%2Fb"),
        ("", "http://shop.example/api/v1/items/a%2Fb"),
        ("/livros à venda", "/livros%20%C3%A0%20venda/api/v1/items/a%2fb?x="),
    ):
        answer = app.test_client().get(
            "/api/v1/items/a/b",
            headers=headers,
            environ_overrides={
                "SCRIPT_NAME": script.encode().decode("latin-1"),
                "REQUEST_URI": raw,
                "RAW_URI": raw,
            },
        )
        assert (answer.status_code, answer.json.get("title")) == (200, "Found"), raw


def test_a_guest_becomes_a_customer(service):
    service.post(f"{API}/interactions", json={"user_id": "guest", "item_id": "b", "event": "view"})

    merged = service.post(f"{API}/users/guest/merge", json={"into": "ana"})

    assert merged.json == {"user_id": "ana", "merged": "guest", "interactions": 1}
    export = service.get(f"{API}/users/ana/export").json
    assert [one["item_id"] for one in export["interactions"]] == ["b"]
    assert service.get(f"{API}/users/guest/export").status_code == 404
    assert service.post(f"{API}/users/ana/merge", json={"into": "ana"}).status_code == 422


def test_the_app_speaks_for_its_user_without_naming_them(app, service):
    made = service.post(f"{API}/tokens", json={"user_id": "ana", "ttl_seconds": 60})
    assert (made.status_code, made.json["user_id"]) == (201, "ana")
    client, headers = app.test_client(), {"Authorization": f"Bearer {made.json['token']}"}

    written = client.post(f"{API}/interactions", json={"item_id": "b", "event": "view"}, headers=headers)
    batch = {"interactions": [{"item_id": "c", "event": "cart"}, {"event": "cart"}]}
    outcome = client.post(f"{API}/interactions/batch", json=batch, headers=headers)

    assert written.status_code == 201
    assert (outcome.json["accepted"], outcome.json["rejected"][0]["index"]) == (1, 1)
    assert client.get(f"{API}/recommendations", headers=headers).json["user_id"] == "ana"
    assert len(client.get(f"{API}/users/ana/interactions", headers=headers).json["interactions"]) == 2
    assert client.put(f"{API}/users/ana", json={}, headers=headers).status_code == 200
    assert client.delete(f"{API}/users/ana", headers=headers).json["interactions"] == 2


def test_a_key_must_say_for_whom(service):
    body = {"item_id": "b", "event": "view"}
    for answer in (
        service.post(f"{API}/interactions", json=body),
        service.get(f"{API}/recommendations"),
    ):
        assert (answer.status_code, set(answer.json["errors"])) == (422, {"user_id"})
    outcome = service.post(f"{API}/interactions/batch", json={"interactions": [body]}).json
    assert (outcome["accepted"], set(outcome["rejected"][0]["errors"])) == (0, {"user_id"})


def test_lists_for_a_newsletter_come_in_the_order_of_the_users(service, trained):
    answer = service.post(f"{API}/recommendations/batch", json={"user_ids": ["u1", "stranger"], "k": 2})

    assert answer.status_code == 200
    assert [(one["user_id"], one["strategy"]) for one in answer.json["recommendations"]] == [
        ("u1", "personal"),
        ("stranger", "popular"),
    ]
    assert [len(one["items"]) for one in answer.json["recommendations"]] == [2, 2]


@pytest.mark.parametrize("what", ["trending", "latest"])
def test_what_is_trending_and_what_is_new(service, trained, what):
    answer = service.get(f"{API}/recommendations/{what}?k=3")

    assert (answer.json["strategy"], len(answer.json["items"])) == (what, 3)


@pytest.mark.parametrize("query", ["ÉDIPO", "édipo", "ção", "ÇÃO", "100%_"])
def test_a_search_takes_no_notice_of_case_in_any_script(service, query):
    for name, title in (("b1", "Édipo Rei"), ("b2", "CANÇÃO"), ("b3", "50%_100%_x")):
        service.put(f"{API}/items/{name}", json={"title": title})

    found = service.get(f"{API}/items", query_string={"q": query}).json["items"]

    expected = {"édipo": "b1", "ção": "b2"}.get(query.lower(), "b3")
    assert [item["item_id"] for item in found] == [expected]
