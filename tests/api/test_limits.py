"""How much, how deep and how often a caller may."""

from __future__ import annotations

import io
import json
import time

import pytest

from recsvc.logs import configure_logging
from recsvc.services import keys, tokens

API = "/api/v1"


def calls(app, key: str, count: int, path: str = f"{API}/recommendations/popular") -> list[int]:
    client = app.test_client()
    return [client.get(path, headers={"Authorization": f"Bearer {key}"}).status_code for _ in range(count)]


@pytest.fixture
def limited(make_app, sqlite_url, redis):
    return make_app(sqlite_url, rate_limits={"user": "3/minute", "read": "5/minute;1000/hour"})


def key_of(app, role: str) -> str:
    with app.app_context():
        return tokens.issue("ana", 60)[0] if role == "user" else keys.create(role, role)[1]


def test_a_credential_is_held_to_its_limit_over_all_routes(limited):
    key = key_of(limited, "read")
    assert calls(limited, key, 3) + calls(limited, key, 3, f"{API}/items") == [200] * 5 + [429]

    answer = limited.test_client().get(f"{API}/items", headers={"Authorization": f"Bearer {key}"})

    assert answer.content_type == "application/problem+json"
    assert answer.json["code"] == "too_many_requests"
    assert 0 < int(answer.headers["Retry-After"]) <= 60


def test_others_of_the_role_are_not_held_back(limited):
    first, second = key_of(limited, "read"), key_of(limited, "read")
    assert calls(limited, first, 6)[-1] == 429
    assert calls(limited, second, 1) == [200]


def test_another_token_of_a_user_is_no_way_around_the_limit(limited):
    with limited.app_context():
        first, second, other = tokens.issue("ana", 60), tokens.issue("ana", 90), tokens.issue("bob", 60)

    assert calls(limited, first[0], 2) + calls(limited, second[0], 2) == [200, 200, 200, 429]
    assert calls(limited, other[0], 1) == [200]


def test_processes_count_together(limited, make_app, sqlite_url):
    other = make_app(sqlite_url, rate_limits={"read": "5/minute"})
    key = key_of(limited, "read")

    assert (calls(limited, key, 3) + calls(other, key, 3)).count(200) == 5


def test_a_role_without_a_limit_has_none(limited):
    assert set(calls(limited, key_of(limited, "service"), 20)) == {200}


def test_what_is_public_and_who_is_nobody_is_not_counted(limited, redis):
    client = limited.test_client()
    assert {client.get("/healthz").status_code for _ in range(10)} == {200}
    assert {client.get(f"{API}/items").status_code for _ in range(10)} == {401}
    assert redis.keys("*LIMIT*") == []


def test_redis_is_not_told_who_the_user_is(limited, redis):
    calls(limited, key_of(limited, "user"), 1)

    kept = redis.keys("*LIMIT*")
    assert kept
    assert not any(b"ana" in key for key in kept)


def test_while_redis_is_away_everybody_is_let_in_with_a_warning(make_app, sqlite_url):
    app = make_app(sqlite_url, rate_limits={"read": "1/minute"}, redis_url="redis://127.0.0.1:1/0")
    log = io.StringIO()
    configure_logging("INFO", "json", log)
    began = time.monotonic()

    assert calls(app, key_of(app, "read"), 20) == [200] * 20

    assert time.monotonic() - began < 10
    (told,) = [json.loads(line) for line in log.getvalue().splitlines()]
    assert (told["level"], told["event"][:30]) == ("warning", "Rate limit storage unreachable")


def test_without_the_setting_redis_is_not_touched(make_app, sqlite_url):
    app = make_app(sqlite_url, redis_url="redis://127.0.0.1:1/0")

    assert set(calls(app, key_of(app, "user"), 30)) == {200}


@pytest.mark.parametrize(("depth", "status"), [(30, 201), (31, 400), (5_000, 400)])
def test_json_is_taken_to_a_depth(service, depth, status):
    # The body and `attributes` are two objects around it.
    content = '{"attributes": {"x": ' + "[" * depth + "]" * depth + "}}"

    answer = service.put(f"{API}/items/deep", data=content, content_type="application/json")

    assert answer.status_code == status


def test_json_that_is_wide_is_not_deep(service):
    items = [{"item_id": f"b{n}", "attributes": {"x": list(range(50))}} for n in range(1_000)]

    assert service.post(f"{API}/items/batch", json={"items": items}).json["accepted"] == 1_000


# {"x":""} is 8 bytes of the 16,384.
@pytest.mark.parametrize(
    ("text", "status"), [("y" * 16_376, 201), ("y" * 16_377, 422), ("é" * 8_188, 201), ("é" * 8_189, 422)]
)
def test_attributes_have_their_length_as_json(service, text, status):
    item = {"attributes": {"x": text}}

    answer = service.put(f"{API}/items/b1", json=item)
    outcome = service.post(f"{API}/items/batch", json={"items": [item | {"item_id": "b1"}]}).json

    assert answer.status_code == status
    if status == 422:
        assert answer.json["errors"] == {"attributes": ["Must be at most 16384 bytes as JSON."]}
        assert [one["errors"] for one in outcome["rejected"]] == [answer.json["errors"]]


@pytest.mark.parametrize("count", [0, 501])
def test_a_newsletter_has_its_size(service, count):
    answer = service.post(f"{API}/recommendations/batch", json={"user_ids": [f"u{n}" for n in range(count)]})

    assert (answer.status_code, set(answer.json["errors"])) == (422, {"user_ids"})


@pytest.mark.parametrize("value", ["-0.1", "1.1", "nan", "much"])
def test_diversity_has_its_range(service, value):
    answer = service.get(f"{API}/recommendations?user_id=u&diversity={value}")

    assert (answer.status_code, set(answer.json["errors"])) == (422, {"diversity"})
