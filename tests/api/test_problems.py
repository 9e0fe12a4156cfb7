"""Every error is a problem document (RFC 9457) that says what to do, and shows nothing from inside."""

from __future__ import annotations

import pytest

from recsvc.errors import DamagedVersionError

# What is refused before any database is asked; the last test of the file asks both.
SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

FIELDS = {"type", "title", "status", "detail", "code", "errors", "request_id"}


def assert_problem(answer, status: int, code: str, *fields: str) -> None:
    assert answer.status_code == status, answer.get_data(as_text=True)
    assert answer.content_type == "application/problem+json"
    assert answer.json.keys() == FIELDS
    assert (answer.json["status"], answer.json["code"]) == (status, code)
    assert set(answer.json["errors"]) == set(fields)
    assert answer.json["detail"]
    assert answer.json["request_id"] == answer.headers["X-Request-ID"]


def json_put(caller, content: bytes | str, path: str = "/api/v1/items/b1"):
    return caller.put(path, data=content, content_type="application/json")


@pytest.mark.parametrize("method", ["put", "patch"])
@pytest.mark.parametrize("path", ["/api/v1/items/b1", "/api/v1/users/u1"])
def test_an_empty_body_replaces_nothing_by_nothing(service, method, path):
    before = service.put(path, json={"features": {"author": ["Eça"]}}).json

    answer = getattr(service, method)(path, data=b"", content_type="application/json")

    assert_problem(answer, 400, "malformed")
    assert service.get(path).json == before
    assert service.post("/api/v1/interactions", data=b"", content_type="application/json").status_code == 400


@pytest.mark.parametrize(
    "content",
    [
        "{",
        '{"title": }',
        b'{"title": "\xff"}',
        '{"attributes": {"x": ' + "[" * 50_000 + "]" * 50_000 + "}}",
        '{"attributes": {"x": ' + "1" * 5_000 + "}}",
        '{"title": "\\ud800"}',
        '{"\\uDC00": 1}',
    ],
    ids=["cut short", "no value", "no UTF-8", "too deep", "too long a number", "half a pair", "half a name"],
)
@SQLITE
def test_a_body_that_is_no_json_is_malformed(service, content):
    assert_problem(json_put(service, content), 400, "malformed", "json")


@pytest.mark.parametrize("content", ["null", "[]", "7", '"text"'])
@SQLITE
def test_a_body_that_is_no_object_is_invalid(service, content):
    assert json_put(service, content).status_code == 422


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "application/xml", None]
)
@SQLITE
def test_a_body_of_another_type_is_refused_rather_than_read_as_nothing(service, content_type):
    service.put("/api/v1/items/b1", json={"title": "Kept"})

    answer = service.put("/api/v1/items/b1", data='{"title": "Other"}', content_type=content_type)

    assert_problem(answer, 415, "unsupported_media_type")
    assert service.get("/api/v1/items/b1").json["title"] == "Kept"


@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "application/vnd.shop+json"])
@SQLITE
def test_json_goes_by_several_names(service, content_type):
    answer = service.put("/api/v1/items/b1", data='{"title": "x"}', content_type=content_type)

    assert answer.status_code == 201


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer nonsense",
        "Basic dXNlcjpwdw==",
        "recsvc_a_b",
        "Bearer recsvc_a_b",
    ],
)
@SQLITE
def test_without_a_valid_key_nobody_is_let_in(app, header):
    headers = {} if header is None else {"Authorization": header}

    answer = app.test_client().get("/api/v1/items", headers=headers)

    assert_problem(answer, 401, "unauthorized")
    assert answer.headers["WWW-Authenticate"].lower().startswith("bearer")


def test_a_revoked_key_is_no_key(app):
    from recsvc.services import keys

    with app.app_context():
        made, key = keys.create("admin", "x")
    client, headers = app.test_client(), {"Authorization": f"bearer {key}"}
    assert client.get("/api/v1/items", headers=headers).status_code == 200

    with app.app_context():
        keys.revoke(made.key_id)

    assert_problem(client.get("/api/v1/items", headers=headers), 401, "unauthorized")


@SQLITE
def test_refusals_do_not_say_whether_a_thing_exists(service, call_as):
    service.put("/api/v1/items/real", json={})
    for role, status in ((None, 401), ("read", 403)):
        answers = [call_as(role).delete(f"/api/v1/items/{name}") for name in ("real", "unreal")]
        bodies = [{**answer.json, "request_id": ""} for answer in answers]
        assert bodies[0] == bodies[1]
        assert bodies[0]["status"] == status


@pytest.mark.parametrize("path", ["/api/v1/interactions", "/api/v1/recommendations/train?force=true"])
@SQLITE
def test_a_key_of_the_wrong_role_is_forbidden_before_what_it_sends_is_looked_at(call_as, path):
    answer = call_as("read").post(path, data="{", content_type="application/json")

    assert_problem(answer, 403, "forbidden")


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/api/v1/items/nope", "item_not_found"),
        ("/api/v1/items/nope/similar", "item_not_found"),
        ("/api/v1/users/nope", "user_not_found"),
        ("/api/v1/users/nope/interactions", "user_not_found"),
        ("/api/v1/training-runs/nope", "training_run_not_found"),
        ("/api/v1/model-versions/nope", "model_version_not_found"),
        ("/api/v1/nope", "not_found"),
        ("/nope", "not_found"),
        ("/api/v1/items//", "not_found"),
    ],
)
@SQLITE
def test_what_does_not_exist_is_not_found(admin, path, code):
    assert_problem(admin.get(path), 404, code)


@pytest.mark.parametrize("key", ["0", "99", "9223372036854775807", "9223372036854775808", "-1", "x"])
@SQLITE
def test_an_interaction_that_does_not_exist_is_not_found(service, key):
    assert service.delete(f"/api/v1/interactions/{key}").status_code == 404


@SQLITE
def test_a_method_that_is_not_allowed_says_which_are(service):
    answer = service.delete("/api/v1/items")

    assert_problem(answer, 405, "method_not_allowed")
    assert "GET" in answer.headers["Allow"]


@pytest.fixture
def put_at_most_a_thousand_bytes(make_app, sqlite_url):
    """Puts an item where no body may be longer; in chunks one does not say how long it is."""
    from recsvc.services import keys

    app = make_app(sqlite_url, max_body_bytes=1_000)
    with app.app_context():
        headers = {"Authorization": f"Bearer {keys.create('service', 'x')[1]}"}

    def put(body: bytes, *, in_chunks: bool):
        return app.test_client().put(
            "/api/v1/items/b1",
            data=body,
            content_type="application/json",
            headers=headers | ({"Transfer-Encoding": "chunked"} if in_chunks else {}),
            environ_overrides={"wsgi.input_terminated": True},
        )

    return put


@pytest.mark.parametrize("in_chunks", [False, True], ids=["in one", "in chunks"])
def test_a_body_that_is_too_large_is_refused(put_at_most_a_thousand_bytes, in_chunks):
    longest = b'{"title": "x"}'.ljust(1_000)

    assert put_at_most_a_thousand_bytes(longest, in_chunks=in_chunks).status_code == 201
    assert_problem(put_at_most_a_thousand_bytes(longest + b"}", in_chunks=in_chunks), 413, "too_large")


NUL, BELL = "%00", "%07"


@pytest.mark.parametrize("method", ["get", "put", "patch", "delete"])
@pytest.mark.parametrize("noun", ["items", "users"])
@pytest.mark.parametrize("name", [f"a{NUL}b", f"{BELL}", "a%0Ab", "%7F", "x" * 256])
@SQLITE
def test_an_id_in_a_path_is_held_to_the_rule_for_those_in_bodies(admin, method, noun, name):
    options = {"json": {}} if method in {"put", "patch"} else {}

    assert_problem(getattr(admin, method)(f"/api/v1/{noun}/{name}", **options), 422, "invalid", "id")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("get", f"/api/v1/items/{NUL}/similar"),
        ("get", "/api/v1/items/" + "x" * 256 + "/similar"),
        ("get", f"/api/v1/users/{NUL}/interactions"),
        ("get", f"/api/v1/training-runs/{NUL}"),
        ("get", "/api/v1/training-runs/" + "x" * 256),
        ("post", f"/api/v1/training-runs/{NUL}/cancel"),
        ("get", f"/api/v1/model-versions/{NUL}"),
        ("post", f"/api/v1/model-versions/{NUL}/activate"),
    ],
)
@SQLITE
def test_other_parts_of_a_path_are_held_to_that_rule_too(admin, method, path):
    assert_problem(getattr(admin, method)(path), 422, "invalid", "id")


INTERACTION = {"user_id": "u", "item_id": "b", "event": "view"}


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"user_id": ""}, "user_id"),
        ({"user_id": "x" * 256}, "user_id"),
        ({"item_id": "a\x00"}, "item_id"),
        ({"item_id": 7}, "item_id"),
        ({"item_id": None}, "item_id"),
        ({"event": "stare"}, "event"),
        ({"event": ""}, "event"),
        ({"value": "five"}, "value"),
        ({"value": 1e10}, "value"),
        ({"event": "rating"}, "value"),
        ({"occurred_at": "yesterday"}, "occurred_at"),
        ({"occurred_at": "2026-01-01T00:00:00"}, "occurred_at"),
        ({"occurred_at": "2999-01-01T00:00:00Z"}, "occurred_at"),
        ({"occurred_at": "0001-01-01T00:00:00+14:00"}, "occurred_at"),
        ({"event_id": "x" * 65}, "event_id"),
        ({"event_id": ""}, "event_id"),
        ({"evnet_id": "x"}, "evnet_id"),
    ],
)
@SQLITE
def test_an_invalid_interaction_names_the_field_alone_and_in_a_batch(service, changes, field):
    body = INTERACTION | changes

    assert_problem(service.post("/api/v1/interactions", json=body), 422, "invalid", field)
    outcome = service.post("/api/v1/interactions/batch", json={"interactions": [body, INTERACTION]}).json
    assert (outcome["accepted"], [(one["index"], list(one["errors"])) for one in outcome["rejected"]]) == (
        1,
        [(0, [field])],
    )


@pytest.mark.parametrize("content", ['{"value": NaN}', '{"value": Infinity}', '{"value": 1e999}'])
@SQLITE
def test_a_value_that_is_no_number_is_refused(service, content):
    body = '{"user_id": "u", "item_id": "b", "event": "rating", ' + content[1:]

    answer = service.post("/api/v1/interactions", data=body, content_type="application/json")

    assert_problem(answer, 422, "invalid", "value")


@pytest.mark.parametrize(
    ("content", "field"),
    [
        ('{"titel": "x"}', "titel"),
        ('{"title": "a\\u0000b"}', "title"),
        ('{"title": ""}', "title"),
        ('{"available": null}', "available"),
        ('{"categories": "x"}', "categories"),
        ('{"categories": [""]}', "categories"),
        ('{"features": {"author": "x"}}', "features"),
        ('{"features": {"category": ["x"]}}', "features"),
        ('{"published_at": "9999-12-31T23:59:59-14:00"}', "published_at"),
        ('{"attributes": {"x": NaN}}', "attributes"),
        ('{"attributes": {"x": [1e999]}}', "attributes"),
        ('{"attributes": {"x": "\\u0000"}}', "attributes"),
        ('{"attributes": {"x": {"\\u0000": 1}}}', "attributes"),
    ],
)
@SQLITE
def test_an_invalid_item_names_the_field_alone_and_in_a_batch(service, content, field):
    assert_problem(json_put(service, content), 422, "invalid", field)
    batch = '{"items": [{"item_id": "good"}, {"item_id": "b1", ' + content[1:] + "]}"
    outcome = service.post("/api/v1/items/batch", data=batch, content_type="application/json").json
    assert (outcome["accepted"], [(one["index"], list(one["errors"])) for one in outcome["rejected"]]) == (
        1,
        [(1, [field])],
    )


@SQLITE
def test_a_user_whose_features_cannot_be_kept_never_stops_a_batch(service):
    users = [{"user_id": "ana", "features": {"category": ["x"]}}, {"user_id": "bob"}, {"name": "carla"}]

    outcome = service.post("/api/v1/users/batch", json={"users": users}).json

    assert outcome["accepted"] == 1
    assert [(one["index"], one["code"], set(one["errors"])) for one in outcome["rejected"]] == [
        (0, "invalid", {"features"}),
        (2, "invalid", {"name", "user_id"}),
    ]
    assert [service.get(f"/api/v1/users/{name}").status_code for name in ("ana", "bob")] == [404, 200]


@pytest.mark.parametrize("entry", [None, 7, "text", [], {}])
@pytest.mark.parametrize(
    ("noun", "good"),
    [("interactions", INTERACTION), ("items", {"item_id": "b"}), ("users", {"user_id": "u"})],
)
@SQLITE
def test_a_bad_entry_never_stops_a_batch(service, noun, good, entry):
    answer = service.post(f"/api/v1/{noun}/batch", json={noun: [entry, good]})

    assert answer.status_code == 200, answer.json
    assert answer.json["accepted"] == 1
    assert [rejection["index"] for rejection in answer.json["rejected"]] == [0]


@pytest.mark.parametrize("noun", ["interactions", "items", "users"])
@pytest.mark.parametrize("entries", [[], [{}] * 1_001, None, {}], ids=["none", "too many", "null", "object"])
@SQLITE
def test_a_batch_of_another_size_or_shape_is_refused_whole(service, noun, entries):
    assert_problem(service.post(f"/api/v1/{noun}/batch", json={noun: entries}), 422, "invalid", noun)


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/api/v1/recommendations?user_id=u&k=0", "k"),
        ("/api/v1/recommendations?user_id=u&k=201", "k"),
        ("/api/v1/recommendations?user_id=u&k=ten", "k"),
        ("/api/v1/recommendations?user_id=u&k=2.5", "k"),
        ("/api/v1/recommendations", "user_id"),
        ("/api/v1/recommendations?user_id=u&include_seen=perhaps", "include_seen"),
        ("/api/v1/recommendations?user_id=u&exclude=%00", "exclude"),
        ("/api/v1/recommendations?user_id=u&categroy=x", "categroy"),
        ("/api/v1/recommendations/popular?k=-1", "k"),
        ("/api/v1/items?limit=0", "limit"),
        ("/api/v1/items?limit=201", "limit"),
        ("/api/v1/items?cursor=nonsense", "cursor"),
        ("/api/v1/items?cursor=Wy0xXQ==", "cursor"),  # [-1]
        ("/api/v1/items?cursor=WyIxIl0=", "cursor"),  # ["1"]
        ("/api/v1/items?cursor=eyJhIjoxfQ==", "cursor"),  # {"a": 1}
        ("/api/v1/items?cursor=MQ==", "cursor"),  # 1
        ("/api/v1/items?cursor=é", "cursor"),
        ("/api/v1/items?hidden=perhaps", "hidden"),
        ("/api/v1/items?categroy=x", "categroy"),
        ("/api/v1/users?cursor=W10=", "cursor"),  # []
        ("/api/v1/users/u/interactions?event=stare", "event"),
        ("/api/v1/users/u/interactions?cursor=WzEsMV0=", "cursor"),  # [1, 1]
        ("/api/v1/training-runs?status=lost", "status"),
        ("/api/v1/training-runs?cursor=WyIwMDAxLTAxLTAxVDAwOjAwOjAwKzE0OjAwIiwiYSJd", "cursor"),
    ],
)
@SQLITE
def test_an_invalid_query_names_the_parameter(admin, path, field):
    assert_problem(admin.get(path), 422, "invalid", field)


@pytest.mark.parametrize("options", [{}, {"json": {}}, {"data": b"", "content_type": "text/plain"}])
@SQLITE
def test_a_body_that_says_nothing_is_taken_where_none_is_needed(admin, options):
    run = admin.post("/api/v1/recommendations/train").json

    assert admin.post(f"{run['url']}/cancel", **options).json["status"] == "cancelled"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"item_ids": []}, "item_ids"),
        ({"item_ids": ["b"] * 101}, "item_ids"),
        ({"item_ids": ["b"], "k": 2.5}, "k"),
        ({"item_ids": ["b"], "k": True}, "k"),
        ({"item_ids": ["b"], "user_id": "u"}, "user_id"),
        ({}, "item_ids"),
    ],
)
@SQLITE
def test_an_invalid_session_names_the_field(service, body, field):
    assert_problem(service.post("/api/v1/recommendations/session", json=body), 422, "invalid", field)


@pytest.mark.parametrize(
    "error", [RuntimeError("secret inside"), DamagedVersionError("/secret/active.json"), KeyError("secret")]
)
def test_an_unexpected_error_shows_nothing_from_inside(make_app, sqlite_url, error):
    app = make_app(sqlite_url, log_level="ERROR")

    @app.get("/explode")
    def explode():
        raise error

    answer = app.test_client().get("/explode", headers={"X-Request-ID": "abc-1"})

    assert_problem(answer, 500, "internal_error")
    assert "secret" not in answer.get_data(as_text=True)
    assert answer.json["request_id"] == "abc-1"


@pytest.mark.parametrize(
    ("offered", "is_taken"),
    [("order-7", True), ("x" * 64, True), ("x" * 65, False), ("a b", False), ("{}", False), ("é", False)],
)
@SQLITE
def test_an_id_that_the_caller_gives_a_request_is_echoed_if_it_is_harmless(app, offered, is_taken):
    answer = app.test_client().get("/nope", headers={"X-Request-ID": offered})

    assert (answer.headers["X-Request-ID"] == offered) == is_taken
    assert answer.json["request_id"] == answer.headers["X-Request-ID"] != ""


@SQLITE
def test_requests_have_ids_of_their_own(app):
    client = app.test_client()

    assert len({client.get("/healthz").headers["X-Request-ID"] for _ in range(5)}) == 5


def test_while_the_database_is_away_it_is_said_when_to_try_again(make_app):
    app = make_app("postgresql+psycopg://nobody@127.0.0.1:1/none", database_timeout=1.0, log_level="ERROR")

    answer = app.test_client().get("/api/v1/items", headers={"Authorization": "Bearer recsvc_a_b"})

    assert_problem(answer, 503, "database_unavailable")
    assert int(answer.headers["Retry-After"]) > 0


def test_while_redis_is_away_no_training_is_asked_for(make_app, database_url):
    from recsvc.services import keys

    app = make_app(database_url, redis_url="redis://127.0.0.1:1/0")
    with app.app_context():
        headers = {"Authorization": f"Bearer {keys.create('admin', 'x')[1]}"}
    client = app.test_client()

    answer = client.post("/api/v1/recommendations/train", headers=headers)

    assert_problem(answer, 503, "queue_unavailable")
    assert int(answer.headers["Retry-After"]) > 0
    assert client.get("/api/v1/training-runs", headers=headers).json["training_runs"] == []


NASTY = [
    ("get", "/items/%00", None),
    ("get", "/users/%00/interactions", None),
    ("post", "/training-runs/%00/cancel", None),
    ("post", "/model-versions/%00/activate", None),
    ("get", "/items?q=%25%5C_%27%22&category=%27", None),
    ("get", "/items?q=%00", None),
    ("get", "/recommendations?user_id=%00", None),
    ("put", "/items/b", '{"attributes": {"x": "\\u0000"}}'),
    ("put", "/items/b", '{"attributes": {"x": NaN}}'),
    ("put", "/items/b", '{"attributes": {"x": 123456789012345678901234567890, "y": "\\\\u0000"}}'),
    ("put", "/items/b", '{"published_at": "9999-12-31T23:59:59-14:00"}'),
    ("put", "/items/b", '{"published_at": "0001-01-01T00:00:00Z"}'),
    ("put", "/users/u", '{"features": {"a": ["\\u0000"]}}'),
    ("post", "/interactions", '{"user_id": "u", "item_id": "b", "event": "view", "event_id": "\\u0000"}'),
    ("post", "/interactions", '{"user_id": "u", "item_id": "b", "event": "view", "value": -1e9}'),
    (
        "post",
        "/interactions",
        '{"user_id": "u", "item_id": "b", "event": "view", "occurred_at": "0001-01-01T00:00:00Z"}',
    ),
    ("get", "/users/u/interactions", None),
    ("get", "/items", None),
    ("get", "/users?cursor=WzkyMjMzNzIwMzY4NTQ3NzU4MDdd", None),  # [2**63 - 1]
    ("get", "/items?cursor=WzkyMjMzNzIwMzY4NTQ3NzU4MDdd", None),
    ("delete", "/interactions/9223372036854775807", None),
]


def test_nothing_that_a_caller_sends_is_an_error_of_ours_on_either_database(admin):
    for method, path, body in NASTY:
        options = {"data": body, "content_type": "application/json"} if body else {}
        answer = getattr(admin, method)(f"/api/v1{path}", **options)
        assert answer.status_code < 500, (method, path, body)
