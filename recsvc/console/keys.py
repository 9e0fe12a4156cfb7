"""API keys: made and shown once, revoked, last use."""

from __future__ import annotations

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from recsvc.console.security import operator
from recsvc.errors import InvalidInputError
from recsvc.services import keys as service
from recsvc.services.keys import ROLES

blueprint = Blueprint("keys", __name__, url_prefix="/keys")


@blueprint.get("/")
def show() -> str:
    """All keys."""
    return _page()


@blueprint.post("/")
def make() -> str:
    """Makes a key, and shows it: in this answer alone."""
    role, name = request.form.get("role", ""), request.form.get("name", "").strip()
    if role not in ROLES:
        raise InvalidInputError("Choose what the key may do.")
    made, secret = service.create(role, name or role)
    return _page(made=made, secret=secret)


@blueprint.post("/<key_id>/revoke")
def revoke(key_id: str) -> Response:
    """Ends a key."""
    service.revoke(key_id)
    flash(_("The key is revoked."), "success")
    return redirect(url_for("console.keys.show"))


def _page(**more: object) -> str:
    return render_template(
        "console/keys.html", keys=service.everything(), roles=ROLES, own=operator().key_id, **more
    )
