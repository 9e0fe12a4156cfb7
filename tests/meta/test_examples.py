"""The examples of the document: each request is taken, and answered as the answer's example says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask

from recsvc.services import catalogue, ingestion, keys, training
from recsvc.services.catalogue import ItemContent
from recsvc.services.ingestion import NewInteraction
from recsvc.services.serving import serving

# What tells an answer from others of the same form.
TELLING = {"already_running", "duplicate", "merged", "ready", "status", "strategy", "user_id"}


@pytest.fixture
def shop(make_app, sqlite_url) -> Flask:
    """The shop of the examples, with a model, and a limit that nobody comes to."""
    app = make_app(sqlite_url, rate_limits={"admin": "1000/minute"})
    books = [f"book-{number}" for number in range(40, 50)]
    rows = [
        NewInteraction(f"reader-{reader}", book, "purchase")
        for reader in range(12)
        for number, book in enumerate(books)
        if (number + reader) % 3
    ]
    with app.app_context():
        catalogue.put_items((book, ItemContent(book.title(), categories=["Classics"])) for book in books)
        ingestion.record_batch(enumerate([*rows, NewInteraction("guest-1f0c", "book-41", "view")]))
    return app


def assert_alike(example: dict[str, Any], answer: dict[str, Any], where: str) -> None:
    assert example.keys() == answer.keys(), where
    for name, value in example.items():
        assert name not in TELLING or value == answer[name], (where, name)
        if name in {"items", "recommendations"}:
            for of_example, of_answer in zip(value, answer[name], strict=False):
                assert_alike(of_example, of_answer, f"{where} {name}")


def test_each_request_is_taken_and_answered_as_the_document_says(operations, shop):
    with shop.app_context():
        headers = {"Authorization": f"Bearer {keys.create('admin', 'x')[1]}"}
        run_id = training.request("manual", requested_by="key operations")[0].run_id
        training.run(run_id)
        serving().refresh()
        real = {"run_id": run_id, "version": training.get(run_id).model_version}
    train, cancel = "post /recommendations/train", "post /training-runs/{run_id}/cancel"
    deletions = [name for name in operations if name.startswith("delete")]
    # Puts come first: what has been deleted is then made anew by them.
    rest = sorted(operations.keys() - {train, cancel, *deletions}, reverse=True)
    seen = set()
    for name in [*rest, *rest, train, train, cancel, *deletions, *rest]:
        operation = operations[name]
        parameters = {one["name"]: (one | one["schema"])["example"] for one in operation["parameters"]}
        in_query = {one["name"] for one in operation["parameters"] if one["in"] == "query"}
        method, path = name.split(" ")
        answer = shop.test_client().open(
            ("/api/v1" if "x-roles" in operation else "") + path.format(**parameters | real),
            method=method,
            headers=headers,
            query_string={part: parameters[part] for part in in_query},
            json=operation["requestBody"]["content"]["application/json"]["example"]
            if "requestBody" in operation
            else None,
        )
        documented = operation["responses"][str(answer.status_code)]
        sent = {header for header, _ in answer.headers if header.startswith("X-") or header == "Retry-After"}
        assert sent == documented["headers"].keys(), (name, answer.status_code)
        shown = documented.get("content", {}).get("application/json")
        if shown and (name, answer.status_code) not in seen:
            assert_alike(shown["example"], answer.json, f"{name} {answer.status_code}")
        if answer.status_code == 202:
            real["run_id"] = answer.json["run_id"]
        seen.add((name, answer.status_code))

    successes = {
        (name, int(status))
        for name, operation in operations.items()
        for status in operation["responses"]
        if status.startswith("2")
    }
    assert successes - seen == set()


def test_a_refusal_has_its_own_status_and_code(operations):
    shown = {
        (status, problem["example"]["status"], problem["example"]["code"])
        for operation in operations.values()
        for status, answer in operation["responses"].items()
        if (problem := answer.get("content", {}).get("application/problem+json"))
    }

    assert shown == {
        ("default", 500, "internal_error"),
        ("400", 400, "malformed"),
        ("401", 401, "unauthorized"),
        ("403", 403, "forbidden"),
        ("404", 404, "not_found"),
        ("409", 409, "conflict"),
        ("413", 413, "too_large"),
        ("415", 415, "unsupported_media_type"),
        ("422", 422, "invalid"),
        ("429", 429, "too_many_requests"),
        ("503", 503, "unavailable"),
    }


def test_every_answer_that_asks_for_patience_says_for_how_long(operations):
    for name, operation in operations.items():
        for status in {"429", "503"} & operation["responses"].keys():
            assert "Retry-After" in operation["responses"][status]["headers"], name


def test_a_service_that_is_not_ready_says_so(operations):
    answers = operations["get /readyz"]["responses"]
    ready, not_ready = (
        answers[status]["content"]["application/json"]["example"] for status in ("200", "503")
    )

    assert (ready["ready"], set(ready["checks"].values())) == (True, {"ok"})
    assert (not_ready["ready"], not_ready["checks"].keys()) == (False, ready["checks"].keys())
    assert not_ready["checks"]["database"] != "ok"


def named(part: Any, name: str) -> Iterator[Any]:
    """Whatever goes by a name, anywhere within."""
    if isinstance(part, dict):
        yield from [part[name]] if name in part else []
        part = list(part.values())
    for inner in part if isinstance(part, list) else []:
        yield from named(inner, name)


def test_reasons_are_such_as_there_are_and_add_up(operations):
    examples = list(named(list(named(operations, "example")), "reasons"))

    assert examples
    for reasons in examples:
        assert sum(reason["share"] for reason in reasons) == pytest.approx(1)
        for reason in reasons:
            more = {"interaction": {"item_id", "event"}, "feature": {"feature"}}
            assert reason.keys() == {"because", "share"} | more.get(reason["because"], set())


def test_a_run_tells_up_to_when_its_data_went(operations):
    run = operations["get /training-runs/{run_id}"]["responses"]["200"]["content"]["application/json"][
        "example"
    ]

    assert run["data"].keys() >= {"interactions", "users", "items", "until"}
