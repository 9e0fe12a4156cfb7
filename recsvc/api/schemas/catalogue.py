"""The catalogue and the users."""

from __future__ import annotations

from marshmallow import Schema, fields, validate

from recsvc.api.fields import (
    EXAMPLE_LIST,
    EXAMPLE_VERSION,
    MAX_BATCH,
    Cursor,
    RowKey,
    brief,
    feature_lists,
    shop_id,
    storable,
    text,
    time,
)
from recsvc.api.schemas.interactions import InteractionShown
from recsvc.api.schemas.parts import PageQuery, next_cursor
from recsvc.services.limits import MAX_LABEL, MAX_LABELS, MAX_TITLE
from recsvc.services.privacy import STILL_HELD


class ItemContentSchema(Schema):
    """What a shop says of an item; all of it may be left out."""

    title = text(MAX_TITLE, allow_none=True, example="Dom Casmurro")
    categories = fields.List(
        text(MAX_LABEL),
        validate=validate.Length(max=MAX_LABELS),
        metadata={"example": ["Fiction", "Classics"]},
    )
    features = feature_lists()
    available = fields.Boolean(metadata={"example": True})
    hidden = fields.Boolean(metadata={"example": False})
    group = text(MAX_LABEL, allow_none=True, example="dom-casmurro")
    published_at = time(allow_none=True)
    attributes = fields.Dict(
        keys=text(64),
        validate=[storable, brief],
        metadata={"description": "Kept for you: at most 16 KB as JSON.", "example": {"pages": 256}},
    )


class ItemShown(ItemContentSchema):
    """An item as it is stored."""

    item_id = fields.String(required=True, metadata={"example": "book-42"})
    created_at = time(required=True)
    updated_at = time(required=True)


class ItemQuery(PageQuery):
    """Which items."""

    q = text(MAX_LABEL, load_default=None, example="casmurro")
    category = text(MAX_LABEL, load_default=None, example="Classics")
    hidden = fields.Boolean(load_default=None, metadata={"example": False})
    cursor = Cursor(RowKey, load_default=None)


class ItemPage(Schema):
    """Items in the order in which they were made."""

    items = fields.List(fields.Nested(ItemShown), required=True)
    next_cursor = next_cursor(RowKey)


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


class UserContentSchema(Schema):
    """What a shop says of a user."""

    features = feature_lists()


class UserShown(UserContentSchema):
    """A user as they are stored."""

    user_id = fields.String(required=True, metadata={"example": "reader-7"})
    created_at = time(required=True)


class UserQuery(PageQuery):
    """Which users."""

    cursor = Cursor(RowKey, load_default=None)


class UserPage(Schema):
    """Users in the order in which they were made."""

    users = fields.List(fields.Nested(UserShown), required=True)
    next_cursor = next_cursor(RowKey)


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

    user_id = fields.String(required=True, metadata={"example": "reader-7"})
    interactions = fields.Integer(required=True, metadata={"example": 12})
    features = fields.Integer(required=True, metadata={"example": 1})
    shown_recommendations = fields.Integer(required=True, metadata={"example": 3})
    model_versions = fields.List(
        fields.String(),
        required=True,
        metadata={
            "description": "Versions that may hold this user: all that were made since they came.",
            "example": [EXAMPLE_VERSION],
        },
    )
    still_held = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "What these versions hold, in words.", "example": STILL_HELD},
    )
    training_run = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "A run under way, which may have read this user.", "example": None},
    )
    next_training_at = time(required=True, allow_none=True)
    held_until = time(required=True, allow_none=True)
    erased_at = time(required=True)


class MergeRequest(Schema):
    """Into which account."""

    into = shop_id(required=True, example="reader-7")


class MergeOutcome(Schema):
    """What was moved."""

    user_id = fields.String(required=True, metadata={"example": "reader-7"})
    merged = fields.String(required=True, metadata={"example": "guest-1f0c"})
    interactions = fields.Integer(required=True, metadata={"example": 4})


class ShownRecommendationSchema(Schema):
    """A list that a user was shown."""

    recommendation_id = fields.String(required=True, metadata={"example": EXAMPLE_LIST})
    shown_at = time(required=True)
    model_version = fields.String(required=True, allow_none=True, metadata={"example": EXAMPLE_VERSION})
    strategy = fields.String(required=True, metadata={"example": "personal"})
    item_ids = fields.List(fields.String(), required=True, metadata={"example": ["book-43"]})


class ExportSchema(UserShown):
    """Everything held of a person; `created_at` is null where they were shown something and did nothing."""

    created_at = time(required=True, allow_none=True)
    interactions = fields.List(fields.Nested(InteractionShown), required=True)
    shown_recommendations = fields.List(fields.Nested(ShownRecommendationSchema), required=True)
    exported_at = time(required=True)
