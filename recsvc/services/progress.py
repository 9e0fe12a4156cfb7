"""What a worker tells of a training run while it is at it, and learns from it: whether to go on."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import structlog
from flask import Flask, current_app
from sqlalchemy.exc import SQLAlchemyError

from recsvc.errors import RunEndedError
from recsvc.storage.database import is_unavailable, write_transaction
from recsvc.storage.models import now
from recsvc.storage.queries import training_runs

logger = structlog.get_logger(__name__)

_PROGRESS_EVERY = 0.5  # seconds
_BEAT_EVERY = 10.0  # seconds


class Progress:
    """Tells a run how far it is, and learns from it whether to go on."""

    def __init__(self, run_id: str, attempt: int) -> None:
        self.run_id = run_id
        self.attempt = attempt
        self._seconds: dict[str, float] = {}
        self._written_at = 0.0

    def write(self, **values: Any) -> None:
        """Writes to the run.

        Raises:
            RunEndedError: It was cancelled, or another attempt has taken over.
        """
        with write_transaction():
            is_current = training_runs.change(self.run_id, if_attempt=self.attempt, **values)
        if not is_current:
            raise RunEndedError("The run was cancelled, or another worker has taken it over.")
        self._written_at = time.monotonic()

    def fraction(self, done: float) -> None:
        """Writes how much of the stage is done, a few times a second at the most.

        Raises:
            RunEndedError: As `write` does.
        """
        if time.monotonic() - self._written_at < _PROGRESS_EVERY:
            return
        try:
            self.write(progress=round(min(done, 1.0), 4))
        except SQLAlchemyError as error:
            if not is_unavailable(error):
                raise
            # A note that cannot be written now must not cost hours of work; the next one may be.
            logger.warning("progress_not_written", run_id=self.run_id, error=str(error.__cause__ or error))
            self._written_at = time.monotonic()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Times a stage of the run, and says when it begins and what it took."""
        self.write(stage=name, progress=0.0)
        began = time.monotonic()
        yield
        self._seconds[name] = round(time.monotonic() - began, 3)
        self.write(seconds=dict(self._seconds))
        logger.info("training_stage", run_id=self.run_id, stage=name, seconds=self._seconds[name])


@contextmanager
def heartbeat(run_id: str, attempt: int) -> Iterator[None]:
    """Writes to the run every few seconds that this process lives, until the block ends."""
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
    stopped = threading.Event()

    def beat() -> None:
        while not stopped.wait(_BEAT_EVERY):
            try:
                with app.app_context(), write_transaction():
                    training_runs.change(run_id, if_attempt=attempt, heartbeat_at=now())
            except SQLAlchemyError as error:
                logger.warning("heartbeat_missed", run_id=run_id, error=str(error))

    thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()
