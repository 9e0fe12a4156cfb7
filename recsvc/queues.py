"""Queue names, the dotted names of jobs, and how to enqueue one."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import structlog
from flask import current_app
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry as RedisRetry
from rq import Callback, Queue, Retry, Worker
from rq.exceptions import NoSuchJobError
from rq.job import Job

from recsvc import valkey
from recsvc.config import EMBEDDED_REDIS, Config, current_config
from recsvc.errors import QueueUnavailableError

TRAINING = "training"
MAINTENANCE = "maintenance"
# The order is the worker's: what is short goes before what is long.
QUEUES = (MAINTENANCE, TRAINING)

TRAIN = "jobs.training.train"
TRAINING_JOB_FAILED = "jobs.training.record_failure"
REQUEST_SCHEDULED_TRAINING = "jobs.training.request_scheduled"
SWEEP_RUNS = "jobs.maintenance.sweep_runs"
COUNT_STOCK = "jobs.maintenance.count_stock"
DELETE_OLD_DATA = "jobs.maintenance.delete_old_data"
TUNE = "jobs.tuning.tune"
IMPORT = "jobs.importing.work_on"
REQUEST_SCHEDULED_TUNING = "jobs.tuning.request_scheduled"

REQUEST_ID = "request_id"  # in a job's meta, and in lines of the log

DISPATCH_PATIENCE = 600  # seconds for which the scheduled job waits for a database or Redis that is away

_ANSWER_TIMEOUT = 2.0
_COUNT_TIMEOUT = 0.5  # seconds: a request must not wait long for what it can do without
_NOTE = "recsvc:note:"
_SCHEDULER_SEEN = "scheduler_seen_at"
_TRAINING_SLACK = 60  # seconds beside those of TRAIN_TIMEOUT: to come to the end of an epoch
_IMPORT_TIMEOUT = 3600  # seconds
_TUNING_JOB_ID = "tuning"
_TUNING_SLACK = 900  # seconds beside those of TUNE_MINUTES: to read, and to end a step of a fit


@dataclass(frozen=True)
class Waiting:
    """The jobs of a queue that no worker has taken yet.

    Attributes:
        jobs: How many.
        since: Since when the first of them waits.
    """

    jobs: int
    since: datetime | None


@dataclass(frozen=True)
class QueueState:
    """What Redis knows of the processes that share it.

    Attributes:
        waiting: Queues to what waits in them.
        workers: How many worker processes give signs of life.
        scheduler_seen_at: When the scheduler gave its last; None where there never was one.
    """

    waiting: Mapping[str, Waiting]
    workers: int
    scheduler_seen_at: datetime | None


def connect(config: Config, *, answer_timeout: float | None = None) -> Redis:
    """A client of the Redis in the settings; the bundled Valkey is started where there is none.

    Args:
        config: The settings.
        answer_timeout: Seconds to wait for an answer; None waits as long as a worker must.

    Raises:
        QueueUnavailableError: The bundled Valkey cannot be started.
    """
    url = config.redis_url
    if url == EMBEDDED_REDIS:
        url = valkey.ensure_running(config.instance_dir)
    client: Redis = Redis.from_url(
        url,
        **_trust(config),
        socket_timeout=answer_timeout,
        socket_connect_timeout=_ANSWER_TIMEOUT,
        # A request must be told at once that Redis is away; whoever can wait tries again by itself.
        retry=RedisRetry(NoBackoff(), 0),
    )
    return client


def counter_storage(config: Config) -> tuple[str, dict[str, Any]]:
    """Where rates are counted: URL and options of the library that counts them. Nothing is started."""
    url = config.redis_url
    if url == EMBEDDED_REDIS:
        url = f"unix://{valkey.socket_path(config.instance_dir)}"
    timeouts = {"socket_timeout": _COUNT_TIMEOUT, "socket_connect_timeout": _COUNT_TIMEOUT}
    return url.replace("unix://", "redis+unix://"), {**timeouts, **_trust(config)}


def ping() -> None:
    """Makes sure that Redis answers.

    Raises:
        QueueUnavailableError: It does not.
    """
    try:
        try:
            _client().ping()
        except RedisError:
            if current_config().redis_url != EMBEDDED_REDIS:
                raise
            valkey.ensure_running(current_config().instance_dir)
            _client().ping()
    except RedisError as error:
        raise QueueUnavailableError("Redis does not answer, so no training can be queued.") from error


def look() -> QueueState:
    """Looks at the queues, the workers and the scheduler.

    Raises:
        QueueUnavailableError: Redis does not answer.
    """
    client = _client()
    try:
        seen = client.get(_NOTE + _SCHEDULER_SEEN)
        return QueueState(
            waiting={name: _waiting(Queue(name, connection=client)) for name in QUEUES},
            # The name of a worker that was killed stays for a while.
            workers=sum(bool(client.exists(key)) for key in Worker.all_keys(client)),
            scheduler_seen_at=datetime.fromtimestamp(float(seen), UTC) if seen else None,
        )
    except RedisError as error:
        raise QueueUnavailableError("Redis does not answer.") from error


def note_scheduler(connection: Redis) -> None:
    """Writes down that the scheduler lives."""
    connection.set(_NOTE + _SCHEDULER_SEEN, time.time())


def write_note(name: str, text: str) -> None:
    """Leaves something for the other processes; it may be lost, and is made again.

    Raises:
        QueueUnavailableError: Redis does not answer.
    """
    try:
        _client().set(_NOTE + name, text)
    except RedisError as error:
        raise QueueUnavailableError("Redis does not answer.") from error


def read_note(name: str) -> str | None:
    """What a process left; None where none did.

    Raises:
        QueueUnavailableError: Redis does not answer.
    """
    try:
        note = _client().get(_NOTE + name)
    except RedisError as error:
        raise QueueUnavailableError("Redis does not answer.") from error
    return note.decode() if isinstance(note, bytes) else note


def enqueue_training(run_id: str) -> None:
    """Queues the job of a training run.

    Raises:
        QueueUnavailableError: Redis does not answer; nothing was queued.
    """
    config = current_config()
    try:
        Queue(TRAINING, connection=_client()).enqueue(
            TRAIN,
            run_id,
            job_id=training_job_id(run_id),
            meta=_origin(),
            # The run is ended in time by whoever works on it; this is for one who is stuck and cannot.
            job_timeout=config.train_timeout + _TRAINING_SLACK,
            # Only a job whose worker died is tried again: one that fails by itself ends its run first.
            retry=Retry(max=1),
            on_failure=Callback(TRAINING_JOB_FAILED),
            result_ttl=86_400,
            failure_ttl=86_400,
        )
    except RedisError as error:
        raise QueueUnavailableError("Redis does not answer, so no training can be queued.") from error


def training_job_is_alive(run_id: str) -> bool:
    """Whether the queue still knows of a job that will work, or is working, on a run.

    Raises:
        QueueUnavailableError: Redis does not answer.
    """
    return _is_alive(training_job_id(run_id))


def training_job_id(run_id: str) -> str:
    """The id of a run's job; RQ refuses colons."""
    return f"training-{run_id}"


def enqueue_tuning() -> bool:
    """Queues a tuning, unless one is queued or at work.

    Returns:
        Whether it was queued.

    Raises:
        QueueUnavailableError: Redis does not answer; nothing was queued.
    """
    if _is_alive(_TUNING_JOB_ID):
        return False
    try:
        Queue(TRAINING, connection=_client()).enqueue(
            TUNE,
            job_id=_TUNING_JOB_ID,
            meta=_origin(),
            job_timeout=60 * current_config().tune_minutes + _TUNING_SLACK,
            result_ttl=86_400,
            failure_ttl=86_400,
        )
    except RedisError as error:
        raise QueueUnavailableError("Redis does not answer, so no tuning can be queued.") from error
    return True


def enqueue_import(import_id: str, step: str) -> None:
    """Queues the job that takes a step with an uploaded file.

    Args:
        import_id: The upload.
        step: `checking` or `storing`: each is a job of its own.

    Raises:
        QueueUnavailableError: Redis does not answer; nothing was queued.
    """
    try:
        Queue(MAINTENANCE, connection=_client()).enqueue(
            IMPORT,
            import_id,
            job_id=_import_job_id(import_id, step),
            meta=_origin(),
            job_timeout=_IMPORT_TIMEOUT,
            retry=Retry(max=1),
            result_ttl=3600,
            failure_ttl=86_400,
        )
    except RedisError as error:
        raise QueueUnavailableError("Redis does not answer, so no import can be queued.") from error


def import_job_is_alive(import_id: str, step: str) -> bool:
    """Whether the queue still knows of a job that will take a step with an uploaded file, or is at it.

    Raises:
        QueueUnavailableError: Redis does not answer.
    """
    return _is_alive(_import_job_id(import_id, step))


def _import_job_id(import_id: str, step: str) -> str:
    return f"import-{import_id}-{step}"


def _trust(config: Config) -> dict[str, str]:
    is_unverified = config.redis_url.startswith("rediss://") and not config.redis_tls_verify
    return {"ssl_cert_reqs": "none"} if is_unverified else {}


def _origin() -> dict[str, str]:
    """What the lines of a job are to say of where it came from: the id of the request that asked for it."""
    bound = structlog.contextvars.get_contextvars()
    return {REQUEST_ID: bound[REQUEST_ID]} if REQUEST_ID in bound else {}


def _waiting(queue: Queue) -> Waiting:
    first = queue.get_job_ids(0, 1)
    since = None
    if first:
        with suppress(NoSuchJobError):  # a worker has taken it meanwhile
            since = Job.fetch(first[0], connection=queue.connection).enqueued_at
    return Waiting(queue.count, since.replace(tzinfo=UTC) if since and since.tzinfo is None else since)


def _is_alive(job_id: str) -> bool:
    try:
        status = Job.fetch(job_id, connection=_client()).get_status()
    except NoSuchJobError:
        return False
    except RedisError as error:
        raise QueueUnavailableError("Redis does not answer.") from error
    return status.value in {"queued", "started", "deferred", "scheduled"}


def _client() -> Redis:
    client = current_app.extensions.get("recsvc.redis")
    if client is None:
        client = connect(current_config(), answer_timeout=_ANSWER_TIMEOUT)
        current_app.extensions["recsvc.redis"] = client
    return client
