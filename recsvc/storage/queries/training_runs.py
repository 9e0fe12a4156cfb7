"""Training runs. At most one is under way; that is the database's own rule."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import and_, func, or_, select, update
from sqlalchemy import delete as sql_delete

from recsvc.extensions import db
from recsvc.storage.database import insert_ignoring_conflicts
from recsvc.storage.models import UNDER_WAY, TrainingRun


def find(run_id: str) -> TrainingRun | None:
    """The run of that id, as the database has it now."""
    statement = select(TrainingRun).where(TrainingRun.run_id == run_id)
    return db.session.scalar(statement.execution_options(populate_existing=True))


def under_way() -> TrainingRun | None:
    """The run that is queued or running, if there is one."""
    statement = select(TrainingRun).where(TrainingRun.status.in_(UNDER_WAY))
    return db.session.scalar(statement.execution_options(populate_existing=True))


def scheduled_for(moment: datetime) -> TrainingRun | None:
    """The run that the schedule asked for at that moment, if it did."""
    return db.session.scalar(select(TrainingRun).where(TrainingRun.scheduled_for == moment))


def insert_if_none_under_way(values: dict[str, Any]) -> bool:
    """Inserts a run, unless another is under way or the same scheduled moment has one already.

    Args:
        values: Values of the columns.

    Returns:
        Whether it was inserted.
    """
    statement = insert_ignoring_conflicts(TrainingRun).returning(TrainingRun.run_id)
    return db.session.execute(statement, [values]).first() is not None


def change(
    run_id: str, *, if_attempt: int | None = None, unless_stage: str | None = None, **values: Any
) -> bool:
    """Writes to a run that is under way.

    Args:
        run_id: Which.
        if_attempt: Only if this is still the attempt at work.
        unless_stage: Not while it is at this stage.
        **values: Columns to write.

    Returns:
        False where the run has ended, or another attempt has taken over.
    """
    statement = update(TrainingRun).where(TrainingRun.run_id == run_id, TrainingRun.status.in_(UNDER_WAY))
    if if_attempt is not None:
        statement = statement.where(TrainingRun.attempt == if_attempt)
    if unless_stage is not None:
        statement = statement.where(TrainingRun.stage.is_distinct_from(unless_stage))
    changed = db.session.execute(
        statement.values(**values).returning(TrainingRun.run_id).execution_options(synchronize_session=False)
    )
    return changed.first() is not None


def delete(run_id: str) -> None:
    """Takes back a run that could not be queued."""
    db.session.execute(sql_delete(TrainingRun).where(TrainingRun.run_id == run_id))


def last_ended() -> TrainingRun | None:
    """The run that ended last."""
    ended = select(TrainingRun).where(TrainingRun.finished_at.is_not(None))
    return db.session.scalar(ended.order_by(TrainingRun.finished_at.desc()).limit(1))


def counts_by_status() -> dict[str, int]:
    """Statuses to how many runs have each."""
    rows = db.session.execute(select(TrainingRun.status, func.count()).group_by(TrainingRun.status))
    return {status: count for status, count in rows}  # noqa: C416 — dict() takes no Row for a pair


def counts_by_decision() -> dict[str, int]:
    """The gate's decisions to how many runs had each."""
    decision = TrainingRun.gate["decision"].as_string()
    rows = db.session.execute(
        select(decision, func.count()).where(TrainingRun.gate.is_not(None)).group_by(decision)
    )
    return {decided: count for decided, count in rows if decided is not None}


def page(*, before: tuple[datetime, str] | None, limit: int, status: str | None) -> Sequence[TrainingRun]:
    """Runs, newest first.

    Args:
        before: When the last run of the page before was queued, and its id.
        limit: How many at the most.
        status: Only of this status.
    """
    statement = select(TrainingRun)
    if status is not None:
        statement = statement.where(TrainingRun.status == status)
    if before is not None:
        moment, run_id = before
        statement = statement.where(
            or_(
                TrainingRun.queued_at < moment,
                and_(TrainingRun.queued_at == moment, TrainingRun.run_id < run_id),
            )
        )
    ordered = statement.order_by(TrainingRun.queued_at.desc(), TrainingRun.run_id.desc())
    return db.session.scalars(ordered.limit(limit)).all()
