"""What the document tells of the headers of answers."""

from __future__ import annotations

from typing import Any

REQUEST_ID = "X-Request-ID"
RETRY_AFTER = "Retry-After"
# As Flask-Limiter sends them, all together.
LIMITS = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset", RETRY_AFTER)

_WITH_LIMIT = "Where RATE_LIMITS holds this credential to a limit:"


def _header(description: str, kind: str, example: Any) -> dict[str, Any]:
    return {"description": description, "schema": {"type": kind, "example": example}}


HEADERS = {
    REQUEST_ID: _header(
        "What the log has the request under: your own X-Request-ID where it can be taken.",
        "string",
        "0d5ed8a1b5c94b1b8a8e0a0c0a4c2f5e",
    ),
    "X-RateLimit-Limit": _header(f"{_WITH_LIMIT} requests that it allows.", "integer", 300),
    "X-RateLimit-Remaining": _header(f"{_WITH_LIMIT} requests that are left.", "integer", 299),
    "X-RateLimit-Reset": _header(
        f"{_WITH_LIMIT} when it begins anew, in seconds since 1970.", "integer", 1795422660
    ),
    RETRY_AFTER: _header(
        "With 429 and 503, seconds after which to try again. Elsewhere it comes with a limit alone, and is"
        " the seconds until that begins anew.",
        "integer",
        5,
    ),
}


def named(*names: str) -> dict[str, str]:
    """References to headers, for an answer of the document."""
    return {name: name for name in names}
