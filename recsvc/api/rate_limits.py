"""How often a credential may call: counted in Redis, by setting; nobody is held back while Redis is down."""

from __future__ import annotations

import logging
from hashlib import sha256

from flask import Flask, g
from flask_limiter import ApplicationLimit, Limiter

from recsvc import queues
from recsvc.config import Config, current_config
from recsvc.services.keys import Credential

# Flask-Limiter falls back to these while Redis is down, and looks for it again at growing intervals.
_AS_GOOD_AS_NONE = "1000000000/second"


def limit_rates(app: Flask, config: Config) -> None:
    """Holds callers to their limits, once they are known. Redis is connected to when one is looked at."""
    # Its own lines name callers; what it tells of Redis being away stays.
    logging.getLogger("flask-limiter").setLevel(logging.WARNING)
    url, options = queues.counter_storage(config) if config.rate_limits else ("memory://", {})
    limiter = Limiter(
        key_func=_name_of_caller,
        application_limits=[ApplicationLimit(_limits_of_caller, exempt_when=_is_free)],
        storage_uri=url,
        storage_options=options,
        strategy="fixed-window",
        in_memory_fallback=[_AS_GOOD_AS_NONE],
        key_prefix="recsvc",
        headers_enabled=True,
        enabled=bool(config.rate_limits),
    )
    limiter.init_app(app)


def _is_free() -> bool:
    credential: Credential | None = g.credential
    return credential is None or credential.role not in current_config().rate_limits


def _limits_of_caller() -> str:
    credential: Credential | None = g.credential
    return current_config().rate_limits.get(credential.role if credential else "", _AS_GOOD_AS_NONE)


def _name_of_caller() -> str:
    credential: Credential | None = g.credential
    if credential is None:
        return "nobody"
    # Redis and its monitors need not know whom a token is for.
    own = credential.user_id
    return credential.key_id if own is None else sha256(own.encode()).hexdigest()[:32]
