"""What it costs to start a process and to end it, beside the same without what is done to make it cheap.

    python -m benchmarks.startup [--rounds N] [--workers N] [--json]

Two things are started in turn: a command that prints its help, and the web processes without a model, from
nothing until they are ready, and then to their end. Plainly means that the garbage collector looks after what
is imported like after anything else, and that each web process imports all that it needs by itself.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import Any
from unittest import mock

from flask_migrate import upgrade

from benchmarks.load import proportional_set_size, serving
from benchmarks.measuring import new_instance
from recsvc.config import Config
from recsvc.factory import create_app

_COMMAND = "from recsvc.cli import main; main()"
_PLAIN_COMMAND = "from recsvc.cli.commands import run; run()"
_PLAIN_GUNICORN = "worker_class = 'gthread'\nthreads = 8\ncontrol_socket_disable = True\n"
_PLAIN_APP = """
from recsvc import create_app
from recsvc.services.serving import start_serving

app = create_app()
start_serving(app)
"""


class Cost:
    """What one start took: `ready` and `whole`, in seconds, `processor`, in seconds, and `pss_mb`."""

    def __init__(self) -> None:
        self._began, self._used = perf_counter(), _used_by_children()
        self.told: dict[str, float] = {}

    def is_ready(self) -> None:
        """Notes that it has come up."""
        self.told["ready"] = perf_counter() - self._began

    def has_ended(self) -> None:
        """Notes that it is over."""
        self.told["whole"] = perf_counter() - self._began
        self.told["processor"] = _used_by_children() - self._used


def command(script: str) -> dict[str, float]:
    """Prints the help of the command line, to nobody."""
    cost = Cost()
    subprocess.run([sys.executable, "-c", script, "--help"], stdout=subprocess.DEVNULL, check=True)
    cost.has_ended()
    return cost.told


def web(config: Config, workers: int, app: str) -> dict[str, float]:
    """Starts web processes, and ends them once they are ready."""
    cost, log = Cost(), config.instance_dir / "web.log"
    with serving(config, log, workers=workers, app=app, has_model=False) as (_, pid):
        cost.is_ready()
        cost.told["pss_mb"] = proportional_set_size(pid)
    cost.has_ended()
    return cost.told


@contextmanager
def plainly() -> Iterator[str]:
    """Lets gunicorn know nothing but how many threads a process has.

    Yields:
        An application that is imported like anything else.
    """
    with tempfile.TemporaryDirectory(prefix="recsvc-") as folder:
        settings = Path(folder, "plain.conf.py")
        settings.write_text(_PLAIN_GUNICORN)
        Path(folder, "plain_wsgi.py").write_text(_PLAIN_APP)
        changed = {"GUNICORN_CMD_ARGS": f"--config {settings}", "PYTHONPATH": folder}
        with mock.patch.dict(os.environ, changed):
            yield "plain_wsgi:app"


def measure(rounds: int, workers: int) -> dict[str, dict[str, dict[str, float]]]:
    """Starts each in turn, so many times; the medians.

    Args:
        rounds: How many times.
        workers: How many web processes.
    """
    found: dict[tuple[str, str], list[dict[str, float]]] = {}
    with new_instance() as config:
        with create_app(config).app_context():
            upgrade()
        for _ in range(rounds):
            found.setdefault(("command", "ours"), []).append(command(_COMMAND))
            found.setdefault(("command", "plain"), []).append(command(_PLAIN_COMMAND))
            found.setdefault(("web", "ours"), []).append(web(config, workers, "wsgi:app"))
            with plainly() as app:
                found.setdefault(("web", "plain"), []).append(web(config, workers, app))
    told: dict[str, dict[str, dict[str, float]]] = {}
    for (what, how), times in found.items():
        medians = {name: statistics.median(one[name] for one in times) for name in times[0]}
        told.setdefault(what, {})[how] = {name: round(value, 3) for name, value in medians.items()}
    return told


def _used_by_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _show(told: dict[str, dict[str, dict[str, Any]]]) -> None:
    print(f"{'':9}{'':11}{'ours':>8}{'plain':>8}{'ratio':>8}")
    for what, by_how in told.items():
        for name, ours in by_how["ours"].items():
            plain = by_how["plain"][name]
            print(f"{what:9}{name:11}{ours:8.2f}{plain:8.2f}{ours / plain:8.2f}")


def main() -> None:
    """Reads the arguments, measures, and prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2, help="web processes")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    told = measure(arguments.rounds, arguments.workers)
    print(json.dumps(told, indent=2)) if arguments.json else _show(told)


if __name__ == "__main__":
    main()
