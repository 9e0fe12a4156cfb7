"""Tokens for the mobile app."""

from __future__ import annotations

from typing import Any

from recsvc.api import schemas
from recsvc.api.auth import allow
from recsvc.api.blueprints import Blueprint
from recsvc.services import tokens

blueprint = Blueprint("tokens", __name__, description="Tokens for the app: each is for one user.")


@blueprint.route("/tokens", methods=["POST"])
@allow("admin", "service")
@blueprint.arguments(schemas.TokenRequest)
@blueprint.response(201, schemas.TokenSchema)
def issue_token(body: dict[str, Any]) -> dict[str, Any]:
    """Make a token with which the app writes and reads for one user.

    It is a JWT. Give it to the app; it ends by itself. The user need not be known yet.
    """
    token, expires_at = tokens.issue(body["user_id"], body["ttl_seconds"])
    return {"token": token, "user_id": body["user_id"], "expires_at": expires_at}
