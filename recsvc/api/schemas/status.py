"""The state of the service, as its operators see it."""

from __future__ import annotations

from marshmallow import Schema, fields

from recsvc.api.examples import example_of
from recsvc.api.fields import EXAMPLE_TIME, EXAMPLE_VERSION, time
from recsvc.api.schemas.training import TrainingRunSchema

_EVENTS = {"view": 310, "cart": 42, "purchase": 17}


def _counted(description: str, example: int) -> fields.Integer:
    return fields.Integer(
        required=True, allow_none=True, metadata={"description": description, "example": example}
    )


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
    """How much data there is, and whether it suffices.

    In a large shop a worker counts what comes after `counted_at`, every few minutes; null until it has.
    """

    totals = fields.Nested(TotalsSchema, required=True)
    verdict = fields.String(
        required=True, metadata={"description": "`none`, `little` or `enough`.", "example": "enough"}
    )
    advice = fields.String(required=True, metadata={"example": "There is enough to learn from."})
    counted_at = time(required=True, allow_none=True)
    users_with_enough = _counted("Users with two interactions or more.", 1_733)
    items_with_enough = _counted("Items with five interactions or more.", 402)
    items_untouched = _counted("Items without any interaction.", 21)
    items_without_feature = _counted("Items without any feature.", 12)


class AudienceSchema(Schema):
    """About how many known users get which kind of list.

    Somebody who likes only items that came after the last training is counted as `folded_in`, and gets what
    is popular until the next one.
    """

    personal = fields.Integer(
        required=True, metadata={"description": "Their likes were in the training data.", "example": 1_690}
    )
    folded_in = fields.Integer(
        required=True, metadata={"description": "They came to like something since.", "example": 96}
    )
    features = fields.Integer(
        required=True, metadata={"description": "They have features, and no likes yet.", "example": 40}
    )
    popular = fields.Integer(
        required=True, metadata={"description": "Nothing is known of them yet.", "example": 78}
    )


class FindingSchema(Schema):
    """Something that is wrong, or could be better, and what to do about it."""

    code = fields.String(
        required=True, metadata={"description": "Stable slug.", "example": "items_without_features"}
    )
    what = fields.String(required=True, metadata={"example": "41% of the items have no feature."})
    advice = fields.String(
        required=True,
        metadata={"example": "Send authors, genres, brands and the like with PUT /api/v1/items/{item_id}."},
    )


class WaitingSchema(Schema):
    """Jobs of a queue that no worker has taken yet."""

    jobs = fields.Integer(required=True, metadata={"example": 1})
    since = time(required=True, allow_none=True)


class ProcessesSchema(Schema):
    """The processes beside the web's."""

    workers = fields.Integer(required=True, metadata={"example": 1})
    scheduler_seen_at = time(required=True, allow_none=True)
    waiting = fields.Dict(
        keys=fields.String(),
        values=fields.Nested(WaitingSchema),
        required=True,
        metadata={
            "example": {
                "maintenance": {"jobs": 0, "since": None},
                "training": {"jobs": 1, "since": EXAMPLE_TIME},
            }
        },
    )


class ServedSchema(Schema):
    """What is served, and why."""

    model_version = fields.String(required=True, allow_none=True, metadata={"example": EXAMPLE_VERSION})
    since = time(required=True, allow_none=True)
    why = fields.String(
        required=True, metadata={"example": "Run 5b1f0c9a77d14f0e8c55a1b2c3d4e5f6 (schedule) made it."}
    )
    problem = fields.String(required=True, allow_none=True, metadata={"example": None})
    users = fields.Nested(AudienceSchema, required=True, allow_none=True)


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

    problems = fields.List(
        fields.Nested(FindingSchema),
        required=True,
        metadata={"description": "What is wrong, the worst first.", "example": []},
    )
    improvements = fields.List(
        fields.Nested(FindingSchema),
        required=True,
        metadata={
            "description": "What would help, the most helpful first.",
            "example": [example_of(FindingSchema)],
        },
    )
    data = fields.Nested(DataSchema, required=True)
    serving = fields.Nested(ServedSchema, required=True)
    next_training_at = time(required=True)
    last_run = fields.Nested(TrainingRunSchema, required=True, allow_none=True)
    processes = fields.Nested(
        ProcessesSchema,
        required=True,
        allow_none=True,
        metadata={"description": "Null where Redis does not answer."},
    )
    attribution_days = fields.Integer(required=True, metadata={"example": 30})
    attribution = fields.List(fields.Nested(AttributedSchema), required=True)
    experiment = fields.Nested(ComparisonSchema, required=True, allow_none=True)
