"""Model versions."""

from __future__ import annotations

from typing import Any

from recsvc.api import schemas
from recsvc.api.auth import allow
from recsvc.api.blueprints import Blueprint
from recsvc.api.fields import checked_id
from recsvc.services import registry

blueprint = Blueprint("model_versions", __name__, description="What trainings produced; one is active.")


@blueprint.route("/model-versions")
@allow("admin")
@blueprint.response(200, schemas.ModelVersionList)
def list_model_versions() -> dict[str, Any]:
    """List model versions, newest first."""
    return {"model_versions": registry.everything()}


@blueprint.route("/model-versions/<string:version>")
@allow("admin")
@blueprint.response(200, schemas.ModelVersionSchema)
def get_model_version(version: str) -> Any:
    """Show a model version."""
    return registry.get(checked_id(version))


@blueprint.route("/model-versions/<string:version>/activate", methods=["POST"])
@allow("admin")
@blueprint.doc(responses={"409": "CONFLICT"})
@blueprint.response(200, schemas.ModelVersionSchema)
def activate_model_version(version: str) -> Any:
    """Roll forward or back: live in every web process within seconds, no request failed."""
    return registry.activate(checked_id(version))
