"""The operator's console: pages that a server renders, one blueprint each. Computes nothing itself."""

from __future__ import annotations

from pathlib import Path

import flask_bootstrap
from flask import Blueprint, Flask, Response, redirect, send_from_directory, url_for
from werkzeug.exceptions import NotFound
from werkzeug.wrappers import Response as AnyResponse

from recsvc.console import (
    catalogue,
    explorer,
    imports,
    keys,
    overview,
    settings,
    sign_in,
    training,
    versions,
)
from recsvc.console.languages import speak
from recsvc.console.problems import tell_problems
from recsvc.console.security import guard
from recsvc.console.words import name_things

PATH = "/console"
PAGES = (overview, training, versions, explorer, catalogue, imports, keys, settings)

_OWN = Path(__file__).parent / "assets"
_BOOTSTRAP = Path(flask_bootstrap.__file__).parent / "static" / "bootstrap5" / "css"
_A_DAY = 86_400


def serve_console(app: Flask) -> None:
    """Adds the console's pages to an application."""
    console = Blueprint("console", __name__, template_folder="templates", url_prefix=PATH)
    for page in (sign_in, *PAGES):
        console.register_blueprint(page.blueprint)
    console.add_url_rule("/", "start", lambda: redirect(url_for("console.overview.show")))
    console.add_url_rule("/assets/<path:name>", "asset", _asset)
    console.add_url_rule("/<path:rest>", "nothing", _nothing)
    speak(app, console)
    guard(app, console)
    tell_problems(console)
    name_things(app)
    app.register_blueprint(console)
    for endpoint, view in app.view_functions.items():
        if endpoint.startswith("console."):
            # No role of the API's may: who is signed in may.
            setattr(view, "allowed_roles", ())  # noqa: B010 — a view has no such attribute in Flask's types


def _asset(name: str) -> Response:
    folder = _BOOTSTRAP if name == "bootstrap.min.css" else _OWN
    return send_from_directory(folder, name, max_age=_A_DAY)


def _nothing(rest: str) -> AnyResponse:
    raise NotFound(f"There is no page {rest}.")
