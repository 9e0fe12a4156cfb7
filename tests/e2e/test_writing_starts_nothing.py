"""However much is written, no training starts of it and no job is queued."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.processes


def interaction(number):
    return {"user_id": f"reader-{number % 50}", "item_id": f"book-{number % 70}", "event": "view"}


def test_a_thousand_interactions_leave_the_queue_untouched(system, together):
    system.start_web(workers=2)
    numbers = iter(range(100))

    for start in range(100, 1000, 300):
        system.write([interaction(number) for number in range(start, start + 300)])
    answers = together(100, lambda: system.call("POST", "/interactions", interaction(next(numbers))))

    assert {answer.status_code for answer in answers} == {201}
    with system.redis() as client:
        assert client.keys("*") == []
    assert system.runs() == []


def test_a_worker_beside_has_nothing_to_do(system):
    system.start_web()
    worker = system.start_worker()
    worker.says("Listening on")

    system.write([interaction(number) for number in range(1000)])

    assert system.queue_is_idle()
    with system.redis() as client:
        assert client.keys("rq:job:*") == []
        assert client.keys("rq:results:*") == []
    assert system.runs() == []
    assert "jobs." not in worker.log
