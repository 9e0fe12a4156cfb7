"""Training runs: asked for on one path, whoever asks, and worked on by the worker."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from crontab import CronTab
from sqlalchemy.exc import SQLAlchemyError
from threadpoolctl import threadpool_limits

from recsvc import queues
from recsvc.config import current_config
from recsvc.errors import ConflictError, NotFoundError, QueueUnavailableError, RunEndedError, TrainingError
from recsvc.extensions import db
from recsvc.sentences import Sentence
from recsvc.services import registry
from recsvc.services.learning import learn
from recsvc.services.progress import Progress, heartbeat
from recsvc.storage.database import is_unavailable, write_transaction
from recsvc.storage.models import UNDER_WAY, TrainingRun, now
from recsvc.storage.queries import training_runs

logger = structlog.get_logger(__name__)

# A run whose worker has been silent for so long, and whose job the queue no longer knows, is lost.
_SILENCE = timedelta(seconds=60)
_ONE_START = timedelta(seconds=30)


def request(
    trigger: str,
    *,
    requested_by: str,
    reason: str | None = None,
    force: bool = False,
    scheduled_for: datetime | None = None,
) -> tuple[TrainingRun, bool]:
    """Asks for a training run: the one path for the schedule, the API and the start-up.

    Args:
        trigger: `schedule`, `manual` or `startup`.
        requested_by: Who asks.
        reason: Why, in their words.
        force: Whether the gate is to be overridden.
        scheduled_for: The moment of the schedule that asks; it gets one run, however often it asks.

    Returns:
        The run, and whether it was there already: under way, or made for the same scheduled moment.

    Raises:
        QueueUnavailableError: Redis does not answer; no run was made.
    """
    queues.ping()
    run_id = uuid.uuid4().hex
    values: dict[str, Any] = {
        "run_id": run_id,
        "trigger": trigger,
        "scheduled_for": scheduled_for,
        "status": "queued",
        "progress": 0.0,
        "attempt": 0,
        "requested_by": requested_by,
        "reason": reason,
        "force": force,
        "queued_at": now(),
        "seconds": {},
    }
    sweep()
    with write_transaction():
        inserted = training_runs.insert_if_none_under_way(values)
    if not inserted:
        existing = training_runs.under_way()
        if existing is None and scheduled_for is not None:
            existing = training_runs.scheduled_for(scheduled_for)
        if existing is not None:
            return existing, True
        # The run that was in the way has ended between the two statements.
        return request(
            trigger, requested_by=requested_by, reason=reason, force=force, scheduled_for=scheduled_for
        )
    try:
        queues.enqueue_training(run_id)
    except QueueUnavailableError:
        with write_transaction():
            training_runs.delete(run_id)
        raise
    logger.info("training_requested", run_id=run_id, trigger=trigger, requested_by=requested_by)
    return get(run_id), False


def request_scheduled() -> tuple[TrainingRun, bool]:
    """Asks for the run that the schedule is due for, once, however often this is called."""
    return request(
        "schedule", requested_by="scheduler", scheduled_for=last_due(current_config().train_schedule, now())
    )


def request_on_startup() -> None:
    """Asks for a first training where settings want it and the store has no model."""
    if not current_config().auto_train_on_startup or registry.has_model():
        return
    # Web processes start together. The run that the first asked for may have failed before the last looks.
    newest = training_runs.page(before=None, limit=1, status=None)
    if newest and newest[0].trigger == "startup" and now() - newest[0].queued_at < _ONE_START:
        return
    request("startup", requested_by="AUTO_TRAIN_ON_STARTUP")


def last_due(schedule: str, moment: datetime) -> datetime:
    """The last moment at or before `moment` that a cron line, read in UTC, names."""
    naive = moment.astimezone(UTC).replace(tzinfo=None, microsecond=0) + timedelta(seconds=1)
    seconds = CronTab(schedule).previous(now=naive, default_utc=True)
    return (naive + timedelta(seconds=seconds)).replace(tzinfo=UTC)


def next_due(schedule: str, moment: datetime) -> datetime:
    """The first moment after `moment` that a cron line, read in UTC, names."""
    naive = moment.astimezone(UTC).replace(tzinfo=None, microsecond=0)
    seconds = CronTab(schedule).next(now=naive, default_utc=True)
    return (naive + timedelta(seconds=seconds)).replace(tzinfo=UTC)


def get(run_id: str) -> TrainingRun:
    """A run by its id.

    Raises:
        NotFoundError: There is no such run.
    """
    run = training_runs.find(run_id)
    if run is None:
        raise NotFoundError("training run", run_id)
    return run


def find(run_id: str) -> TrainingRun | None:
    """A run by its id, if there is one."""
    return training_runs.find(run_id)


def page(*, before: tuple[datetime, str] | None, limit: int, status: str | None) -> Sequence[TrainingRun]:
    """Runs, newest first."""
    return training_runs.page(before=before, limit=limit, status=status)


def cancel(run_id: str) -> TrainingRun:
    """Ends a run before it is done; a worker that is at it stops at its next step.

    Raises:
        NotFoundError: There is no such run.
        ConflictError: It has ended already, or its version is being activated.
    """
    get(run_id)
    with write_transaction():
        # A version that is being activated may be served already: the run can no longer be undone.
        cancelled = training_runs.change(
            run_id, unless_stage="activate", status="cancelled", finished_at=now()
        )
    if not cancelled:
        run = get(run_id)
        if run.status in UNDER_WAY:
            raise ConflictError("Run %(run_id)s is being activated.", run_id=run_id)
        raise ConflictError(
            "Run %(run_id)s has ended already: %(status)s.", run_id=run_id, status=Sentence(run.status)
        )
    return get(run_id)


def fail(run_id: str, why: Sentence | str, *, if_attempt: int | None = None) -> None:
    """Ends a run that is under way as failed; only if this attempt is still at it, where one is given."""
    error = str(why)
    with write_transaction():
        failed = training_runs.change(
            run_id, if_attempt=if_attempt, status="failed", finished_at=now(), error=error[:4000]
        )
    if failed:
        logger.error("training_failed", run_id=run_id, error=error)


def hand_back(run_id: str) -> None:
    """Puts a run whose worker is told to stop back to where it was before; its job is queued again."""
    with write_transaction():
        handed_back = training_runs.change(
            run_id, status="queued", stage=None, progress=0.0, started_at=None, heartbeat_at=now()
        )
    if handed_back:
        logger.info("training_handed_back", run_id=run_id)


def sweep() -> None:
    """Mends what a dead process or an emptied Redis left: no run stays under way that nobody works on."""
    run = training_runs.under_way()
    if run is None:
        return
    sign_of_life = max(moment for moment in (run.queued_at, run.started_at, run.heartbeat_at) if moment)
    if now() - sign_of_life < _SILENCE or queues.training_job_is_alive(run.run_id):
        return
    if run.status == "queued":
        logger.warning("training_queued_again", run_id=run.run_id)
        queues.enqueue_training(run.run_id)
    else:
        fail(run.run_id, Sentence("The worker died, and the queue lost its job."))


def run(run_id: str) -> None:
    """Works on a run: read, build, evaluate, gate, fit, publish, activate. Called by the worker alone.

    A run that has ended, or has been taken over by another attempt, is left alone.

    Raises:
        Exception: What made the run fail, after the run says so.
    """
    with write_transaction():
        present = training_runs.find(run_id)
        if present is None or present.status not in UNDER_WAY:
            logger.info("training_not_due", run_id=run_id)
            return
        attempt = present.attempt + 1
        training_runs.change(
            run_id,
            status="running",
            attempt=attempt,
            started_at=now(),
            heartbeat_at=now(),
            stage=None,
            progress=0.0,
            epoch=None,
            rows_read=None,
            seconds={},
        )
        force = present.force
    registry.reconcile()
    progress = Progress(run_id, attempt)
    try:
        # LightFM has threads of its own; those of the linear algebra beside them would be in their way.
        with (
            heartbeat(run_id, attempt, current_config().train_timeout),
            threadpool_limits(limits=1, user_api="blas"),
        ):
            version = learn(run_id, progress, force=force)
        status = "rejected" if version is None else "succeeded"
        progress.write(status=status, model_version=version, progress=1.0, finished_at=now())
        logger.info(f"training_{status}", run_id=run_id, version=version)
    except RunEndedError as ended:
        logger.warning("training_stopped", run_id=run_id, attempt=attempt, why=ended.detail)
    except TrainingError as error:
        fail(run_id, error.words, if_attempt=attempt)
    except Exception as error:
        db.session.rollback()
        # The database may be back in a moment: the queue tries once more, and ends the run if that fails too.
        if not (isinstance(error, SQLAlchemyError) and is_unavailable(error)):
            fail(run_id, f"{type(error).__name__}: {error}", if_attempt=attempt)
        raise
