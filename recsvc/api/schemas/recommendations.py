"""Recommendations."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, fields, post_dump, validate

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
    explain = fields.Boolean(
        load_default=False, metadata={"description": "Whether each item comes with its reasons."}
    )


class SessionRequest(ListQuery):
    """What a visitor without an account has looked at."""

    item_ids = fields.List(
        shop_id(), required=True, validate=validate.Length(1, 100), metadata={"example": ["book-42"]}
    )
    exclude = fields.List(  # type: ignore[assignment]
        shop_id(), load_default=list, validate=validate.Length(max=MAX_BATCH)
    )
    explain = fields.Boolean(
        load_default=False, metadata={"description": "Whether each item comes with its reasons."}
    )


class ReasonSchema(Schema):
    """What speaks for an item. The shares of an item's reasons add up to 1.

    `interaction` names an item of the history without which this one would have a lower score; `history` is
    what the rest of the history adds; `feature` is one of the user, or of an item that nobody likes yet;
    `popular` is what speaks for the item whoever asks.
    """

    because = fields.String(
        required=True,
        validate=validate.OneOf(["interaction", "history", "feature", "popular"]),
        metadata={"example": "interaction"},
    )
    share = fields.Float(required=True, metadata={"example": 0.412})
    item_id = fields.String(metadata={"example": "book-42"})
    event = fields.String(metadata={"example": "purchase"})
    feature = fields.String(metadata={"example": "author:Machado de Assis"})

    @post_dump
    def leave_out_what_is_not_said(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        """An interaction has no feature, and a feature no item."""
        return {name: value for name, value in data.items() if value is not None}


class RecommendedItemSchema(Schema):
    """One place of a list."""

    item_id = fields.String(required=True, metadata={"example": "book-43"})
    rank = fields.Integer(required=True, metadata={"example": 1})
    score = fields.Float(
        required=True,
        metadata={"description": "Compares only within one list.", "example": 0.91},
    )
    title = fields.String(required=True, allow_none=True, metadata={"example": "Quincas Borba"})
    reasons = fields.List(
        fields.Nested(ReasonSchema), metadata={"description": "The greatest first; only with `explain`."}
    )

    @post_dump
    def leave_out_reasons_not_asked_for(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        """Without `explain` there is no such field."""
        return {name: value for name, value in data.items() if name != "reasons" or value is not None}


class RecommendationsSchema(Schema):
    """A list, and how it came about."""

    user_id = fields.String(required=True, allow_none=True, metadata={"example": "reader-7"})
    model_version = fields.String(
        required=True, allow_none=True, metadata={"example": "20261123T000007Z-1f0c9a77"}
    )
    strategy = fields.String(required=True, metadata={"example": "personal"})
    recommendation_id = fields.String(required=True)
    items = fields.List(fields.Nested(RecommendedItemSchema), required=True)
