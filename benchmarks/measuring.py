"""Seconds and memory of the stages of a process, and new processes and instances to measure in."""

from __future__ import annotations

import multiprocessing
import resource
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import Any

from recsvc import valkey
from recsvc.config import Config

BETWEEN = "(between)"


class Stages:
    """Seconds and peak resident memory of each stage of the process that this is in."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.peak_mb: dict[str, float] = {}
        self._began = perf_counter()
        _reset_peak()
        self.start_mb = _peak_mb()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Measures a stage; what lies before it and after the one before is between them."""
        self.end(BETWEEN)
        yield
        self.end(name)

    def end(self, name: str) -> None:
        """Counts everything since the last call for that stage."""
        self.seconds[name] = self.seconds.get(name, 0.0) + perf_counter() - self._began
        self.peak_mb[name] = max(self.peak_mb.get(name, 0.0), _peak_mb())
        _reset_peak()
        self._began = perf_counter()


@contextmanager
def new_instance(**settings: Any) -> Iterator[Config]:
    """Default settings but for those given, and a folder that goes afterwards, its Valkey stopped."""
    with tempfile.TemporaryDirectory(prefix="recsvc-") as folder:
        config = Config(**{"instance_dir": Path(folder), "log_level": "ERROR", **settings})
        try:
            yield config
        finally:
            valkey.stop(config.instance_dir)


def in_new_process(function: Callable[..., Any], *arguments: Any) -> Any:
    """Calls a function in a process of its own."""
    return in_new_processes(function, [arguments])[0]


def in_new_processes(function: Callable[..., Any], calls: list[tuple[Any, ...]]) -> list[Any]:
    """Calls a function as often as there are tuples of arguments, side by side, a process a call."""
    # Spawned: a fork inherits memory, and a fork of a process that had LightFM's threads hangs.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=len(calls), mp_context=context) as pool:
        return [called.result() for called in [pool.submit(function, *arguments) for arguments in calls]]


def _reset_peak() -> None:
    if sys.platform == "linux":
        Path("/proc/self/clear_refs").write_text("5")


def _peak_mb() -> float:
    if sys.platform == "linux":
        status = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 1024)
