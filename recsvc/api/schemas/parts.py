"""What several nouns have in common."""

from __future__ import annotations

from marshmallow import Schema, fields, validate

from recsvc.api.fields import EXAMPLE_CURSORS, MAX_PAGE, WholeNumber


def next_cursor(*kinds: type) -> fields.String:
    """A field for where the next page of a list begins; `kinds` are those of its cursor."""
    description = "Send it as `cursor`; null on the last page."
    return fields.String(
        required=True,
        allow_none=True,
        metadata={"description": description, "example": EXAMPLE_CURSORS[kinds]},
    )


class PageQuery(Schema):
    """Which part of a list."""

    limit = WholeNumber(load_default=50, validate=validate.Range(1, MAX_PAGE), metadata={"example": 50})


class Rejected(Schema):
    """Why one entry of a batch was not taken."""

    index = fields.Integer(required=True, metadata={"example": 7})
    code = fields.String(required=True, metadata={"example": "invalid"})
    errors = fields.Dict(
        required=True, metadata={"example": {"item_id": ["Missing data for required field."]}}
    )


class BatchOutcomeSchema(Schema):
    """What became of a batch."""

    accepted = fields.Integer(required=True, metadata={"example": 999})
    rejected = fields.List(fields.Nested(Rejected), required=True)
