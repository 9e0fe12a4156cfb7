"""Signing in with an admin key, signing out, and choosing a language."""

from __future__ import annotations

from urllib.parse import urlsplit

from flask import Blueprint, flash, redirect, render_template, request, session, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from recsvc.console.attempts import has_too_many, note_failure
from recsvc.console.languages import LANGUAGES
from recsvc.console.security import begin_session, end_session
from recsvc.services import sign_in as service

blueprint = Blueprint("sign_in", __name__)


@blueprint.get("/sign-in")
def show() -> str:
    """Asks for a key."""
    return render_template("console/sign_in.html", onward=_onward(request.args.get("onward")))


@blueprint.post("/sign-in")
def sign_in() -> Response | tuple[str, int]:
    """Begins a session."""
    onward = _onward(request.form.get("onward"))
    if has_too_many():
        return _again(_("Too many tries. Wait a minute, then try again."), onward, 429)
    credential = service.sign_in(request.form.get("key", ""))
    if credential is None:
        note_failure()
        return _again(_("This is not a valid admin key."), onward, 401)
    begin_session(credential)
    return redirect(onward or url_for("console.overview.show"))


@blueprint.post("/sign-out")
def sign_out() -> Response:
    """Ends the session."""
    end_session()
    flash(_("You have signed out."), "success")
    return redirect(url_for("console.sign_in.show"))


@blueprint.get("/language/<code>")
def speak(code: str) -> Response:
    """Remembers a language."""
    if code in LANGUAGES:
        session["language"] = code
        session.permanent = True
    return redirect(_onward(request.args.get("onward")) or url_for("console.overview.show"))


def _again(message: str, onward: str | None, status: int) -> tuple[str, int]:
    flash(message, "danger")
    return render_template("console/sign_in.html", onward=onward), status


def _onward(given: str | None) -> str | None:
    """A page of the console's own to go on to: no other host's, whatever a link says."""
    if not given:
        return None
    parts = urlsplit(given)
    is_ours = not parts.scheme and not parts.netloc and given.startswith("/console/") and "\\" not in given
    return given if is_ours else None
