"""Periodic jobs in a real Redis: declared once, kept over restarts, and never lost."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from rq import Queue

from jobs.schedule import PeriodicJob, make_scheduler, periodic_jobs, reconcile
from recsvc import queues
from recsvc.config import Config

# rq-scheduler 0.14 asks crontab for the next moment in a way that crontab means to change.
pytestmark = pytest.mark.filterwarnings(r"ignore:\s*Version 0.22:FutureWarning")

DAILY = PeriodicJob("train", "0 0 * * *", queues.REQUEST_SCHEDULED_TRAINING, queues.MAINTENANCE)
SWEEP = PeriodicJob("sweep-runs", "*/5 * * * *", queues.SWEEP_RUNS, queues.MAINTENANCE)


@pytest.fixture
def scheduler(redis, tmp_path):
    return make_scheduler(redis, Config(instance_dir=tmp_path))


def registered(scheduler) -> dict[str, tuple[str, datetime]]:
    return {
        job.id: (job.meta["cron_string"], moment.replace(tzinfo=UTC))
        for job, moment in scheduler.get_jobs(with_times=True)
    }


def make_overdue(scheduler, job: PeriodicJob) -> float:
    moment = (datetime.now(UTC) - timedelta(hours=3)).timestamp()
    scheduler.connection.zadd(scheduler.scheduled_jobs_key, {job.job_id: moment})
    return moment


def queued(redis) -> list[str]:
    return Queue(queues.MAINTENANCE, connection=redis).job_ids


def test_the_declared_jobs_are_registered_for_their_next_moment(scheduler):
    reconcile(scheduler, [DAILY, SWEEP])

    jobs = registered(scheduler)
    assert {job_id: cron for job_id, (cron, _) in jobs.items()} == {
        "periodic-train": "0 0 * * *",
        "periodic-sweep-runs": "*/5 * * * *",
    }
    due = jobs["periodic-train"][1]
    assert (due.hour, due.minute, due.second) == (0, 0, 0)
    assert timedelta(0) < due - datetime.now(UTC) <= timedelta(days=1)
    assert jobs["periodic-sweep-runs"][1] - datetime.now(UTC) <= timedelta(minutes=5)


def test_registering_again_changes_nothing(scheduler):
    reconcile(scheduler, [DAILY, SWEEP])
    before = registered(scheduler)

    for _ in range(3):
        reconcile(scheduler, [DAILY, SWEEP])

    assert registered(scheduler) == before


def test_a_run_that_is_overdue_is_not_lost_by_a_restart(scheduler, redis):
    reconcile(scheduler, [DAILY])
    moment = make_overdue(scheduler, DAILY)

    reconcile(scheduler, [DAILY])
    assert redis.zscore(scheduler.scheduled_jobs_key, DAILY.job_id) == pytest.approx(moment)

    scheduler.enqueue_jobs()
    assert queued(redis) == ["periodic-train"]
    assert registered(scheduler)["periodic-train"][1] > datetime.now(UTC)


def test_a_changed_cron_line_moves_the_job(scheduler, redis):
    reconcile(scheduler, [DAILY])

    reconcile(scheduler, [replace(DAILY, cron="30 6 * * *")])

    ((cron, due),) = registered(scheduler).values()
    assert (cron, due.hour, due.minute) == ("30 6 * * *", 6, 30)
    assert queued(redis) == []


def test_a_changed_cron_line_does_not_lose_a_run_that_is_overdue(scheduler, redis):
    reconcile(scheduler, [DAILY])
    make_overdue(scheduler, DAILY)

    reconcile(scheduler, [replace(DAILY, cron="30 6 * * *")])

    assert queued(redis) == ["periodic-train"]
    ((cron, due),) = registered(scheduler).values()
    assert (cron, due.hour, due.minute) == ("30 6 * * *", 6, 30)
    assert due > datetime.now(UTC)


def test_a_changed_function_is_registered(scheduler):
    reconcile(scheduler, [DAILY])

    reconcile(scheduler, [replace(DAILY, function=queues.SWEEP_RUNS)])

    assert [job.func_name for job in scheduler.get_jobs()] == [queues.SWEEP_RUNS]


def test_a_job_that_is_declared_no_more_is_cancelled_and_strangers_are_left_alone(scheduler):
    reconcile(scheduler, [DAILY, SWEEP])
    scheduler.cron("0 3 * * *", func="somebody.elses", id="theirs", queue_name="other")

    reconcile(scheduler, [SWEEP])

    assert registered(scheduler).keys() == {"periodic-sweep-runs", "theirs"}


def test_the_jobs_data_outlives_the_time_between_two_runs(scheduler, redis):
    reconcile(scheduler, [DAILY])

    assert redis.ttl(f"rq:job:{DAILY.job_id}") == -1
    (job,) = scheduler.get_jobs()
    assert job.result_ttl == -1


def test_the_schedule_of_the_settings_is_the_one_that_is_declared(tmp_path):
    jobs = {
        job.name: job for job in periodic_jobs(Config(instance_dir=tmp_path, train_schedule="15 2 * * 1"))
    }

    assert jobs["train"].cron == "15 2 * * 1"
    assert len({job.job_id for job in jobs.values()}) == len(jobs)
    assert all(":" not in job.job_id for job in jobs.values())
