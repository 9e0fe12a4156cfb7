"""A sign of life while a training computes for minutes without a word."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from flask import Flask, current_app
from sqlalchemy.exc import SQLAlchemyError

from recsvc.storage.database import write_transaction
from recsvc.storage.models import now
from recsvc.storage.queries import training_runs

logger = structlog.get_logger(__name__)

_EVERY = 10.0  # seconds


@contextmanager
def heartbeat(run_id: str) -> Iterator[None]:
    """Writes to the run every few seconds that this process lives, until the block ends."""
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
    stopped = threading.Event()

    def beat() -> None:
        while not stopped.wait(_EVERY):
            try:
                with app.app_context(), write_transaction():
                    training_runs.change(run_id, heartbeat_at=now())
            except SQLAlchemyError as error:
                logger.warning("heartbeat_missed", run_id=run_id, error=str(error))

    thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()
