"""Erasing, exporting and merging people, and forgetting what is old."""

from __future__ import annotations

import io
import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select, text

from recsvc.errors import InvalidInputError, NotFoundError
from recsvc.extensions import db
from recsvc.services import ingestion, privacy
from recsvc.services.catalogue import (
    ItemContent,
    get_item,
    get_user,
    patch_user,
    put_items,
    put_user,
    put_users,
)
from recsvc.services.importing import uploads
from recsvc.services.ingestion import NewInteraction
from recsvc.services.privacy import erase_user, export_user, merge_user
from recsvc.services.recommending import Filters, for_user
from recsvc.services.serving import serving
from recsvc.storage.models import Feature, Interaction, ShownRecommendation, UserFeature


def rows(table: type) -> int:
    return db.session.scalar(select(func.count()).select_from(table)) or 0


def test_all_that_is_held_of_a_user_is_gone_at_once(context, do):
    put_user("ana", {"language": ["pt"], "city": ["Recife"]})
    do("ana", "b1", "b2", "b3")
    do("bob", "b1")

    receipt = erase_user("ana")

    assert (receipt.interactions, receipt.features, receipt.model_versions) == (3, 2, [])
    assert (rows(Interaction), rows(UserFeature)) == (1, 0)
    with pytest.raises(NotFoundError):
        get_user("ana")
    assert get_item("b2").item_id == "b2"
    assert len(ingestion.history_page("bob", before=None, limit=9, event=None)) == 1


def refused_of(name: str, content: bytes) -> Callable[[], list[str]]:
    """Uploads interactions and has them checked; gives what is kept of the rows that were refused."""
    made = uploads.upload(name, io.BytesIO(content), kind="interactions", event="view", requested_by="test")
    uploads.work_on(made.import_id)
    return lambda: [row["row"] for row in uploads.get(made.import_id).outcome["refused"]]


def test_rows_of_an_uploaded_file_that_were_refused_and_name_the_user_are_gone(context, do):
    do("é-1", "b1")
    head = "user_id,item_id,event\n"
    table = refused_of("a.csv", f"{head}é-1,b1,stare\né-12,b1,stare\nbob,é-1,stare\nbob,b1,stare\n".encode())
    bobs = json.dumps({"user_id": "bob", "event": "stare"})
    lines = refused_of("a.jsonl", f"{json.dumps({'user_id': 'é-1'})}\n{bobs}\n".encode())
    assert (len(table()), len(lines())) == (4, 2)

    erase_user("é-1")

    assert table() == ["é-12,b1,stare", "bob,b1,stare"]
    assert lines() == [bobs]


def labels() -> list[tuple[str, str]]:
    return [
        tuple(row) for row in db.session.execute(select(Feature.name, Feature.value).order_by(Feature.value))
    ]


def test_what_was_said_of_an_erased_user_alone_is_gone_and_what_others_have_stays(context):
    put_items([("b1", ItemContent(features={"author": ["Ana Maria"]}))])
    put_user("ana", {"email": ["ana@example.org"], "author": ["Ana Maria"], "city": ["Recife"]})
    put_user("bob", {"city": ["Recife"]})

    erase_user("ana")

    assert labels() == [("author", "Ana Maria"), ("city", "Recife")]


def test_what_is_said_of_a_user_no_more_is_gone(context):
    put_user("ana", {"email": ["old@example.org"], "city": ["Recife"]})
    put_user("ana", {"email": ["new@example.org"], "city": ["Recife"]})
    assert labels() == [("city", "Recife"), ("email", "new@example.org")]

    patch_user("ana", {"features": {"city": ["Olinda"]}})
    assert labels() == [("city", "Olinda")]


def test_the_key_of_a_feature_that_is_gone_is_never_anothers(context):
    put_user("ana", {"email": ["ana@example.org"]})
    gone = db.session.scalar(select(Feature.feature_key))
    erase_user("ana")
    put_user("bob", {"city": ["Recife"]})

    assert db.session.scalar(select(Feature.feature_key)) > gone


def test_what_is_said_of_somebody_else_in_the_same_moment_is_not_lost(app):
    shared = {"household": ["1"], "street": ["2"]}

    def go_on(act: Callable[[], object]) -> None:
        for _ in range(30):
            with app.app_context(), suppress(NotFoundError):
                act()

    def tell_of_bob() -> None:
        put_user("bob", shared)
        assert get_user("bob").features == shared
        put_user("bob", {})

    with ThreadPoolExecutor(3) as pool:
        acts = [tell_of_bob, lambda: put_user("ana", shared), lambda: erase_user("ana")]
        for done in [pool.submit(go_on, act) for act in acts]:
            done.result()


def test_what_two_users_alone_had_is_gone_though_both_are_erased_at_once(app):
    for _ in range(15):
        with app.app_context():
            put_users((user_id, {"household": ["1"], "street": ["2"]}) for user_id in ("ana", "bob"))

        def erase(user_id: str) -> None:
            with app.app_context():
                erase_user(user_id)

        with ThreadPoolExecutor(2) as pool:
            list(pool.map(erase, ("ana", "bob")))
        with app.app_context():
            assert labels() == []


def test_a_user_who_was_erased_cannot_be_erased_again(context, do):
    do("ana", "b1")
    erase_user("ana")

    with pytest.raises(NotFoundError):
        erase_user("ana")


def test_a_user_may_be_erased_twice_at_once(app):
    def erase(_: int) -> bool:
        with app.app_context(), suppress(NotFoundError):
            erase_user("ana")
            return True
        return False

    for _ in range(10):
        with app.app_context():
            put_user("ana", {})
        with ThreadPoolExecutor(2) as pool:
            assert any(pool.map(erase, range(2)))


def test_the_receipt_names_versions_that_read_the_user_though_nothing_is_left_of_that(trained, do, train):
    last = do("ana", "crime-1")
    after = train().model_version
    ingestion.delete(last)

    assert erase_user("ana").model_versions == [after]


def test_the_receipt_names_versions_that_read_the_guest_whom_an_account_once_was(trained, do, train):
    do("guest", "crime-1")
    version = train().model_version
    merge_user("guest", "ana")
    for one in export_user("ana").interactions:
        ingestion.delete(one["id"])

    assert erase_user("ana").model_versions == [version]


def test_the_receipt_names_the_versions_that_read_the_user(trained, do, train):
    before = train().model_version
    do("ana", "crime-1")
    after = train().model_version

    assert erase_user("ana").model_versions == [after]
    assert before in erase_user("crime-reader-0").model_versions


def test_an_erased_user_is_a_stranger(trained, do):
    do("ana", "crime-1")
    erase_user("ana")

    answer = for_user("ana", Filters(k=16))
    assert (answer.strategy, len(answer.items)) == ("popular", 16)


def test_an_id_that_comes_back_begins_anew(context, do):
    do("ana", "b1")
    erase_user("ana")
    do("ana", "b2")

    history = ingestion.history_page("ana", before=None, limit=9, event=None)
    assert [item_id for _, item_id, _ in history] == ["b2"]


def test_interactions_that_come_in_while_a_user_is_erased_neither_fail_nor_hinder(app):
    failures: list[BaseException] = []

    def guard(act) -> None:
        try:
            with app.app_context():
                act()
        except NotFoundError:
            pass
        except BaseException as error:
            failures.append(error)

    def write() -> None:
        for number in range(40):
            guard(lambda: ingestion.record(NewInteraction("ana", f"b{number % 3}", "view")))  # noqa: B023

    def erase() -> None:
        for _ in range(40):
            guard(lambda: erase_user("ana"))

    threads = [threading.Thread(target=act) for act in (write, write, erase)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    with app.app_context():
        guard(lambda: erase_user("ana"))
        assert rows(Interaction) == 0


def test_what_a_new_user_does_is_never_taken_for_what_an_erased_one_did(trained, do, train):
    last = do("ana", "crime-1")
    version = train().model_version
    erase_user("ana")

    assert do("newcomer", "crime-2") > last
    assert for_user("newcomer", Filters(k=3)).strategy == "folded_in"
    assert version not in erase_user("newcomer").model_versions


def test_a_patch_does_not_bring_an_erased_user_back(context):
    put_user("ana", {"language": ["pt"]})
    erase_user("ana")

    with pytest.raises(NotFoundError):
        patch_user("ana", {})
    with pytest.raises(NotFoundError):
        get_user("ana")


def test_everything_held_of_a_user_is_exported(trained, do):
    put_user("ana", {"language": ["pt"]})
    answer = for_user("ana", Filters(k=2))
    last = do("ana", "crime-1", "crime-2", event="rating", value=4.0)
    do("ana", answer.items[0].item_id, recommendation_id=answer.recommendation_id, event_id="order-1")
    do("bob", "crime-3")

    export = export_user("ana")

    assert (export.user_id, export.features) == ("ana", {"language": ["pt"]})
    assert [one["event"] for one in export.interactions] == ["view", "rating", "rating"]
    assert export.interactions[0]["recommendation_id"] == answer.recommendation_id
    assert export.interactions[1].items() >= {"id": last, "item_id": "crime-2", "value": 4.0}.items()
    (shown,) = export.shown_recommendations
    assert shown["item_ids"] == [item.item_id for item in answer.items]
    assert shown["recommendation_id"] == answer.recommendation_id


def test_a_long_history_is_exported_whole(context, monkeypatch):
    monkeypatch.setattr(privacy, "_ROWS_A_PAGE", 10)
    ingestion.record_batch(enumerate(NewInteraction("ana", f"b{n}", "view") for n in range(35)))

    exported = export_user("ana").interactions

    assert len({one["id"] for one in exported}) == len(exported) == 35


def test_nothing_is_exported_of_a_stranger(context):
    with pytest.raises(NotFoundError):
        export_user("nobody")


def test_what_a_stranger_was_shown_is_exported(trained):
    answer = for_user("never-seen", Filters(k=2))

    export = export_user("never-seen")

    assert (export.created_at, export.features, export.interactions) == (None, {}, [])
    assert [one["recommendation_id"] for one in export.shown_recommendations] == [answer.recommendation_id]


def test_what_a_stranger_was_shown_is_merged_into_an_account(trained):
    for_user("never-seen", Filters(k=2))

    assert merge_user("never-seen", "ana") == 0

    assert len(export_user("ana").shown_recommendations) == 1
    with pytest.raises(NotFoundError):
        export_user("never-seen")
    with pytest.raises(NotFoundError):
        merge_user("never-seen", "ana")


def test_nobody_is_made_where_there_is_nothing_to_merge(context):
    with pytest.raises(NotFoundError):
        merge_user("nobody", "ana")
    with pytest.raises(NotFoundError):
        get_user("ana")


def test_an_account_is_known_since_its_guest_was(context, do):
    do("guest", "b1")
    since = get_user("guest").created_at
    do("ana", "b2")
    merge_user("guest", "ana")
    do("late-guest", "b3")
    merge_user("late-guest", "ana")

    assert get_user("ana").created_at == since


def test_what_a_user_was_shown_is_erased_too_known_or_not(trained, do):
    do("ana", "crime-1")
    for user_id in ("ana", "ana", "never-seen"):
        for_user(user_id, Filters(k=2))

    assert erase_user("ana").shown_recommendations == 2
    assert erase_user("never-seen").shown_recommendations == 1
    assert rows(ShownRecommendation) == 0
    with pytest.raises(NotFoundError):
        erase_user("never-seen")


def test_the_receipt_says_what_versions_hold_and_when_one_without_the_user_is_made(trained):
    receipt = erase_user("crime-reader-0")

    assert receipt.model_versions
    assert "lightfm.pickle" in receipt.still_held
    assert receipt.erased_at < receipt.next_training_at <= receipt.erased_at + timedelta(days=1)
    assert (receipt.next_training_at.hour, receipt.next_training_at.minute) == (0, 0)
    # Five versions are kept: this one goes when the fifth after it has come.
    assert receipt.held_until == receipt.next_training_at + timedelta(days=4)


def test_what_is_served_of_a_version_has_no_row_a_user(trained, context):
    view = serving().view()
    with_users = {
        name: array.shape for name, array in view.served.model.arrays().items() if 24 in array.shape
    }
    assert with_users == {}  # there are 24 readers, 16 items, and no other 24


def test_a_guest_is_merged_into_an_account(trained, do):
    do("guest", "crime-1", "crime-2")
    put_user("guest", {"city": ["Recife"]})
    do("ana", "crime-4")
    put_user("ana", {"language": ["pt"]})
    for_user("guest", Filters(k=2))

    assert merge_user("guest", "ana") == 2

    export = export_user("ana")
    assert {one["item_id"] for one in export.interactions} == {"crime-1", "crime-2", "crime-4"}
    assert export.features == {"language": ["pt"], "city": ["Recife"]}
    assert len(export.shown_recommendations) == 1
    assert not {"crime-1", "crime-2", "crime-4"} & {i.item_id for i in for_user("ana", Filters(k=16)).items}
    with pytest.raises(NotFoundError):
        get_user("guest")
    with pytest.raises(NotFoundError):
        merge_user("guest", "ana")


def test_a_guest_is_merged_into_an_account_never_heard_of(context, do):
    do("guest", "b1")

    assert merge_user("guest", "new") == 1
    assert len(export_user("new").interactions) == 1


def test_what_a_guest_and_their_account_sent_under_one_event_id_is_one_event(context, do):
    do("guest", "b1", event_id="order-1")
    do("guest", "b2", event_id="order-2")
    do("guest", "b3")
    kept = do("ana", "b1", event_id="order-1")
    do("ana", "b4")

    assert merge_user("guest", "ana") == 2

    export = export_user("ana")
    assert sorted(one["item_id"] for one in export.interactions) == ["b1", "b2", "b3", "b4"]
    assert kept in [one["id"] for one in export.interactions]


def test_nobody_is_merged_into_themselves(context, do):
    do("guest", "b1")

    with pytest.raises(InvalidInputError):
        merge_user("guest", "guest")
    assert len(export_user("guest").interactions) == 1


def test_merges_in_a_circle_and_writes_meanwhile_lose_nothing(app):
    failures: list[BaseException] = []

    def guard(act) -> None:
        try:
            with app.app_context():
                act()
        except NotFoundError:
            pass
        except BaseException as error:
            failures.append(error)

    def merge(guest: str, into: str) -> None:
        for _ in range(10):
            guard(lambda: merge_user(guest, into))

    def write(user_id: str) -> None:
        for number in range(20):
            guard(lambda: ingestion.record(NewInteraction(user_id, f"b{number % 3}", "view")))  # noqa: B023

    threads = [
        threading.Thread(target=merge, args=("ana", "bob")),
        threading.Thread(target=merge, args=("bob", "ana")),
        threading.Thread(target=write, args=("ana",)),
        threading.Thread(target=write, args=("bob",)),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    with app.app_context():
        assert rows(Interaction) == 40


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_what_an_account_sends_again_while_its_guest_is_merged_is_stored_once(app, do):
    do("guest", "b1", event_id="order-1")
    do("ana", "b2")
    sent_again = text(
        "INSERT INTO interactions (user_key, item_key, event_code, occurred_at, received_at, event_id)"
        " SELECT (SELECT user_key FROM users WHERE user_id = 'ana'), item_key, event_code, occurred_at,"
        " received_at, event_id FROM interactions WHERE event_id = 'order-1'"
    )
    waits = text("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)")

    def merge() -> int:
        with app.app_context():
            return merge_user("guest", "ana")

    with ThreadPoolExecutor() as pool, db.engine.connect() as account:
        account.execute(sent_again)
        merged = pool.submit(merge)
        while not merged.done() and not account.scalar(waits):
            time.sleep(0.01)
        account.commit()

        assert merged.result() == 0
    assert sorted(one["item_id"] for one in export_user("ana").interactions) == ["b1", "b2"]


def test_interactions_are_deleted_when_their_time_is_over(make_app, database_url, monkeypatch):
    monkeypatch.setattr(privacy, "_KEYS_A_TRANSACTION", 7)
    with make_app(database_url, interaction_retention_days=30).app_context():
        for age in range(60):
            occurred = datetime.now(UTC) - timedelta(days=age + 0.5)
            ingestion.record(NewInteraction("u", f"b{age}", "view", occurred_at=occurred))

        assert privacy.delete_old_interactions() == 30
        assert rows(Interaction) == 30
        assert privacy.delete_old_interactions() == 0


def test_by_default_interactions_are_kept(context, do):
    do("u", "b", occurred_at=datetime.now(UTC) - timedelta(days=10_000))

    assert privacy.delete_old_interactions() == 0
    assert rows(Interaction) == 1


def test_the_receipt_names_a_training_that_may_have_read_the_user(context, do):
    from recsvc.services import training

    do("ana", "b1")
    run, _ = training.request("manual", requested_by="test")

    receipt = erase_user("ana")

    assert (receipt.model_versions, receipt.training_run) == ([], run.run_id)
    assert receipt.still_held
