"""API keys: made, checked, revoked. A key reads `recsvc_KEYID_SECRET`; only the secret's hash is kept."""

from __future__ import annotations

import hashlib
import hmac
import math
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass

import structlog
from flask import current_app
from sqlalchemy.exc import SQLAlchemyError

from recsvc.config import current_config
from recsvc.errors import InvalidInputError, NotFoundError
from recsvc.extensions import db
from recsvc.storage.database import is_unavailable, write_transaction
from recsvc.storage.models import ApiKey, now
from recsvc.storage.queries import api_keys

logger = structlog.get_logger(__name__)

_USE_TRIED_AGAIN_AFTER = 60.0  # seconds
ADMIN = "admin"
ROLES = (ADMIN, "service", "read")
SETTINGS_KEY = "settings"  # id of the key that is in the settings
USER = "user"  # the role of a user token, which no key has
_LONGEST_NAME = 200  # leaves room for it in what records who asked


@dataclass(frozen=True)
class Credential:
    """Who is calling.

    Attributes:
        key_id: The key's public part.
        role: What it may do.
        name: What its maker called it.
        user_id: Of a user token: the one user that it may write and read for.
    """

    key_id: str
    role: str
    name: str
    user_id: str | None = None


def create(role: str, name: str) -> tuple[Credential, str]:
    """Makes a key.

    Returns:
        Who it stands for, and the key itself, which cannot be shown again.

    Raises:
        InvalidInputError: The name is too long.
    """
    if len(name) > _LONGEST_NAME:
        raise InvalidInputError("A key's name takes at most %(most)s characters.", most=_LONGEST_NAME)
    key_id, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
    with write_transaction():
        api_keys.insert(ApiKey(key_id=key_id, secret_hash=_hash(secret), role=role, name=name))
    return Credential(key_id, role, name), f"recsvc_{key_id}_{secret}"


def authenticate(text: str) -> Credential | None:
    """Tells whose key a text is; None where it is nobody's, or revoked."""
    admin_key = current_config().recsvc_admin_key
    if admin_key and hmac.compare_digest(_hash(text), _hash(admin_key)):
        return Credential(SETTINGS_KEY, ADMIN, "RECSVC_ADMIN_KEY")
    key_id, secret = _split(text)
    known: dict[str, tuple[str, Credential]] = current_app.extensions.setdefault("recsvc.known_keys", {})
    try:
        key = api_keys.find(key_id) if key_id.isalnum() else None
    except SQLAlchemyError as error:
        secret_hash, credential = known.get(key_id, ("", None))
        if not is_unavailable(error) or not hmac.compare_digest(_hash(secret), secret_hash):
            raise
        # Lists are served while the database is away, to whom this process let in before.
        db.session.rollback()
        return credential
    # A hash is compared whether the key exists or not, so that the time taken does not tell.
    is_right = hmac.compare_digest(_hash(secret), key.secret_hash if key else _hash(""))
    if key is None or not is_right or key.revoked_at is not None:
        known.pop(key_id, None)
        return None
    if api_keys.is_use_worth_recording(key):
        _try_to_record_use(key_id)
    credential = Credential(key.key_id, key.role, key.name)
    known[key_id] = (key.secret_hash, credential)
    return credential


def revoke(key_id: str) -> None:
    """Ends a key.

    Raises:
        NotFoundError: There is no such key.
    """
    with write_transaction():
        key = api_keys.find(key_id)
        if key is None:
            raise NotFoundError("key", key_id)
        key.revoked_at = key.revoked_at or now()


def everything() -> Sequence[ApiKey]:
    """All keys, oldest first."""
    return api_keys.everything()


def _split(text: str) -> tuple[str, str]:
    prefix, _, rest = text.partition("_")
    key_id, _, secret = rest.partition("_")
    return (key_id, secret) if prefix == "recsvc" else ("", "")


def _hash(secret: str) -> str:
    # The secret is 256 random bits: a slow hash would protect nothing more and cost every request.
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


def _try_to_record_use(key_id: str) -> None:
    failed_at: dict[str, float] = current_app.extensions.setdefault("recsvc.key_uses_failed_at", {})
    # While the database is locked each try waits: one a minute may, but not every request.
    if time.monotonic() - failed_at.get(key_id, -math.inf) < _USE_TRIED_AGAIN_AFTER:
        return
    try:
        with write_transaction():
            api_keys.record_use(key_id)
    except SQLAlchemyError as error:
        if not is_unavailable(error):
            raise
        # A read must not fail because a note about it cannot be written.
        db.session.rollback()
        failed_at[key_id] = time.monotonic()
        logger.warning("key_use_not_recorded", key_id=key_id)
