"""The kinds of fields that requests and answers are made of."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from marshmallow import Schema, ValidationError, fields, validate

from recsvc.errors import InvalidInputError
from recsvc.services.catalogue import Features, check_features
from recsvc.services.limits import (
    MAX_ATTRIBUTES,
    MAX_FEATURE_NAME,
    MAX_FEATURES,
    MAX_ID,
    MAX_LABEL,
    MAX_LABELS,
    has_control_characters,
    size_as_json,
)

MAX_BATCH = 1_000
MAX_PAGE = 200
MAX_K = 200

EXAMPLE_TIME = "2026-11-23T08:30:00+00:00"
EXAMPLE_VERSION = "20261123T000007Z-1f0c9a77"
EXAMPLE_RUN = "5b1f0c9a77d14f0e8c55a1b2c3d4e5f6"
EXAMPLE_LIST = "9f86d081884c4d659a2feaa0c55ad015"
EXAMPLES_IN_PATHS = {
    "item_id": "book-42",
    "user_id": "reader-7",
    "interaction_key": 1,
    "run_id": EXAMPLE_RUN,
    "version": EXAMPLE_VERSION,
}


def _printable(text: str) -> None:
    if not text.isprintable():
        raise ValidationError("Only printable characters are allowed.")


def shop_id(**options: Any) -> fields.String:
    """A field for one of the shop's own ids."""
    description = options.pop("description", "")
    metadata = {
        "example": options.pop("example", "book-42"),
        "description": f"{description} The shop's own id: 1 to 255 printable characters.".lstrip(),
    }
    return fields.String(
        validate=[validate.Length(1, MAX_ID), _printable],
        metadata=metadata,
        **options,
    )


def checked_id(text: str) -> str:
    """An id that came in a path, refused with 422 like one in a body."""
    schema = Schema.from_dict({"id": shop_id(required=True)})
    try:
        schema().load({"id": text})
    except ValidationError as error:
        raise InvalidInputError("The id cannot be accepted.", errors=dict(error.messages_dict)) from None
    return text


def _without_control_characters(text: str) -> None:
    if has_control_characters(text):
        raise ValidationError("Control characters are not allowed.")


def storable(value: Any) -> None:
    """Refuses JSON that one of the databases cannot keep."""
    # What PostgreSQL's jsonb refuses, or what no JSON parser but Python's reads back.
    try:
        text = json.dumps(value, allow_nan=False)
    except ValueError:
        raise ValidationError("NaN and infinite numbers are not allowed.") from None
    if re.search(r"(?<!\\)(\\\\)*\\u0000", text):
        raise ValidationError("The character U+0000 is not allowed.")


def brief(value: Any) -> None:
    """Refuses JSON that is too long to come with every item of a page."""
    if size_as_json(value) > MAX_ATTRIBUTES:
        raise ValidationError(f"Must be at most {MAX_ATTRIBUTES} bytes as JSON.")


def _in_utc(moment: datetime) -> None:
    try:
        moment.astimezone(UTC)
    except OverflowError:
        raise ValidationError("Not a time between the years 1 and 9999 in UTC.") from None


def text(longest: int, shortest: int = 1, **options: Any) -> fields.String:
    """A field for text that people read."""
    metadata = {"example": options.pop("example")} if "example" in options else {}
    return fields.String(
        validate=[validate.Length(shortest, longest), _without_control_characters],
        metadata=metadata,
        **options,
    )


def time(**options: Any) -> fields.AwareDateTime:
    """A field for a moment; it must say its time zone."""
    return fields.AwareDateTime(format="iso", validate=_in_utc, metadata={"example": EXAMPLE_TIME}, **options)


def _database_key(part: Any) -> int:
    if type(part) is not int or not 0 <= part < 2**63:
        raise ValueError(part)
    return part


class RowKey(int):
    """A key of an item or a user, which the database keeps in four bytes."""


def _row_key(part: Any) -> int:
    if type(part) is not int or not 0 <= part < 2**31:
        raise ValueError(part)
    return part


def _run_id(part: Any) -> str:
    if type(part) is not str or not part.isalnum():
        raise ValueError(part)
    return part


def _moment(part: Any) -> datetime:
    return datetime.fromisoformat(part).astimezone(UTC)


_CURSOR_PARTS: dict[type, Callable[[Any], Any]] = {
    int: _database_key,
    RowKey: _row_key,
    str: _run_id,
    datetime: _moment,
}


class WholeNumber(fields.Integer):
    """An integer; 2.5 is refused rather than cut."""

    def _validated(self, value: Any) -> int:
        if isinstance(value, float) and not value.is_integer():
            raise self.make_error("invalid", input=value)
        return super()._validated(value)


def cursor_of(*values: Any) -> str:
    """Writes the cursor that follows an entry."""
    plain = [value.isoformat() if isinstance(value, datetime) else value for value in values]
    return base64.urlsafe_b64encode(json.dumps(plain).encode()).decode()


EXAMPLE_CURSORS: dict[tuple[type, ...], str] = {
    (RowKey,): cursor_of(50),
    (datetime, int): cursor_of(datetime.fromisoformat(EXAMPLE_TIME), 1),
    (datetime, str): cursor_of(datetime.fromisoformat(EXAMPLE_TIME), EXAMPLE_RUN),
}


class Cursor(fields.Field[list[Any]]):
    """Where the next page begins: opaque to the caller, a list of sort values to us."""

    def __init__(self, *kinds: type, **options: Any) -> None:
        metadata = {
            "type": "string",
            "description": "next_cursor of the page before.",
            "example": EXAMPLE_CURSORS[kinds],
        }
        super().__init__(metadata=metadata, **options)
        self._kinds = kinds

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> list[Any]:
        try:
            values = json.loads(base64.urlsafe_b64decode(str(value).encode()))
            parts = [_CURSOR_PARTS[kind](part) for kind, part in zip(self._kinds, values, strict=True)]
        except (ValueError, TypeError, OverflowError, RecursionError, AttributeError):
            raise ValidationError("Not a cursor of this list; begin without one.") from None
        return parts


def _without_categories(named: Features) -> None:
    try:
        check_features(named)
    except InvalidInputError as error:
        raise ValidationError(error.errors["features"]) from None


def feature_lists() -> fields.Dict:
    """A field for features: names to labels."""
    return fields.Dict(
        keys=text(MAX_FEATURE_NAME),
        values=fields.List(text(MAX_LABEL), validate=validate.Length(max=MAX_LABELS)),
        validate=[validate.Length(max=MAX_FEATURES), _without_categories],
        metadata={
            "description": "Names to labels.",
            "example": {"author": ["Machado de Assis"], "genre": ["Classics"]},
        },
    )
