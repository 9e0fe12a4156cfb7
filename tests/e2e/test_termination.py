"""A platform that stops a process sends SIGTERM, and kills what is still there thirty seconds later."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.processes


def test_every_process_ends_well_when_told_to(system, eventually):
    web, worker, scheduler = system.start_web(workers=2), system.start_worker(), system.start_scheduler()
    system.fill()
    system.train()
    scheduler.says("Registering birth")
    eventually(system.queue_is_idle, "the worker to be idle")

    assert [process.terminate(within=25) for process in (web, worker, scheduler)] == [0, 0, 0]
    assert "Traceback" not in web.log + worker.log + scheduler.log


def test_a_worker_and_a_scheduler_end_well_while_redis_is_away(system, eventually):
    worker, scheduler = system.start_worker(), system.start_scheduler()
    worker.says("Listening on")
    scheduler.says("Registering birth")
    system.kill_redis()
    worker.says("could not connect to Redis")
    scheduler.says("waiting_for_redis_or_database")

    assert [process.terminate(within=25) for process in (worker, scheduler)] == [0, 0]


def test_a_worker_and_a_scheduler_that_never_found_redis_end_well(make_system):
    system = make_system()
    system.migrate()
    worker, scheduler = system.start_worker(), system.start_scheduler()
    worker.says("waiting_for_redis_or_database")
    scheduler.says("waiting_for_redis_or_database")

    assert [process.terminate(within=25) for process in (worker, scheduler)] == [0, 0]
