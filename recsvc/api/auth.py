"""Who may call what. A view declares the roles that may call it; a test finds one that does not."""

from __future__ import annotations

import functools
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from flask import Flask, abort, g, request
from werkzeug.datastructures import WWWAuthenticate

from recsvc.api.blueprints import READING, refuse_the_rest
from recsvc.api.headers import LIMITS, named
from recsvc.errors import InvalidInputError
from recsvc.services import keys, tokens
from recsvc.services.keys import USER, Credential
from recsvc.storage.database import read_by_statement

KEY_SCHEME = "apiKey"
TOKEN_SCHEME = "userToken"  # noqa: S105 — its name

_REFUSALS = (401, 403, 422, 429, 503)
_SEND_ONE = "Send a valid API key or user token: Authorization: Bearer …"
_OTHER_USER = "This token is another user's."


def allow(*roles: str, own: str | None = None) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Lets callers with one of these roles in: 401 without a valid credential, 403 with another role.

    Of those let in, what they send and the view does not read is refused.

    Args:
        *roles: Of API keys; `user` for user tokens.
        own: The part of the path that must be the token's own user. A view that a token may call without it
            asks `for_whom`, or is of nobody.
    """

    def decorate(view: Callable[..., Any]) -> Callable[..., Any]:
        view = refuse_the_rest(view)

        @functools.wraps(view)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            credential = g.credential
            if credential is None:
                abort(401, _SEND_ONE, www_authenticate=WWWAuthenticate("bearer", {"realm": "recsvc"}))
            if credential.role not in roles:
                abort(403, "This credential's role does not allow that.")
            if credential.role == USER and own is not None and kwargs[own] != credential.user_id:
                abort(403, _OTHER_USER)
            return view(*args, **kwargs)

        guarded.allowed_roles = roles  # type: ignore[attr-defined]
        documented: dict[str, Any] = getattr(guarded, "_apidoc", {})
        answers = {status: {"headers": named(*LIMITS)} for status in documented["response"]["responses"]}
        schemes = [KEY_SCHEME, TOKEN_SCHEME] if USER in roles else [KEY_SCHEME]
        guarded._apidoc = {  # type: ignore[attr-defined]
            **documented,
            "manual_doc": {
                **documented.get("manual_doc", {}),
                "security": [{scheme: []} for scheme in schemes],
                "x-roles": list(roles),
                "responses": {
                    **answers,
                    **documented.get("manual_doc", {}).get("responses", {}),
                    **{str(status): HTTPStatus(status).name for status in _REFUSALS},
                },
            },
        }
        return guarded

    return decorate


def public(view: Callable[..., Any]) -> Callable[..., Any]:
    """Lets anybody in."""
    view.allowed_roles = ()  # type: ignore[attr-defined]
    return view


def only_reads(view: Callable[..., Any]) -> Callable[..., Any]:
    """Tells of a view for POST that it writes nothing, so that no transaction is begun for it."""
    view.only_reads = True  # type: ignore[attr-defined]
    return view


def caller() -> Credential:
    """Who makes this request."""
    credential: Credential = g.credential
    return credential


def for_whom(user_id: str | None) -> str:
    """The user that a request is about: whom it names, or whose token it is.

    Args:
        user_id: As the request names it.

    Raises:
        InvalidInputError: A key's request names nobody.
    """
    own = caller().user_id
    if own is None:
        if user_id is None:
            raise InvalidInputError("Some fields are not valid.", errors={"user_id": ["Say for which user."]})
        return user_id
    if user_id is not None and user_id != own:
        abort(403, _OTHER_USER)
    return own


def identify_callers(app: Flask) -> None:
    """Finds out who calls, before anything else is done for a request whose view is not public."""

    @app.before_request
    def identify() -> None:
        view = app.view_functions.get(request.endpoint or "")
        if request.method in READING or hasattr(view, "only_reads"):
            read_by_statement()
        g.credential = _credential() if getattr(view, "allowed_roles", ()) else None


def _credential() -> Credential | None:
    scheme, _, text = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        return None
    text = text.strip()
    return keys.authenticate(text) or tokens.authenticate(text)
