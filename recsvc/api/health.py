"""For load balancers and whoever looks after the service."""

from __future__ import annotations

from typing import Any

from recsvc.api import schemas
from recsvc.api.auth import public
from recsvc.api.blueprints import Blueprint
from recsvc.api.headers import RETRY_AFTER
from recsvc.errors import UnavailableError
from recsvc.services import readiness

blueprint = Blueprint("health", __name__, description="Whether the process lives, and can serve.")

_NOT_LOOKED_AT = "Not looked at, since the database is not ready."
_NOT_READY = {
    "ready": False,
    "checks": {
        "database": "The database does not answer.",
        "migrations": _NOT_LOOKED_AT,
        "redis": "ok",
        "model": _NOT_LOOKED_AT,
    },
}


@blueprint.route("/healthz")
@public
@blueprint.response(200, schemas.Health)
def healthz() -> dict[str, str]:
    """Tell that the process lives."""
    return {"status": "ok"}


@blueprint.route("/readyz")
@public
@blueprint.response(200, schemas.Readiness)
@blueprint.alt_response(
    503,
    schema=schemas.Readiness,
    description="Requests cannot be served.",
    example=_NOT_READY,
    headers=(RETRY_AFTER,),
)
def readyz() -> tuple[dict[str, Any], int, dict[str, str]]:
    """Tell whether requests can be served, and what is wrong with each thing needed."""
    ready, checks = readiness.check()
    told = {"ready": ready, "checks": checks}
    return (told, 200, {}) if ready else (told, 503, {RETRY_AFTER: str(UnavailableError.retry_after)})
