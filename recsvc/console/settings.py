"""Settings: what is in force, and where it came from."""

from __future__ import annotations

from flask import Blueprint, render_template

from recsvc.config import current_config

blueprint = Blueprint("settings", __name__, url_prefix="/settings")


@blueprint.get("/")
def show() -> str:
    """Every setting; read-only, secrets masked."""
    return render_template("console/settings.html", settings=current_config().describe())
