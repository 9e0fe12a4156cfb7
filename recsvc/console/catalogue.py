"""The catalogue: searching it, hiding items, editing what is said of them."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from recsvc.config import current_config
from recsvc.console.words import sentence
from recsvc.services import catalogue as service
from recsvc.services import figures
from recsvc.services.catalogue import CatalogueItem
from recsvc.services.importing.checks import checked_item_changes
from recsvc.services.importing.rows import RowError

blueprint = Blueprint("catalogue", __name__, url_prefix="/catalogue")

_PAGE = 50


@blueprint.get("/")
def show() -> str:
    """A page of items, as the search asks."""
    only = request.args.get("only", "")
    after = request.args.get("after", 0, type=int)
    counted = figures.latest()
    found = service.list_items(
        after=after,
        limit=_PAGE,
        text=request.args.get("q", "").strip() or None,
        hidden=True if only == "hidden" else None,
        never_shown=only == "never",
    )
    return render_template(
        "console/catalogue.html",
        items=found,
        after=after,
        next_after=found[-1].item_key if len(found) == _PAGE else None,
        shown=figures.of_items(found),
        figures=counted,
        days=current_config().attribution_days,
        only=only,
    )


@blueprint.get("/item")
def item() -> str:
    """One item, to be edited."""
    found = service.get_item(request.args.get("item_id", ""))
    return render_template("console/item.html", item=found, form=_form_of(found))


@blueprint.post("/item")
def change() -> Response | tuple[str, int]:
    """Writes what the form says of an item."""
    item_id = request.form.get("item_id", "")
    found = service.get_item(item_id)
    try:
        changes = checked_item_changes(_body())
    except RowError as error:
        flash(": ".join(filter(None, (sentence(error.words), error.detail))), "danger")
        return render_template("console/item.html", item=found, form=request.form), 422
    service.patch_item(item_id, changes)
    flash(
        _("Saved. Lists follow within seconds; what the features teach, with the next training."), "success"
    )
    return redirect(url_for("console.catalogue.item", item_id=item_id))


@blueprint.post("/hide")
def hide() -> Response:
    """Takes an item out of all lists, or back into them."""
    item_id = request.form.get("item_id", "")
    is_hidden = request.form.get("hidden") == "yes"
    service.patch_item(item_id, {"hidden": is_hidden})
    flash(_("It is on no list any more.") if is_hidden else _("It may be recommended again."), "success")
    back: dict[str, Any] = {
        name: request.form[name] for name in ("q", "only", "after") if request.form.get(name)
    }
    return redirect(url_for("console.catalogue.show", **back))


def _form_of(item: CatalogueItem) -> dict[str, str]:
    return {
        "title": item.title or "",
        "categories": "\n".join(item.categories),
        "features": "\n".join(
            f"{name}: {value}" for name, values in sorted(item.features.items()) for value in values
        ),
        "group": item.group or "",
        "available": "yes" if item.available else "",
        "hidden": "yes" if item.hidden else "",
    }


def _body() -> dict[str, Any]:
    """The form in the words of the API's body."""
    features: dict[str, list[str]] = {}
    for line in _lines("features"):
        name, separator, value = line.partition(":")
        if not separator or not name.strip() or not value.strip():
            raise RowError("A feature is written as name: value, one on a line", line[:80])
        features.setdefault(name.strip(), []).append(value.strip())
    return {
        "title": request.form.get("title", "").strip() or None,
        "categories": _lines("categories"),
        "features": features,
        "group": request.form.get("group", "").strip() or None,
        "available": "available" in request.form,
        "hidden": "hidden" in request.form,
    }


def _lines(field: str) -> list[str]:
    return [line.strip() for line in request.form.get(field, "").splitlines() if line.strip()]
