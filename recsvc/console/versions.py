"""Model versions side by side."""

from __future__ import annotations

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from markupsafe import Markup
from werkzeug.wrappers import Response

from recsvc.console import charts
from recsvc.services import comparing, registry
from recsvc.services.version_history import METRICS, VersionLine, experiment, newest

blueprint = Blueprint("versions", __name__, url_prefix="/versions")

_SHOWN = 20


@blueprint.get("/")
def show() -> str:
    """Versions, newest first."""
    lines = newest(_SHOWN)
    return render_template(
        "console/versions.html",
        lines=lines,
        metrics=METRICS,
        chart=_chart(lines) if any(line.own for line in lines) else None,
        experiment=experiment(),
    )


@blueprint.get("/compare")
def compare() -> str:
    """What changed from one version to another."""
    before, after = request.args.get("before", ""), request.args.get("after", "")
    return render_template("console/compare.html", change=comparing.difference(before, after))


@blueprint.post("/<version>/activate")
def activate(version: str) -> Response:
    """Rolls forward or back."""
    registry.activate(version)
    flash(_("Every web process serves %(version)s within seconds.", version=version), "success")
    return redirect(url_for("console.versions.show"))


def _chart(lines: list[VersionLine]) -> Markup:
    metric = METRICS[0]
    oldest_first = lines[::-1]
    return charts.lines(
        _("NDCG@10 of each version and of what is popular, among the same users"),
        [f"{line.version.created_at:%m-%d %H:%M}" for line in oldest_first],
        {
            _("version"): [line.own.get(metric) for line in oldest_first],
            _("what is popular"): [line.popularity.get(metric) for line in oldest_first],
        },
    )
