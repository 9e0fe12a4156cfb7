"""Trainings on almost nothing end in words or in a model that serves, never in a crash."""

from __future__ import annotations

import re

import pytest

pytestmark = pytest.mark.processes


def bought(user, item, event="purchase"):
    return {"user_id": f"reader-{user}", "item_id": f"book-{item}", "event": event}


USABLE = {
    "one interaction": [bought(1, 1)],
    "one user": [bought(1, item) for item in range(6)],
    "one item": [bought(user, 1) for user in range(6)],
    "every user the same item twice": [bought(user, 1) for user in range(3)] * 2,
    "an item that is only disliked": [bought(1, 1), bought(2, 2), bought(1, 3, "dislike")],
}
HOPELESS = {
    "no interactions": [],
    "only dislikes": [bought(user, item, "dislike") for user in range(3) for item in range(3)],
}


@pytest.fixture
def running(system):
    system.start_web()
    worker = system.start_worker()
    yield system
    assert worker.is_alive
    assert worker.terminate() == 0
    assert "Traceback" not in worker.log
    assert "terminated unexpectedly" not in worker.log


def check_outcome(system, run):
    """A run that ended well is served from; one that did not says why in words."""
    if run["status"] == "succeeded":
        system.wait_until_served(run["model_version"])
    else:
        assert run["status"] in {"failed", "rejected"}
        assert run["error"] or run["gate"]
        assert not re.match(r"\w*(Error|Exception)\b", run["error"] or "")
        assert len((run["error"] or run["gate"]["reason"]).split()) > 3
    for user in ("reader-1", "reader-2", "a stranger"):
        answer = system.call("GET", f"/recommendations?user_id={user}")
        assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("interactions", HOPELESS.values(), ids=HOPELESS.keys())
def test_a_training_with_nothing_to_learn_fails_and_says_so(running, interactions):
    if interactions:
        running.write(interactions)

    run = running.wait_for(running.request_training(), "failed")

    assert "interaction" in run["error"]
    assert run["model_version"] is None
    check_outcome(running, run)
    running.fill()
    running.train()


def test_trainings_on_almost_nothing_never_crash(running):
    for interactions in USABLE.values():
        for user in range(6):
            running.call("DELETE", f"/users/reader-{user}")
        running.write(interactions)

        run = running.wait_for(running.request_training(), "succeeded", "failed", "rejected")

        check_outcome(running, run)


def test_items_without_features_are_trained_on_beside_those_with(running):
    running.fill()
    for number in range(0, 30, 3):
        running.call("PUT", f"/items/book-{number}", {"features": {"author": [f"author-{number % 2}"]}})
    running.call("PUT", "/items/never-read", {"title": "Never read"})
    running.call("PUT", "/items/never-read-of-an-author", {"features": {"author": ["author-1"]}})
    running.call("PUT", "/users/never-came", {"features": {"language": ["pt"]}})

    version = running.train()

    listed = running.call("GET", "/recommendations?user_id=reader-1&k=200").json()
    assert listed["model_version"] == version
    assert {"never-read", "never-read-of-an-author"} <= {item["item_id"] for item in listed["items"]}
    stranger = running.call("GET", "/recommendations?user_id=never-came&k=10").json()
    assert len(stranger["items"]) == 10
