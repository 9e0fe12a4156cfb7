"""Every route with every credential, from the route map: a new route cannot be forgotten."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from flask import Flask

from recsvc.services import keys, tokens
from recsvc.services.keys import ROLES, USER

OWNER, OTHER = "owner", "somebody-else"
SECRET = "a secret of the shop's provider, long enough"


def routes(app: Flask) -> Iterator[tuple[str, str, tuple[str, ...], str | None]]:
    """Method, path with the owner in the place of a user, allowed roles, whether there is a user in it."""
    for rule in app.url_map.iter_rules():
        view = app.view_functions[rule.endpoint]
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            path = re.sub(r"<[^>]*user_id>", OWNER, rule.rule)
            path = re.sub(r"<[^>]*>", "7", path)
            yield method, path, getattr(view, "allowed_roles", ()), "user" if OWNER in path else None


@pytest.fixture
def app(make_app, sqlite_url) -> Flask:
    return make_app(sqlite_url, jwt_secret=SECRET, jwt_issuer="shop", jwt_audience="recsvc-api")


@pytest.fixture
def credentials(app) -> dict[str, str]:
    with app.app_context():
        made = {role: keys.create(role, role)[1] for role in ROLES}
        made[USER] = tokens.issue(OWNER, 60)[0]
    return made


def signed(secret: str = SECRET, algorithm: str = "HS256", **changes: Any) -> str:
    claims = {"sub": OWNER, "iss": "shop", "aud": "recsvc-api", "exp": datetime.now(UTC) + timedelta(hours=1)}
    kept = {name: value for name, value in (claims | changes).items() if value is not None}
    return jwt.encode(kept, secret, algorithm)


def worthless(app: Flask, good: dict[str, str]) -> dict[str, str]:
    """Authorization headers that must not open anything."""
    past = datetime.now(UTC) - timedelta(hours=1)
    with app.app_context():
        revoked, key = keys.create("admin", "revoked")
        keys.revoke(revoked.key_id)
        ended = tokens.issue(OWNER, -60)[0]
    header, payload, signature = good[USER].split(".")
    return {
        "nothing": "",
        "another scheme": f"Basic {good['admin']}",
        "a malformed key": "Bearer recsvc_x",
        "a key with another secret": f"Bearer {good['admin'][:-4]}AAAA",
        "a revoked key": f"Bearer {key}",
        "a token that has ended": f"Bearer {ended}",
        "a token cut short": f"Bearer {header}.{payload}",
        "a token without a signature": f"Bearer {header}.{payload}.",
        "a token with another's claims": f"Bearer {header}.{signed(sub=OTHER).split('.')[1]}.{signature}",
        "a malformed token": "Bearer a.b.c",
        "a provider's token that has ended": f"Bearer {signed(exp=past)}",
        "a provider's token without an end": f"Bearer {signed(exp=None)}",
        "a provider's token of nobody": f"Bearer {signed(sub=None)}",
        "a provider's token of an odd user": f"Bearer {signed(sub='a' * 256)}",
        "a provider's token of another issuer": f"Bearer {signed(iss='another')}",
        "a provider's token for another audience": f"Bearer {signed(aud='another')}",
        "a token signed with another secret": f"Bearer {signed(secret='x' * 40)}",
        "a token that says it needs no signature": f"Bearer {signed(secret='', algorithm='none')}",
    }


def test_the_route_map_is_not_empty(app):
    guarded = [route for route in routes(app) if route[2]]
    assert len(guarded) > 30
    assert any(route[3] for route in guarded)


def test_no_route_is_opened_by_a_credential_that_is_worth_nothing(app, credentials):
    client = app.test_client()
    opened = []
    for what, header in worthless(app, credentials).items():
        for method, path, roles, _ in routes(app):
            if not roles:
                continue
            answer = client.open(path, method=method, headers={"Authorization": header})
            if answer.status_code != 401:
                opened.append((what, method, path, answer.status_code))
    assert opened == []


def test_every_route_lets_in_the_roles_it_names_and_no_others(app, credentials):
    client = app.test_client()
    wrong = []
    for method, path, roles, _ in routes(app):
        if not roles:
            continue
        for role, credential in credentials.items():
            answer = client.open(path, method=method, headers={"Authorization": f"Bearer {credential}"})
            if (answer.status_code == 403) != (role not in roles) or answer.status_code == 401:
                wrong.append((method, path, role, answer.status_code))
    assert wrong == []


def test_a_token_of_the_shops_own_provider_is_taken_as_it_is(app):
    answer = app.test_client().get("/api/v1/recommendations", headers={"Authorization": f"Bearer {signed()}"})

    assert (answer.status_code, answer.json["user_id"]) == (200, OWNER)


def test_nobody_elses_token_reaches_a_user(app, credentials):
    with app.app_context():
        other = {"Authorization": f"Bearer {tokens.issue(OTHER, 60)[0]}"}
    client = app.test_client()
    client.put(f"/api/v1/users/{OWNER}", json={}, headers={"Authorization": f"Bearer {credentials['admin']}"})
    reached = []
    for method, path, roles, of_user in routes(app):
        if USER in roles and of_user:
            for name in (OWNER, "nobody-at-all"):
                answer = client.open(path.replace(OWNER, name), method=method, headers=other)
                if answer.status_code != 403:
                    reached.append((method, path, answer.status_code))
    assert reached == []


# Where the user is not in the path, the view itself must look: each such route is tried by hand.
INTERACTION = {"user_id": OWNER, "item_id": "b", "event": "view"}
BY_HAND = {
    ("GET", "/api/v1/recommendations"): {"query_string": {"user_id": OWNER}},
    ("POST", "/api/v1/interactions"): {"json": INTERACTION},
    ("POST", "/api/v1/interactions/batch"): {"json": {"interactions": [INTERACTION]}},
}
OF_NOBODY = {
    ("GET", "/api/v1/items/7/similar"),
    ("GET", "/api/v1/recommendations/popular"),
    ("GET", "/api/v1/recommendations/trending"),
    ("GET", "/api/v1/recommendations/latest"),
}
BY_OWNER = {("DELETE", "/api/v1/interactions/7")}


def test_nobody_elses_token_speaks_for_a_user_whom_a_body_or_query_names(app, credentials):
    with app.app_context():
        other = {"Authorization": f"Bearer {tokens.issue(OTHER, 60)[0]}"}
    client = app.test_client()
    without_path = {
        (method, path) for method, path, roles, of_user in routes(app) if USER in roles and not of_user
    }
    assert without_path == BY_HAND.keys() | OF_NOBODY | BY_OWNER

    for (method, path), request in BY_HAND.items():
        assert client.open(path, method=method, headers=other, **request).status_code == 403, path
        own = {"Authorization": f"Bearer {credentials[USER]}"}
        assert client.open(path, method=method, headers=own, **request).status_code in {200, 201}, path


def test_to_a_token_the_interactions_of_others_do_not_exist(app, credentials):
    own = {"Authorization": f"Bearer {credentials[USER]}"}
    client = app.test_client()
    key = client.post("/api/v1/interactions", json=INTERACTION, headers=own).json["id"]
    with app.app_context():
        other = {"Authorization": f"Bearer {tokens.issue(OTHER, 60)[0]}"}

    theirs = client.delete(f"/api/v1/interactions/{key}", headers=other)
    nobodys = client.delete(f"/api/v1/interactions/{key + 1}", headers=other)

    assert theirs.status_code == nobodys.status_code == 404
    assert client.delete(f"/api/v1/interactions/{key}", headers=own).status_code == 204
