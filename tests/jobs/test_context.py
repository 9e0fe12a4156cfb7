"""A job's lines name the request that asked for it, and only those of that job."""

from __future__ import annotations

import pytest
import structlog
from rq.job import Job

from jobs import context
from recsvc import queues
from recsvc.api.auth import public

REQUEST = "deploy-42"


@pytest.fixture
def app(sqlite_app, monkeypatch):
    monkeypatch.setattr(context, "application", lambda: sqlite_app)
    return sqlite_app


@pytest.fixture
def asked(app, redis) -> Job:
    """A job that a request asked for."""

    @app.post("/ask")
    @public
    def ask() -> str:
        queues.enqueue_training("one")
        return ""

    assert app.test_client().post("/ask", headers={"X-Request-ID": REQUEST}).status_code == 200
    return Job.fetch(queues.training_job_id("one"), connection=redis)


def bound(*_: object) -> dict[str, object]:
    return dict(structlog.contextvars.get_contextvars())


def test_a_job_carries_the_id_of_the_request_that_asked_for_it(asked):
    assert asked.meta == {"request_id": REQUEST}


def test_a_job_that_no_request_asked_for_carries_none(app, redis):
    with app.app_context():
        queues.enqueue_training("two")

    assert Job.fetch(queues.training_job_id("two"), connection=redis).meta == {}


def test_lines_of_a_job_name_its_request_until_it_ends(asked, monkeypatch):
    monkeypatch.setattr(context, "get_current_job", lambda: asked)
    assert context.in_application(bound)() == {"request_id": REQUEST}

    monkeypatch.setattr(context, "get_current_job", lambda: None)
    assert context.in_application(bound)() == {}
    assert bound() == {}


def test_what_is_called_about_a_job_that_died_names_its_request(asked):
    assert context.in_application(bound)(asked, None) == {"request_id": REQUEST}
