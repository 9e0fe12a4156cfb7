"""User tokens."""

from __future__ import annotations

from marshmallow import Schema, fields, validate

from recsvc.api.fields import WholeNumber, shop_id, time
from recsvc.services.tokens import MAX_TTL


class TokenRequest(Schema):
    """For whom, and for how long."""

    user_id = shop_id(required=True, example="reader-7")
    ttl_seconds = WholeNumber(
        load_default=3_600, validate=validate.Range(1, MAX_TTL), metadata={"example": 3_600}
    )


class TokenSchema(Schema):
    """A token, and when it ends."""

    token = fields.String(required=True, metadata={"example": "eyJhbGciOi….eyJzdWIiOi….c2lnbmF0dXJl"})
    user_id = fields.String(required=True, metadata={"example": "reader-7"})
    expires_at = time(required=True)
