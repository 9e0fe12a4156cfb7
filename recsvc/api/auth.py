"""Who may call what. A view declares the roles that may call it; a test finds one that does not."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from flask import abort, g, request
from werkzeug.datastructures import WWWAuthenticate

from recsvc.services import keys
from recsvc.services.keys import Credential

SECURITY_SCHEME = "apiKey"


def allow(*roles: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Lets callers with one of these roles in: 401 without a valid credential, 403 with another role."""

    def decorate(view: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(view)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            g.credential = _credential()
            if g.credential.role not in roles:
                abort(403, "This key's role does not allow that.")
            return view(*args, **kwargs)

        guarded.allowed_roles = roles  # type: ignore[attr-defined]
        documented: dict[str, Any] = getattr(guarded, "_apidoc", {})
        guarded._apidoc = {  # type: ignore[attr-defined]
            **documented,
            "manual_doc": {
                **documented.get("manual_doc", {}),
                "security": [{SECURITY_SCHEME: []}],
                "x-roles": list(roles),
            },
        }
        return guarded

    return decorate


def public(view: Callable[..., Any]) -> Callable[..., Any]:
    """Lets anybody in."""
    view.allowed_roles = ()  # type: ignore[attr-defined]
    return view


def caller() -> Credential:
    """Who makes this request."""
    credential: Credential = g.credential
    return credential


def _credential() -> Credential:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    credential = keys.authenticate(token.strip()) if scheme.lower() == "bearer" else None
    if credential is None:
        abort(
            401,
            "Send a valid API key: Authorization: Bearer …",
            www_authenticate=WWWAuthenticate("bearer", {"realm": "recsvc"}),
        )
    return credential
