"""The daily training: one entry and one run a moment, however often schedulers come and go."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest

pytestmark = pytest.mark.processes

BORN = "Registering birth"
SWEEP = "periodic-sweep-runs"


def next_time(hour, minute=0):
    now = datetime.now(UTC)
    due = now.replace(hour=hour, minute=minute, second=0, microsecond=0)
    return (due if due > now else due + timedelta(days=1)).timestamp()


def last_midnight():
    return next_time(0) - timedelta(days=1).total_seconds()


def start_two(system, **settings):
    pair = [system.start_scheduler(**settings) for _ in range(2)]
    for scheduler in pair:
        scheduler.says(BORN)
    return pair


def wait_for_a_round(system, eventually):
    """Waits until a scheduler has looked at everything that is due, and the worker has done it."""
    moment = time.time() - 1
    system.make_overdue(SWEEP, moment)
    with system.redis() as client:
        eventually(
            lambda: (client.zscore("rq:scheduler:scheduled_jobs", SWEEP) or 0) > time.time() - 1,
            "a scheduler to do its round",
        )
    eventually(system.queue_is_idle, "the worker to have done what was due")


def test_schedulers_killed_ten_times_leave_one_entry_due_at_midnight_utc(system):
    for _ in range(5):
        expected = {next_time(0)}
        for scheduler in start_two(system, TZ="America/Sao_Paulo"):
            scheduler.kill()
        expected.add(next_time(0))

        ((_job_id, due),) = system.daily_entries()
        assert due in expected


def test_schedulers_killed_at_any_moment_of_their_start_leave_one_entry(system, eventually):
    for delay in (0.2, 0.4, 0.6, 0.8, 1.0):
        pair = [system.start_scheduler() for _ in range(2)]
        time.sleep(delay)  # the moment of the kill is the point of this test
        for scheduler in pair:
            scheduler.kill()
        assert len(system.daily_entries()) <= 1

    start_two(system)
    assert len(system.daily_entries()) == 1


def test_a_midnight_missed_by_all_schedulers_gets_one_run_when_they_are_back(system, eventually):
    system.start_web()
    system.fill()
    for scheduler in start_two(system):
        scheduler.kill()
    ((job_id, _due),) = system.daily_entries()
    system.make_overdue(job_id, last_midnight())

    worker = system.start_worker()
    pair = start_two(system)
    run = eventually(system.runs, "the missed run")[0]
    system.wait_for(run["run_id"], "succeeded")
    wait_for_a_round(system, eventually)
    for scheduler in pair:
        assert scheduler.terminate() == 0
    start_two(system)
    wait_for_a_round(system, eventually)

    assert [entry["trigger"] for entry in system.runs()] == ["schedule"]
    ((_job_id, due),) = system.daily_entries()
    assert due == next_time(0)

    # A scheduler that dies between asking and noting that it asked, asks again for the same moment.
    system.make_overdue(job_id, last_midnight())
    wait_for_a_round(system, eventually)
    assert len(worker.log.split("jobs.training.request_scheduled()")) > 2
    assert [entry["run_id"] for entry in system.runs()] == [run["run_id"]]
    assert worker.is_alive


def test_a_changed_schedule_replaces_the_entry(system):
    for scheduler in start_two(system):
        assert scheduler.terminate() == 0
    before = system.daily_entries()

    pair = start_two(system, TRAIN_SCHEDULE="30 3 * * *")
    changed = system.daily_entries()
    for scheduler in pair:
        assert scheduler.terminate() == 0
    start_two(system)

    assert [due for _, due in before] == [next_time(0)]
    assert [due for _, due in changed] == [next_time(3, 30)]
    assert system.daily_entries() == before


def test_the_one_of_two_schedulers_that_survives_goes_on(system, eventually):
    system.start_web()
    system.start_worker()
    system.fill()
    first, second = start_two(system)
    first.kill()

    ((job_id, _due),) = system.daily_entries()
    system.make_overdue(job_id, last_midnight())

    eventually(
        lambda: [(run["trigger"], run["status"]) for run in system.runs()] == [("schedule", "succeeded")],
        "the survivor to ask for the training",
    )
    assert second.is_alive
