"""The state of the service, as its operators see it."""

from __future__ import annotations

from marshmallow import Schema, fields

from recsvc.api.fields import EXAMPLE_VERSION, time
from recsvc.api.schemas.training import TrainingRunSchema

_EVENTS = {"view": 310, "cart": 42, "purchase": 17}


class TotalsSchema(Schema):
    """Numbers of rows."""

    interactions = fields.Integer(
        required=True, metadata={"description": "About, above a million.", "example": 48_210}
    )
    users = fields.Integer(required=True, metadata={"example": 1_904})
    items = fields.Integer(required=True, metadata={"example": 498})
    recommendable_items = fields.Integer(required=True, metadata={"example": 480})
    newest_interaction_at = time(required=True, allow_none=True)


class DataSchema(Schema):
    """How much data there is, and whether it suffices."""

    totals = fields.Nested(TotalsSchema, required=True)
    verdict = fields.String(
        required=True, metadata={"description": "`none`, `little` or `enough`.", "example": "enough"}
    )
    advice = fields.String(required=True, metadata={"example": "There is enough to learn from."})


class ServedSchema(Schema):
    """What is served, and why."""

    model_version = fields.String(required=True, allow_none=True, metadata={"example": EXAMPLE_VERSION})
    since = time(required=True, allow_none=True)
    why = fields.String(
        required=True, metadata={"example": "Run 5b1f0c9a77d14f0e8c55a1b2c3d4e5f6 (schedule) made it."}
    )
    problem = fields.String(required=True, allow_none=True, metadata={"example": None})


class AttributedSchema(Schema):
    """What came of the lists of one model version and strategy."""

    model_version = fields.String(required=True, allow_none=True, metadata={"example": EXAMPLE_VERSION})
    strategy = fields.String(required=True, metadata={"example": "personal"})
    recommendations = fields.Integer(required=True, metadata={"example": 5_120})
    users = fields.Integer(required=True, metadata={"example": 801})
    events = fields.Dict(
        keys=fields.String(),
        values=fields.Integer(),
        required=True,
        metadata={
            "description": "Interactions that named one of the lists and an item on it.",
            "example": _EVENTS,
        },
    )


class ArmSchema(Schema):
    """One side of an experiment."""

    model_version = fields.String(required=True, metadata={"example": EXAMPLE_VERSION})
    users = fields.Integer(required=True, metadata={"example": 400})
    recommendations = fields.Integer(required=True, metadata={"example": 2_540})
    users_with = fields.Dict(
        keys=fields.String(),
        values=fields.Integer(),
        required=True,
        metadata={"description": "Users who did so from a list.", "example": _EVENTS},
    )


class DifferenceSchema(Schema):
    """Treatment less control in the share of users, with a 95 % confidence interval."""

    difference = fields.Float(required=True, metadata={"example": 0.012})
    low = fields.Float(required=True, metadata={"example": -0.004})
    high = fields.Float(required=True, metadata={"example": 0.028})


class ComparisonSchema(Schema):
    """The experiment of the settings."""

    control = fields.Nested(ArmSchema, required=True)
    treatment = fields.Nested(ArmSchema, required=True)
    share = fields.Float(
        required=True, metadata={"description": "Of the users who get the treatment.", "example": 0.5}
    )
    differences = fields.Dict(
        keys=fields.String(),
        values=fields.Nested(DifferenceSchema, allow_none=True),
        required=True,
        metadata={"example": {"purchase": {"difference": 0.012, "low": -0.004, "high": 0.028}}},
    )


class StatusSchema(Schema):
    """What a shop wants to know first."""

    data = fields.Nested(DataSchema, required=True)
    serving = fields.Nested(ServedSchema, required=True)
    next_training_at = time(required=True)
    last_run = fields.Nested(TrainingRunSchema, required=True, allow_none=True)
    attribution_days = fields.Integer(required=True, metadata={"example": 30})
    attribution = fields.List(fields.Nested(AttributedSchema), required=True)
    experiment = fields.Nested(ComparisonSchema, required=True, allow_none=True)
