"""What went wrong, as a page."""

from __future__ import annotations

import structlog
from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_wtf.csrf import CSRFError
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response

from recsvc.console.words import sentence
from recsvc.errors import ConflictError, InvalidInputError, NotFoundError, RecsvcError, UnavailableError
from recsvc.extensions import db
from recsvc.storage.database import is_unavailable

logger = structlog.get_logger(__name__)

_STATUS = {InvalidInputError: 422, NotFoundError: 404, ConflictError: 409, UnavailableError: 503}

Answer = tuple[str, int] | Response


def tell_problems(console: Blueprint) -> None:
    """Answers errors of the console's pages in words, with a way on."""

    @console.errorhandler(RecsvcError)
    def domain(error: RecsvcError) -> Answer:
        status = next((status for kind, status in _STATUS.items() if isinstance(error, kind)), 500)
        if status == 500:
            logger.error("unexpected_error", exc_info=error)
            return _page(500, _("Something went wrong here. It has been logged."))
        return _page(status, sentence(error.words))

    @console.errorhandler(SQLAlchemyError)
    def database(error: SQLAlchemyError) -> Answer:
        db.session.rollback()
        if is_unavailable(error):
            return _page(503, _("The database does not answer, or is locked. Try again."))
        logger.error("unexpected_error", exc_info=error)
        return _page(500, _("Something went wrong here. It has been logged."))

    @console.errorhandler(CSRFError)
    def token(error: CSRFError) -> Answer:
        if request.endpoint == "console.sign_in.sign_in":
            flash(_("This form was too old. Please try again."), "warning")
            return redirect(url_for("console.sign_in.show"))
        return _page(400, _("This form was too old, or came from another site. Go back, reload, try again."))

    @console.errorhandler(HTTPException)
    def http(error: HTTPException) -> Answer:
        messages = {
            404: _("There is no such page."),
            405: _("There is no such page."),
            413: _("This is larger than what is taken here. Use recsvc import for large files."),
            500: _("Something went wrong here. It has been logged."),
        }
        status = error.code or 500
        if status < 400:
            return redirect(error.get_response().location or url_for("console.overview.show"))
        return _page(status, messages.get(status, error.description or ""))


def _page(status: int, message: str) -> tuple[str, int]:
    return render_template("console/problem.html", status=status, message=message), status
