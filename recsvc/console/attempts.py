"""How often somebody may try to sign in: counted in Redis, or in this process while Redis is down."""

from __future__ import annotations

from flask import current_app, request
from limits import parse
from limits.storage import MemoryStorage, Storage, storage_from_string
from limits.strategies import FixedWindowRateLimiter
from redis.exceptions import RedisError

from recsvc.config import current_config
from recsvc.queues import counter_storage

_FAILURES = parse("10/minute")


def has_too_many() -> bool:
    """Whether this address has failed too often of late."""
    try:
        return not _counter().test(_FAILURES, _address())
    except RedisError:
        return not _counter_here().test(_FAILURES, _address())


def note_failure() -> None:
    """Counts a wrong key."""
    try:
        _counter().hit(_FAILURES, _address())
    except RedisError:
        _counter_here().hit(_FAILURES, _address())


def _address() -> str:
    return f"console-sign-in-{request.remote_addr}"


def _counter() -> FixedWindowRateLimiter:
    kept: FixedWindowRateLimiter | None = current_app.extensions.get("recsvc.sign_in_attempts")
    if kept is None:
        url, options = counter_storage(current_config())
        storage = storage_from_string(url, **options)
        assert isinstance(storage, Storage)
        kept = current_app.extensions["recsvc.sign_in_attempts"] = FixedWindowRateLimiter(storage)
    return kept


def _counter_here() -> FixedWindowRateLimiter:
    kept: FixedWindowRateLimiter | None = current_app.extensions.get("recsvc.sign_in_attempts_here")
    if kept is None:
        kept = FixedWindowRateLimiter(MemoryStorage())
        current_app.extensions["recsvc.sign_in_attempts_here"] = kept
    return kept
