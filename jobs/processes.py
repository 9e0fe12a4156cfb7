"""The worker's and the scheduler's main loops: they outlast a Redis or a database that is away."""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from resource import struct_rusage
from types import FrameType

import structlog
from flask import Flask
from redis.exceptions import RedisError
from rq import Queue, Worker
from rq.exceptions import StopRequested
from rq.job import Job
from rq.logutils import setup_loghandlers
from sqlalchemy.exc import SQLAlchemyError

from jobs.context import application
from jobs.schedule import make_scheduler, reconcile
from recsvc import queues
from recsvc.config import current_config
from recsvc.errors import QueueUnavailableError
from recsvc.extensions import db
from recsvc.sentences import Sentence
from recsvc.services import training
from recsvc.storage.database import is_unavailable

logger = structlog.get_logger(__name__)

_RETRY_EVERY = 2.0  # seconds
_HEARD_WITHIN = 5.0  # seconds
_SHORTER_WAIT = 15  # seconds by which RQ waits shorter for a job than its worker's time to live


class PatientWorker(Worker):
    """RQ's worker, which tells whether it ended because it was told to, or because it lost Redis.

    Told to stop amid a job, it hands the job back to the queue: platforms wait for half a minute, a training
    takes longer, and whatever a job does, it may be killed at any moment and done again.

    Attributes:
        told_to_stop: Whether a signal asked it to end.
    """

    max_connection_wait_time = 5.0
    told_to_stop = False

    def request_stop(self, signum: int, frame: FrameType | None) -> None:
        """Ends the worker; the job it is at is handed back."""
        self.told_to_stop = True
        if self.horse_pid:
            self.kill_horse()
        try:
            super().request_stop(signum, frame)  # type: ignore[no-untyped-call]
        except StopRequested:
            # This is an Exception, and may be swallowed wherever the signal came in: by a log's handler, say.
            # Where an object is at its end even what is raised now is, so it is raised until it is heard.
            signal.signal(signal.SIGALRM, _leave)
            signal.setitimer(signal.ITIMER_REAL, _HEARD_WITHIN, _HEARD_WITHIN)
            raise SystemExit(0) from None

    def fork_work_horse(self, job: Job, queue: Queue) -> None:
        """Starts the process that a job is done in."""
        super().fork_work_horse(job, queue)
        if self.told_to_stop:
            # That was when there was no process to end yet.
            self.kill_horse()

    def kill_horse(self, sig: signal.Signals = signal.SIGKILL) -> None:
        """Ends the process that a job is done in, and all that it has started."""
        # It makes a group of its own; before it comes to that, its group is that of the worker.
        with suppress(ProcessLookupError, PermissionError):
            os.setpgid(self.horse_pid, self.horse_pid)
        super().kill_horse(sig)

    def handle_work_horse_killed(self, job: Job, retpid: int, ret_val: int, rusage: struct_rusage) -> None:
        """Looks after the job of a process that was killed, and its run."""
        super().handle_work_horse_killed(job, retpid, ret_val, rusage)  # type: ignore[no-untyped-call]
        # Some platforms send SIGTERM to every process. The system that runs out of memory sends SIGKILL.
        is_handed_back = self.told_to_stop or os.WTERMSIG(ret_val) == signal.SIGTERM
        if is_handed_back:
            job.retries_left = (job.retries_left or 0) + 1  # it costs none of its own
        if job.func_name != queues.TRAIN:
            return
        if is_handed_back:
            training.hand_back(job.args[0])
        elif not job.retries_left:
            training.fail(
                job.args[0], Sentence("The process that trained was killed twice; did it run out of memory?")
            )
        db.session.remove()
        db.engine.dispose()


def run_worker() -> None:
    """Works on jobs until it is told to stop."""
    # LightFM's threads wait for one another at each epoch's end: asleep, not in a loop that takes a core
    # from whoever has work to do. OpenMP reads this when LightFM is imported, in the work horse.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    with _application().app_context():
        _outlast_outages(_work)


def run_scheduler() -> None:
    """Enqueues periodic jobs when they are due, until it is told to stop."""
    # rq-scheduler reads cron lines in the zone of its process, whatever it is told.
    os.environ["TZ"] = "UTC"
    time.tzset()
    with _application().app_context():
        _outlast_outages(_schedule)


def _work() -> None:
    config = current_config()
    setup_loghandlers(config.log_level)
    training.sweep()
    # A worker waits for days: it keeps no transaction open, and shares no connection with its children.
    db.session.remove()
    db.engine.dispose()
    worker = PatientWorker(
        list(queues.QUEUES),
        connection=queues.connect(config),
        maintenance_interval=config.maintenance_interval,
        # RQ looks for jobs whose worker died between two waits for a new job. By default such a wait takes
        # 405 seconds, whatever the maintenance interval is.
        worker_ttl=config.maintenance_interval + _SHORTER_WAIT,
        job_monitoring_interval=5,
    )
    try:
        worker.work(logging_level=config.log_level)
    except RedisError:
        if not worker.told_to_stop:
            raise
    # RQ logs an error amid a job, and ends its worker as if nothing were the matter.
    if not worker.told_to_stop:
        raise QueueUnavailableError("The worker lost Redis while it was at work.")


def _schedule() -> None:
    config = current_config()
    scheduler = make_scheduler(queues.connect(config), config)
    reconcile(scheduler, scheduler.periodic)
    scheduler.run()


def _outlast_outages(main: Callable[[], None]) -> None:
    while True:
        # Until RQ's own handlers are in place, and after they have been left behind by an error.
        _leave_when_told()
        try:
            main()
        except (RedisError, QueueUnavailableError, SQLAlchemyError) as error:
            if isinstance(error, SQLAlchemyError) and not is_unavailable(error):
                raise
            _leave_when_told()
            logger.warning("waiting_for_redis_or_database", error=str(error))
            time.sleep(_RETRY_EVERY)
        else:
            return


def _application() -> Flask:
    # A warning is a line of the log too, rather than one of standard error.
    logging.captureWarnings(True)
    return application()


def _leave_when_told() -> None:
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, _leave)


def _leave(_signal: int, _frame: FrameType | None) -> None:
    sys.exit(0)
