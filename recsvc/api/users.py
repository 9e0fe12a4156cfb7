"""Users and what the shop says of them."""

from __future__ import annotations

from typing import Any

from recsvc.api import schemas
from recsvc.api.auth import allow
from recsvc.api.batches import check_each
from recsvc.api.blueprints import Blueprint
from recsvc.api.fields import checked_id, cursor_of
from recsvc.services import catalogue, privacy

_GUEST = {"in": "path", "name": "user_id", "example": "guest-1f0c"}
_REJECTED = {"index": 7, "code": "invalid", "errors": {"user_id": ["Missing data for required field."]}}

blueprint = Blueprint("users", __name__, description="Users, by the shop's own ids.")


@blueprint.route("/users/<shop_id:user_id>", methods=["PUT"])
@allow("admin", "service", "user", own="user_id")
@blueprint.arguments(schemas.UserContentSchema)
@blueprint.response(200, schemas.UserShown)
@blueprint.alt_response(201, schema=schemas.UserShown, description="The user is new.")
def put_user(body: dict[str, Any], user_id: str) -> tuple[Any, int]:
    """Create a user, or replace all that is said of them."""
    user, is_new = catalogue.put_user(checked_id(user_id), body.get("features", {}))
    return user, 201 if is_new else 200


@blueprint.route("/users/<shop_id:user_id>", methods=["PATCH"])
@allow("admin", "service", "user", own="user_id")
@blueprint.arguments(schemas.UserContentSchema)
@blueprint.response(200, schemas.UserShown)
def patch_user(body: dict[str, Any], user_id: str) -> Any:
    """Change what is said of a user."""
    return catalogue.patch_user(checked_id(user_id), body)


@blueprint.route("/users/<shop_id:user_id>")
@allow("admin", "service", "user", own="user_id")
@blueprint.response(200, schemas.UserShown)
def get_user(user_id: str) -> Any:
    """Show a user."""
    return catalogue.get_user(checked_id(user_id))


@blueprint.route("/users/<shop_id:user_id>", methods=["DELETE"])
@allow("admin", "service", "user", own="user_id")
@blueprint.response(200, schemas.ErasureReceiptSchema)
def erase_user(user_id: str) -> Any:
    """Erase a user and all that is held of them, at once.

    The receipt names the model versions that may have been trained with them, and says what these hold.
    """
    return privacy.erase_user(checked_id(user_id))


@blueprint.route("/users/<shop_id:user_id>/export")
@allow("admin", "service", "user", own="user_id")
@blueprint.response(200, schemas.ExportSchema)
def export_user(user_id: str) -> Any:
    """Show everything that is held of a user."""
    return privacy.export_user(checked_id(user_id))


@blueprint.route("/users/<shop_id:user_id>/merge", methods=["POST"], parameters=[_GUEST])
@allow("admin", "service")
@blueprint.arguments(schemas.MergeRequest)
@blueprint.response(200, schemas.MergeOutcome)
def merge_user(body: dict[str, Any], user_id: str) -> dict[str, Any]:
    """Move all that is held of a guest, at sign-in say, to an account. The guest is gone then.

    What both have under the same `event_id` is taken for one event: the account's stays.
    """
    moved = privacy.merge_user(checked_id(user_id), body["into"])
    return {"user_id": body["into"], "merged": user_id, "interactions": moved}


@blueprint.route("/users")
@allow("admin", "service")
@blueprint.arguments(schemas.UserQuery, location="query")
@blueprint.response(200, schemas.UserPage)
def list_users(query: dict[str, Any]) -> dict[str, Any]:
    """List users, in the order in which they were made."""
    found = catalogue.list_users(after=query["cursor"][0] if query["cursor"] else 0, limit=query["limit"])
    is_full = len(found) == query["limit"]
    return {"users": found, "next_cursor": cursor_of(found[-1].user_key) if is_full else None}


@blueprint.route("/users/batch", methods=["POST"])
@allow("admin", "service")
@blueprint.arguments(schemas.UserBatch)
@blueprint.response(200, schemas.BatchOutcomeSchema, example={"rejected": [_REJECTED]})
def put_users(body: dict[str, Any]) -> dict[str, Any]:
    """Create or replace up to 1,000 users."""
    good, rejected = check_each(schemas.UserOfBatch(), body["users"])
    catalogue.put_users((entry["user_id"], entry.get("features", {})) for _, entry in good)
    return {"accepted": len(good), "rejected": rejected}
