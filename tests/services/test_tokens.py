"""User tokens: our own, and those of the shop's identity provider, which is a real server here."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from recsvc.errors import IdentityProviderUnavailableError
from recsvc.services import tokens
from recsvc.services.keys import Credential
from recsvc.storage.database import write_transaction
from recsvc.storage.models import TokenKey
from recsvc.storage.queries import token_keys


class Provider:
    """An identity provider: publishes its keys over HTTP, and counts how often they are asked for."""

    def __init__(self) -> None:
        self.keys: dict[str, tuple[Any, str]] = {}
        self.asked = 0
        self.is_broken = False
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                provider.asked += 1
                body = b"<html>" if provider.is_broken else json.dumps(provider.published()).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/jwks.json"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def add(self, key_id: str, algorithm: str) -> None:
        made = (
            ec.generate_private_key(ec.SECP256R1())
            if algorithm == "ES256"
            else rsa.generate_private_key(65_537, 2_048)
        )
        self.keys[key_id] = (made, algorithm)

    def published(self) -> dict[str, Any]:
        kinds = {"ES256": jwt.algorithms.ECAlgorithm, "RS256": jwt.algorithms.RSAAlgorithm}
        return {
            "keys": [
                json.loads(kinds[algorithm].to_jwk(key.public_key()))
                | {"kid": key_id, "use": "sig", "alg": algorithm}
                for key_id, (key, algorithm) in self.keys.items()
            ]
        }

    def sign(self, key_id: str, **claims: Any) -> str:
        key, algorithm = self.keys[key_id]
        body = {"sub": "ana", "exp": datetime.now(UTC) + timedelta(hours=1), **claims}
        return jwt.encode(body, key, algorithm, {"kid": key_id})

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def forge(header: dict[str, Any], claims: dict[str, Any], secret: bytes) -> str:
    """A token signed with what PyJWT refuses to sign with."""

    def part(content: bytes) -> bytes:
        return base64.urlsafe_b64encode(content).rstrip(b"=")

    body = {"sub": "ana", "exp": int(time.time()) + 3_600, **claims}
    signed = b".".join(part(json.dumps(content).encode()) for content in ({"alg": "HS256", **header}, body))
    return (signed + b"." + part(hmac.new(secret, signed, hashlib.sha256).digest())).decode()


@pytest.fixture
def provider() -> Iterator[Provider]:
    made = Provider()
    made.add("rsa-1", "RS256")
    made.add("ec-1", "ES256")
    yield made
    made.stop()


@pytest.fixture
def app_of_provider(make_app, sqlite_url, provider):
    with make_app(sqlite_url, jwt_jwks_url=provider.url).app_context() as context:
        yield context


def test_a_token_is_for_its_user_and_no_other(context):
    text, ends = tokens.issue("ana", 60)

    who = tokens.authenticate(text)

    assert (who.role, who.user_id) == ("user", "ana")
    assert 55 < (ends - datetime.now(UTC)).total_seconds() <= 60


def test_an_odd_id_makes_its_way_through_a_token(context):
    for user_id in ("é/b c", "x" * 255, "📚", "a.b.c"):
        assert tokens.authenticate(tokens.issue(user_id, 60)[0]).user_id == user_id


def test_a_token_ends(context):
    assert tokens.authenticate(tokens.issue("ana", -30)[0]) is None


def test_other_processes_take_what_one_has_made(context, make_app):
    text, _ = tokens.issue("ana", 60)
    other = make_app(context.config["SQLALCHEMY_DATABASE_URI"])

    with other.app_context():
        assert tokens.authenticate(text).user_id == "ana"
        tokens.issue("bob", 60)
    assert len({jwt.get_unverified_header(tokens.issue("x", 60)[0])["kid"] for _ in range(3)}) == 1


def test_a_forged_token_is_well_formed_but_for_its_secret(context):
    tokens.issue("ana", 60)
    key = token_keys.newest()
    claims = {"iss": "recsvc", "aud": "recsvc"}

    made = forge({"kid": f"recsvc-{key.key_id}"}, claims, secret=key.secret.encode())

    assert tokens.authenticate(made).user_id == "ana"


def test_a_rotated_key_ends_all_tokens_and_leaves_no_secret(context, monkeypatch):
    monkeypatch.setattr(tokens, "_KEY_KEPT", 0.0)
    text, _ = tokens.issue("ana", 60)
    key_id = jwt.get_unverified_header(text)["kid"].removeprefix("recsvc-")

    tokens.rotate()

    assert tokens.authenticate(text) is None
    assert tokens.authenticate(tokens.issue("ana", 60)[0]).user_id == "ana"
    assert token_keys.find(key_id) is None
    from recsvc.extensions import db

    assert db.session.get(TokenKey, key_id, populate_existing=True).secret == ""


def test_a_retired_key_whose_secret_is_empty_signs_nothing(context):
    with write_transaction():
        token_keys.insert(TokenKey(key_id="abc", secret=""))
        token_keys.retire_all()
    forged = forge({"kid": "recsvc-abc"}, {"iss": "recsvc", "aud": "recsvc"}, secret=b"")

    assert tokens.authenticate(forged) is None


@pytest.mark.parametrize("key_id", ["rsa-1", "ec-1"])
def test_a_providers_token_is_taken(app_of_provider, provider, key_id):
    assert tokens.authenticate(provider.sign(key_id)).user_id == "ana"


def test_a_providers_keys_are_fetched_once(app_of_provider, provider):
    for _ in range(5):
        assert tokens.authenticate(provider.sign("rsa-1")) is not None
    forged = Provider()
    forged.add("unheard-of", "RS256")
    for _ in range(5):
        assert tokens.authenticate(forged.sign("unheard-of")) is None
    forged.stop()

    assert provider.asked == 1


def test_a_public_key_does_not_pass_for_a_secret(app_of_provider, provider):
    public = provider.keys["rsa-1"][0].public_key()
    pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    forged = forge({"kid": "rsa-1"}, {}, secret=pem)

    assert tokens.authenticate(forged) is None


def test_another_providers_key_under_a_known_name_opens_nothing(app_of_provider, provider):
    forged = Provider()
    forged.add("rsa-1", "RS256")
    text = forged.sign("rsa-1")
    forged.stop()

    assert tokens.authenticate(text) is None


@pytest.mark.parametrize("is_broken", [True, False], ids=["broken", "away"])
def test_while_the_provider_does_not_answer_it_is_said_and_not_asked_again_at_once(
    app_of_provider, provider, is_broken
):
    text = provider.sign("rsa-1")
    provider.is_broken = is_broken
    if not is_broken:
        provider.stop()

    for _ in range(3):
        with pytest.raises(IdentityProviderUnavailableError):
            tokens.authenticate(text)

    assert provider.asked == int(is_broken)
    assert tokens.authenticate(tokens.issue("ana", 60)[0]).user_id == "ana"


@pytest.fixture
def made_up() -> str:
    """A token that names a key which nobody has heard of."""
    other = Provider()
    other.add("unheard-of", "RS256")
    other.stop()
    return other.sign("unheard-of")


def test_while_the_provider_is_away_its_keys_are_taken_whatever_else_is_asked_for(
    app_of_provider, provider, made_up, monkeypatch
):
    monkeypatch.setattr(tokens, "_PROVIDER_ASKED_AGAIN_AFTER", 0.0)
    text = provider.sign("rsa-1")
    assert tokens.authenticate(text).user_id == "ana"
    provider.stop()

    for kept in (tokens._PROVIDER_KEYS_KEPT, 0.0):
        monkeypatch.setattr(tokens, "_PROVIDER_KEYS_KEPT", kept)
        with pytest.raises(IdentityProviderUnavailableError):
            tokens.authenticate(made_up)
        assert tokens.authenticate(text).user_id == "ana"


def test_a_key_that_the_provider_no_longer_publishes_is_not_taken_for_long(
    app_of_provider, provider, monkeypatch
):
    text = provider.sign("rsa-1")
    assert tokens.authenticate(text) is not None
    del provider.keys["rsa-1"]
    monkeypatch.setattr(tokens, "_PROVIDER_ASKED_AGAIN_AFTER", 0.0)
    assert tokens.authenticate(text) is not None

    monkeypatch.setattr(tokens, "_PROVIDER_KEYS_KEPT", 0.0)
    assert tokens.authenticate(text) is None


def test_a_new_key_of_the_provider_is_taken_once_it_may_be_asked_again(
    app_of_provider, provider, monkeypatch
):
    assert tokens.authenticate(provider.sign("rsa-1")) is not None
    provider.add("rsa-2", "RS256")
    text = provider.sign("rsa-2")
    assert tokens.authenticate(text) is None

    monkeypatch.setattr(tokens, "_PROVIDER_ASKED_AGAIN_AFTER", 0.0)
    assert tokens.authenticate(text).user_id == "ana"


def test_requests_that_come_together_wait_for_the_providers_first_answer(make_app, sqlite_url, provider):
    app, text = make_app(sqlite_url, jwt_jwks_url=provider.url), provider.sign("rsa-1")

    def authenticate(_: int) -> Credential | None:
        with app.app_context():
            return tokens.authenticate(text)

    with ThreadPoolExecutor(8) as pool:
        assert None not in list(pool.map(authenticate, range(8)))
    assert provider.asked == 1


def test_without_a_provider_nobody_elses_tokens_are_taken(context, provider):
    assert tokens.authenticate(provider.sign("rsa-1")) is None
