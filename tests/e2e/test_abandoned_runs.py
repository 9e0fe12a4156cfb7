"""Workers killed in the middle of a training. The slowest tests: RQ takes a minute to miss a worker."""

from __future__ import annotations

import os
import signal

import pytest

pytestmark = pytest.mark.processes

# RQ gives a job's sign of life 60 s and a bit, and then another worker finds it.
NOTICED = 150.0


def start_and_kill_worker(system, eventually, run_id, attempt):
    worker = system.start_worker()
    eventually(worker.children, f"attempt {attempt} to begin", within=NOTICED)
    system.hold(worker, run_id, attempt=attempt)
    worker.kill()


def test_a_run_whose_worker_was_killed_is_retried_once_and_succeeds(system, eventually):
    system.start_web(workers=2)
    first_worker = system.start_worker()
    system.fill()
    old = system.train()
    assert first_worker.terminate() == 0
    run_id = system.request_training()

    start_and_kill_worker(system, eventually, run_id, attempt=1)
    assert system.run(run_id)["status"] == "running"
    system.start_worker()

    served = set()

    def has_ended():
        served.add(system.recommend()["model_version"])
        return system.run(run_id)["status"] not in {"queued", "running"}

    eventually(has_ended, "another worker to take the run over", within=NOTICED)
    run = system.run(run_id)
    assert (run["status"], run["attempt"], run["error"]) == ("succeeded", 2, None)
    system.wait_until_served(run["model_version"])
    assert old in served
    assert served <= {old, run["model_version"]}
    assert len(system.runs()) == 2
    assert sorted(path.name for path in system.models.iterdir()) == sorted(
        ["active.json", old, run["model_version"]]
    )


def test_a_run_whose_workers_were_killed_twice_fails_and_says_so(system, eventually):
    system.start_web()
    system.fill()
    run_id = system.request_training()

    start_and_kill_worker(system, eventually, run_id, attempt=1)
    start_and_kill_worker(system, eventually, run_id, attempt=2)
    system.start_worker()
    run = system.wait_for(run_id, "failed", within=NOTICED)

    assert run["attempt"] == 2
    assert "died" in run["error"]
    assert run["finished_at"] is not None
    assert system.recommend()["model_version"] is None
    system.train()


def test_a_run_whose_work_horse_was_killed_twice_fails_at_once_and_says_so(system, eventually):
    system.start_web()
    system.fill()
    worker = system.start_worker()
    run_id = system.request_training()

    for attempt in (1, 2):
        eventually(worker.children, f"attempt {attempt} to begin")
        system.hold(worker, run_id, attempt=attempt)
        (horse,) = worker.children()
        os.kill(horse, signal.SIGKILL)
        eventually(lambda horse=horse: horse not in worker.children(), "the horse to be gone")
    run = system.wait_for(run_id, "failed")

    assert run["attempt"] == 2
    assert "killed twice" in run["error"]
    assert worker.is_alive
    system.train()
