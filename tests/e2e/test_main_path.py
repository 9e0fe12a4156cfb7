"""From an interaction over HTTP to a recommendation by a model, with every process real."""

from __future__ import annotations

import os
import signal
import threading

import pytest

pytestmark = pytest.mark.processes


def test_what_was_trained_is_served_by_every_web_process_within_five_seconds(system, eventually):
    web = system.start_web(workers=2)
    system.start_worker()
    written = system.fill()
    before = system.recommend()
    assert (before["model_version"], before["strategy"]) == (None, "popular")

    asked = system.call("POST", "/recommendations/train")
    run = system.wait_for(asked.json()["run_id"], "succeeded")

    version = run["model_version"]
    eventually(
        lambda: len(web.events("model_version_served", version=version)) == 2,
        "both web processes to have reloaded",
        within=5,
    )
    assert asked.status_code == 202
    assert asked.json()["already_running"] is False
    assert asked.json()["url"] == f"/api/v1/training-runs/{run['run_id']}"
    assert (run["data"]["interactions"], run["attempt"], run["trigger"]) == (written, 1, "manual")
    answers = [system.recommend() for _ in range(60)]
    assert {answer["model_version"] for answer in answers} == {version}
    assert {answer["strategy"] for answer in answers} <= {"personal", "folded_in"}
    assert {len(answer["items"]) for answer in answers} == {5}
    assert system.ready() == dict.fromkeys(["database", "migrations", "redis", "model"], "ok")
    assert len(web.children()) == 2


def test_what_a_user_did_a_moment_ago_counts_without_a_training(system):
    system.start_web(workers=2)
    system.start_worker()
    system.fill()
    system.train()
    stranger = system.recommend("reader-new")

    system.write([{"user_id": "reader-new", "item_id": "book-3", "event": "purchase"}])
    known = system.recommend("reader-new")

    assert (stranger["strategy"], known["strategy"]) == ("popular", "folded_in")
    assert "book-3" not in [item["item_id"] for item in known["items"]]
    assert len(system.runs()) == 1


def test_a_hundred_calls_make_one_run(system, together):
    system.start_web(workers=2)
    system.fill()

    answers = together(30, lambda: system.call("POST", "/recommendations/train"))
    later = system.call("POST", "/recommendations/train")
    system.start_worker()
    run_id = later.json()["run_id"]
    system.wait_for(run_id, "succeeded")

    assert sorted(answer.status_code for answer in answers) == [200] * 29 + [202]
    assert {answer.json()["run_id"] for answer in answers} == {run_id}
    assert sum(answer.json()["already_running"] for answer in answers) == 29
    assert (later.status_code, later.json()["already_running"]) == (200, True)
    assert [run["run_id"] for run in system.runs()] == [run_id]


def test_a_running_training_is_answered_to_whoever_asks_again_and_ends_when_cancelled(system, eventually):
    system.start_web()
    worker = system.start_worker()
    system.fill()
    run_id = system.request_training()
    horse = system.hold(worker, run_id)

    again = system.call("POST", "/recommendations/train")
    cancelled = system.call("POST", f"/training-runs/{run_id}/cancel")

    assert (again.status_code, again.json()["run_id"]) == (200, run_id)
    assert (again.json()["status"], again.json()["already_running"]) == ("running", True)
    assert (cancelled.status_code, cancelled.json()["status"]) == (200, "cancelled")
    os.kill(horse, signal.SIGCONT)
    eventually(lambda: worker.events("training_stopped", run_id=run_id), "the worker to stop the run")
    eventually(system.queue_is_idle, "the worker to be free again")
    assert system.run(run_id)["status"] == "cancelled"
    assert system.recommend()["model_version"] is None


def test_no_request_fails_while_versions_change(system, eventually):
    web = system.start_web(workers=2)
    system.start_worker()
    system.fill()
    first = system.train()
    eventually(lambda: len(web.events("model_version_served", version=first)) == 2, "both to serve the first")
    done = threading.Event()
    served = [first]
    seen: list[tuple[int, str | None]] = []

    def read_on() -> None:
        while not done.is_set():
            answer = system.call("GET", "/recommendations?user_id=reader-2")
            seen.append((answer.status_code, answer.json().get("model_version")))

    readers = [threading.Thread(target=read_on) for _ in range(16)]
    for reader in readers:
        reader.start()
    try:
        second = system.wait_for(system.request_training(), "succeeded")["model_version"]
        for version in (second, first, second, first, second):
            if len(served) > 1:  # the first of these the worker has activated
                answer = system.call("POST", f"/model-versions/{version}/activate")
                assert answer.status_code == 200, answer.text
            served.append(version)
            swaps = 2 * served.count(version)
            eventually(
                lambda version=version, swaps=swaps: (
                    len(web.events("model_version_served", version=version)) == swaps
                ),
                f"{version} to be served by both web processes",
            )
    finally:
        done.set()
        for reader in readers:
            reader.join()

    assert len(seen) > 50
    assert {status for status, _ in seen} == {200}
    assert {version for _, version in seen} == {first, second}
    versions = system.call("GET", "/model-versions").json()["model_versions"]
    assert {entry["version"]: entry["status"] for entry in versions} == {first: "retired", second: "active"}
