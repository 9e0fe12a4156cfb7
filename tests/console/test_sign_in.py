"""Who gets in, with what, for how long."""

from __future__ import annotations

import re
import time

import pytest

from recsvc.console import security
from recsvc.services import keys

SETTINGS_KEY = "admin-key-of-the-settings"


@pytest.fixture
def app(make_app, sqlite_url):
    return make_app(sqlite_url, recsvc_admin_key=SETTINGS_KEY)


@pytest.fixture
def make_key(app):
    def make(role: str) -> tuple[str, str]:
        with app.app_context():
            made, secret = keys.create(role, role)
        return made.key_id, secret

    return make


def token_of(page) -> str:
    return re.search(r'name="csrf_token" value="([^"]+)"', page.get_data(as_text=True))[1]


def sign_in(client, key: str, **form: str):
    token = token_of(client.get("/console/sign-in"))
    return client.post("/console/sign-in", data={"csrf_token": token, "key": key, **form})


def console_routes(app, method: str):
    for rule in app.url_map.iter_rules():
        if rule.endpoint.startswith("console.") and method in rule.methods:
            yield rule.endpoint, re.sub(r"<[^>]*>", "x", rule.rule)


def test_the_route_map_has_the_pages(app):
    assert len(list(console_routes(app, "GET"))) > 15
    assert len(list(console_routes(app, "POST"))) > 8


def test_without_a_session_every_route_but_signing_in_and_assets_leads_to_signing_in(app):
    client = app.test_client()
    for method in ("GET", "POST"):
        for endpoint, path in console_routes(app, method):
            answer = client.open(path, method=method)
            leads_there = answer.status_code == 302 and answer.location.startswith("/console/sign-in")
            assert leads_there or endpoint in security.OPEN_TO_ANYBODY, (method, path, answer.status_code)


def test_no_form_is_taken_without_its_token(app):
    client = app.test_client()
    assert sign_in(client, SETTINGS_KEY).status_code == 302
    for endpoint, path in console_routes(app, "POST"):
        for data in ({}, {"csrf_token": "made up"}):
            answer = client.post(path, data=data)
            if endpoint == "console.sign_in.sign_in":
                assert answer.location == "/console/sign-in"
            else:
                assert answer.status_code == 400, path
    assert client.get("/console/overview").status_code == 200


def test_a_token_of_another_session_is_not_taken(app):
    mine, other = app.test_client(), app.test_client()
    sign_in(mine, SETTINGS_KEY)
    sign_in(other, SETTINGS_KEY)
    token = token_of(other.get("/console/keys/"))

    answer = mine.post("/console/keys/", data={"csrf_token": token, "role": "read"})

    assert answer.status_code == 400
    assert "recsvc_" not in answer.get_data(as_text=True)


@pytest.mark.parametrize("role", ["service", "read"])
def test_only_an_admin_key_signs_in(app, make_key, role):
    client = app.test_client()

    assert sign_in(client, make_key(role)[1]).status_code == 401
    assert client.get("/console/overview").status_code == 302
    assert sign_in(client, make_key("admin")[1]).status_code == 302
    assert client.get("/console/overview").status_code == 200


def test_a_key_of_the_api_opens_no_page_by_itself(app, make_key):
    headers = {"Authorization": f"Bearer {make_key('admin')[1]}"}

    assert app.test_client().get("/console/overview", headers=headers).status_code == 302


def test_a_session_opens_nothing_of_the_api(app):
    client = app.test_client()
    sign_in(client, SETTINGS_KEY)

    assert client.get("/api/v1/status").status_code == 401


def test_the_session_ends_with_its_key(app, make_key):
    client = app.test_client()
    key_id, secret = make_key("admin")
    sign_in(client, secret)
    assert client.get("/console/overview").status_code == 200

    with app.app_context():
        keys.revoke(key_id)

    assert client.get("/console/overview").status_code == 302
    assert client.post("/console/training/start").status_code == 302


def test_the_session_ends_with_the_key_of_the_settings(make_app, sqlite_url):
    secret_key = "the same for both of them"
    before = make_app(sqlite_url, recsvc_admin_key=SETTINGS_KEY, secret_key=secret_key)
    client = before.test_client()
    sign_in(client, SETTINGS_KEY)
    cookie = client.get_cookie("recsvc_console", path="/console").value

    for key, status in ((SETTINGS_KEY, 200), ("another-key-altogether", 302), ("", 302)):
        after = make_app(sqlite_url, recsvc_admin_key=key, secret_key=secret_key).test_client()
        after.set_cookie("recsvc_console", cookie, path="/console")
        assert after.get("/console/overview").status_code == status


def test_a_session_signed_with_another_secret_is_none(make_app, sqlite_url):
    client = make_app(sqlite_url, recsvc_admin_key=SETTINGS_KEY, secret_key="a" * 32).test_client()
    sign_in(client, SETTINGS_KEY)
    cookie = client.get_cookie("recsvc_console", path="/console").value

    def tried(**settings) -> int:
        other = make_app(sqlite_url, recsvc_admin_key=SETTINGS_KEY, **settings).test_client()
        other.set_cookie("recsvc_console", cookie, path="/console")
        return other.get("/console/overview").status_code

    assert tried(secret_key="b" * 32) == 302
    assert tried(secret_key="b" * 32, secret_key_fallbacks=("a" * 32,)) == 200


@pytest.fixture
def wait(monkeypatch):
    """Lets time go by."""
    offset, real = [0.0], time.time
    monkeypatch.setattr(time, "time", lambda: real() + offset[0])

    def let(seconds: float) -> None:
        offset[0] += seconds

    return let


def test_the_session_ends_when_it_is_idle(app, wait):
    client = app.test_client()
    sign_in(client, SETTINGS_KEY)

    wait(security.IDLE - 60)
    assert client.get("/console/overview").status_code == 200
    wait(security.IDLE + 60)
    assert client.get("/console/overview").status_code == 302


def test_the_session_ends_after_twelve_hours_however_busy_it_is(app, wait):
    client = app.test_client()
    sign_in(client, SETTINGS_KEY)

    for _ in range(11):
        wait(3600)
        assert client.get("/console/overview").status_code == 200
    wait(3660)
    assert client.get("/console/overview").status_code == 302


def test_signing_in_begins_a_new_session(app):
    client = app.test_client()
    old = token_of(client.get("/console/sign-in"))
    sign_in(client, SETTINGS_KEY)

    answer = client.post("/console/keys/", data={"csrf_token": old, "role": "read"})

    assert answer.status_code == 400


def test_signing_out_ends_the_session(app):
    client = app.test_client()
    sign_in(client, SETTINGS_KEY)
    token = token_of(client.get("/console/overview"))

    assert client.post("/console/sign-out", data={"csrf_token": token}).status_code == 302
    assert client.get("/console/overview").status_code == 302


@pytest.mark.parametrize(
    ("headers", "is_secure"), [({}, False), ({"X-Forwarded-Proto": "https"}, True)], ids=["http", "https"]
)
def test_the_cookie_is_for_the_console_alone_and_for_no_script(app, headers, is_secure):
    cookie = app.test_client().get("/console/sign-in", headers=headers).headers["Set-Cookie"]

    parts = set(cookie.split("; ")[1:])
    assert {"HttpOnly", "Path=/console", "SameSite=Lax"} <= parts
    assert ("Secure" in parts) == is_secure


def test_the_cookie_holds_no_secret(app, make_key):
    client = app.test_client()
    _, key = make_key("admin")
    sign_in(client, key)

    cookie = client.get_cookie("recsvc_console", path="/console")
    serializer = app.session_interface.get_signing_serializer(app)
    session = serializer.loads(cookie.value)

    assert session["key_name"] == "admin"
    _, _, secret = key.split("_", 2)  # which may have underscores itself
    assert secret not in str(session)


def test_who_fails_often_must_wait_even_with_the_right_key(app):
    client = app.test_client()
    for _ in range(10):
        assert sign_in(client, "wrong").status_code == 401

    assert sign_in(client, SETTINGS_KEY).status_code == 429
    assert client.get("/console/overview").status_code == 302


def test_tries_are_counted_while_redis_is_away(make_app, sqlite_url, tmp_path):
    url = f"unix://{tmp_path}/nobody.sock"
    client = make_app(sqlite_url, recsvc_admin_key=SETTINGS_KEY, redis_url=url).test_client()
    for _ in range(10):
        assert sign_in(client, "wrong").status_code == 401

    assert sign_in(client, SETTINGS_KEY).status_code == 429


@pytest.mark.parametrize(
    ("onward", "leads_to"),
    [
        ("/console/keys/", "/console/keys/"),
        ("/console/explorer/user?user_id=a", "/console/explorer/user?user_id=a"),
        ("https://elsewhere.example/console/", "/console/overview"),
        ("//elsewhere.example/console/", "/console/overview"),
        ("/\\elsewhere.example", "/console/overview"),
        ("/console/\\elsewhere.example", "/console/overview"),
        ("javascript:alert(1)", "/console/overview"),
    ],
)
def test_signing_in_leads_on_to_where_one_wanted_and_to_no_other_host(app, onward, leads_to):
    assert sign_in(app.test_client(), SETTINGS_KEY, onward=onward).location == leads_to


def test_pages_forbid_what_comes_from_elsewhere(app):
    client = app.test_client()
    sign_in(client, SETTINGS_KEY)
    for path in ("/console/sign-in", "/console/overview", "/console/settings/", "/console/nothing"):
        answer = client.get(path)
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["Cache-Control"] == "no-store"
        page = answer.get_data(as_text=True)
        assert not re.search(r"""(src|href|action)="(https?:)?//""", page), path
        assert "<style" not in page
        assert " style=" not in page
        assert not re.search(r"<script(?![^>]* src=)", page)
        assert not re.search(r"\son[a-z]+=", page)


def test_no_file_but_the_assets_can_be_had_where_assets_are(app):
    client = app.test_client()

    for name in ("console.css", "console.js", "theme.js", "icon.svg", "bootstrap.min.css"):
        with client.get(f"/console/assets/{name}") as answer:
            assert answer.status_code == 200, name
    for name in ("../__init__.py", "..%2f__init__.py", "%2e%2e/security.py"):
        assert client.get(f"/console/assets/{name}").status_code == 404
