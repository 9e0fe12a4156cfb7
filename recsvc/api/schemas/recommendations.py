"""Recommendations."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, fields, post_dump, validate

from recsvc.api.fields import (
    EXAMPLE_LIST,
    EXAMPLE_VERSION,
    MAX_BATCH,
    MAX_K,
    WholeNumber,
    shop_id,
    text,
)

STRATEGIES = ("personal", "folded_in", "features", "popular", "similar", "trending", "latest")
MAX_USERS = 500


def _exclude() -> fields.List[str]:
    return fields.List(
        shop_id(),
        load_default=list,
        validate=validate.Length(max=MAX_BATCH),
        metadata={"description": "Items to leave out.", "example": ["book-44"]},
    )


def _diversity() -> fields.Float:
    return fields.Float(
        load_default=0.0,
        validate=validate.Range(0, 1),
        metadata={
            "description": "How much items are to be unlike each other: 0 is by score alone.",
            "example": 0.3,
        },
    )


def _explain(*, example: bool) -> fields.Boolean:
    return fields.Boolean(
        load_default=False,
        metadata={"description": "Whether each item comes with its reasons.", "example": example},
    )


class ListQuery(Schema):
    """How long a list, of what."""

    k = WholeNumber(load_default=10, validate=validate.Range(1, MAX_K), metadata={"example": 10})
    category = text(255, load_default=None, example="Classics")


class RecommendationQuery(ListQuery):
    """For whom, and what the list may hold."""

    user_id = shop_id(
        example="reader-7",
        load_default=None,
        description="Required with an API key; a user token may leave it out.",
    )
    exclude = _exclude()  # type: ignore[assignment]
    include_seen = fields.Boolean(
        load_default=False,
        metadata={
            "description": "What the user has seen may come back, but nothing bought or disliked.",
            "example": False,
        },
    )
    diversity = _diversity()
    explain = _explain(example=True)


class SessionRequest(ListQuery):
    """What a visitor without an account has looked at."""

    item_ids = fields.List(
        shop_id(),
        required=True,
        validate=validate.Length(1, 100),
        metadata={"example": ["book-42"], "description": "In the order of looking: the newest last."},
    )
    exclude = _exclude()  # type: ignore[assignment]
    diversity = _diversity()
    explain = _explain(example=False)


class NewsletterRequest(ListQuery):
    """For whom."""

    user_ids = fields.List(
        shop_id(),
        required=True,
        validate=validate.Length(1, MAX_USERS),
        metadata={"example": ["reader-7", "reader-8"]},
    )
    exclude = _exclude()  # type: ignore[assignment]
    include_seen = fields.Boolean(load_default=False, metadata={"example": False})
    diversity = _diversity()


class ReasonSchema(Schema):
    """What speaks for an item. The shares of an item's reasons add up to 1.

    `interaction` names an item of the history without which this one would have a lower score; `history` is
    what the rest of the history adds; `feature` is one of the user, or of an item that nobody likes yet;
    `popular` is what speaks for the item whoever asks. Of a longer history the newest 500 items are looked
    at, as if there were no older ones to take the place of one that is left out.
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


_REASONS = [
    {"because": "interaction", "share": 0.588, "item_id": "book-42", "event": "purchase"},
    {"because": "feature", "share": 0.301, "feature": "author:Machado de Assis"},
    {"because": "popular", "share": 0.111},
]


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
        fields.Nested(ReasonSchema),
        metadata={"description": "The greatest first; only with `explain`.", "example": _REASONS},
    )

    @post_dump
    def leave_out_reasons_not_asked_for(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        """Without `explain` there is no such field."""
        return {name: value for name, value in data.items() if name != "reasons" or value is not None}


class RecommendationsSchema(Schema):
    """A list, and how it came about."""

    user_id = fields.String(required=True, allow_none=True, metadata={"example": "reader-7"})
    model_version = fields.String(required=True, allow_none=True, metadata={"example": EXAMPLE_VERSION})
    strategy = fields.String(
        required=True, validate=validate.OneOf(STRATEGIES), metadata={"example": "personal"}
    )
    recommendation_id = fields.String(
        required=True,
        metadata={"description": "Send it with what comes of this list.", "example": EXAMPLE_LIST},
    )
    items = fields.List(fields.Nested(RecommendedItemSchema), required=True)

    def dump(self, obj: Any, *, many: bool | None = None) -> Any:
        """Writes a list out as its fields would, which take as long for that as the ranking takes."""
        if many:
            return [self.dump(one) for one in obj]
        return {
            "user_id": obj.user_id,
            "model_version": obj.model_version,
            "strategy": obj.strategy,
            "recommendation_id": obj.recommendation_id,
            "items": [_written(item) for item in obj.items],
        }


def _written(item: Any) -> dict[str, Any]:
    written = {"item_id": item.item_id, "rank": item.rank, "score": item.score, "title": item.title}
    if item.reasons is not None:
        written["reasons"] = item.reasons
    return written


class NewsletterSchema(Schema):
    """A list for each user, in the order in which they were named."""

    recommendations = fields.List(fields.Nested(RecommendationsSchema), required=True)
