"""Looking at a user's list and why it is so, and at what is beside an item. Nothing is recorded."""

from __future__ import annotations

from flask import Blueprint, render_template, request

from recsvc.services import exploring
from recsvc.services.limits import is_id

blueprint = Blueprint("explorer", __name__, url_prefix="/explorer")

_MOST_IN_BASKET = 20


@blueprint.get("/")
def show() -> str:
    """Asks for a user or an item."""
    return render_template("console/explorer.html", users=exploring.some_user_ids())


@blueprint.get("/user")
def user() -> str:
    """A user, their history, and their list."""
    user_id = request.args.get("user_id", "").strip()
    if not is_id(user_id):
        return show()
    basket = list(dict.fromkeys(item_id for item_id in request.args.getlist("basket") if is_id(item_id)))
    return render_template(
        "console/user.html",
        seen=exploring.look_at_user(user_id, basket[:_MOST_IN_BASKET]),
        can_try=exploring.can_take_a_basket(),
    )


@blueprint.get("/item")
def item() -> str:
    """An item and its neighbours."""
    item_id = request.args.get("item_id", "").strip()
    if not is_id(item_id):
        return show()
    return render_template("console/item_neighbours.html", seen=exploring.look_at_item(item_id))
