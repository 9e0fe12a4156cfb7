"""One run at a time, whatever processes ask for one at the same moment."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import fields

import pytest
from rq import Queue
from sqlalchemy import select

from recsvc import queues
from recsvc.config import Config
from recsvc.extensions import db
from recsvc.storage.models import TrainingRun

pytestmark = pytest.mark.processes

PROCESSES, REQUESTS = 4, 50

# Asks from so many threads at once when told to, and prints what each was answered.
ASK = """
import json, sys
from concurrent.futures import ThreadPoolExecutor
from recsvc import create_app
from recsvc.services import training

app, requests = create_app(), int(sys.argv[1])

def ask(number):
    with app.app_context():
        try:
            run, already_running = training.request("manual", requested_by=f"request {number}")
            return [run.run_id, already_running]
        except Exception as error:
            return [type(error).__name__, str(error)]

with ThreadPoolExecutor(requests) as pool:
    list(pool.map(lambda _: None, range(requests)))
    print("ready", flush=True)
    sys.stdin.readline()
    print(json.dumps(list(pool.map(ask, range(requests)))), flush=True)
"""


@pytest.fixture
def processes(database_url, redis_url, tmp_path):
    """Processes that are ready to ask."""
    ours = {entry.name.upper(): "" for entry in fields(Config)} | {
        "INSTANCE_DIR": str(tmp_path),
        "DATABASE_URL": database_url,
        "DATABASE_TIMEOUT": "60",  # whoever waits for a lock is to be answered, not to be sent away
        "REDIS_URL": redis_url,
        "LOG_LEVEL": "ERROR",
    }
    started = [
        subprocess.Popen(
            [sys.executable, "-c", ASK, str(REQUESTS)],
            env={**os.environ, **ours},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(PROCESSES)
    ]
    for process in started:
        assert process.stdout.readline() == "ready\n"
    yield started
    for process in started:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


def ask_all_at_once(processes) -> list[tuple[str, bool]]:
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    return [tuple(answer) for process in processes for answer in json.loads(process.stdout.readline())]


def test_two_hundred_requests_from_four_processes_make_one_run(context, processes, redis):
    answers = ask_all_at_once(processes)

    runs = db.session.scalars(select(TrainingRun)).all()
    assert [run.status for run in runs] == ["queued"]
    assert len(answers) == 200
    assert {run_id for run_id, _ in answers} == {runs[0].run_id}
    assert sorted(already for _, already in answers) == [False] + [True] * 199
    assert Queue(queues.TRAINING, connection=redis).job_ids == [queues.training_job_id(runs[0].run_id)]
