"""Jobs about training, worked on by a real worker in this process."""

from __future__ import annotations

import pytest
from rq import Queue, SimpleWorker
from rq.exceptions import AbandonedJobError
from rq.job import Job
from sqlalchemy.exc import OperationalError

from jobs import context
from jobs.maintenance import sweep_runs
from jobs.training import record_failure, request_scheduled
from recsvc import queues
from recsvc.errors import QueueUnavailableError
from recsvc.extensions import db
from recsvc.services import ingestion, registry, training
from recsvc.services.ingestion import NewInteraction
from recsvc.storage.models import TrainingRun


@pytest.fixture
def job_app(app, monkeypatch):
    monkeypatch.setattr(context, "application", lambda: app)
    with app.app_context():
        yield app


def as_it_is_now(run_id: str) -> TrainingRun:
    # A job has a session of its own; on SQLite this one would go on seeing what it saw first.
    db.session.rollback()
    return training.get(run_id)


def work(redis) -> None:
    SimpleWorker(list(queues.QUEUES), connection=redis).work(burst=True, logging_level="ERROR")


def test_a_queued_run_is_worked_on(job_app, redis):
    ingestion.record_batch(enumerate(NewInteraction(f"u{n % 5}", f"b{n % 7}", "view") for n in range(35)))
    run, _ = training.request("manual", requested_by="test")

    work(redis)

    ended = as_it_is_now(run.run_id)
    assert (ended.status, ended.error) == ("succeeded", None)
    assert registry.model_store().pointer().version == ended.model_version


def test_a_run_that_cannot_learn_fails_once_and_is_not_tried_again(job_app, redis):
    run, _ = training.request("manual", requested_by="test")

    work(redis)

    ended = as_it_is_now(run.run_id)
    assert (ended.status, ended.attempt) == ("failed", 1)
    assert "no interactions" in ended.error
    assert Queue(queues.TRAINING, connection=redis).count == 0


def test_the_scheduled_job_asks_once_however_often_it_runs(job_app, redis):
    request_scheduled()
    request_scheduled()

    runs = training.page(before=None, limit=9, status=None)
    assert [run.trigger for run in runs] == ["schedule"]
    assert Queue(queues.TRAINING, connection=redis).count == 1


@pytest.mark.parametrize(("retries_left", "status"), [(1, "queued"), (0, "failed"), (None, "failed")])
def test_a_job_that_died_for_good_ends_its_run(job_app, redis, retries_left, status):
    run, _ = training.request("manual", requested_by="test")
    job = Job.fetch(queues.training_job_id(run.run_id), connection=redis)
    job.retries_left = retries_left

    record_failure(job, redis, AbandonedJobError, AbandonedJobError(), None)

    assert as_it_is_now(run.run_id).status == status


def test_keeping_things_in_order_does_no_harm_where_they_are(job_app):
    sweep_runs()

    assert training.page(before=None, limit=9, status=None) == []


def test_an_outage_in_the_minute_of_the_schedule_does_not_cost_the_days_run(job_app, redis, monkeypatch):
    monkeypatch.setattr("jobs.training._RETRY_EVERY", 0.0)
    outages = [QueueUnavailableError("away"), OperationalError("BEGIN", {}, Exception("database is locked"))]
    ask = training.request_scheduled

    def ask_when_there():
        if outages:
            raise outages.pop()
        return ask()

    monkeypatch.setattr(training, "request_scheduled", ask_when_there)
    request_scheduled()

    assert [run.trigger for run in training.page(before=None, limit=9, status=None)] == ["schedule"]
