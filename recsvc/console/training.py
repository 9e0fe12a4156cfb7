"""Training runs: what became of each, the one under way, and asking for another."""

from __future__ import annotations

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from recsvc.config import current_config
from recsvc.console.security import operator
from recsvc.services import training as service
from recsvc.storage.models import now

blueprint = Blueprint("training", __name__, url_prefix="/training")

_SHOWN = 20
_LONGEST_REASON = 1000


@blueprint.get("/")
def show() -> str:
    """Runs, newest first."""
    return render_template(
        "console/training.html",
        runs=service.page(before=None, limit=_SHOWN, status=None),
        next_at=service.next_due(current_config().train_schedule, now()),
        schedule=current_config().train_schedule,
    )


@blueprint.get("/<run_id>")
def run(run_id: str) -> str:
    """One run in full."""
    return render_template("console/run.html", run=service.get(run_id))


@blueprint.post("/start")
def start() -> Response:
    """Asks for a run."""
    asked, was_there = service.request(
        "manual",
        requested_by=f"key {operator().name}",
        force="force" in request.form,
        reason=request.form.get("reason", "").strip()[:_LONGEST_REASON] or None,
    )
    if was_there:
        flash(_("A training is under way already."), "info")
    else:
        flash(_("The training is queued."), "success")
    return redirect(url_for("console.training.run", run_id=asked.run_id))


@blueprint.post("/<run_id>/cancel")
def cancel(run_id: str) -> Response:
    """Ends a run before it is done."""
    service.cancel(run_id)
    flash(_("The training was cancelled. What is served stays."), "success")
    return redirect(url_for("console.training.run", run_id=run_id))
