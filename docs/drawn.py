"""Draws the reference from the code whenever the documents are built, so that it is never stale.

An extension of Python-Markdown, which MkDocs and Zensical both build with: a page of the reference has a
comment such as `<!-- settings -->` where what is drawn goes. Formulas, fenced as `math`, become MathML, which
browsers show by themselves.
"""

from __future__ import annotations

import ast
import json
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import MISSING, fields
from http import HTTPStatus
from pathlib import Path
from typing import Any

import click
from latex2mathml.converter import convert
from markdown import Markdown
from markdown.extensions import Extension
from markdown.preprocessors import Preprocessor

from recsvc import create_app, errors
from recsvc.api import problems
from recsvc.cli.commands import cli
from recsvc.config import Config

ROOT = Path(__file__).parents[1]

_WIDTH = 100
_CALLERS = {"user": "user token"}


class Drawing(Preprocessor):
    """Puts what is drawn in the place of its comment."""

    def run(self, lines: list[str]) -> list[str]:
        """The page's lines, those drawn among them."""
        drawn: list[str] = []
        for line in lines:
            name = line.removeprefix("<!-- ").removesuffix(" -->")
            drawn += DRAWINGS[name]() if name in DRAWINGS and name != line else [line]
        return drawn


class Drawings(Extension):
    """Registers it before all that reads lines."""

    def extendMarkdown(self, md: Markdown) -> None:  # noqa: N802 — Python-Markdown's name
        """Registers it."""
        md.preprocessors.register(Drawing(md), "drawn", 100)


def makeExtension(**_: Any) -> Drawings:  # noqa: N802 — Python-Markdown looks for this name
    """Makes the extension."""
    return Drawings()


def formula(source: str, *_: Any, **__: Any) -> str:
    """A fence of LaTeX as MathML."""
    return str(convert(source, display="block"))


def settings() -> Iterator[str]:
    """A table of all settings."""
    yield from _header("setting", "default", "takes", "meaning")
    for entry in fields(Config):
        takes = entry.metadata["takes"]
        name = entry.name.upper()
        yield _row(
            f"`{name}`", _default(entry, takes), _plain(takes.takes), _plain(entry.metadata["meaning"])
        )


def commands() -> Iterator[str]:
    """The help of each command, as `--help` prints it."""
    for path, command in sorted(walk_commands()):
        yield from ("", f"{'#' * (len(path) + 1)} recsvc {' '.join(path)}", "", "```text")
        context = click.Context(command, info_name=f"recsvc {' '.join(path)}", max_content_width=_WIDTH)
        yield from (command.get_help(context), "```")


def walk_commands() -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command with its path; groups among them."""
    todo: list[tuple[tuple[str, ...], click.Command]] = [((), cli)]
    for path, command in todo:
        if path:
            yield path, command
        if isinstance(command, click.Group):
            todo += [((*path, name), inner) for name, inner in command.commands.items()]


def operations() -> Iterator[str]:
    """Every operation of the OpenAPI document: who may call it, what it takes, and an example."""
    document = openapi()
    by_tag: dict[str, list[tuple[str, str, dict[str, Any]]]] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if method in {"get", "put", "post", "patch", "delete"}:
                by_tag.setdefault(operation["tags"][0], []).append((method.upper(), path, operation))
    for tag, of_tag in by_tag.items():
        yield from ("", f"## {tag}")
        for method, path, operation in of_tag:
            yield from ("", f"### {method} {path}", "")
            yield from _operation(operation, document)


def openapi() -> dict[str, Any]:
    """The OpenAPI document, as the service answers it."""
    with tempfile.TemporaryDirectory() as folder:
        app = create_app(Config(instance_dir=Path(folder), log_level="ERROR"))
        document: dict[str, Any] = app.test_client().get("/api/v1/openapi.json").get_json()
    return document


def error_codes() -> Iterator[str]:
    """A table of all codes that an answer, a run or a command may have."""
    yield from _header("code", "status", "meaning")
    for code, status, meaning in sorted(codes()):
        yield _row(f"`{code}`", status, meaning)


def codes() -> Iterator[tuple[str, str, str]]:
    """Each code, the HTTP status it comes with, and what it means."""
    told = set()
    for kind in _kinds(errors.RecsvcError):
        status = next((str(int(s)) for base, s in problems._STATUS.items() if issubclass(kind, base)), "")
        told.add(kind.code)
        if kind is errors.NotFoundError:
            for noun in sorted(_nouns()):
                yield f"{noun.replace(' ', '_')}_not_found", status, f"There is no such {noun}."
        yield kind.code, status or "(a run, a command)", _first_sentence(kind)
    for status_code, code in problems._CODES.items():
        if code not in told:
            yield code, str(status_code), _of_status(HTTPStatus(status_code))


def _of_status(status: HTTPStatus) -> str:
    return f"{(status.description or status.phrase).rstrip('.')}."


def _kinds(base: type[errors.RecsvcError]) -> Iterator[type[errors.RecsvcError]]:
    for kind in base.__subclasses__():
        if kind.__module__.startswith("recsvc."):
            yield kind
            yield from _kinds(kind)


def _nouns() -> set[str]:
    """The nouns that somewhere in the code are not found."""
    found = set()
    for file in (ROOT / "recsvc").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "NotFoundError":
                found.add(ast.literal_eval(node.args[0]))
    return found


def _operation(operation: dict[str, Any], document: dict[str, Any]) -> Iterator[str]:
    yield operation.get("summary", "")
    if operation.get("description"):
        yield from ("", operation["description"])
    roles = [_CALLERS.get(role, f"`{role}`") for role in operation.get("x-roles", ())]
    yield from ("", f"*May be called by:* {', '.join(roles) or 'anybody'}.", "")
    parameters = [parameter for parameter in operation.get("parameters", []) if parameter["in"] == "query"]
    if parameters:
        yield from _header("parameter", "takes", "meaning")
        for parameter in parameters:
            yield _of_schema(
                parameter["name"], parameter["schema"], document, parameter.get("required", False)
            )
        yield ""
    body = operation.get("requestBody", {}).get("content", {}).get("application/json")
    if body:
        schema = _resolved(body["schema"], document)
        yield from _header("field of the body", "takes", "meaning")
        for name, part in schema.get("properties", {}).items():
            yield _of_schema(name, part, document, name in schema.get("required", []))
        yield from ("", "```json", _json(body["example"]), "```", "")
    for status, answer in operation["responses"].items():
        if not status.startswith("2"):
            continue
        content = _resolved(answer, document).get("content", {}).get("application/json")
        yield from (f"Answers `{status}`:" if content else f"Answers `{status}`.", "")
        if content:
            yield from ("```json", _json(content["example"]), "```", "")
    refusals = [f"`{status}`" for status in operation["responses"] if status[0] in "45"]
    if refusals:
        yield f"May refuse with {', '.join(refusals)}: see [error codes](errors.md)."


def _of_schema(name: str, schema: dict[str, Any], document: dict[str, Any], required: bool) -> str:
    part = _resolved(schema, document)
    kind = part.get("type", "any")
    kind = " or ".join(kind) if isinstance(kind, list) else kind
    if kind == "array":
        kind = f"list of {_resolved(part['items'], document).get('type', 'any')}"
    limits = [text for text in (_range(part, *names) for names in _RANGES) if text]
    if part.get("enum"):
        limits.append("one of " + ", ".join(f"`{choice}`" for choice in part["enum"] if choice is not None))
    if part.get("default") is not None:
        limits.append(f"default `{json.dumps(part['default'])}`")
    takes = ", ".join([kind, *limits, *(["required"] if required else [])])
    return _row(f"`{name}`", takes, _plain(part.get("description", "")))


_RANGES = (
    ("minimum", "maximum", ""),
    ("minLength", "maxLength", " characters"),
    ("minItems", "maxItems", " of them"),
)


def _range(part: dict[str, Any], least: str, most: str, unit: str) -> str:
    low, high = part.get(least), part.get(most)
    if low is None and high is None:
        return ""
    if low is None or high is None:
        return f"at most {high:g}{unit}" if low is None else f"at least {low:g}{unit}"
    return f"{low:g} to {high:g}{unit}"


def _resolved(part: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
    reference = part.get("$ref")
    if reference is None:
        return part
    found: dict[str, Any] = document
    for name in reference.removeprefix("#/").split("/"):
        found = found[name]
    return found


def _default(entry: Any, takes: Any) -> str:
    if entry.default_factory is os.cpu_count:
        return "the machine's cores"
    value = entry.default if entry.default is not MISSING else entry.default_factory()
    text = takes.show(value) if value not in ("", None) else ""
    return f"`{text}`" if text else "—"


def _first_sentence(kind: type) -> str:
    return (kind.__doc__ or "").strip().splitlines()[0]


def _header(*titles: str) -> Iterator[str]:
    yield from (_row(*titles), _row(*["---"] * len(titles)))


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _plain(text: str) -> str:
    parts = text.replace("|", "\\|").replace("\n", " ").split("`")
    # Every other part is code, where a backslash would be shown.
    return "`".join(part if place % 2 else part.replace("*", "\\*") for place, part in enumerate(parts))


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2)


DRAWINGS: dict[str, Callable[[], Iterable[str]]] = {
    "settings": settings,
    "commands": commands,
    "operations": operations,
    "error codes": error_codes,
}
