"""JSON Lines: an object a line, in the form of the API's bodies."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from recsvc.services.importing.checks import InteractionCheck, check_interaction, check_item, check_user
from recsvc.services.importing.files import SourceFile
from recsvc.services.importing.rows import RowError
from recsvc.services.importing.tables import FEATURE


def object_rows(
    file: SourceFile, kind: str, mapping: Mapping[str, str], check: InteractionCheck
) -> Iterator[Any]:
    """A file's lines as checked rows; blank lines are passed over.

    Args:
        file: The file.
        kind: `interactions`, `items` or `users`.
        mapping: Fields to the names that objects have for them, where these differ.
        check: The rules for interactions.
    """
    checked: Callable[[dict[str, Any]], Any] = {
        "interactions": lambda body: check_interaction(body, check),
        "items": check_item,
        "users": check_user,
    }[kind]
    for number, line in enumerate(file.lines(), 1):
        if line.isspace():
            continue
        try:
            row = checked(_renamed(_object(line), mapping))
            yield (*row, number, line) if kind == "interactions" else row
        except RowError as error:
            yield file.bad_row(number, error, line)


def _object(line: str) -> dict[str, Any]:
    try:
        body = json.loads(line)
    except (ValueError, RecursionError):
        raise RowError("not JSON") from None
    if type(body) is not dict:
        raise RowError("not a JSON object")
    return body


def _renamed(body: dict[str, Any], mapping: Mapping[str, str]) -> dict[str, Any]:
    for name, given in mapping.items():
        if given not in body:
            continue
        value = body.pop(given)
        if not name.startswith(FEATURE):
            body[name] = value
        elif value is not None:
            features = body.setdefault("features", {})
            if type(features) is not dict:
                raise RowError("features is not an object")
            features[name.removeprefix(FEATURE)] = value if type(value) is list else [value]
    return body
