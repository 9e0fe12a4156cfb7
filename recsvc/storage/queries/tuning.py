"""Trials of tuning, and the set of parameters that it put in force."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import delete, func, insert, select, update

from recsvc.extensions import db
from recsvc.storage.models import TunedParameters, TuningTrial, now


def insert_trial(values: dict[str, Any]) -> None:
    """Keeps a trial that has ended.

    Args:
        values: Values of the columns.
    """
    db.session.execute(insert(TuningTrial), [values])


def complete_trials(most: int) -> Sequence[TuningTrial]:
    """The newest trials that came to their end, oldest first.

    Args:
        most: How many at the most.
    """
    newest = select(TuningTrial).where(TuningTrial.gain.is_not(None)).order_by(TuningTrial.trial_id.desc())
    return db.session.scalars(newest.limit(most)).all()[::-1]


def count_trials(turns: Collection[str]) -> int:
    """How many trials there were of some turns, those that could not be fitted among them.

    Args:
        turns: Their names.
    """
    counted = select(func.count()).select_from(TuningTrial).where(TuningTrial.turn.in_(turns))
    return db.session.scalars(counted).one()


def in_force() -> TunedParameters | None:
    """The set that trainings take, if one was found."""
    statement = select(TunedParameters).where(TunedParameters.retired_at.is_(None))
    ordered = statement.order_by(TunedParameters.tuned_parameters_id.desc()).limit(1)
    return db.session.scalar(ordered.execution_options(populate_existing=True))


def put_in_force(values: dict[str, Any]) -> None:
    """Makes a set the one that trainings take.

    Args:
        values: Values of the columns.
    """
    retire()
    db.session.execute(insert(TunedParameters), [values])


def retire() -> None:
    """Takes the set in force out of force, and keeps it to look at."""
    db.session.execute(
        update(TunedParameters)
        .where(TunedParameters.retired_at.is_(None))
        .values(retired_at=now())
        .execution_options(synchronize_session=False)
    )


def forget() -> None:
    """Forgets all trials and all sets."""
    for table in (TuningTrial, TunedParameters):
        db.session.execute(delete(table).execution_options(synchronize_session=False))
