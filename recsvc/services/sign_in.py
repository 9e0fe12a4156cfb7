"""Operators who sign in to the console with an admin key."""

from __future__ import annotations

import hmac
from hashlib import sha256

from recsvc.config import current_config
from recsvc.services import keys
from recsvc.services.keys import ADMIN, SETTINGS_KEY, Credential
from recsvc.storage.queries import api_keys


def sign_in(text: str) -> Credential | None:
    """Tells whose admin key a text is; None where it is nobody's, revoked, or another role's."""
    credential = keys.authenticate(text.strip())
    return credential if credential is not None and credential.role == ADMIN else None


def fingerprint(credential: Credential) -> str | None:
    """Stands for a key in a session, and tells nothing of its secret; None once the key is no good any more.

    The session ends when this changes: with the key's revocation, or another RECSVC_ADMIN_KEY.
    """
    if credential.key_id == SETTINGS_KEY:
        secret = current_config().recsvc_admin_key
        return _short(secret) if secret else None
    key = api_keys.find(credential.key_id)
    if key is None or key.revoked_at is not None or key.role != ADMIN:
        return None
    return _short(key.secret_hash)


def resume(key_id: str, name: str, remembered: str) -> Credential | None:
    """Who signed in before, if the key that they did it with is still good.

    Args:
        key_id: Of that key.
        name: Of that key.
        remembered: Its fingerprint then.
    """
    credential = Credential(key_id, ADMIN, name)
    present = fingerprint(credential)
    return credential if present is not None and hmac.compare_digest(present, remembered) else None


def _short(secret: str) -> str:
    return sha256(b"recsvc console\0" + secret.encode()).hexdigest()[:32]
