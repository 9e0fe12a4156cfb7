"""The catalogue."""

from __future__ import annotations

from typing import Any

from recsvc.api import schemas
from recsvc.api.auth import allow
from recsvc.api.batches import check_each
from recsvc.api.blueprints import Blueprint
from recsvc.api.fields import checked_id, cursor_of
from recsvc.services import catalogue
from recsvc.services.catalogue import ItemContent

blueprint = Blueprint("items", __name__, description="The catalogue: what can be recommended.")


@blueprint.route("/items/<shop_id:item_id>", methods=["PUT"])
@allow("admin", "service")
@blueprint.arguments(schemas.ItemContentSchema)
@blueprint.response(200, schemas.ItemShown)
@blueprint.alt_response(201, schema=schemas.ItemShown, description="The item is new.")
def put_item(body: dict[str, Any], item_id: str) -> tuple[Any, int]:
    """Create an item, or replace all that is said of it."""
    item, is_new = catalogue.put_item(checked_id(item_id), ItemContent(**body))
    return item, 201 if is_new else 200


@blueprint.route("/items/<shop_id:item_id>", methods=["PATCH"])
@allow("admin", "service")
@blueprint.arguments(schemas.ItemContentSchema)
@blueprint.response(200, schemas.ItemShown)
def patch_item(body: dict[str, Any], item_id: str) -> Any:
    """Change some fields of an item."""
    return catalogue.patch_item(checked_id(item_id), body)


@blueprint.route("/items/<shop_id:item_id>")
@allow("admin", "service", "read")
@blueprint.response(200, schemas.ItemShown)
def get_item(item_id: str) -> Any:
    """Show an item."""
    return catalogue.get_item(checked_id(item_id))


@blueprint.route("/items/<shop_id:item_id>", methods=["DELETE"])
@allow("admin", "service")
@blueprint.response(204)
def delete_item(item_id: str) -> None:
    """Take an item out of the catalogue.

    It is recommended no more. Its interactions stay, and still teach. A later PUT brings it back.
    """
    catalogue.delete_item(checked_id(item_id))


@blueprint.route("/items")
@allow("admin", "service", "read")
@blueprint.arguments(schemas.ItemQuery, location="query")
@blueprint.response(200, schemas.ItemPage)
def list_items(query: dict[str, Any]) -> dict[str, Any]:
    """List items, in the order in which they were made."""
    found = catalogue.list_items(
        after=query["cursor"][0] if query["cursor"] else 0,
        limit=query["limit"],
        text=query["q"],
        category=query["category"],
        hidden=query["hidden"],
    )
    is_full = len(found) == query["limit"]
    return {"items": found, "next_cursor": cursor_of(found[-1].item_key) if is_full else None}


@blueprint.route("/items/batch", methods=["POST"])
@allow("admin", "service")
@blueprint.arguments(schemas.ItemBatch)
@blueprint.response(200, schemas.BatchOutcomeSchema)
def put_items(body: dict[str, Any]) -> dict[str, Any]:
    """Create or replace up to 1,000 items."""
    good, rejected = check_each(schemas.ItemOfBatch(), body["items"])
    catalogue.put_items((entry.pop("item_id"), ItemContent(**entry)) for _, entry in good)
    return {"accepted": len(good), "rejected": rejected}
