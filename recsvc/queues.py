"""Queue names, the dotted names of jobs, and how to enqueue one."""

from __future__ import annotations

from flask import current_app
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry as RedisRetry
from rq import Callback, Queue, Retry
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
DELETE_OLD_DATA = "jobs.maintenance.delete_old_data"
TUNE = "jobs.tuning.tune"
REQUEST_SCHEDULED_TUNING = "jobs.tuning.request_scheduled"

DISPATCH_PATIENCE = 600  # seconds for which the scheduled job waits for a database or Redis that is away

_ANSWER_TIMEOUT = 2.0
_TRAINING_SLACK = 60  # seconds beside those of TRAIN_TIMEOUT: to come to the end of an epoch
_TUNING_JOB_ID = "tuning"
_TUNING_SLACK = 900  # seconds beside those of TUNE_MINUTES: to read, and to end a step of a fit


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
    is_unverified = url.startswith("rediss://") and not config.redis_tls_verify
    client: Redis = Redis.from_url(
        url,
        **({"ssl_cert_reqs": "none"} if is_unverified else {}),
        socket_timeout=answer_timeout,
        socket_connect_timeout=_ANSWER_TIMEOUT,
        # A request must be told at once that Redis is away; whoever can wait tries again by itself.
        retry=RedisRetry(NoBackoff(), 0),
    )
    return client


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
            job_timeout=60 * current_config().tune_minutes + _TUNING_SLACK,
            result_ttl=86_400,
            failure_ttl=86_400,
        )
    except RedisError as error:
        raise QueueUnavailableError("Redis does not answer, so no tuning can be queued.") from error
    return True


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
