"""What the service answers, as dataclasses; fields that a newer service adds are passed over."""

from __future__ import annotations

import types
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import datetime
from functools import cache
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from recsvc.client.errors import unreadable

Result = TypeVar("Result")


@dataclass(frozen=True)
class Stored:
    """An interaction that is stored; `duplicate` where it was before, under the same event_id."""

    id: int
    duplicate: bool


@dataclass(frozen=True)
class Rejected:
    """Why one entry of a batch was not taken."""

    index: int
    code: str
    errors: dict[str, Any]


@dataclass(frozen=True)
class BatchOutcome:
    """What became of a batch."""

    accepted: int = 0
    rejected: list[Rejected] = field(default_factory=list)


@dataclass(frozen=True)
class InteractionBatchOutcome(BatchOutcome):
    """What became of a batch; what a retry found stored already is among the duplicates."""

    duplicates: int = 0


@dataclass(frozen=True)
class StoredInteraction:
    """An interaction as it is stored."""

    id: int
    item_id: str
    event: str
    value: float | None
    occurred_at: datetime
    received_at: datetime
    event_id: str | None
    recommendation_id: str | None


@dataclass(frozen=True)
class Item:
    """An item as it is stored."""

    item_id: str
    title: str | None
    categories: list[str]
    features: dict[str, list[str]]
    available: bool
    hidden: bool
    group: str | None
    published_at: datetime | None
    attributes: dict[str, Any]
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True)
class User:
    """A user as they are stored."""

    user_id: str
    features: dict[str, list[str]]
    created_at: datetime


@dataclass(frozen=True)
class ShownRecommendation:
    """A list that a user was shown."""

    recommendation_id: str
    shown_at: datetime
    model_version: str | None
    strategy: str
    item_ids: list[str]


@dataclass(frozen=True)
class Export:
    """Everything held of a person; `created_at` is None where they were shown something and did nothing."""

    user_id: str
    features: dict[str, list[str]]
    created_at: datetime | None
    interactions: list[StoredInteraction]
    shown_recommendations: list[ShownRecommendation]
    exported_at: datetime


@dataclass(frozen=True)
class ErasureReceipt:
    """What was erased of a user, and which model versions may have been trained with them."""

    user_id: str
    interactions: int
    features: int
    shown_recommendations: int
    model_versions: list[str]
    still_held: str | None
    training_run: str | None
    next_training_at: datetime | None
    held_until: datetime | None
    erased_at: datetime


@dataclass(frozen=True)
class MergeOutcome:
    """What was moved from a guest to an account."""

    user_id: str
    merged: str
    interactions: int


@dataclass(frozen=True)
class Reason:
    """What speaks for an item: `because` is `interaction`, `history`, `feature` or `popular`."""

    because: str
    share: float
    item_id: str | None = None
    event: str | None = None
    feature: str | None = None


@dataclass(frozen=True)
class RecommendedItem:
    """One place of a list; its score compares only within the list."""

    item_id: str
    rank: int
    score: float
    title: str | None
    reasons: list[Reason] = field(default_factory=list)


@dataclass(frozen=True)
class Recommendations:
    """A list. Send its `recommendation_id` with what comes of it."""

    user_id: str | None
    model_version: str | None
    strategy: str
    recommendation_id: str
    items: list[RecommendedItem]


@dataclass(frozen=True)
class Token:
    """A user token, and when it ends."""

    token: str
    user_id: str
    expires_at: datetime


@dataclass(frozen=True)
class TrainingRequested:
    """The run that was asked for, or that was under way already."""

    run_id: str
    status: str
    url: str
    already_running: bool


@dataclass(frozen=True)
class TrainingRun:
    """One attempt to make a model version."""

    run_id: str
    trigger: str
    status: str
    stage: str | None
    progress: float
    epoch: int | None
    rows_read: int | None
    attempt: int
    requested_by: str
    reason: str | None
    force: bool
    queued_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    seconds: dict[str, float]
    data: dict[str, Any] | None
    parameters: dict[str, Any] | None
    metrics: dict[str, Any] | None
    gate: dict[str, Any] | None
    model_version: str | None
    error: str | None


@dataclass(frozen=True)
class ModelVersion:
    """What a run produced, and what became of it."""

    version: str
    run_id: str | None
    status: str
    created_at: datetime
    activated_at: datetime | None
    files_kept: bool
    manifest: dict[str, Any]


def result_of(kind: type[Result], answer: Any) -> Result:
    """Makes a result of an answer.

    Args:
        kind: One of the dataclasses here.
        answer: Parsed JSON.

    Raises:
        ServiceError: It is not of that kind.
    """
    types_of = _types_of(kind)  # type: ignore[arg-type]
    try:
        return kind(**{name: _value(types_of[name], answer[name]) for name in types_of if name in answer})
    except (TypeError, ValueError):
        raise unreadable(answer) from None


def entry_of(answer: Any, name: str) -> Any:
    """What goes by a name in an answer.

    Raises:
        ServiceError: There is nothing of that name.
    """
    try:
        return answer[name]
    except (TypeError, KeyError):
        raise unreadable(answer) from None


@cache
def _types_of(kind: Any) -> dict[str, Any]:
    hints = get_type_hints(kind)
    return {entry.name: hints[entry.name] for entry in fields(kind)}


def _value(kind: Any, value: Any) -> Any:
    if value is None:
        return None
    if get_origin(kind) in {Union, types.UnionType}:
        (kind,) = (part for part in get_args(kind) if part is not types.NoneType)
    if kind is datetime:
        return datetime.fromisoformat(value)
    if get_origin(kind) is list:
        (inner,) = get_args(kind)
        return [_value(inner, part) for part in value]
    return result_of(kind, value) if isinstance(kind, type) and is_dataclass(kind) else value
