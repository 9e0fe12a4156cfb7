"""What every blueprint of the API is made of: requests are parsed as the contract says."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import flask_smorest
from flask import Request, abort, request
from marshmallow import RAISE, Schema
from webargs.core import is_json
from webargs.flaskparser import FlaskParser

from recsvc.api.examples import example_of
from recsvc.api.fields import EXAMPLES_IN_PATHS
from recsvc.api.headers import REQUEST_ID, named

View = Callable[..., Any]

MAX_DEPTH = 32
READING = ("GET", "HEAD")


def _depth(content: Any) -> int:
    """How many lists and objects are within each other."""
    depth, level = 0, [content]
    while level := [part for part in level if isinstance(part, list | dict)]:
        depth += 1
        level = [inner for part in level for inner in (part.values() if isinstance(part, dict) else part)]
    return depth


def _body() -> bytes:
    """All that was sent, or 413."""
    body = request.get_data(cache=True)
    # Of one that comes in chunks Werkzeug reads as much as is taken, and does not tell that there is more.
    if len(body) == request.max_content_length and request.environ["wsgi.input"].read(1):
        abort(413)
    return body


class ContractParser(FlaskParser):
    """Refuses what webargs would pass over in silence."""

    # A misspelt filter must not answer an unfiltered list.
    DEFAULT_UNKNOWN_BY_LOCATION = FlaskParser.DEFAULT_UNKNOWN_BY_LOCATION | {"query": RAISE}

    def load_querystring(self, req: Request, schema: Schema) -> Any:
        """Reads what is there into a dictionary; webargs' own mapping is slow to say what is not."""
        return dict(super().load_querystring(req, schema))

    def _raw_load_json(self, req: Request) -> Any:
        body = _body()
        if body and not is_json(req.mimetype):
            # Taken for an empty body, it would replace an item by nothing.
            abort(415, "Send JSON, and say so: Content-Type: application/json.")
        try:
            content = super()._raw_load_json(req)
            if _depth(content) > MAX_DEPTH:
                raise ValueError(f"nested more than {MAX_DEPTH} deep")
            if re.search(rb"\\u[dD][89a-fA-F]", body):
                json.dumps(content, ensure_ascii=False).encode()  # half a pair of surrogates is no character
            return content
        except (json.JSONDecodeError, UnicodeDecodeError):
            raise
        except (RecursionError, ValueError) as error:
            # Nested too deeply, a number of thousands of digits, or what could not even be answered in UTF-8.
            self._handle_invalid_json_error(json.JSONDecodeError(str(error), "…", 0), req)


_PARSER = ContractParser()
_NOTHING = Schema()


class Blueprint(flask_smorest.Blueprint):
    """A blueprint whose arguments are parsed by `ContractParser`, and which documents by example."""

    ARGUMENTS_PARSER = _PARSER

    def route(self, rule: str, **options: Any) -> Callable[[View], View]:
        """Registers a view, and documents its path by example and how it refuses what it cannot read."""
        parts = [
            {"in": "path", "name": name, "example": EXAMPLES_IN_PATHS[name]}
            for name in re.findall(r"<(?:[^>]*:)?(\w+)>", rule)
        ]
        register: Callable[[View], View] = super().route(rule, **{"parameters": parts, **options})
        statuses = ([404] if "<" in rule else []) + ([400, 413, 415] if "methods" in options else [])
        return lambda view: register(self.doc(responses=_refusals(*statuses))(view))

    def arguments(self, schema: type[Schema], *, location: str = "json", **options: Any) -> Any:
        """Parses what comes in, and documents it with an example."""
        # Of a class an instance would be made for each request, all its fields copied.
        instance = schema()
        if location != "json":
            return super().arguments(instance, location=location, **options)
        parse = super().arguments(instance, example=example_of(schema), **options)
        return (lambda view: _with_body(parse(view))) if options.get("required", True) else parse

    def response(self, status_code: int, schema: Any = None, **options: Any) -> Any:
        """Writes an answer out, and documents it by an example; `example` is what it has of its own."""
        return super().response(status_code, schema, **_documented(schema, **options))

    def alt_response(self, status_code: int, *, schema: type[Schema], **options: Any) -> Any:
        """Documents another answer, in the same way."""
        return super().alt_response(status_code, schema=schema, **_documented(schema, **options))


def _documented(
    schema: Any, *, example: Any = None, headers: tuple[str, ...] = (), **options: Any
) -> dict[str, Any]:
    told = example_of(schema) | (example or {}) if isinstance(schema, type) else example
    return {"example": told, "headers": named(REQUEST_ID, *headers), **options}


def refuse_the_rest(view: View) -> View:
    """Refuses by name what a view does not read; what it reads, its schemas refuse."""
    documented = getattr(view, "_apidoc", {}).get("arguments", {}).get("parameters", [])
    unread = {"query", "json"} - {parameter["in"] for parameter in documented}

    @functools.wraps(view)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        # To parse nothing takes its time, too.
        if "query" in unread and request.query_string:
            _PARSER.parse(_NOTHING, location="query")
        if "json" in unread and request.method not in READING:
            _PARSER.parse(_NOTHING, location="json")
        return view(*args, **kwargs)

    return guarded


def _with_body(view: View) -> View:
    """Refuses requests without a body, each of whose fields would pass for one that was left out."""

    @functools.wraps(view)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        if not _body():
            abort(400, "The body is empty. Send JSON; {} says nothing.")
        return view(*args, **kwargs)

    return guarded


def _refusals(*statuses: int) -> dict[str, str]:
    return {str(status): HTTPStatus(status).name for status in statuses}
