"""Model versions and what became of each."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import delete as sql_delete
from sqlalchemy import select, update

from recsvc.extensions import db
from recsvc.storage.database import insert_ignoring_conflicts
from recsvc.storage.models import ModelVersion, now


def find(version: str) -> ModelVersion | None:
    """The version of that name as the database has it now, if it is known."""
    return db.session.get(ModelVersion, version, populate_existing=True)


def insert(version: str, run_id: str, manifest: dict[str, Any]) -> None:
    """Records a candidate; one recorded before is left as it is."""
    db.session.execute(
        insert_ignoring_conflicts(ModelVersion),
        [
            {
                "version": version,
                "run_id": run_id,
                "status": "candidate",
                "created_at": now(),
                "manifest": manifest,
            }
        ],
    )


def delete(version: str) -> None:
    """Forgets a version."""
    db.session.execute(sql_delete(ModelVersion).where(ModelVersion.version == version))


def active() -> ModelVersion | None:
    """The active version, as the database has it now."""
    statement = select(ModelVersion).where(ModelVersion.status == "active")
    return db.session.scalar(statement.execution_options(populate_existing=True))


def make_active(version: str) -> None:
    """Makes a version the active one, and the one that was active a retired one."""
    without_session = {"synchronize_session": False}
    # Two that make different versions active take turns, rather than run into the rule that one is.
    db.session.execute(select(ModelVersion.version).order_by(ModelVersion.version).with_for_update())
    db.session.execute(
        update(ModelVersion)
        .where(ModelVersion.status == "active", ModelVersion.version != version)
        .values(status="retired")
        .execution_options(**without_session)
    )
    db.session.execute(
        update(ModelVersion)
        .where(ModelVersion.version == version)
        .values(status="active", activated_at=now())
        .execution_options(**without_session)
    )


def newest_first(most: int | None = None) -> Sequence[ModelVersion]:
    """Versions, the newest first.

    Args:
        most: How many at the most; None for all.
    """
    ordered = select(ModelVersion).order_by(ModelVersion.created_at.desc(), ModelVersion.version.desc())
    return db.session.scalars(ordered.limit(most)).all()


def mark_pruned(version: str, at: datetime | None) -> None:
    """Records when a version's files were deleted; None takes that back."""
    db.session.execute(
        update(ModelVersion)
        .where(ModelVersion.version == version)
        .values(pruned_at=at)
        .execution_options(synchronize_session=False)
    )
