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
from recsvc.sentences import Sentence
from recsvc.storage.database import is_unavailable, outlast_outage, write_transaction
from recsvc.storage.models import now
from recsvc.storage.queries import training_runs

logger = structlog.get_logger(__name__)

_PROGRESS_EVERY = 0.5  # seconds
_BEAT_EVERY = 10.0  # seconds
_PATIENCE = 300.0  # seconds for a database that is away


class Progress:
    """Tells a run how far it is, and learns from it whether to go on."""

    def __init__(self, run_id: str, attempt: int) -> None:
        self.run_id = run_id
        self.attempt = attempt
        self._seconds: dict[str, float] = {}
        self._written_at = 0.0
        self._unwritten: dict[str, Any] = {}

    def write(self, **values: Any) -> None:
        """Writes to the run; a database that is restarted meanwhile is waited for.

        Raises:
            RunEndedError: It was cancelled, or another attempt has taken over.
        """
        outlast_outage(lambda: self._write_once(values), _PATIENCE)

    def _write_once(self, values: dict[str, Any]) -> None:
        with write_transaction():
            is_current = training_runs.change(
                self.run_id, if_attempt=self.attempt, **{**self._unwritten, **values}
            )
        if not is_current:
            raise RunEndedError("The run was cancelled, took too long, or another worker has taken it over.")
        self._unwritten = {}
        self._written_at = time.monotonic()

    def fraction(self, done: float) -> None:
        """Writes how much of the stage is done, a few times a second at the most.

        Raises:
            RunEndedError: As `write` does.
        """
        if time.monotonic() - self._written_at < _PROGRESS_EVERY:
            return
        try:
            self._write_once({"progress": round(min(done, 1.0), 4)})
        except SQLAlchemyError as error:
            if not is_unavailable(error):
                raise
            # A note that cannot be written now must not cost hours of work; the next one may be.
            logger.warning("progress_not_written", run_id=self.run_id, error=str(error.__cause__ or error))
            self._written_at = time.monotonic()

    def rows(self, read: int, total: int) -> None:
        """Notes how many rows have been read, of how many; as often as `fraction` writes.

        Raises:
            RunEndedError: As `write` does.
        """
        self._unwritten["rows_read"] = read
        self.fraction(read / max(total, 1))

    def epoch(self, number: int) -> None:
        """Notes the epoch that a fit has come to, for when the next fraction is written."""
        self._unwritten["epoch"] = number

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Times a stage of the run, and says when it begins and what it took."""
        self._unwritten.pop("epoch", None)
        self.write(stage=name, progress=0.0, epoch=None)
        began = time.monotonic()
        yield
        self._seconds[name] = round(time.monotonic() - began, 3)
        self.write(seconds=dict(self._seconds))
        logger.info(
            "training_stage",
            run_id=self.run_id,
            attempt=self.attempt,
            stage=name,
            seconds=self._seconds[name],
        )


@contextmanager
def heartbeat(run_id: str, attempt: int, timeout: float) -> Iterator[None]:
    """Writes to the run every few seconds that this process lives, until the block ends.

    After `timeout` seconds it ends the run as failed, whatever the process is at, which learns it
    when it next tells how far it is.

    Args:
        run_id: The training run.
        attempt: Which attempt at it.
        timeout: Seconds that the attempt may take.
    """
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
    stopped = threading.Event()
    deadline = time.monotonic() + timeout

    def beat() -> None:
        is_late = False
        while not stopped.wait(_until(deadline)):
            try:
                with app.app_context(), write_transaction():
                    training_runs.change(run_id, if_attempt=attempt, heartbeat_at=now())
                    is_over = time.monotonic() >= deadline
                    if is_over and not is_late:
                        _end_late(run_id, attempt, timeout)
                is_late = is_over
            except SQLAlchemyError as error:
                logger.warning("heartbeat_missed", run_id=run_id, error=str(error))

    thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()


def _until(deadline: float) -> float:
    remaining = deadline - time.monotonic()
    # Once it has passed, what could not be written then is tried again with the next beat.
    return remaining if 0 < remaining < _BEAT_EVERY else _BEAT_EVERY


def _end_late(run_id: str, attempt: int, timeout: float) -> None:
    # What is being activated may be served already, and takes no more than moments.
    is_ended = training_runs.change(
        run_id,
        if_attempt=attempt,
        unless_stage="activate",
        status="failed",
        finished_at=now(),
        error=str(
            Sentence(
                "The training took longer than TRAIN_TIMEOUT=%(timeout)s seconds.", timeout=f"{timeout:g}"
            )
        ),
    )
    if is_ended:
        logger.error("training_failed", run_id=run_id, error=f"It took longer than {timeout:g} seconds.")
