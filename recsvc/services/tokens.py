"""User tokens: JWTs that let an app write and read for one user, made here or by the shop's own provider."""

from __future__ import annotations

import math
import secrets
import threading
import time
from datetime import datetime, timedelta
from typing import Any

import jwt
import structlog
from flask import current_app
from sqlalchemy.exc import SQLAlchemyError

from recsvc.config import current_config
from recsvc.errors import IdentityProviderUnavailableError
from recsvc.extensions import db
from recsvc.services.keys import USER, Credential
from recsvc.services.limits import is_id
from recsvc.storage.database import is_unavailable, write_transaction
from recsvc.storage.models import TokenKey, now
from recsvc.storage.queries import token_keys

logger = structlog.get_logger(__name__)

MAX_TTL = 30 * 24 * 3600  # seconds

_OURS = "recsvc"
_KEY_PREFIX = "recsvc-"  # of the `kid` of tokens made here
_ALGORITHM = "HS256"
_OF_SECRETS = ["HS256", "HS384", "HS512"]
# Never those of secrets: a public key must not pass for one.
_OF_PUBLIC_KEYS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
_LEEWAY = 10  # seconds that two machines' clocks may differ
_KEY_KEPT = 5.0  # seconds: so long a retired key's tokens may still be taken
_PROVIDER_TIMEOUT = 2.0
_PROVIDER_KEYS_KEPT = 600.0
_PROVIDER_ASKED_AGAIN_AFTER = 5.0


class _ProviderKeys:
    """The keys of the shop's provider, as it published them last."""

    def __init__(self, url: str) -> None:
        self._client = jwt.PyJWKClient(url, cache_jwk_set=False, timeout=_PROVIDER_TIMEOUT)
        self._asking = threading.Lock()
        self._known: dict[str | None, jwt.PyJWK] = {}
        self._learned_at = self._asked_at = -math.inf

    def find(self, key_id: str) -> jwt.PyJWK:
        """A key by its name; while the provider is away, even one that it may have retired meanwhile.

        Raises:
            jwt.InvalidKeyError: The provider knows none of that name.
            IdentityProviderUnavailableError: It does not hand out its keys.
        """
        if self._is_to_be_asked(key_id):
            with self._asking:
                if self._is_to_be_asked(key_id):  # nobody has asked while this one waited
                    self._ask()
        if key_id in self._known:
            return self._known[key_id]
        if self._learned_at < self._asked_at:
            raise IdentityProviderUnavailableError("The identity provider does not answer. Try again.")
        raise jwt.InvalidKeyError("no such key")

    def _is_to_be_asked(self, key_id: str) -> bool:
        moment = time.monotonic()
        is_known = key_id in self._known and moment - self._learned_at < _PROVIDER_KEYS_KEPT
        # Each try waits, and anybody can make up a name: one every few seconds may, but not every request.
        return not is_known and moment - self._asked_at >= _PROVIDER_ASKED_AGAIN_AFTER

    def _ask(self) -> None:
        try:
            self._known = {key.key_id: key for key in self._client.get_signing_keys()}
        except (jwt.PyJWTError, OSError, ValueError) as error:
            logger.warning("identity_provider_away", error=str(error))
            self._asked_at = time.monotonic()
        else:
            self._learned_at = self._asked_at = time.monotonic()


def issue(user_id: str, ttl_seconds: int) -> tuple[str, datetime]:
    """Makes a token for a user.

    Args:
        user_id: The shop's own id; the user need not be known yet.
        ttl_seconds: How long it is valid.

    Returns:
        The token, and when it ends.
    """
    key = token_keys.newest()
    if key is None:
        key = rotate()
    issued_at = now().replace(microsecond=0)
    expires_at = issued_at + timedelta(seconds=ttl_seconds)
    claims = {"iss": _OURS, "aud": _OURS, "sub": user_id, "iat": issued_at, "exp": expires_at}
    return jwt.encode(claims, key.secret, _ALGORITHM, {"kid": _KEY_PREFIX + key.key_id}), expires_at


def rotate() -> TokenKey:
    """Makes a new signing key and retires the others: all tokens made here until now end within seconds."""
    key = TokenKey(key_id=secrets.token_hex(6), secret=secrets.token_urlsafe(48))
    with write_transaction():
        token_keys.retire_all()
        token_keys.insert(key)
    return key


def authenticate(text: str) -> Credential | None:
    """Tells whose token a text is; None where it is nobody's, has ended, or was made for others.

    Raises:
        IdentityProviderUnavailableError: The shop's provider does not hand out its keys.
    """
    if text.count(".") != 2:
        return None
    try:
        key_id = jwt.get_unverified_header(text).get("kid")
        is_ours = isinstance(key_id, str) and key_id.startswith(_KEY_PREFIX)
        claims = _our_claims(text, str(key_id)) if is_ours else _provider_claims(text, key_id)
    except jwt.PyJWTError:
        return None
    user_id = claims.get("sub")
    return Credential("token", USER, "user token", user_id) if is_id(user_id) else None


def _our_claims(text: str, key_id: str) -> dict[str, Any]:
    secret = _secret_of(key_id.removeprefix(_KEY_PREFIX))
    if secret is None:
        raise jwt.InvalidKeyError("no such key")
    return _decode(text, secret, [_ALGORITHM], issuer=_OURS, audience=_OURS)


def _provider_claims(text: str, key_id: object) -> dict[str, Any]:
    config = current_config()
    issuer, audience = config.jwt_issuer or None, config.jwt_audience or None
    if config.jwt_secret:
        return _decode(text, config.jwt_secret, _OF_SECRETS, issuer=issuer, audience=audience)
    if config.jwt_jwks_url and isinstance(key_id, str):
        key = _provider_keys(config.jwt_jwks_url).find(key_id)
        return _decode(text, key, _OF_PUBLIC_KEYS, issuer=issuer, audience=audience)
    raise jwt.InvalidKeyError("no provider")


def _decode(
    text: str, key: Any, algorithms: list[str], *, issuer: str | None, audience: str | None
) -> dict[str, Any]:
    return jwt.decode(
        text,
        key,
        algorithms,
        issuer=issuer,
        audience=audience,
        leeway=_LEEWAY,
        options={"require": ["exp", "sub"], "verify_aud": audience is not None},
    )


def _secret_of(key_id: str) -> str | None:
    kept: dict[str, tuple[str, float]] = current_app.extensions.setdefault("recsvc.token_keys", {})
    secret, since = kept.get(key_id, ("", -math.inf))
    if time.monotonic() - since < _KEY_KEPT:
        return secret
    try:
        key = token_keys.find(key_id) if key_id.isalnum() else None
    except SQLAlchemyError as error:
        if not (secret and is_unavailable(error)):
            raise
        db.session.rollback()
        return secret
    if key is None:
        kept.pop(key_id, None)
        return None
    kept[key_id] = (key.secret, time.monotonic())
    return key.secret


def _provider_keys(url: str) -> _ProviderKeys:
    keys: _ProviderKeys | None = current_app.extensions.get("recsvc.provider_keys")
    return keys or current_app.extensions.setdefault("recsvc.provider_keys", _ProviderKeys(url))
