"""What a worker leaves open while it waits."""

from __future__ import annotations

import pytest
from rq import Worker

from jobs import context, processes
from recsvc.errors import QueueUnavailableError
from recsvc.extensions import db


def test_a_worker_that_waits_keeps_no_connection_to_the_database(app, monkeypatch):
    seen = []

    def look(self, **_options):
        seen.append((db.engine.pool.checkedout(), db.engine.pool.checkedin(), self.queue_names()))
        raise KeyboardInterrupt

    monkeypatch.setattr(Worker, "work", look)
    with app.app_context(), pytest.raises(KeyboardInterrupt):
        processes._work()

    assert seen == [(0, 0, ["maintenance", "training"])]


def test_a_process_waits_for_redis_and_goes_on(monkeypatch):
    monkeypatch.setattr(processes, "_RETRY_EVERY", 0.0)
    tries = []

    def main() -> None:
        tries.append(1)
        if len(tries) < 3:
            raise QueueUnavailableError("away")

    processes._outlast_redis(main)

    assert len(tries) == 3


def test_a_process_does_not_outlast_what_is_not_redis():
    def main() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        processes._outlast_redis(main)


def test_jobs_run_in_one_application(app, monkeypatch):
    monkeypatch.setattr(context, "application", lambda: app)

    @context.in_application
    def job(number: int) -> tuple[int, str]:
        from flask import current_app

        return number, current_app.config["SQLALCHEMY_DATABASE_URI"]

    assert job(7) == (7, app.config["SQLALCHEMY_DATABASE_URI"])
