"""Training runs and model versions."""

from __future__ import annotations

from datetime import datetime

from marshmallow import Schema, fields, validate

from recsvc.api.fields import (
    EXAMPLE_RUN,
    EXAMPLE_VERSION,
    Cursor,
    text,
    time,
)
from recsvc.api.schemas.parts import PageQuery, next_cursor


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
    status = fields.String(required=True, metadata={"example": "running"})
    stage = fields.String(required=True, allow_none=True, metadata={"example": "fit"})
    progress = fields.Float(required=True, metadata={"description": "Share of the stage.", "example": 0.5})
    epoch = fields.Integer(
        required=True, allow_none=True, metadata={"description": "Pass over the interactions.", "example": 7}
    )
    rows_read = fields.Integer(required=True, allow_none=True, metadata={"example": 810_128})
    attempt = fields.Integer(required=True, metadata={"example": 1})
    requested_by = fields.String(required=True, metadata={"example": "key operations"})
    reason = fields.String(required=True, allow_none=True, metadata={"example": "New catalogue"})
    force = fields.Boolean(required=True, metadata={"example": False})
    queued_at = time(required=True)
    started_at = time(required=True, allow_none=True)
    finished_at = time(required=True, allow_none=True)
    seconds = fields.Dict(required=True, metadata={"example": {"read": 0.4, "fit": 12.1}})
    data = fields.Dict(
        required=True, allow_none=True, metadata={"example": {"interactions": 48210, "users": 1904}}
    )
    parameters = fields.Dict(
        required=True, allow_none=True, metadata={"example": {"neighbours": {"shrinkage": 50}}}
    )
    metrics = fields.Dict(required=True, allow_none=True, metadata={"example": {"ndcg": 0.21}})
    gate = fields.Dict(required=True, allow_none=True, metadata={"example": {"decision": "activate"}})
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
    next_cursor = next_cursor()


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
    manifest = fields.Dict(required=True, metadata={"example": {"version": EXAMPLE_VERSION, "format": 2}})


class ModelVersionList(Schema):
    """All versions, the newest first."""

    model_versions = fields.List(fields.Nested(ModelVersionSchema), required=True)
