"""Interactions are stored once, whatever is retried, and start no training."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest
from rq import Queue
from sqlalchemy import func, select

from recsvc import queues
from recsvc.errors import InvalidInputError, NotFoundError, UnknownItemError
from recsvc.extensions import db
from recsvc.services import ingestion
from recsvc.services.catalogue import ItemContent, delete_item, get_item, put_items
from recsvc.services.events import event_book
from recsvc.services.ingestion import NewInteraction, record, record_batch
from recsvc.storage.models import Interaction, TrainingRun


def stored() -> int:
    return db.session.scalar(select(func.count()).select_from(Interaction)) or 0


def view(number: int = 0, **changes) -> NewInteraction:
    return NewInteraction(**({"user_id": "u", "item_id": f"b{number}", "event": "view"} | changes))


def test_a_retry_answers_the_first_key_and_stores_nothing(context):
    first = record(view(event_id="e1"))
    second = record(view(event_id="e1"))

    assert (first[1], second) == (False, (first[0], True))
    assert stored() == 1


def test_ids_of_one_user_leave_no_trace_in_what_others_do(context):
    first, _ = record(view(user_id="ana", event_id="order-1"))
    others, duplicate = record(view(user_id="bob", event_id="order-1"))

    assert (others != first, duplicate) == (True, False)
    assert record(view(user_id="ana", event_id="order-1")) == (first, True)
    assert record(view(user_id="bob", event_id="order-1")) == (others, True)


def test_one_id_of_two_users_within_a_batch_is_two_events(context):
    batch = [view(user_id=user_id, event_id="order-1") for user_id in ("ana", "bob", "ana")]

    outcome = record_batch(enumerate(batch))

    assert (outcome.accepted, outcome.duplicates) == (2, 1)


def test_a_retry_makes_nothing_that_it_names_for_the_first_time(context):
    key, _ = record(view(1, event_id="e1"))

    assert record(view(item_id="never heard of", event_id="e1")) == (key, True)
    with pytest.raises(NotFoundError):
        get_item("never heard of")


def test_equal_events_without_an_id_are_two_events(context):
    assert record(view()) != record(view())
    assert stored() == 2


def test_one_id_twice_within_a_batch_is_stored_once(context):
    outcome = record_batch(enumerate([view(1, event_id="e"), view(2, event_id="e"), view(3)]))

    assert (outcome.accepted, outcome.duplicates, outcome.rejected) == (2, 1, [])
    assert stored() == 2


def test_a_batch_that_is_retried_is_all_duplicates(context):
    batch = [view(number, event_id=f"e{number}") for number in range(1_000)]

    assert record_batch(enumerate(batch)).accepted == 1_000
    again = record_batch(enumerate(batch))

    assert (again.accepted, again.duplicates) == (0, 1_000)
    assert stored() == 1_000


def test_good_entries_are_stored_whatever_the_bad_ones_are(context):
    soon = datetime.now(UTC) + timedelta(hours=1)
    batch = [view(0), view(1, event="stare"), view(2, event="rating"), view(3, occurred_at=soon), view(4)]

    outcome = record_batch(enumerate(batch))

    assert outcome.accepted == 2
    assert [(one.index, *one.error.errors) for one in outcome.rejected] == [
        (1, "event"),
        (2, "value"),
        (3, "occurred_at"),
    ]


def test_a_batch_of_only_bad_entries_stores_nothing(context):
    outcome = record_batch([(7, view(event="stare"))])

    assert (outcome.accepted, outcome.rejected[0].index, stored()) == (0, 7, 0)


def test_an_empty_batch_is_no_error(context):
    assert record_batch([]).accepted == 0


def test_an_unknown_event_is_refused_with_those_that_are_known(context):
    with pytest.raises(InvalidInputError, match=r"'stare'.*view, cart, purchase") as refused:
        record(view(event="stare"))
    assert set(refused.value.errors) == {"event"}


def test_a_rating_needs_a_value_and_other_events_do_not(context):
    with pytest.raises(InvalidInputError, match="needs a value"):
        record(view(event="rating"))
    record(view(event="rating", value=0.0))
    record(view(event="like"))

    assert stored() == 2


@pytest.mark.parametrize(("minutes", "is_taken"), [(-60, True), (4.9, True), (5.1, False)])
def test_five_minutes_in_the_future_are_the_most(context, minutes, is_taken):
    moment = datetime.now(UTC) + timedelta(minutes=minutes)
    if is_taken:
        record(view(occurred_at=moment))
    else:
        with pytest.raises(InvalidInputError, match="future"):
            record(view(occurred_at=moment))

    assert stored() == int(is_taken)


def test_without_a_time_it_is_now(context):
    before = datetime.now(UTC)
    record(view())

    row = ingestion.history_page("u", before=None, limit=1, event=None)[0][0]
    assert before <= row.occurred_at <= datetime.now(UTC)


def test_unknown_items_and_users_are_made(context):
    record(view(5))

    assert get_item("b5").title is None


def test_settings_can_refuse_unknown_items(make_app, database_url):
    app = make_app(database_url, unknown_items="reject")
    with app.app_context():
        put_items([("b1", ItemContent())])

        with pytest.raises(UnknownItemError):
            record(view(9))
        outcome = record_batch(enumerate([view(9), view(1), view(8)]))

        assert outcome.accepted == 1
        assert [(one.index, one.error.code) for one in outcome.rejected] == [
            (0, "unknown_item"),
            (2, "unknown_item"),
        ]
        assert stored() == 1


def test_the_events_are_those_of_the_settings(make_app, database_url):
    app = make_app(database_url, event_weights={"download": 2.0, "skip": -1.0})
    with app.app_context():
        record(view(event="download"))
        with pytest.raises(InvalidInputError):
            record(view(event="view"))
        book = event_book()

    assert book.scale.weights[book.codes["download"]] == 2.0
    assert book.scale.weights[book.codes["skip"]] == -1.0
    assert book.scale.rating_code == -1


def test_an_event_that_settings_dropped_keeps_its_code_and_says_nothing(make_app, database_url):
    with make_app(database_url).app_context():
        record(view(event="cart"))
        code = event_book().codes["cart"]
    with make_app(database_url, event_weights={"view": 1.0, "wave": 1.0}).app_context():
        record(view(event="wave"))
        book = event_book()

        assert book.codes["wave"] != code
        assert book.scale.weights[code] == 0
        assert ingestion.history_page("u", before=None, limit=9, event=None)[-1][2] == "cart"


def test_a_thousand_interactions_start_no_training(context, redis):
    record_batch(enumerate(view(number % 50) for number in range(1_000)))

    assert [Queue(name, connection=redis).count for name in queues.QUEUES] == [0, 0]
    assert redis.keys("*") == []
    assert db.session.scalar(select(func.count()).select_from(TrainingRun)) == 0


def test_interactions_are_taken_while_redis_is_away(make_app, database_url):
    with make_app(database_url, redis_url="redis://127.0.0.1:1/0").app_context():
        record(view())

        assert stored() == 1


def test_a_deleted_item_still_takes_interactions_and_stays_deleted(context):
    put_items([("b0", ItemContent())])
    delete_item("b0")

    record(view(0))

    assert stored() == 1
    with pytest.raises(NotFoundError):
        get_item("b0")


def test_an_interaction_can_be_deleted_once(context):
    key, _ = record(view())

    ingestion.delete(key)

    assert stored() == 0
    with pytest.raises(NotFoundError):
        ingestion.delete(key)


def test_a_history_is_paged_newest_first_even_where_times_are_equal(context):
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    record_batch(enumerate(view(number, occurred_at=moment) for number in range(7)))
    record(view(9, occurred_at=moment - timedelta(days=1)))
    seen, before = [], None
    while rows := ingestion.history_page("u", before=before, limit=3, event=None):
        seen += [item_id for _, item_id, _ in rows]
        before = (rows[-1][0].occurred_at, rows[-1][0].interaction_key)

    assert seen == ["b6", "b5", "b4", "b3", "b2", "b1", "b0", "b9"]


def test_threads_that_make_the_same_users_and_items_all_get_through(app):
    failures: list[BaseException] = []

    def write(thread: int) -> None:
        try:
            with app.app_context():
                for number in range(5):
                    record(NewInteraction(f"u{number}", f"b{number}", "view", event_id=f"{thread}-{number}"))
                    record(NewInteraction(f"u{number}", f"b{number}", "view", event_id=f"shared-{number}"))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    with app.app_context():
        assert stored() == 8 * 5 + 5


def test_where_unknown_items_are_refused_a_deleted_one_is_too(make_app, database_url):
    app = make_app(database_url, unknown_items="reject")
    with app.app_context():
        put_items([("b1", ItemContent())])
        delete_item("b1")

        with pytest.raises(UnknownItemError):
            ingestion.record(NewInteraction("u", "b1", "view"))


def test_batches_with_the_same_new_ids_in_opposite_orders_end_well(app):
    failures: list[BaseException] = []
    accepted: list[int] = []

    def write(ids: list[str]) -> None:
        try:
            with app.app_context():
                accepted.append(record_batch(enumerate(view(event_id=one) for one in ids)).accepted)
        except BaseException as error:
            failures.append(error)

    with app.app_context():
        record(view())
    for turn in range(4):
        ids = [f"e-{turn}-{number}" for number in range(400)]
        threads = [threading.Thread(target=write, args=(order,)) for order in (ids, ids[::-1])]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert failures == []
    assert sum(accepted) == 1_600


def test_a_deadlock_is_gone_through_again_and_nothing_else_is(context):
    import psycopg
    from sqlalchemy.exc import OperationalError

    from recsvc.storage.database import again_after_deadlock

    tries: list[int] = []

    def fails(times: int, cause: type[Exception]):
        def write() -> str:
            tries.append(1)
            if len(tries) <= times:
                raise OperationalError("…", {}, cause())
            return "written"

        return write

    assert again_after_deadlock(fails(3, psycopg.errors.DeadlockDetected)) == "written"
    assert len(tries) == 4
    tries.clear()
    with pytest.raises(OperationalError):
        again_after_deadlock(fails(4, psycopg.errors.DeadlockDetected))
    tries.clear()
    with pytest.raises(OperationalError):
        again_after_deadlock(fails(1, psycopg.errors.LockNotAvailable))
    assert len(tries) == 1
