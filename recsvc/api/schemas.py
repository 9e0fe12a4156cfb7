"""What requests and answers look like."""

from __future__ import annotations

import base64
import json
import re
import unicodedata
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from marshmallow import Schema, ValidationError, fields, validate

from recsvc.errors import InvalidInputError

MAX_BATCH = 1_000
MAX_PAGE = 200
MAX_K = 200

EXAMPLE_TIME = "2026-11-23T08:30:00+00:00"


def _printable(text: str) -> None:
    if not text.isprintable():
        raise ValidationError("Only printable characters are allowed.")


def shop_id(**options: Any) -> fields.String:
    """A field for one of the shop's own ids."""
    example = options.pop("example", "book-42")
    return fields.String(
        validate=[validate.Length(1, 255), _printable],
        metadata={"example": example, "description": "The shop's own id: 1 to 255 printable characters."},
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
    # Spaces of other widths and joiners, which Python does not call printable, belong to many languages.
    if any(unicodedata.category(character) in {"Cc", "Cs"} for character in text):
        raise ValidationError("Control characters are not allowed.")


def _storable(value: Any) -> None:
    # What PostgreSQL's jsonb refuses, or what no JSON parser but Python's reads back.
    try:
        text = json.dumps(value, allow_nan=False)
    except ValueError:
        raise ValidationError("NaN and infinite numbers are not allowed.") from None
    if re.search(r"(?<!\\)(\\\\)*\\u0000", text):
        raise ValidationError("The character U+0000 is not allowed.")


def _in_utc(moment: datetime) -> None:
    try:
        moment.astimezone(UTC)
    except OverflowError:
        raise ValidationError("Not a time between the years 1 and 9999 in UTC.") from None


def _text(longest: int, shortest: int = 1, **options: Any) -> fields.String:
    metadata = {"example": options.pop("example")} if "example" in options else {}
    return fields.String(
        validate=[validate.Length(shortest, longest), _without_control_characters],
        metadata=metadata,
        **options,
    )


def _time(**options: Any) -> fields.AwareDateTime:
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


class Cursor(fields.Field[list[Any]]):
    """Where the next page begins: opaque to the caller, a list of sort values to us."""

    def __init__(self, *kinds: type, **options: Any) -> None:
        super().__init__(
            metadata={"type": "string", "description": "next_cursor of the page before."}, **options
        )
        self._kinds = kinds

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> list[Any]:
        try:
            values = json.loads(base64.urlsafe_b64decode(str(value).encode()))
            parts = [_CURSOR_PARTS[kind](part) for kind, part in zip(self._kinds, values, strict=True)]
        except (ValueError, TypeError, OverflowError, RecursionError, AttributeError):
            raise ValidationError("Not a cursor of this list; begin without one.") from None
        return parts


def cursor_of(*values: Any) -> str:
    """Writes the cursor that follows an entry."""
    plain = [value.isoformat() if isinstance(value, datetime) else value for value in values]
    return base64.urlsafe_b64encode(json.dumps(plain).encode()).decode()


class PageQuery(Schema):
    """Which part of a list."""

    limit = WholeNumber(load_default=50, validate=validate.Range(1, MAX_PAGE))


# Interactions


class InteractionSchema(Schema):
    """One user–item event."""

    user_id = shop_id(required=True, example="reader-7")
    item_id = shop_id(required=True)
    event = _text(32, required=True, example="view")
    value = fields.Float(
        allow_none=True,
        load_default=None,
        validate=validate.Range(-1e9, 1e9),
        metadata={"description": "The rating, where the event is one.", "example": 5},
    )
    occurred_at = _time(allow_none=True, load_default=None)
    event_id = _text(64, allow_none=True, load_default=None, example="order-1001-line-1")
    recommendation_id = _text(64, allow_none=True, load_default=None)


class InteractionStored(Schema):
    """The answer to an interaction."""

    id = fields.Integer(required=True, metadata={"example": 1})
    duplicate = fields.Boolean(
        required=True, metadata={"description": "Stored before under the same event_id.", "example": False}
    )


class InteractionBatch(Schema):
    """Up to 1,000 interactions; each is checked by itself."""

    interactions = fields.List(
        fields.Raw(allow_none=True),  # null is a bad entry, not a bad batch
        required=True,
        validate=validate.Length(1, MAX_BATCH),
        metadata={
            "items": {"$ref": "#/components/schemas/Interaction"},
            "example": [{"user_id": "reader-7", "item_id": "book-42", "event": "purchase"}],
        },
    )


class Rejected(Schema):
    """Why one entry of a batch was not taken."""

    index = fields.Integer(required=True)
    code = fields.String(required=True)
    errors = fields.Dict(required=True)


class InteractionBatchOutcome(Schema):
    """What became of a batch."""

    accepted = fields.Integer(required=True)
    duplicates = fields.Integer(required=True)
    rejected = fields.List(fields.Nested(Rejected), required=True)


class InteractionQuery(PageQuery):
    """Which of a user's interactions."""

    event = _text(32, load_default=None)
    cursor = Cursor(datetime, int, load_default=None)


class InteractionShown(Schema):
    """An interaction as it is stored."""

    id = fields.Integer(required=True)
    item_id = fields.String(required=True)
    event = fields.String(required=True)
    value = fields.Float(required=True, allow_none=True)
    occurred_at = _time(required=True)
    received_at = _time(required=True)
    event_id = fields.String(required=True, allow_none=True)
    recommendation_id = fields.String(required=True, allow_none=True)


class InteractionPage(Schema):
    """A user's interactions, newest first."""

    interactions = fields.List(fields.Nested(InteractionShown), required=True)
    next_cursor = fields.String(required=True, allow_none=True)


# Catalogue and users


def _features() -> fields.Dict:
    return fields.Dict(
        keys=_text(64),
        values=fields.List(_text(255), validate=validate.Length(max=100)),
        validate=validate.Length(max=50),
        metadata={
            "description": "Names to labels.",
            "example": {"author": ["Machado de Assis"], "genre": ["Classics"]},
        },
    )


class ItemContentSchema(Schema):
    """What a shop says of an item; all of it may be left out."""

    title = _text(1000, allow_none=True, example="Dom Casmurro")
    categories = fields.List(
        _text(255), validate=validate.Length(max=100), metadata={"example": ["Fiction", "Classics"]}
    )
    features = _features()
    available = fields.Boolean(metadata={"example": True})
    hidden = fields.Boolean(metadata={"example": False})
    group = _text(255, allow_none=True, example="dom-casmurro")
    published_at = _time(allow_none=True)
    attributes = fields.Dict(
        keys=_text(64),
        validate=_storable,
        metadata={"description": "Kept for you.", "example": {"pages": 256}},
    )


class ItemShown(ItemContentSchema):
    """An item as it is stored."""

    item_id = fields.String(required=True, metadata={"example": "book-42"})
    created_at = _time(required=True)
    updated_at = _time(required=True)


class ItemQuery(PageQuery):
    """Which items."""

    q = _text(255, load_default=None, example="casmurro")
    category = _text(255, load_default=None)
    hidden = fields.Boolean(load_default=None)
    cursor = Cursor(RowKey, load_default=None)


class ItemPage(Schema):
    """Items in the order in which they were made."""

    items = fields.List(fields.Nested(ItemShown), required=True)
    next_cursor = fields.String(required=True, allow_none=True)


class ItemOfBatch(ItemContentSchema):
    """An item with its id."""

    item_id = shop_id(required=True)


class ItemBatch(Schema):
    """Up to 1,000 items; each is checked by itself."""

    items = fields.List(
        fields.Raw(allow_none=True),  # null is a bad entry, not a bad batch
        required=True,
        validate=validate.Length(1, MAX_BATCH),
        metadata={
            "items": {"$ref": "#/components/schemas/ItemOfBatch"},
            "example": [{"item_id": "book-42", "title": "Dom Casmurro"}],
        },
    )


class BatchOutcomeSchema(Schema):
    """What became of a batch."""

    accepted = fields.Integer(required=True)
    rejected = fields.List(fields.Nested(Rejected), required=True)


class UserContentSchema(Schema):
    """What a shop says of a user."""

    features = _features()


class UserShown(UserContentSchema):
    """A user as they are stored."""

    user_id = fields.String(required=True, metadata={"example": "reader-7"})
    created_at = _time(required=True)


class UserQuery(PageQuery):
    """Which users."""

    cursor = Cursor(RowKey, load_default=None)


class UserPage(Schema):
    """Users in the order in which they were made."""

    users = fields.List(fields.Nested(UserShown), required=True)
    next_cursor = fields.String(required=True, allow_none=True)


class UserOfBatch(UserContentSchema):
    """A user with their id."""

    user_id = shop_id(required=True, example="reader-7")


class UserBatch(Schema):
    """Up to 1,000 users; each is checked by itself."""

    users = fields.List(
        fields.Raw(allow_none=True),  # null is a bad entry, not a bad batch
        required=True,
        validate=validate.Length(1, MAX_BATCH),
        metadata={
            "items": {"$ref": "#/components/schemas/UserOfBatch"},
            "example": [{"user_id": "reader-7", "features": {"language": ["pt"]}}],
        },
    )


class ErasureReceiptSchema(Schema):
    """What was erased of a user."""

    user_id = fields.String(required=True)
    interactions = fields.Integer(required=True)
    features = fields.Integer(required=True)
    model_versions = fields.List(
        fields.String(), required=True, metadata={"description": "Versions whose training read this user."}
    )


# Recommendations


class ListQuery(Schema):
    """How long a list, of what."""

    k = WholeNumber(load_default=10, validate=validate.Range(1, MAX_K), metadata={"example": 10})
    category = _text(255, load_default=None)


class RecommendationQuery(ListQuery):
    """For whom, and what the list may hold."""

    user_id = shop_id(required=True, example="reader-7")
    exclude = fields.List(  # type: ignore[assignment]
        shop_id(), load_default=list, validate=validate.Length(max=MAX_BATCH)
    )
    include_seen = fields.Boolean(load_default=False)


class SessionRequest(ListQuery):
    """What a visitor without an account has looked at."""

    item_ids = fields.List(
        shop_id(), required=True, validate=validate.Length(1, 100), metadata={"example": ["book-42"]}
    )
    exclude = fields.List(  # type: ignore[assignment]
        shop_id(), load_default=list, validate=validate.Length(max=MAX_BATCH)
    )


class RecommendedItemSchema(Schema):
    """One place of a list."""

    item_id = fields.String(required=True, metadata={"example": "book-43"})
    rank = fields.Integer(required=True, metadata={"example": 1})
    score = fields.Float(
        required=True,
        metadata={"description": "Compares only within one list.", "example": 0.91},
    )
    title = fields.String(required=True, allow_none=True, metadata={"example": "Quincas Borba"})


class RecommendationsSchema(Schema):
    """A list, and how it came about."""

    user_id = fields.String(required=True, allow_none=True, metadata={"example": "reader-7"})
    model_version = fields.String(
        required=True, allow_none=True, metadata={"example": "20261123T000007Z-1f0c9a77"}
    )
    strategy = fields.String(required=True, metadata={"example": "personal"})
    recommendation_id = fields.String(required=True)
    items = fields.List(fields.Nested(RecommendedItemSchema), required=True)


# Training and model versions


class TrainRequest(Schema):
    """Why to train; nothing is required."""

    force = fields.Boolean(load_default=False)
    reason = _text(1000, allow_none=True, load_default=None, example="New catalogue")


class TrainingRequested(Schema):
    """The run that was asked for, or that is under way already."""

    run_id = fields.String(required=True)
    status = fields.String(required=True, metadata={"example": "queued"})
    url = fields.String(required=True)
    already_running = fields.Boolean(required=True)


class TrainingRunSchema(Schema):
    """One attempt to make a model version."""

    run_id = fields.String(required=True)
    trigger = fields.String(required=True, metadata={"example": "manual"})
    status = fields.String(required=True, metadata={"example": "running"})
    stage = fields.String(required=True, allow_none=True, metadata={"example": "fit"})
    progress = fields.Float(required=True, metadata={"description": "Share of the stage.", "example": 0.5})
    attempt = fields.Integer(required=True, metadata={"example": 1})
    requested_by = fields.String(required=True)
    reason = fields.String(required=True, allow_none=True)
    force = fields.Boolean(required=True)
    queued_at = _time(required=True)
    started_at = _time(required=True, allow_none=True)
    finished_at = _time(required=True, allow_none=True)
    seconds = fields.Dict(required=True, metadata={"example": {"read": 0.4, "fit": 12.1}})
    data = fields.Dict(required=True, allow_none=True)
    parameters = fields.Dict(required=True, allow_none=True)
    metrics = fields.Dict(required=True, allow_none=True)
    gate = fields.Dict(required=True, allow_none=True)
    model_version = fields.String(required=True, allow_none=True)
    error = fields.String(required=True, allow_none=True)


class TrainingRunQuery(PageQuery):
    """Which runs."""

    status = fields.String(
        load_default=None,
        validate=validate.OneOf(["queued", "running", "succeeded", "rejected", "failed", "cancelled"]),
    )
    cursor = Cursor(datetime, str, load_default=None)


class TrainingRunPage(Schema):
    """Runs, newest first."""

    training_runs = fields.List(fields.Nested(TrainingRunSchema), required=True)
    next_cursor = fields.String(required=True, allow_none=True)


class ModelVersionSchema(Schema):
    """What a run produced, and what became of it."""

    version = fields.String(required=True, metadata={"example": "20261123T000007Z-1f0c9a77"})
    run_id = fields.String(required=True, allow_none=True)
    status = fields.String(required=True, metadata={"example": "active"})
    created_at = _time(required=True)
    activated_at = _time(required=True, allow_none=True)
    manifest = fields.Dict(required=True)


class ModelVersionList(Schema):
    """All versions, the newest first."""

    model_versions = fields.List(fields.Nested(ModelVersionSchema), required=True)


# Service


class Health(Schema):
    """The process lives."""

    status = fields.String(required=True, metadata={"example": "ok"})


class Readiness(Schema):
    """Whether requests can be served, and what is wrong with each thing needed."""

    ready = fields.Boolean(required=True)
    checks = fields.Dict(
        keys=fields.String(),
        values=fields.String(),
        required=True,
        metadata={"example": {"database": "ok", "migrations": "ok", "redis": "ok", "model": "ok"}},
    )
