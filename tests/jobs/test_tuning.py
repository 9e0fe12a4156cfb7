"""The job that tunes: off unless a schedule says otherwise, queued once, and harmless where it cannot."""

from __future__ import annotations

import pytest
from rq import Queue, SimpleWorker

from jobs import context
from jobs.schedule import periodic_jobs
from jobs.tuning import request_scheduled
from recsvc import queues
from recsvc.config import Config
from recsvc.services import tuning


@pytest.fixture
def job_app(sqlite_app, monkeypatch):
    monkeypatch.setattr(context, "application", lambda: sqlite_app)
    with sqlite_app.app_context():
        yield sqlite_app


def work(redis) -> None:
    SimpleWorker(list(queues.QUEUES), connection=redis).work(burst=True, logging_level="ERROR")


def test_it_is_scheduled_where_a_setting_says_so_only(tmp_path):
    def crons(**settings):
        return {job.name: job.cron for job in periodic_jobs(Config(instance_dir=tmp_path, **settings))}

    assert "tune" not in crons()
    assert crons(tune_schedule="0 3 * * 0")["tune"] == "0 3 * * 0"


def test_it_is_queued_once_and_again_when_it_is_done(job_app, redis):
    queue = Queue(queues.TRAINING, connection=redis)
    request_scheduled()
    request_scheduled()
    assert queue.count == 1

    work(redis)  # there is nothing to tune with, which is no failure

    assert (queue.count, queue.failed_job_registry.count) == (0, 0)
    request_scheduled()
    assert queue.count == 1


def test_it_takes_as_long_as_the_setting_says_and_gives_way(job_app, redis, monkeypatch):
    asked = []

    def tune(minutes, *, stop):
        asked.append((minutes, stop))
        raise tuning.ConflictError("enough")

    monkeypatch.setattr(tuning, "tune", tune)
    request_scheduled()
    (job,) = Queue(queues.TRAINING, connection=redis).jobs
    work(redis)

    assert asked == [(30, tuning.training_waits)]
    assert job.timeout > 30 * 60
