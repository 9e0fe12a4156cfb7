"""The state of the service, for its operators."""

from __future__ import annotations

from typing import Any

from recsvc.api import schemas
from recsvc.api.auth import allow
from recsvc.api.blueprints import Blueprint
from recsvc.services import status

blueprint = Blueprint("status", __name__, description="What a shop wants to know first.")


@blueprint.route("/status")
@allow("admin")
@blueprint.response(200, schemas.StatusSchema)
def get_status() -> Any:
    """Tell how much data there is, what is served and why, when the next run is, and what came of lists."""
    return status.status()
