"""Who may see the console: signed in with an admin key, in a session that ends with the key."""

from __future__ import annotations

import time
from typing import Any

from flask import Blueprint, Flask, Request, Response, g, redirect, request, session, url_for
from flask.sessions import SecureCookieSessionInterface, SessionMixin
from flask_wtf.csrf import CSRFProtect
from werkzeug.wrappers import Response as AnyResponse

from recsvc.config import current_config
from recsvc.services import sign_in as service
from recsvc.services.importing.uploads import MAX_BYTES
from recsvc.services.keys import Credential
from recsvc.services.secret import secret_keys

OPEN_TO_ANYBODY = {
    "console.sign_in.show",
    "console.sign_in.sign_in",
    "console.sign_in.speak",
    "console.asset",
}
LONGEST = 12 * 3600  # seconds that a session lasts from signing in
IDLE = 2 * 3600  # seconds without a request after which it has ended
_PATH = "/console"
_UPLOAD = "console.imports.upload"

# Nothing comes from another host, and no script is written into a page.
_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",  # Bootstrap's arrows and ticks are such images
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)

csrf = CSRFProtect()


class ConsoleSessions(SecureCookieSessionInterface):
    """Sessions of the console alone, signed with SECRET_KEY, which is not asked for before one is needed."""

    def open_session(self, app: Flask, request: Request) -> Any:
        """Reads the cookie; what the API is asked has no session, and neither have assets."""
        if not request.path.startswith(f"{_PATH}/") or request.path.startswith(f"{_PATH}/assets/"):
            return None
        if app.secret_key is None:
            app.secret_key, *earlier = secret_keys(current_config())
            app.config["SECRET_KEY_FALLBACKS"] = earlier
        return super().open_session(app, request)

    def get_cookie_path(self, app: Flask) -> str:
        """Nothing but the console is sent the cookie."""
        return _PATH

    def get_cookie_name(self, app: Flask) -> str:
        """Ours, beside what else is on this host."""
        return "recsvc_console"

    def get_cookie_samesite(self, app: Flask) -> str:
        """Another site's form brings no session along."""
        return "Lax"

    def get_cookie_secure(self, app: Flask) -> bool:
        """Over TLS alone where it came over TLS, be that ended by a router before us."""
        return request.is_secure or request.headers.get("X-Forwarded-Proto") == "https"


def guard(app: Flask, console: Blueprint) -> None:
    """Lets nobody see a page without a session, and takes no form without its token."""
    app.session_interface = ConsoleSessions()
    app.config.update(
        WTF_CSRF_CHECK_DEFAULT=False,  # the API has keys, and no cookies
        WTF_CSRF_TIME_LIMIT=None,  # a token is good for as long as its session is
        WTF_CSRF_SSL_STRICT=False,  # the token is what counts; a router may have ended TLS
        PERMANENT_SESSION_LIFETIME=IDLE,
    )
    csrf.init_app(app)

    @console.before_request
    def resume() -> AnyResponse | None:
        if request.endpoint == _UPLOAD:
            request.max_content_length = MAX_BYTES
        g.operator = _operator()
        if g.operator is None and request.endpoint not in OPEN_TO_ANYBODY:
            onward = request.full_path.rstrip("?") if request.method == "GET" else None
            return redirect(url_for("console.sign_in.show", onward=onward))
        csrf.protect()
        return None

    @console.after_request
    def harden(response: Response) -> Response:
        response.headers["Content-Security-Policy"] = _POLICY
        response.headers["Referrer-Policy"] = "same-origin"
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["X-Frame-Options"] = "DENY"
        if request.endpoint != "console.asset":
            response.headers["Cache-Control"] = "no-store"
        return response


def begin_session(credential: Credential) -> None:
    """Begins a new session, whatever was in the one before but the language."""
    language = session.get("language")
    session.clear()
    session.permanent = True
    session.update(
        key_id=credential.key_id,
        key_name=credential.name,
        key_print=service.fingerprint(credential),
        since=int(time.time()),
    )
    if language:
        session["language"] = language


def end_session() -> None:
    """Ends the session; the language stays."""
    for name in set(session) - {"language"}:
        session.pop(name)


def operator() -> Credential:
    """Who is signed in."""
    credential: Credential = g.operator
    return credential


def _operator() -> Credential | None:
    known: SessionMixin = session
    if "key_id" not in known or time.time() - known.get("since", 0) > LONGEST:
        return None
    credential = service.resume(known["key_id"], known["key_name"], known["key_print"])
    if credential is None:
        end_session()
    return credential
