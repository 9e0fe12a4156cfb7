"""The state of the service."""

from __future__ import annotations

from marshmallow import Schema, fields


class Health(Schema):
    """The process lives."""

    status = fields.String(required=True, metadata={"example": "ok"})


class Readiness(Schema):
    """Whether requests can be served, and what is wrong with each thing needed."""

    ready = fields.Boolean(required=True, metadata={"example": True})
    checks = fields.Dict(
        keys=fields.String(),
        values=fields.String(),
        required=True,
        metadata={"example": {"database": "ok", "migrations": "ok", "redis": "ok", "model": "ok"}},
    )
