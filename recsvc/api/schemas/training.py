"""Training runs and model versions."""

from __future__ import annotations

from datetime import datetime

from marshmallow import Schema, fields, validate

from recsvc.api.fields import (
    EXAMPLE_RUN,
    EXAMPLE_TIME,
    EXAMPLE_VERSION,
    Cursor,
    text,
    time,
)
from recsvc.api.schemas.parts import PageQuery, next_cursor

_FIGURES = {"ndcg_at_10": 0.21, "recall_at_20": 0.3}
_GATE = {
    "decision": "passed",
    "reason": "It beats popularity: NDCG@10 0.2100 against 0.1200 of popularity (difference +0.0900, 99.8%"
    " interval +0.0640 to +0.1160), among 600 users. There is no active version to compare with.",
    "candidate": {"users": 600, **_FIGURES},
    "active": None,
    "popularity": {
        "users": 600,
        "ndcg_at_10": 0.12,
        "recall_at_20": 0.19,
        "candidate": _FIGURES,
        "difference": {
            "ndcg_at_10": {"mean": 0.09, "low": 0.064, "high": 0.116},
            "recall_at_20": {"mean": 0.11, "low": 0.082, "high": 0.138},
        },
    },
}


class TrainRequest(Schema):
    """Why to train; nothing is required."""

    force = fields.Boolean(load_default=False, metadata={"example": False})
    reason = text(1000, allow_none=True, load_default=None, example="New catalogue")


class TrainingRequested(Schema):
    """The run that was asked for, or that is under way already."""

    run_id = fields.String(required=True, metadata={"example": EXAMPLE_RUN})
    status = fields.String(required=True, metadata={"example": "queued"})
    url = fields.String(required=True, metadata={"example": f"/api/v1/training-runs/{EXAMPLE_RUN}"})
    already_running = fields.Boolean(required=True, metadata={"example": False})


class TrainingRunSchema(Schema):
    """One attempt to make a model version."""

    run_id = fields.String(required=True, metadata={"example": EXAMPLE_RUN})
    trigger = fields.String(required=True, metadata={"example": "manual"})
    status = fields.String(required=True, metadata={"example": "succeeded"})
    stage = fields.String(required=True, allow_none=True, metadata={"example": "activate"})
    progress = fields.Float(required=True, metadata={"description": "Share of the stage.", "example": 1.0})
    epoch = fields.Integer(
        required=True,
        allow_none=True,
        metadata={"description": "Pass over the interactions.", "example": None},
    )
    rows_read = fields.Integer(required=True, allow_none=True, metadata={"example": 48_210})
    attempt = fields.Integer(required=True, metadata={"example": 1})
    requested_by = fields.String(required=True, metadata={"example": "key operations"})
    reason = fields.String(required=True, allow_none=True, metadata={"example": "New catalogue"})
    force = fields.Boolean(required=True, metadata={"example": False})
    queued_at = time(required=True)
    started_at = time(required=True, allow_none=True)
    finished_at = time(required=True, allow_none=True)
    seconds = fields.Dict(required=True, metadata={"example": {"read": 0.4, "fit": 12.1}})
    data = fields.Dict(
        required=True,
        allow_none=True,
        metadata={"example": {"interactions": 48_210, "users": 1_904, "items": 498, "until": EXAMPLE_TIME}},
    )
    parameters = fields.Dict(
        required=True, allow_none=True, metadata={"example": {"als": {"components": 256, "confidence": 20.0}}}
    )
    metrics = fields.Dict(
        required=True, allow_none=True, metadata={"example": {"ndcg_at_10": 0.21, "recall_at_20": 0.3}}
    )
    gate = fields.Dict(
        required=True,
        allow_none=True,
        metadata={
            "description": "What the candidate had to win against, each with the candidate's figures on the"
            " same users, and whether it did: `passed`, `rejected` or `forced`.",
            "example": _GATE,
        },
    )
    model_version = fields.String(required=True, allow_none=True, metadata={"example": EXAMPLE_VERSION})
    error = fields.String(required=True, allow_none=True, metadata={"example": None})


class TrainingRunQuery(PageQuery):
    """Which runs."""

    status = fields.String(
        load_default=None,
        validate=validate.OneOf(["queued", "running", "succeeded", "rejected", "failed", "cancelled"]),
        metadata={"example": "succeeded"},
    )
    cursor = Cursor(datetime, str, load_default=None)


class TrainingRunPage(Schema):
    """Runs, newest first."""

    training_runs = fields.List(fields.Nested(TrainingRunSchema), required=True)
    next_cursor = next_cursor(datetime, str)


class ModelVersionSchema(Schema):
    """What a run produced, and what became of it."""

    version = fields.String(required=True, metadata={"example": EXAMPLE_VERSION})
    run_id = fields.String(required=True, allow_none=True, metadata={"example": EXAMPLE_RUN})
    status = fields.String(required=True, metadata={"example": "active"})
    created_at = time(required=True)
    activated_at = time(required=True, allow_none=True)
    files_kept = fields.Boolean(
        required=True,
        metadata={
            "description": "Whether it can be activated: MODEL_KEEP versions are kept.",
            "example": True,
        },
    )
    manifest = fields.Dict(required=True, metadata={"example": {"version": EXAMPLE_VERSION, "format": 4}})


class ModelVersionList(Schema):
    """All versions, the newest first."""

    model_versions = fields.List(fields.Nested(ModelVersionSchema), required=True)
