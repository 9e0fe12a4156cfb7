"""What a worker leaves open while it waits."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest
from rq import Worker
from sqlalchemy.exc import IntegrityError, OperationalError

from jobs import context, processes
from recsvc.errors import QueueUnavailableError
from recsvc.extensions import db


@pytest.fixture(autouse=True)
def own_signal_handlers() -> Iterator[None]:
    """Puts back what the processes' loops set."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def test_a_worker_that_waits_keeps_no_connection_to_the_database(app, monkeypatch):
    seen = []

    def look(self, **_options):
        seen.append((db.engine.pool.checkedout(), db.engine.pool.checkedin(), self.queue_names()))
        raise KeyboardInterrupt

    monkeypatch.setattr(Worker, "work", look)
    with app.app_context(), pytest.raises(KeyboardInterrupt):
        processes._work()

    assert seen == [(0, 0, ["maintenance", "training"])]


def test_a_process_waits_for_redis_and_the_database_and_goes_on(monkeypatch):
    monkeypatch.setattr(processes, "_RETRY_EVERY", 0.0)
    outages = [QueueUnavailableError("away"), OperationalError("SELECT 1", {}, Exception("locked"))]
    tries = []

    def main() -> None:
        tries.append(1)
        if outages:
            raise outages.pop()

    processes._outlast_outages(main)

    assert len(tries) == 3


@pytest.mark.parametrize("mistake", [ZeroDivisionError(), IntegrityError("INSERT", {}, Exception("twice"))])
def test_a_process_does_not_outlast_a_mistake(mistake):
    def main() -> None:
        raise mistake

    with pytest.raises(type(mistake)):
        processes._outlast_outages(main)


def test_jobs_run_in_one_application(app, monkeypatch):
    monkeypatch.setattr(context, "application", lambda: app)

    @context.in_application
    def job(number: int) -> tuple[int, str]:
        from flask import current_app

        return number, current_app.config["SQLALCHEMY_DATABASE_URI"]

    assert job(7) == (7, app.config["SQLALCHEMY_DATABASE_URI"])
