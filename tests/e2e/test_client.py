"""`recsvc.client` against real web processes, and over a network that fails it."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from recsvc.client import (
    Client,
    ConflictError,
    CredentialError,
    Interaction,
    InvalidError,
    NoAnswerError,
    NotFoundError,
    ServiceError,
    TooManyRequestsError,
    UnavailableError,
)

pytestmark = pytest.mark.processes


@pytest.fixture
def client(lasting_system) -> Iterator[Client]:
    with Client(lasting_system.web.url, lasting_system.admin_key) as made:
        yield made


@pytest.fixture
def over_a_network(make_network, lasting_system) -> Iterator[Callable[..., tuple[Client, Any]]]:
    """Makes a client, and the network between it and the service, which fails as it is told."""
    made: list[Client] = []

    def make(*mischief: int | str | bytes, retry_after: str = "", **options: float) -> tuple[Client, Any]:
        network = make_network(lasting_system.web.url, *mischief, retry_after=retry_after)
        made.append(Client(network.url, lasting_system.admin_key, **options))
        return made[-1], network

    yield make
    for client in made:
        client.close()


def test_a_write_that_is_turned_away_at_first_waits_as_long_as_it_is_told_and_is_stored_once(
    over_a_network, client
):
    failing, network = over_a_network(503, retry_after="1")
    began = time.monotonic()

    stored = failing.record_interaction("turned-away", "book-1", "view")

    assert time.monotonic() - began >= 1
    assert len(network.requests) == 2
    assert not stored.duplicate
    assert [one.id for one in client.list_interactions("turned-away")] == [stored.id]


def test_a_write_whose_answer_is_lost_is_made_again_and_stored_once(over_a_network, client):
    failing, network = over_a_network("cut", "cut")

    stored = failing.record_interaction("cut-off", "book-1", "purchase")

    assert len(network.requests) == 3
    assert stored.duplicate
    assert [one.id for one in client.list_interactions("cut-off")] == [stored.id]


def test_a_batch_whose_answer_is_lost_is_made_again_and_stored_once(over_a_network, client):
    failing, _ = over_a_network("cut")
    batch = [Interaction("batch-cut-off", f"book-{number}", "view") for number in range(3)]

    outcome = failing.record_interactions(batch)

    assert (outcome.accepted, outcome.duplicates, outcome.rejected) == (0, 3, [])
    stored = client.list_interactions("batch-cut-off")
    assert {one.event_id for one in stored} == {one.event_id for one in batch}


def test_what_a_try_without_an_answer_has_deleted_already_is_deleted(over_a_network, client):
    client.put_item("cut-off")
    stored = client.record_interaction("erased-cut-off", "cut-off", "view")
    failing, network = over_a_network()

    for delete, name in (
        (failing.delete_interaction, stored.id),
        (failing.delete_item, "cut-off"),
        (failing.erase_user, "erased-cut-off"),
    ):
        network.mischief = ["cut"]
        assert delete(name) is None
        with pytest.raises(NotFoundError):
            delete(name)


def test_any_5xx_of_a_proxy_between_is_tried_again(over_a_network):
    failing, network = over_a_network(502, 504, 503)

    assert failing.list_popular(k=1).items
    assert len(network.requests) == 4


def test_tries_come_to_an_end_and_the_last_error_is_told(over_a_network):
    failing, network = over_a_network(503, 503, 503, retries=1)

    with pytest.raises(UnavailableError) as told:
        failing.get_item("book-1")

    assert len(network.requests) == 2
    assert (told.value.status, told.value.code, told.value.detail) == (503, "http_503", "<h1>No.</h1>")


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (b"<h1>Log in</h1>", "<h1>Log in</h1>"),
        (b'{"user_id": "ana"}', "ana"),
        (b'{"user_id": "ana", "features": {}, "created_at": "long ago"}', "long ago"),
        (b'["ana"]', "ana"),
        (b"7", "7"),
        (b"", "nothing"),
    ],
)
def test_what_cannot_be_the_services_answer_is_told_as_it_came(over_a_network, answer, told):
    failing, network = over_a_network(answer)

    with pytest.raises(ServiceError) as raised:
        failing.get_user("ana")

    assert (raised.value.status, raised.value.code, len(network.requests)) == (200, "unreadable_answer", 1)
    assert told in raised.value.detail


@pytest.mark.parametrize(
    "call",
    [
        lambda client: list(client.list_items()),
        lambda client: client.record_interactions([Interaction("ana", "b", "view")]),
        lambda client: client.put_items([{"item_id": "b"}]),
        lambda client: list(client.recommend_to_users(["ana"])),
        lambda client: client.list_model_versions(),
        lambda client: client.train(),
    ],
)
@pytest.mark.parametrize("answer", [b'{"x": 1}', b"[]", b""])
def test_no_call_takes_another_answer_for_the_services(over_a_network, call, answer):
    failing, _ = over_a_network(answer)

    with pytest.raises(ServiceError, match="unreadable_answer"):
        call(failing)


def test_an_answer_that_came_damaged_is_asked_for_again(over_a_network):
    failing, network = over_a_network(b"\x1f\x8b and no gzip")

    assert failing.list_popular(k=1).items
    assert len(network.requests) == 2

    network.mischief = [b"\x1f\x8b and no gzip"] * 4
    with pytest.raises(NoAnswerError, match="GET /recommendations/popular got no answer"):
        failing.list_popular(k=1)


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_nobody_waits_longer_than_they_want_to(over_a_network, form):
    in_an_hour = datetime.now(UTC) + timedelta(hours=1)
    retry_after = {"seconds": "3600", "date": in_an_hour.strftime("%a, %d %b %Y %H:%M:%S GMT")}[form]
    failing, network = over_a_network(429, retry_after=retry_after)

    with pytest.raises(TooManyRequestsError) as told:
        failing.get_item("book-1")

    assert told.value.retry_after == pytest.approx(3600, abs=60)
    assert len(network.requests) == 1


def test_what_was_refused_is_not_tried_again(over_a_network):
    failing, network = over_a_network()

    with pytest.raises(InvalidError):
        failing.list_popular(k=0)
    assert len(network.requests) == 1


def test_a_service_that_is_not_there_is_told_with_httpxs_reason():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        nowhere = f"http://127.0.0.1:{probe.getsockname()[1]}"

    with Client(nowhere, "key", retries=1) as lost, pytest.raises(NoAnswerError) as told:
        lost.list_popular()

    assert isinstance(told.value.__cause__, httpx.ConnectError)
    assert (told.value.status, told.value.code) == (0, "no_answer")


def test_a_refusal_carries_what_the_problem_document_says(client, lasting_system):
    with pytest.raises(NotFoundError) as unknown:
        client.get_item("no-such-item")
    with pytest.raises(InvalidError) as invalid:
        client.record_interaction("ana", "book-1", "stared at")
    with Client(lasting_system.web.url, "nobody's key") as nobody, pytest.raises(CredentialError) as refused:
        nobody.list_popular()

    assert (unknown.value.status, unknown.value.code) == (404, "item_not_found")
    assert len(unknown.value.request_id) == 32
    assert (invalid.value.status, list(invalid.value.errors)) == (422, ["event"])
    assert "stared at" in str(invalid.value)
    assert (refused.value.status, refused.value.code) == (401, "unauthorized")


@pytest.mark.parametrize("name", ["a/b", ".", "..", "50% off", "ção?x=1#y", "a+b&c"])
def test_any_id_of_the_shops_reaches_the_service_whole(client, name):
    client.put_item(name, title=name)

    assert client.get_item(name).item_id == name
    assert [one.item_id for one in client.list_items(q=name) if one.item_id == name] == [name]
    client.delete_item(name)
    with pytest.raises(NotFoundError):
        client.get_item(name)


def test_the_catalogue_is_written_changed_and_read_to_its_end(client):
    published = datetime(2026, 5, 1, 12, tzinfo=UTC)
    made = client.put_item("kept", title="Kept", categories=["Odd"], published_at=published)
    changed = client.patch_item("kept", title=None, features={"author": ["Eça"]})
    outcome = client.put_items(
        {"item_id": "" if number == 1_100 else f"page-{number:04}", "categories": ["Pages"]}
        for number in range(1_250)
    )

    assert (made.title, made.published_at, made.available) == ("Kept", published, True)
    assert (changed.title, changed.categories, changed.features) == (None, ["Odd"], {"author": ["Eça"]})
    assert outcome.accepted == 1_249
    assert [(one.index, one.code, list(one.errors)) for one in outcome.rejected] == [
        (1_100, "invalid", ["item_id"])
    ]
    listed = [one.item_id for one in client.list_items(category="Pages")]
    assert listed == [f"page-{number:04}" for number in range(1_250) if number != 1_100]


def test_batches_of_any_length_are_written_and_bad_entries_are_told_by_their_place(client):
    batch = [
        Interaction("diligent", "book-1", "stared at" if number == 1_700 else "view")
        for number in range(2_100)
    ]

    outcome = client.record_interactions(iter(batch))
    again = client.record_interactions(batch)

    assert (outcome.accepted, outcome.duplicates) == (2_099, 0)
    assert [one.index for one in outcome.rejected] == [1_700]
    assert (again.accepted, again.duplicates) == (0, 2_099)
    assert sum(1 for _ in client.list_interactions("diligent")) == 2_099


def test_a_moment_without_its_time_zone_is_not_sent(client):
    with pytest.raises(ValueError, match="time zone"):
        client.record_interaction("ana", "book-1", "view", occurred_at=datetime(2026, 1, 1))  # noqa: DTZ001


def test_lists_of_every_kind_come_typed_and_what_comes_of_them_is_attributed(client):
    of_user = client.recommend_to_user("reader-1", k=5, exclude=["book-1", "book-3"], explain=True)
    of_visitor = client.recommend_to_session(["book-2", "book-4"], k=5)
    many = list(client.recommend_to_users([f"reader-{number}" for number in range(600)], k=1))
    moment = datetime(2026, 6, 1, 12, 30, tzinfo=UTC)
    client.record_interaction(
        "reader-1",
        of_user.items[0].item_id,
        "cart",
        value=2.5,
        occurred_at=moment,
        event_id="cart-1",
        recommendation_id=of_user.recommendation_id,
    )

    assert [item.rank for item in of_user.items] == [1, 2, 3, 4, 5]
    assert not {"book-1", "book-3"} & {item.item_id for item in of_user.items}
    for item in of_user.items:
        assert sum(reason.share for reason in item.reasons) == pytest.approx(1)
    assert (len(of_visitor.items), of_visitor.user_id) == (5, None)
    assert [told.user_id for told in many] == [f"reader-{number}" for number in range(600)]
    lists = [client.list_popular(k=3), client.list_trending(k=3), client.list_latest(k=3)]
    lists.append(client.list_similar("book-2", k=3))
    assert [(told.strategy, len(told.items)) for told in lists] == [
        ("popular", 3),
        ("trending", 3),
        ("latest", 3),
        ("similar", 3),
    ]
    (stored,) = (one for one in client.list_interactions("reader-1", event="cart"))
    assert (stored.occurred_at, stored.value, stored.event_id) == (moment, 2.5, "cart-1")
    assert stored.recommendation_id == of_user.recommendation_id


def test_a_user_token_speaks_for_its_user_alone(client, lasting_system):
    token = client.issue_token("token-holder", ttl_seconds=60)

    with Client(lasting_system.web.url, token.token) as app:
        app.record_interaction(None, "book-2", "view")
        told = app.recommend_to_user(k=3)
        with pytest.raises(CredentialError):
            app.recommend_to_user("reader-1")

    assert (told.user_id, len(told.items)) == ("token-holder", 3)
    assert timedelta(seconds=50) < token.expires_at - datetime.now(UTC) <= timedelta(seconds=60)


def test_a_guest_becomes_a_user_who_is_shown_what_is_held_of_them_and_is_erased(client):
    client.record_interaction("guest", "book-2", "cart")
    client.put_user("signed-in", features={"language": ["pt"]})
    client.patch_user("signed-in", features={"language": ["en"]})
    outcome = client.put_users([{"user_id": "signed-in-too", "features": {"language": ["pt"]}}])

    moved = client.merge_user("guest", into="signed-in")
    export = client.export_user("signed-in")
    receipt = client.erase_user("signed-in")

    assert outcome.accepted == 1
    assert (moved.merged, moved.user_id, moved.interactions) == ("guest", "signed-in", 1)
    assert (export.features, [one.event for one in export.interactions]) == ({"language": ["en"]}, ["cart"])
    assert receipt is not None
    assert (receipt.interactions, receipt.user_id) == (1, "signed-in")
    assert "signed-in-too" in {user.user_id for user in client.list_users()}
    with pytest.raises(NotFoundError):
        client.get_user("signed-in")


def test_an_admin_trains_cancels_and_rolls_back(client):
    (version,) = client.list_model_versions()
    asked, again = client.train(reason="a test"), client.train()
    run = client.get_training_run(asked.run_id)
    cancelled = client.cancel_training_run(asked.run_id)

    assert (asked.already_running, again.already_running) == (False, True)
    assert again.run_id == asked.run_id
    assert (run.status, run.reason, cancelled.status) == ("queued", "a test", "cancelled")
    assert next(client.list_training_runs(status="cancelled")).run_id == asked.run_id
    with pytest.raises(ConflictError):
        client.cancel_training_run(asked.run_id)
    assert client.get_model_version(version.version).status == "active"
    assert client.activate_model_version(version.version).version == version.version
    assert client.get_status()["serving"]["model_version"] == version.version
