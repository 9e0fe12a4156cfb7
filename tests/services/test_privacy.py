"""Erasing a person."""

from __future__ import annotations

import threading

import pytest
from sqlalchemy import func, select

from recsvc.errors import NotFoundError
from recsvc.extensions import db
from recsvc.services import ingestion
from recsvc.services.catalogue import get_item, get_user, patch_user, put_user
from recsvc.services.ingestion import NewInteraction
from recsvc.services.privacy import erase_user
from recsvc.services.recommending import Filters, for_user
from recsvc.storage.models import Interaction, UserFeature


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


def test_a_user_who_was_erased_cannot_be_erased_again(context, do):
    do("ana", "b1")
    erase_user("ana")

    with pytest.raises(NotFoundError):
        erase_user("ana")


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
