"""A platform that stops a process sends SIGTERM, and kills what is still there thirty seconds later."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys

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


@pytest.mark.parametrize(
    "where",
    [
        # A handler keeps whatever is raised in it from whoever logs.
        """
            try:
                os.kill(os.getpid(), signal.SIGTERM)
            except Exception:
                self.handleError(record)
""",
        # Whatever is raised in `__del__` is told on standard error, and lost.
        """
            class Ending:
                def __del__(self):
                    os.kill(os.getpid(), signal.SIGTERM)

            Ending()
""",
    ],
    ids=["in the handler of a log", "at the end of an object"],
)
def test_a_worker_that_is_told_to_stop_where_exceptions_are_swallowed_stops(system, where):
    script = f"""
import logging, os, signal
from jobs.processes import run_worker

class StoppingOnce(logging.Handler):
    def emit(self, record):
        if "cleaning registries" in record.getMessage():
            logging.getLogger("rq.worker").removeHandler(self)
{where}
logging.getLogger("rq.worker").addHandler(StoppingOnce())
run_worker()
"""
    worker = system.run_beside("worker", [sys.executable, "-c", script])

    assert worker.wait(within=25) == 0


def test_a_worker_told_to_stop_as_it_starts_a_training_hands_its_run_back(system):
    # The process is there, in the worker's group still, and the worker does not know of it yet.
    script = """
import os, signal, time
from jobs.processes import run_worker

fork = os.fork

def forking():
    child = fork()
    if child:
        os.kill(os.getpid(), signal.SIGTERM)
    else:
        time.sleep(1)
    return child

os.fork = forking
run_worker()
"""
    system.start_web()
    system.fill()
    run_id = system.request_training()

    worker = system.run_beside("worker", [sys.executable, "-c", script])

    assert worker.wait(within=25) == 0
    assert system.run(run_id)["status"] == "queued"
    system.start_worker()
    system.wait_for(run_id, "succeeded", within=30)


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


def test_a_web_with_a_slow_request_under_way_ends_in_time(system):
    web = system.start_web()
    host, port = web.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as slow:
        slow.sendall(
            f"POST /api/v1/interactions HTTP/1.1\r\nHost: {host}\r\n"
            f"Authorization: Bearer {system.admin_key}\r\n"
            "Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{".encode()
        )
        assert system.call("GET", "/healthz").status_code == 200

        assert web.terminate(within=25) == 0


def test_a_worker_told_to_stop_amid_a_training_hands_its_run_back(system, eventually):
    system.start_web()
    system.fill()
    run_id = system.request_training()

    # More often than a run whose worker died would be tried again: each time it is only put off.
    for attempt in (1, 2, 3):
        worker = system.start_worker()
        system.hold(worker, run_id, attempt=attempt)
        assert worker.terminate(within=25) == 0
        handed_back = system.run(run_id)
        assert (handed_back["status"], handed_back["stage"], handed_back["error"]) == ("queued", None, None)
    asked = system.call("POST", "/recommendations/train").json()
    assert (asked["run_id"], asked["already_running"]) == (run_id, True)

    system.start_worker()
    run = system.wait_for(run_id, "succeeded", within=30)
    assert run["attempt"] == 4
    system.wait_until_served(run["model_version"])
    assert len(system.runs()) == 1


def test_a_training_is_handed_back_where_every_process_of_a_dyno_gets_sigterm(system, eventually):
    system.start_web()
    system.fill()
    run_id = system.request_training()
    worker = system.start_worker()
    horse = system.hold(worker, run_id)

    os.kill(horse, signal.SIGTERM)
    # It may be gone: where nothing handles the signal it ends a process that is stopped.
    with contextlib.suppress(ProcessLookupError):
        os.kill(horse, signal.SIGCONT)
    assert worker.terminate(within=25) == 0

    assert system.run(run_id)["status"] == "queued"
    system.start_worker()
    assert system.wait_for(run_id, "succeeded", within=30)["attempt"] == 2
