"""Runs web, worker and scheduler on one machine, and asks them for a first training by HTTP."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from recsvc import valkey
from recsvc.config import EMBEDDED_REDIS, Config

_ROOT = Path(__file__).parents[2]
_START_TIMEOUT = 60.0
_TRAIN_TIMEOUT = 600.0
_RELOAD_TIMEOUT = 15.0


class NotRunningError(Exception):
    """Something did not come about; the message says what, and where to look."""


@contextmanager
def whole_system(config: Config, log: Path) -> Iterator[str]:
    """Runs web, worker and scheduler from the Procfile, and stops all that it started in the end.

    Args:
        config: The settings; they are in the environment too, from which the processes read them.
        log: Where the processes write.

    Yields:
        The service's URL.

    Raises:
        NotRunningError: The web process does not come up.
    """
    wanted = os.environ.get("PORT") or "5000"
    if not wanted.isdecimal() or int(wanted) > 65_535:
        raise NotRunningError(f"PORT got {wanted!r}; it takes a whole number from 0 to 65535.")
    port = _free_port(int(wanted))
    executables = str(Path(sys.executable).parent)
    environment = {
        **os.environ,
        "PATH": f"{executables}{os.pathsep}{os.environ['PATH']}",
        "PYTHONUNBUFFERED": "1",
    }
    command = [sys.executable, "-m", "honcho", "--no-colour", "start", "--port", str(port)]
    with log.open("w", encoding="utf-8") as output:
        # In a session of its own, so that Ctrl-C reaches it once, through us.
        honcho = subprocess.Popen(  # noqa: S603 — our own Procfile
            [*command, "web", "worker", "scheduler"],
            cwd=_ROOT,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            url = f"http://127.0.0.1:{port}"
            _wait_until_ready(url, honcho, log)
            yield url
        finally:
            honcho.send_signal(signal.SIGTERM)
            honcho.wait()
            if config.redis_url == EMBEDDED_REDIS:
                valkey.stop(config.instance_dir)


def train(client: httpx.Client) -> dict[str, Any]:
    """Asks for a training by HTTP, and waits until the worker has done it.

    Returns:
        The run.

    Raises:
        NotRunningError: The run did not succeed.
    """
    run_id = client.post("/api/v1/recommendations/train", json={"reason": "demo"}).json()["run_id"]
    deadline = time.monotonic() + _TRAIN_TIMEOUT
    while time.monotonic() < deadline:
        run: dict[str, Any] = client.get(f"/api/v1/training-runs/{run_id}").json()
        if run["status"] == "succeeded":
            return run
        if run["status"] not in {"queued", "running"}:
            why = run["error"] or (run["gate"] or {}).get("reason")
            raise NotRunningError(f"The training {run['status']}: {why}")
        time.sleep(0.2)
    raise NotRunningError(f"The training did not end within {_TRAIN_TIMEOUT:.0f} s.")


def wait_for_version(client: httpx.Client, version: str) -> None:
    """Waits until the web process serves a version.

    Raises:
        NotRunningError: It does not.
    """
    deadline = time.monotonic() + _RELOAD_TIMEOUT
    while time.monotonic() < deadline:
        if client.get("/api/v1/recommendations/popular").json()["model_version"] == version:
            return
        time.sleep(0.1)
    raise NotRunningError(f"Version {version} was not served within {_RELOAD_TIMEOUT:.0f} s.")


def client_of(url: str, key: str) -> httpx.Client:
    """An HTTP client that sends an API key and takes every error for one."""

    def complain(response: httpx.Response) -> None:
        if response.is_error:
            raise NotRunningError(
                f"{response.request.url} answered {response.status_code}: {response.read()!r}"
            )

    return httpx.Client(
        base_url=url,
        headers={"Authorization": f"Bearer {key}"},
        timeout=30,
        event_hooks={"response": [complain]},
    )


def _wait_until_ready(url: str, honcho: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_TIMEOUT
    while time.monotonic() < deadline and honcho.poll() is None:
        try:
            if httpx.get(f"{url}/readyz", timeout=5).is_success:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise NotRunningError(f"The web process does not come up; its lines are in {log}.")


def _free_port(wanted: int) -> int:
    for port in (wanted, 0):
        with socket.socket() as probe:
            # Otherwise a port that was in use a moment ago would not do.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise NotRunningError("No port is free.")
