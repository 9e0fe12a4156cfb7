"""Redis is away: only training has to wait, and nothing has to be started again."""

from __future__ import annotations

import os
import shutil
import signal
import time
from datetime import UTC, datetime

import pytest
from redis.exceptions import RedisError

pytestmark = pytest.mark.processes


@pytest.fixture
def processes(system):
    web = system.start_web(workers=2)
    worker, scheduler = system.start_worker(), system.start_scheduler()
    system.fill()
    system.train()
    scheduler.says("Registering birth")
    return web, worker, scheduler


def test_writing_and_reading_go_on_without_redis_and_training_when_it_is_back(system, processes, eventually):
    version = system.recommend()["model_version"]
    web_processes = sorted(processes[0].children())

    system.kill_redis()
    statuses = [
        system.call("POST", "/interactions", {"user_id": "u", "item_id": "b", "event": "view"}).status_code
        for _ in range(10)
    ]
    answers = [system.recommend() for _ in range(10)]
    asked = system.call("POST", "/recommendations/train")
    ready = system.call("GET", "/readyz")

    assert statuses == [201] * 10
    assert {answer["model_version"] for answer in answers} == {version}
    assert (asked.status_code, asked.json()["code"]) == (503, "queue_unavailable")
    assert int(asked.headers["Retry-After"]) > 0
    assert ready.status_code == 200
    assert ready.json()["checks"].pop("redis") == "Redis does not answer, so no training can be queued."
    assert {state for name, state in ready.json()["checks"].items() if name != "redis"} == {"ok"}
    assert len(system.runs()) == 1

    eventually(
        lambda: processes[2].events("waiting_for_redis_or_database"), "the scheduler to have missed Redis"
    )
    eventually(lambda: "could not connect to Redis" in processes[1].log, "the worker to have missed Redis")
    system.start_redis()
    system.train()
    (job_id, _due), *others = system.daily_entries()
    assert not others
    system.make_overdue(job_id, time.time() - 60)
    eventually(
        lambda: [run["status"] for run in system.runs() if run["trigger"] == "schedule"] == ["succeeded"],
        "the scheduler to ask for a training and the worker to do it",
    )

    assert system.ready()["redis"] == "ok"
    assert all(process.is_alive for process in processes)
    assert sorted(processes[0].children()) == web_processes


def test_a_redis_lost_amid_a_training_costs_neither_the_run_nor_the_worker(system, eventually):
    system.start_web()
    worker = system.start_worker()
    system.fill()
    run_id = system.request_training()
    horse = system.hold(worker, run_id)

    system.kill_redis()
    worker.says("waiting_for_redis_or_database")  # when it next tells Redis that its job lives
    system.start_redis()
    os.kill(horse, signal.SIGCONT)

    run = system.wait_for(run_id, "succeeded")
    assert run["attempt"] == 1
    system.wait_until_served(run["model_version"])
    assert system.train() != run["model_version"]
    assert worker.is_alive


def test_a_redis_started_anew_amid_a_training_costs_neither_the_run_nor_the_worker(system, eventually):
    system.start_web()
    worker = system.start_worker()
    system.fill()
    run_id = system.request_training()
    horse = system.hold(worker, run_id)

    system.kill_redis()
    system.start_redis()
    moment = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f}".encode()

    def has_met_the_new_redis():
        with system.redis() as client:
            beats = [client.hget(key, "last_heartbeat") or b"" for key in client.smembers("rq:workers")]
        return not worker.is_alive or any(beat > moment for beat in beats)

    eventually(has_met_the_new_redis, "the worker to tell the new Redis that it lives")
    os.kill(horse, signal.SIGCONT)
    run = system.wait_for(run_id, "succeeded")

    assert run["attempt"] == 1
    assert system.train() != run["model_version"]
    assert worker.is_alive


def test_a_schedule_that_redis_forgot_is_there_again_without_a_restart(system, eventually):
    scheduler = system.start_scheduler()
    ((job_id, due),) = eventually(system.daily_entries, "the schedule to be there")

    system.kill_redis()
    shutil.rmtree(system.folder / "redis")
    system.start_redis()

    assert eventually(system.daily_entries, "the schedule to be there again") == [(job_id, due)]
    assert scheduler.is_alive


def test_a_training_that_ends_while_redis_is_away_is_served(system):
    system.start_web()
    worker = system.start_worker()
    system.fill()
    run_id = system.request_training()
    horse = system.hold(worker, run_id)

    system.kill_redis()
    os.kill(horse, signal.SIGCONT)
    run = system.wait_for(run_id, "succeeded")
    system.wait_until_served(run["model_version"])
    system.start_redis()

    assert system.train() != run["model_version"]
    assert system.run(run_id)["attempt"] == 1
    assert worker.is_alive


def test_an_embedded_redis_that_died_is_started_again(make_system, eventually):
    system = make_system(REDIS_URL="embedded")
    system.migrate()
    system.start_web()
    worker = system.start_worker()
    system.fill()
    system.train()

    url = f"unix://{system.instance}/valkey.sock"
    system.settings["REDIS_URL"] = url  # for the client of this test; the processes keep the embedded one
    try:
        with system.redis() as client:
            client.shutdown(nosave=True)
    except RedisError:
        pass
    finally:
        system.settings["REDIS_URL"] = "embedded"

    eventually(lambda: system.ready()["redis"] == "ok", "a Redis to answer again")
    run_id = system.request_training()
    assert system.wait_for(run_id, "succeeded")["attempt"] == 1
    assert worker.is_alive


def test_processes_started_before_redis_wait_for_it(make_system):
    system = make_system()
    system.migrate()
    web, worker, scheduler = system.start_web(), system.start_worker(), system.start_scheduler()
    system.fill()
    worker.says("waiting_for_redis_or_database")
    scheduler.says("waiting_for_redis_or_database")

    system.start_redis()

    system.train()
    scheduler.says("Registering birth")
    assert all(process.is_alive for process in (web, worker, scheduler))
