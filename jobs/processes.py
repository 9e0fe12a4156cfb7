"""The worker's and the scheduler's main loops: they outlast a Redis that is away."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import structlog
from redis.exceptions import RedisError
from rq import Worker
from rq.logutils import setup_loghandlers

from jobs.context import application
from jobs.schedule import make_scheduler, periodic_jobs, reconcile
from recsvc import queues
from recsvc.config import current_config
from recsvc.errors import QueueUnavailableError
from recsvc.services import training

logger = structlog.get_logger(__name__)

_RETRY_EVERY = 2.0  # seconds


def run_worker() -> None:
    """Works on jobs until it is told to stop."""
    with application().app_context():
        _outlast_redis(_work)


def run_scheduler() -> None:
    """Enqueues periodic jobs when they are due, until it is told to stop."""
    # rq-scheduler reads cron lines in the zone of its process, whatever it is told.
    os.environ["TZ"] = "UTC"
    time.tzset()
    with application().app_context():
        _outlast_redis(_schedule)


def _work() -> None:
    config = current_config()
    setup_loghandlers(config.log_level)
    training.sweep()
    worker = Worker(
        list(queues.QUEUES),
        connection=queues.connect(config),
        maintenance_interval=config.maintenance_interval,
        job_monitoring_interval=5,
    )
    worker.work(logging_level=config.log_level)


def _schedule() -> None:
    config = current_config()
    scheduler = make_scheduler(queues.connect(config), config)
    reconcile(scheduler, periodic_jobs(config))
    scheduler.run()


def _outlast_redis(main: Callable[[], None]) -> None:
    while True:
        try:
            main()
        except (RedisError, QueueUnavailableError) as error:
            logger.warning("redis_unavailable", error=str(error))
            time.sleep(_RETRY_EVERY)
        else:
            return
