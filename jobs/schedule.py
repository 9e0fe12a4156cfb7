"""The periodic jobs, declared, and how rq-scheduler is made to hold just them. No other module knows it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog
from redis import Redis
from redis.exceptions import RedisError
from rq.job import Job
from rq_scheduler import Scheduler

from recsvc import queues
from recsvc.config import Config

logger = structlog.get_logger(__name__)

_PREFIX = "periodic-"


@dataclass(frozen=True)
class PeriodicJob:
    """A job that runs by the clock.

    Attributes:
        name: Unique; the job's id is made of it, so that a restart finds it again.
        cron: When, in UTC.
        function: Dotted name.
        queue: Where it is enqueued.
    """

    name: str
    cron: str
    function: str
    queue: str

    @property
    def job_id(self) -> str:
        """The id under which it is registered."""
        return f"{_PREFIX}{self.name}"


def periodic_jobs(config: Config) -> Sequence[PeriodicJob]:
    """All periodic jobs there are; one whose schedule is empty is none."""
    jobs = (
        PeriodicJob("train", config.train_schedule, queues.REQUEST_SCHEDULED_TRAINING, queues.MAINTENANCE),
        PeriodicJob("tune", config.tune_schedule, queues.REQUEST_SCHEDULED_TUNING, queues.MAINTENANCE),
        PeriodicJob("delete-old-data", "30 3 * * *", queues.DELETE_OLD_DATA, queues.MAINTENANCE),
        PeriodicJob("count-stock", "*/5 * * * *", queues.COUNT_STOCK, queues.MAINTENANCE),
        PeriodicJob("sweep-runs", "*/5 * * * *", queues.SWEEP_RUNS, queues.MAINTENANCE),
    )
    return [job for job in jobs if job.cron]


class CalmScheduler(Scheduler):  # type: ignore[misc]
    """rq-scheduler's scheduler, which outlasts a Redis that is away, or has forgotten everything.

    It can be told to stop while Redis is away: its marks there expire.

    Attributes:
        periodic: The jobs that it holds.
    """

    periodic: Sequence[PeriodicJob] = ()

    def enqueue_jobs(self) -> list[Job]:
        """Enqueues what is due, after a look whether all periodic jobs are still there."""
        reconcile(self, self.periodic)
        due: list[Job] = super().enqueue_jobs()
        return due

    def heartbeat(self) -> None:
        """Tells that this scheduler lives; what it tells outlives it, so that its silence is noticed."""
        super().heartbeat()
        queues.note_scheduler(self.connection)

    def register_death(self) -> None:
        """Tells Redis that this scheduler ends."""
        with suppress(RedisError):
            super().register_death()

    def remove_lock(self) -> None:
        """Lets other schedulers have their turn."""
        with suppress(RedisError):
            super().remove_lock()


def make_scheduler(connection: Redis, config: Config) -> Scheduler:
    """The scheduler that `scheduler.py` runs."""
    scheduler = CalmScheduler(connection=connection, interval=config.scheduler_interval)
    scheduler.periodic = periodic_jobs(config)
    return scheduler


def reconcile(scheduler: Scheduler, jobs: Sequence[PeriodicJob]) -> None:
    """Makes the scheduler hold the declared jobs and no others of ours.

    A job that is registered already is left alone: registering it again would move a run that is overdue —
    missed while no scheduler lived — to the future, and so lose it. Where its schedule was changed while a
    run was overdue, that run is enqueued first.

    Args:
        scheduler: rq-scheduler.
        jobs: The declared jobs.
    """
    registered = {
        job.id: (job, moment.replace(tzinfo=UTC))
        for job, moment in scheduler.get_jobs(with_times=True)
        if job.id.startswith(_PREFIX)
    }
    declared = {job.job_id: job for job in jobs}
    for job_id in registered.keys() - declared.keys():
        scheduler.cancel(job_id)
        logger.info("periodic_job_cancelled", job_id=job_id)
    for job_id, periodic in declared.items():
        if job_id in registered:
            present, due = registered[job_id]
            if (present.meta.get("cron_string"), present.func_name, present.origin) == (
                periodic.cron,
                periodic.function,
                periodic.queue,
            ):
                continue
            if due <= datetime.now(UTC):
                scheduler.enqueue_job(present)
        scheduler.cron(
            periodic.cron,
            func=periodic.function,
            id=job_id,
            queue_name=periodic.queue,
            # The job's data must outlive the time between two runs: -1 keeps it.
            result_ttl=-1,
            timeout=queues.DISPATCH_PATIENCE + 60,
        )
        logger.info("periodic_job_registered", job_id=job_id, cron=periodic.cron)
