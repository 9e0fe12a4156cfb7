"""Recommendations."""

from __future__ import annotations

from marshmallow import Schema, fields, validate

from recsvc.api.fields import (
    MAX_BATCH,
    MAX_K,
    WholeNumber,
    shop_id,
    text,
)


class ListQuery(Schema):
    """How long a list, of what."""

    k = WholeNumber(load_default=10, validate=validate.Range(1, MAX_K), metadata={"example": 10})
    category = text(255, load_default=None)


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
