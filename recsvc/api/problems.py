"""From errors to HTTP, the only place that maps them: `application/problem+json` (RFC 9457) everywhere."""

from __future__ import annotations

import json
import uuid
from http import HTTPStatus
from typing import Any

import structlog
from flask import Flask, Response, g, request
from flask_smorest import Api
from gunicorn.http.errors import NoMoreData, ParseException
from marshmallow import Schema, fields
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.exceptions import HTTPException

from recsvc import errors
from recsvc.api.examples import example_of
from recsvc.api.headers import HEADERS, LIMITS, REQUEST_ID, RETRY_AFTER, named
from recsvc.config import current_config
from recsvc.extensions import db
from recsvc.storage.database import is_unavailable
from recsvc.storage.punctuality import allow_seconds, as_before

logger = structlog.get_logger(__name__)

_NETWORK = 1.0  # seconds for the way of the server's own word that a statement took too long

CONTENT_TYPE = "application/problem+json"

_UNEXPECTED = "Something went wrong here. It has been logged under the request_id."

_STATUS = {
    errors.InvalidInputError: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.NotFoundError: HTTPStatus.NOT_FOUND,
    errors.ConflictError: HTTPStatus.CONFLICT,
    errors.UnavailableError: HTTPStatus.SERVICE_UNAVAILABLE,
}

_CODES = {
    400: "malformed",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    409: "conflict",
    413: "too_large",
    415: "unsupported_media_type",
    422: "invalid",
    429: "too_many_requests",
    500: "internal_error",
    503: "unavailable",
}


class ProblemSchema(Schema):
    """What went wrong, and what to do about it."""

    type = fields.String(required=True, metadata={"example": "about:blank"})
    title = fields.String(required=True, metadata={"example": "Unprocessable Entity"})
    status = fields.Integer(required=True, metadata={"example": 422})
    detail = fields.String(required=True, metadata={"example": "Some fields are not valid."})
    code = fields.String(required=True, metadata={"description": "Stable slug.", "example": "invalid"})
    errors = fields.Dict(
        required=True,
        metadata={
            "description": "Fields to messages.",
            "example": {"k": ["Must be greater than or equal to 1 and less than or equal to 200."]},
        },
    )
    request_id = fields.String(required=True, metadata={"example": "0d5ed8a1b5c94b1b8a8e0a0c0a4c2f5e"})


class ProblemApi(Api):
    """flask-smorest's API with our errors in the place of its own."""

    ERROR_SCHEMA = ProblemSchema

    def _register_responses(self) -> None:
        for name, header in HEADERS.items():
            self.spec.components.header(name, header, lazy=True)
        for status in HTTPStatus:
            self._register_problem(status.name, status.phrase, int(status))
        self._register_problem(self.DEFAULT_ERROR_RESPONSE_NAME, "Any other problem", 500)

    def _register_problem(self, name: str, description: str, status: int) -> None:
        example = example_of(ProblemSchema) | {
            "title": HTTPStatus(status).phrase,
            "status": status,
            "code": _CODES.get(status, "…"),
        }
        if status != 422:
            example |= {"detail": f"What is wrong, and what to do about it: {description}.", "errors": {}}
        component = {
            "description": description,
            "content": {CONTENT_TYPE: {"schema": ProblemSchema, "example": example}},
            "headers": named(REQUEST_ID, *(() if status == 401 else LIMITS)),
        }
        self.spec.components.response(name, component, lazy=True)

    def _register_pagination_header(self) -> None:
        """We page by cursors; the document need not tell of another way."""

    def handle_http_exception(self, error: HTTPException) -> Response:
        """Answers what Flask, Werkzeug or webargs refused."""
        data = getattr(error, "data", None) or {}
        messages = data.get("messages") or {}
        status = error.code or 500
        detail = "Some fields are not valid." if status == 422 else (error.description or "")
        if status == 400 and messages:
            detail = "The body is not valid JSON."
        if status == 429:
            detail = f"Too many requests: {error.description} are taken from this credential."
        if status == 500:
            detail = _UNEXPECTED
        response = problem(status, detail, errors=_flatten(messages))
        for name, value in error.get_headers():
            if name.lower() not in {"content-type", "content-length"}:
                response.headers[name] = value
        return response


def register(app: Flask) -> None:
    """Gives every request an id, and every error an answer."""

    @app.before_request
    def name_request() -> None:
        offered = request.headers.get(REQUEST_ID, "")
        is_usable = 0 < len(offered) <= 64 and offered.replace("-", "").isalnum() and offered.isascii()
        g.request_id = offered if is_usable else uuid.uuid4().hex
        structlog.contextvars.bind_contextvars(request_id=g.request_id)
        g.before = allow_seconds(current_config().database_statement_timeout + _NETWORK)

    # Flask would name the path, and ids of users are in paths.
    app.log_exception = _log_unexpected  # type: ignore[method-assign]

    @app.after_request
    def tell_request_id(response: Response) -> Response:
        response.headers[REQUEST_ID] = g.get("request_id", "")
        return response

    @app.teardown_request
    def forget_request(_error: BaseException | None) -> None:
        if "before" in g:
            as_before(g.pop("before"))
        structlog.contextvars.unbind_contextvars("request_id")

    @app.errorhandler(errors.RecsvcError)
    def answer_domain_error(error: errors.RecsvcError) -> Response:
        status = next((status for kind, status in _STATUS.items() if isinstance(error, kind)), None)
        if status is None:
            logger.error("unexpected_error", exc_info=error)
            return problem(500, _UNEXPECTED)
        retry_after = error.retry_after if isinstance(error, errors.UnavailableError) else None
        return problem(
            status, error.detail, code=error.code, errors=dict(error.errors), retry_after=retry_after
        )

    @app.errorhandler(ParseException)
    @app.errorhandler(NoMoreData)
    def answer_broken_body(_error: Exception) -> Response:
        return problem(400, "The body is not as long as it says, or its chunks are not.")

    @app.errorhandler(SQLAlchemyError)
    def answer_database_error(error: SQLAlchemyError) -> Response:
        db.session.rollback()
        if is_unavailable(error):
            logger.error("database_unavailable", error=str(error.__cause__ or error))
            away = errors.DatabaseUnavailableError("The database does not answer, or is locked. Try again.")
            return answer_domain_error(away)
        logger.error("unexpected_error", exc_info=error)
        return problem(500, _UNEXPECTED)


def _log_unexpected(exc_info: Any) -> None:
    rule = request.url_rule
    logger.error("unexpected_error", route=rule.rule if rule else None, exc_info=exc_info)


def problem(
    status: int,
    detail: str,
    *,
    code: str | None = None,
    errors: dict[str, Any] | None = None,
    retry_after: int | None = None,
) -> Response:
    """Writes one problem document."""
    known = HTTPStatus(status)
    body = {
        "type": "about:blank",
        "title": known.phrase,
        "status": status,
        "detail": detail,
        "code": code or _CODES.get(status, known.phrase.lower().replace(" ", "_")),
        "errors": errors or {},
        "request_id": g.get("request_id", ""),
    }
    response = Response(json.dumps(body, ensure_ascii=False), status, content_type=CONTENT_TYPE)
    if retry_after is not None:
        response.headers[RETRY_AFTER] = str(retry_after)
    return response


def _flatten(messages: Any) -> dict[str, Any]:
    # webargs nests messages under where they came from (json, query): fields alone are of interest.
    if not isinstance(messages, dict):
        return {}
    flat: dict[str, Any] = {}
    for location, of_location in messages.items():
        flat |= of_location if isinstance(of_location, dict) else {location: of_location}
    return flat
