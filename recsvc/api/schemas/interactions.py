"""Interactions."""

from __future__ import annotations

from datetime import datetime

from marshmallow import Schema, fields, validate

from recsvc.api.fields import (
    EXAMPLE_LIST,
    MAX_BATCH,
    Cursor,
    shop_id,
    text,
    time,
)
from recsvc.api.schemas.parts import PageQuery, Rejected, next_cursor
from recsvc.services.limits import MAX_EVENT_ID, MAX_VALUE


class InteractionSchema(Schema):
    """One user–item event. `user_id` is required with an API key; a user token may leave it out."""

    user_id = shop_id(example="reader-7", load_default=None, allow_none=True)
    item_id = shop_id(required=True)
    event = text(32, required=True, example="view")
    value = fields.Float(
        allow_none=True,
        load_default=None,
        validate=validate.Range(-MAX_VALUE, MAX_VALUE),
        metadata={"description": "The rating, where the event is one.", "example": 5},
    )
    occurred_at = time(allow_none=True, load_default=None)
    event_id = text(MAX_EVENT_ID, allow_none=True, load_default=None, example="order-1001-line-1")
    recommendation_id = text(MAX_EVENT_ID, allow_none=True, load_default=None, example=EXAMPLE_LIST)


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


class InteractionBatchOutcome(Schema):
    """What became of a batch."""

    accepted = fields.Integer(required=True, metadata={"example": 998})
    duplicates = fields.Integer(required=True, metadata={"example": 1})
    rejected = fields.List(fields.Nested(Rejected), required=True)


class InteractionQuery(PageQuery):
    """Which of a user's interactions."""

    event = text(32, load_default=None, example="purchase")
    cursor = Cursor(datetime, int, load_default=None)


class InteractionShown(Schema):
    """An interaction as it is stored."""

    id = fields.Integer(required=True, metadata={"example": 1})
    item_id = fields.String(required=True, metadata={"example": "book-42"})
    event = fields.String(required=True, metadata={"example": "purchase"})
    value = fields.Float(required=True, allow_none=True, metadata={"example": None})
    occurred_at = time(required=True)
    received_at = time(required=True)
    event_id = fields.String(required=True, allow_none=True, metadata={"example": "order-1001-line-1"})
    recommendation_id = fields.String(required=True, allow_none=True, metadata={"example": EXAMPLE_LIST})


class InteractionPage(Schema):
    """A user's interactions, newest first."""

    interactions = fields.List(fields.Nested(InteractionShown), required=True)
    next_cursor = next_cursor(datetime, int)
