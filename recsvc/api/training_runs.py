"""Training runs."""

from __future__ import annotations

from typing import Any

from recsvc.api import schemas
from recsvc.api.auth import allow
from recsvc.api.blueprints import Blueprint
from recsvc.api.fields import checked_id, cursor_of
from recsvc.services import training

blueprint = Blueprint("training_runs", __name__, description="What became of each training.")

_NOT_YET = ("stage", "rows_read", "started_at", "data", "parameters", "metrics", "gate", "model_version")
_CANCELLED: dict[str, Any] = {
    "status": "cancelled",
    "progress": 0.0,
    "attempt": 0,
    "seconds": {},
    **dict.fromkeys(_NOT_YET),
}


@blueprint.route("/training-runs")
@allow("admin")
@blueprint.arguments(schemas.TrainingRunQuery, location="query")
@blueprint.response(200, schemas.TrainingRunPage)
def list_training_runs(query: dict[str, Any]) -> dict[str, Any]:
    """List training runs, newest first."""
    before = tuple(query["cursor"]) if query["cursor"] else None
    runs = training.page(before=before, limit=query["limit"], status=query["status"])
    last = runs[-1] if len(runs) == query["limit"] else None
    return {
        "training_runs": runs,
        "next_cursor": cursor_of(last.queued_at, last.run_id) if last else None,
    }


@blueprint.route("/training-runs/<string:run_id>")
@allow("admin")
@blueprint.response(200, schemas.TrainingRunSchema)
def get_training_run(run_id: str) -> Any:
    """Show a training run, its progress among the rest."""
    return training.get(checked_id(run_id))


@blueprint.route("/training-runs/<string:run_id>/cancel", methods=["POST"])
@allow("admin")
@blueprint.doc(responses={"409": "CONFLICT"})
@blueprint.response(200, schemas.TrainingRunSchema, example=_CANCELLED)
def cancel_training_run(run_id: str) -> Any:
    """End a run before it is done; the active version stays."""
    return training.cancel(checked_id(run_id))
