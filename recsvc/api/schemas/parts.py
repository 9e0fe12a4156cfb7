"""What several nouns have in common."""

from __future__ import annotations

from marshmallow import Schema, fields, validate

from recsvc.api.fields import (
    MAX_PAGE,
    WholeNumber,
)


class PageQuery(Schema):
    """Which part of a list."""

    limit = WholeNumber(load_default=50, validate=validate.Range(1, MAX_PAGE))


class Rejected(Schema):
    """Why one entry of a batch was not taken."""

    index = fields.Integer(required=True)
    code = fields.String(required=True)
    errors = fields.Dict(required=True)


class BatchOutcomeSchema(Schema):
    """What became of a batch."""

    accepted = fields.Integer(required=True)
    rejected = fields.List(fields.Nested(Rejected), required=True)
