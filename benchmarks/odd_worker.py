"""A worker that dies in the middle of a training, or whose clock is wrong.

    python -m benchmarks.odd_worker [--die-in STAGE] [--after SECONDS] [--whole] [--clock-off SECONDS]

It dies by SIGKILL so many seconds after a run's first attempt has come to the stage: its child that trains
alone, or with --whole both. --clock-off is added to its clock.
"""

from __future__ import annotations

import argparse
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from unittest.mock import patch

import time_machine

from jobs.processes import run_worker
from recsvc.services import training
from recsvc.services.progress import Progress


def dying(stage: str, after: float, *, whole: bool) -> type[Progress]:
    """A `Progress` that kills its process once the first attempt has come to a stage."""

    def kill() -> None:
        if whole:
            os.kill(os.getppid(), signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGKILL)

    class Dying(Progress):
        @contextmanager
        def stage(self, name: str) -> Iterator[None]:
            with super().stage(name):
                if name == stage and self.attempt == 1:
                    timer = threading.Timer(after, kill)
                    timer.daemon = True
                    timer.start()
                yield

    return Dying


def main() -> None:
    """Reads the arguments and works."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--die-in", metavar="STAGE")
    parser.add_argument("--after", type=float, default=0.0, metavar="SECONDS")
    parser.add_argument("--whole", action="store_true")
    parser.add_argument("--clock-off", type=float, default=0.0, metavar="SECONDS")
    arguments = parser.parse_args()
    off = timedelta(seconds=arguments.clock_off)
    odd = dying(arguments.die_in, arguments.after, whole=arguments.whole)
    with time_machine.travel(datetime.now(UTC) + off, tick=True), patch.object(training, "Progress", odd):
        run_worker()


if __name__ == "__main__":
    main()
