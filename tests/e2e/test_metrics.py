"""What Prometheus is told where several processes work, and where a line of the log came from."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.system import open_files

pytestmark = pytest.mark.processes


def told(system, name: str) -> dict[tuple[str, ...], float]:
    answer = system.call("GET", "/metrics")
    assert answer.status_code == 200, answer.text
    return {
        tuple(value for _, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
        if sample.name == name
    }


def folders_of_metrics(web) -> set[Path]:
    """Where the web processes have files open that they count in."""
    files = [path for pid in web.children() for path in map(Path, open_files(pid))]
    return {file.parent for file in files if file.suffix == ".db" and "recsvc-metrics-" in str(file)}


def test_what_all_web_processes_counted_is_added_up_whichever_is_asked_and_outlives_them(system, eventually):
    web = system.start_web(workers=3)
    (folder,) = eventually(lambda: folders_of_metrics(web), "the web processes to have files to count in")
    written = system.fill()
    for _ in range(40):
        system.recommend("reader-1")

    def lists() -> float:
        return sum(told(system, "recsvc_recommendations_total").values())

    assert {lists() for _ in range(20)} == {40.0}, "each connection reaches one of three"
    assert told(system, "recsvc_interactions_total")["accepted",] == written
    path = "/api/v1/recommendations"
    assert told(system, "recsvc_http_requests_total")["GET", path, "200"] == 40
    assert told(system, "recsvc_http_request_duration_seconds_count")["GET", path] == 40

    killed = web.children()[0]
    os.kill(killed, signal.SIGKILL)
    eventually(lambda: killed not in web.children() and len(web.children()) == 3, "another to be started")
    eventually(lambda: lists() == 40.0, "all to be told again")
    system.recommend("reader-1")
    assert {lists() for _ in range(20)} == {41.0}

    assert folder.stat().st_mode & 0o077 == 0, "nobody else on the machine reads or writes there"
    before = set(web.children())
    os.kill(web.pid, signal.SIGHUP)
    eventually(lambda: not before & set(web.children()) and len(web.children()) == 3, "three others to serve")
    system.recommend("reader-1")
    assert {lists() for _ in range(20)} == {42.0}
    web.terminate()
    assert not folder.exists()


def test_a_model_is_told_with_the_processes_that_serve_it_and_a_run_with_its_stages(system, eventually):
    web = system.start_web(workers=2)
    worker = system.start_worker()
    scheduler = system.start_scheduler()
    system.fill()
    answer = system.call("POST", "/recommendations/train")
    run_id, request_id = answer.json()["run_id"], answer.headers["X-Request-ID"]
    version = system.wait_for(run_id, "succeeded")["model_version"]

    def served_by() -> float:
        return told(system, "recsvc_serving_processes").get((version,), 0)

    eventually(lambda: served_by() == 2, "both to serve it")
    eventually(
        lambda: told(system, "recsvc_last_training_stage_seconds").keys() >= {("fit",), ("publish",)},
        "its stages to be told",
    )
    assert told(system, "recsvc_training_runs_total")["succeeded",] == 1
    assert told(system, "recsvc_workers") == {(): 1}
    eventually(lambda: told(system, "recsvc_scheduler_seen_timestamp_seconds"), "the scheduler to be seen")
    assert scheduler.is_alive

    os.kill(web.children()[0], signal.SIGKILL)
    eventually(lambda: served_by() == 2 and len(web.children()) == 2, "the dead one to be no longer counted")

    # The request's id is on every line that the worker wrote about the run.
    stages = worker.events("training_stage", run_id=run_id)
    assert len(stages) == 7
    assert {line["request_id"] for line in stages} == {request_id}
    assert worker.events("training_succeeded", run_id=run_id, request_id=request_id)
    assert all(
        line.get("request_id") == request_id
        for event in ("model_version_activated", "training_gate")
        for line in worker.events(event)
    )
