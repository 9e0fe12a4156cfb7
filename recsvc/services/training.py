"""Training runs: asked for on one path, whoever asks, and worked on by the worker."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from crontab import CronTab
from threadpoolctl import threadpool_limits

from recsvc import queues
from recsvc.config import Config, current_config
from recsvc.errors import ConflictError, NotFoundError, QueueUnavailableError, RunEndedError, TrainingError
from recsvc.extensions import db
from recsvc.recommender import lightfm_model
from recsvc.recommender.bundle import Bundle
from recsvc.recommender.early_stopping import choose_epochs
from recsvc.recommender.features import build_features
from recsvc.recommender.interactions import InteractionColumns, InteractionMatrix, build_matrix
from recsvc.services import registry
from recsvc.services.events import event_book
from recsvc.services.heartbeat import heartbeat
from recsvc.storage import columns
from recsvc.storage.database import write_transaction
from recsvc.storage.models import UNDER_WAY, TrainingRun, now
from recsvc.storage.queries import training_runs
from recsvc.storage.types import from_microseconds

logger = structlog.get_logger(__name__)

# A run whose worker has been silent for so long, and whose job the queue no longer knows, is lost.
_SILENCE = timedelta(seconds=60)
_PROGRESS_EVERY = 0.5  # seconds
_ONE_START = timedelta(seconds=30)
_ROWS_A_COMPONENT = 16  # users, or items where they are fewer
_FEWEST_COMPONENTS = 8


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


def get(run_id: str) -> TrainingRun:
    """A run by its id.

    Raises:
        NotFoundError: There is no such run.
    """
    run = training_runs.find(run_id)
    if run is None:
        raise NotFoundError("training run", run_id)
    return run


def page(*, before: tuple[datetime, str] | None, limit: int, status: str | None) -> Sequence[TrainingRun]:
    """Runs, newest first."""
    return training_runs.page(before=before, limit=limit, status=status)


def cancel(run_id: str) -> TrainingRun:
    """Ends a run before it is done; a worker that is at it stops at its next step.

    Raises:
        NotFoundError: There is no such run.
        ConflictError: It has ended already.
    """
    get(run_id)
    with write_transaction():
        cancelled = training_runs.change(run_id, status="cancelled", finished_at=now())
    if not cancelled:
        raise ConflictError(f"Run {run_id} has ended already: {get(run_id).status}.")
    return get(run_id)


def fail(run_id: str, error: str, *, if_attempt: int | None = None) -> None:
    """Ends a run that is under way as failed; only if this attempt is still at it, where one is given."""
    with write_transaction():
        failed = training_runs.change(
            run_id, if_attempt=if_attempt, status="failed", finished_at=now(), error=error[:4000]
        )
    if failed:
        logger.error("training_failed", run_id=run_id, error=error)


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
        fail(run.run_id, "The worker died, and the queue lost its job.")


def run(run_id: str) -> None:
    """Works on a run: read, build, evaluate, fit, publish, activate. Called by the worker alone.

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
            seconds={},
        )
    registry.reconcile()
    progress = Progress(run_id, attempt)
    try:
        # LightFM has threads of its own; those of the linear algebra beside them would be in their way.
        with heartbeat(run_id), threadpool_limits(limits=1, user_api="blas"):
            version = _train(run_id, progress)
        progress.write(status="succeeded", model_version=version, progress=1.0, finished_at=now())
        logger.info("training_succeeded", run_id=run_id, version=version)
    except RunEndedError as ended:
        logger.warning("training_stopped", run_id=run_id, attempt=attempt, why=ended.detail)
    except TrainingError as error:
        fail(run_id, error.detail, if_attempt=attempt)
    except Exception as error:
        db.session.rollback()
        fail(run_id, f"{type(error).__name__}: {error}", if_attempt=attempt)
        raise


class Progress:
    """Tells a run how far it is, and learns from it whether to go on."""

    def __init__(self, run_id: str, attempt: int) -> None:
        self.run_id = run_id
        self.attempt = attempt
        self._seconds: dict[str, float] = {}
        self._written_at = 0.0

    def write(self, **values: Any) -> None:
        """Writes to the run.

        Raises:
            RunEndedError: It was cancelled, or another attempt has taken over.
        """
        with write_transaction():
            is_current = training_runs.change(self.run_id, if_attempt=self.attempt, **values)
        if not is_current:
            raise RunEndedError("The run was cancelled, or another worker has taken it over.")
        self._written_at = time.monotonic()

    def fraction(self, done: float) -> None:
        """Writes how much of the stage is done, a few times a second at the most.

        Raises:
            RunEndedError: As `write` does.
        """
        if time.monotonic() - self._written_at >= _PROGRESS_EVERY:
            self.write(progress=round(min(done, 1.0), 4))

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Times a stage of the run, and says when it begins and what it took."""
        self.write(stage=name, progress=0.0)
        began = time.monotonic()
        yield
        self._seconds[name] = round(time.monotonic() - began, 3)
        self.write(seconds=dict(self._seconds))
        logger.info("training_stage", run_id=self.run_id, stage=name, seconds=self._seconds[name])


def _train(run_id: str, progress: Progress) -> str:
    config = current_config()
    with progress.stage("read"):
        read = columns.read_interactions(
            config.database_url, lambda done, total: progress.fraction(done / max(total, 1))
        )
        if len(read["interaction_key"]) == 0:
            raise TrainingError("There are no interactions to learn from; write some, and train again.")
        catalogue = columns.read_items(config.database_url)["item_key"]
        of_items = columns.read_features(config.database_url, "item")
        of_users = columns.read_features(config.database_url, "user")
    with progress.stage("build"):
        interactions = InteractionColumns(
            read["user_key"], read["item_key"], read["event_code"], read["value"], read["occurred_at"]
        )
        matrix = build_matrix(interactions, event_book().scale, catalogue)
        if matrix.strengths.nnz == 0:
            raise TrainingError(
                "No interaction speaks for any item: all are dislikes, low ratings, or events of weight 0."
            )
        item_features = build_features(matrix.item_keys, of_items["item_key"], of_items["feature_key"])
        user_features = build_features(matrix.user_keys, of_users["user_key"], of_users["feature_key"])
        data = _describe_data(read, matrix)
        parameters = _parameters(config, matrix)
        progress.write(data=data, parameters=asdict(parameters))

    def on_epoch(epoch: int) -> None:
        progress.fraction(epoch / parameters.epochs)

    try:
        with progress.stage("evaluate"):
            choice = choose_epochs(
                matrix=matrix,
                columns=interactions,
                item_features=item_features,
                user_features=user_features,
                parameters=parameters,
                on_epoch=on_epoch,
            )
            parameters = replace(parameters, epochs=choice.epochs)
            progress.write(metrics=choice.metrics, parameters=asdict(parameters))
        with progress.stage("fit"):
            learned = lightfm_model.fit(matrix.strengths, item_features, user_features, parameters, on_epoch)
    except ValueError as error:
        raise TrainingError(f"LightFM cannot fit: {error}") from error
    bundle = Bundle.build(matrix, item_features, user_features, learned)
    version = f"{now():%Y%m%dT%H%M%SZ}-{run_id[:8]}"
    with progress.stage("publish"):
        try:
            registry.publish(
                version,
                run_id,
                arrays=bundle.arrays(),
                files={"lightfm.pickle": learned.estimator},
                manifest={
                    "created_at": now().isoformat(),
                    "data": data,
                    "parameters": asdict(parameters),
                    "metrics": choice.metrics,
                },
            )
        except OSError as error:
            raise TrainingError(f"The model version cannot be written: {error}") from error
    with progress.stage("activate"):
        registry.activate(version)
    return version


def _parameters(config: Config, matrix: InteractionMatrix) -> lightfm_model.LightFMParameters:
    # More components than the data can fill learn it by heart: see docs/adr/0005.
    supported = min(len(matrix.user_keys), len(matrix.item_keys)) // _ROWS_A_COMPONENT
    return lightfm_model.LightFMParameters(
        components=min(config.model_components, max(supported, _FEWEST_COMPONENTS)),
        epochs=config.model_epochs,
        learning_rate=config.model_learning_rate,
        alpha=config.model_alpha,
        max_sampled=config.model_max_sampled,
        seed=config.train_seed,
        threads=config.train_threads,
    )


def _describe_data(read: columns.Columns, matrix: InteractionMatrix) -> dict[str, Any]:
    return {
        "interactions": len(read["interaction_key"]),
        "users": len(matrix.user_keys),
        "items": len(matrix.item_keys),
        "pairs": int(matrix.strengths.nnz),
        "until": from_microseconds(int(read["occurred_at"].max())).isoformat(),
        "watermark": int(read["interaction_key"].max()),
    }
