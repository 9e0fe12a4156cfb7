"""Files: uploaded, checked by a worker, and stored when somebody says so."""

from __future__ import annotations

from typing import BinaryIO, cast

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from recsvc.console.security import operator
from recsvc.errors import InvalidInputError
from recsvc.services.events import event_book
from recsvc.services.importing import KINDS, uploads

blueprint = Blueprint("imports", __name__, url_prefix="/import")


@blueprint.get("/")
def show() -> str:
    """Asks for a file, and lists those of late."""
    return render_template(
        "console/imports.html",
        imports=uploads.newest(),
        kinds=KINDS,
        events=list(event_book().codes),
        most=uploads.MAX_BYTES // 1_000_000,
    )


@blueprint.post("/")
def upload() -> Response:
    """Takes a file in, and has it checked."""
    file = request.files.get("file")
    if file is None or not file.filename:
        raise InvalidInputError("Choose a file first.")
    made = uploads.upload(
        file.filename,
        cast(BinaryIO, file.stream),
        kind=request.form.get("kind", ""),
        event=request.form.get("event", ""),
        requested_by=f"key {operator().name}",
    )
    return redirect(url_for("console.imports.one", import_id=made.import_id))


@blueprint.get("/<import_id>")
def one(import_id: str) -> str:
    """How far an import is, and what was found."""
    return render_template("console/import.html", found=uploads.get(import_id))


@blueprint.post("/<import_id>/store")
def store(import_id: str) -> Response:
    """Has a checked file stored."""
    uploads.confirm(import_id)
    return redirect(url_for("console.imports.one", import_id=import_id))


@blueprint.post("/<import_id>/discard")
def discard(import_id: str) -> Response:
    """Forgets an upload."""
    uploads.discard(import_id)
    flash(_("The file is forgotten."), "success")
    return redirect(url_for("console.imports.show"))
