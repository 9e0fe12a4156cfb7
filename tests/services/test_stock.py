"""What a shop has to learn from, counted by hand beside; on the spot where it is small, else by a worker."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import text

from jobs import context as of_jobs
from jobs import maintenance
from recsvc.config import Experiment
from recsvc.extensions import db
from recsvc.services import attribution, status, stock
from recsvc.services.catalogue import ItemContent, delete_item, put_item, put_user
from recsvc.services.recommending import Filters, for_user
from recsvc.services.stock import Audience
from recsvc.storage.models import ModelVersion, now
from recsvc.storage.queries import totals
from recsvc.storage.queries.stock import ItemStock


@pytest.fixture
def people_and_books(context, do) -> int:
    """Seven users and five books; gives the key of the last interaction that the model has seen."""
    for number in range(1, 6):
        features = {"author": ["Clarice Lispector"]} if number in {1, 3} else {}
        put_item(f"b{number}", ItemContent(features=features))
    do("ana", "b1", "b1", "b2")
    do("bia", "b1", event="dislike")
    do("caio", "b1", event="rating", value=2.0)
    watermark = do("dora", "b1", event="rating", value=5.0)
    do("dora", "b5")
    do("eva", "b1", event="purchase")
    for name in ("ana", "bia", "fabio"):
        put_user(name, {"shelf": ["crime"]})
    put_user("gil", {})
    delete_item("b5")
    return watermark


def make_active(watermark: int, *voices: str) -> None:
    manifest = {"data": {"watermark": watermark}, "parameters": {voice: {} for voice in voices}}
    db.session.add(ModelVersion(version="v1", status="active", manifest=manifest))
    db.session.commit()


def test_items_are_counted_by_what_is_known_of_them(context, people_and_books):
    # b1 has six interactions; b2 one; b3 and b4 none; of b2 and b4 there is no feature; b5 is deleted.
    assert stock.take().items == ItemStock(with_enough=1, untouched=2, without_feature=2, unknown=1)


def test_users_are_counted_by_how_much_they_did(context, people_and_books):
    assert stock.take().users_with_enough == 2, "ana and dora"


def test_users_are_counted_by_the_lists_that_they_get(context, people_and_books):
    assert stock.take().audience == Audience(personal=0, folded_in=0, features=0, popular=7)

    make_active(people_and_books, "lightfm", "als")

    # ana and dora liked something before; eva since; bia and fabio like nothing, and have a feature.
    assert stock.take().audience == Audience(personal=2, folded_in=1, features=2, popular=2)


def test_a_model_that_knows_no_features_of_users_gives_them_what_is_popular(context, people_and_books):
    make_active(people_and_books, "als")

    assert stock.take().audience == Audience(personal=2, folded_in=1, features=0, popular=4)


def test_an_empty_shop_has_nothing_of_anything(context):
    taken = stock.take()

    assert taken.items == ItemStock(0, 0, 0, 0)
    assert taken.audience == Audience(0, 0, 0, 0)
    assert (taken.users_with_enough, taken.attribution, taken.arms) == (0, [], [])


def test_a_small_shop_is_counted_on_the_spot(context, people_and_books, do):
    before = stock.at_hand()
    do("gil", "b1", "b2")
    after = stock.at_hand()

    assert before is not None
    assert after is not None
    assert (before.users_with_enough, after.users_with_enough) == (2, 3)
    assert stock.keep() is None, "nobody needs a worker's counts"


@pytest.fixture
def large(monkeypatch) -> None:
    """Makes five rows a large shop."""
    monkeypatch.setattr(stock, "_COUNTED_ON_THE_SPOT", 5)


def test_a_large_shop_is_counted_by_a_worker_and_told_to_all(context, people_and_books, large, monkeypatch):
    experiment = Experiment("v1", "v2", 0.5)
    config = replace(context.extensions["recsvc.config"], experiment=experiment)
    monkeypatch.setitem(context.extensions, "recsvc.config", config)
    for_user("ana", Filters(k=1))
    attribution.flush()
    assert stock.at_hand() is None
    assert status.status().data.counted_at is None

    monkeypatch.setattr(of_jobs, "application", lambda: context)
    maintenance.count_stock()

    told, taken = stock.at_hand(), stock.take()
    assert told is not None
    assert replace(told, counted_at=taken.counted_at, seconds=taken.seconds) == taken
    assert [row.recommendations for row in told.attribution] == [1]
    found = status.status()
    assert found.data.counted_at == told.counted_at
    assert found.data.users_with_enough == 2
    assert found.experiment is not None
    assert found.experiment.treatment.model_version == "v2"


def test_an_experiment_that_has_changed_since_is_not_mixed_up_with_the_old_one(
    context, people_and_books, monkeypatch
):
    old = attribution.Arm("v0", 1, 1, {}), attribution.Arm("v1", 1, 1, {})
    config = replace(context.extensions["recsvc.config"], experiment=Experiment("v1", "v2", 0.5))
    monkeypatch.setitem(context.extensions, "recsvc.config", config)

    assert attribution.compared(old) is None


def test_counting_is_given_a_small_share_of_the_time(context, people_and_books, large, monkeypatch):
    assert stock.keep() is not None
    assert stock.keep() is None, "it was counted just now"

    moment = now()
    monkeypatch.setattr(stock, "now", lambda: moment + timedelta(minutes=5))
    assert stock.keep() is not None

    slow = stock.at_hand()
    assert slow is not None
    monkeypatch.setattr(stock, "at_hand", lambda: replace(slow, seconds=60.0))
    for minutes, is_counted in ((10, False), (19, False), (21, True)):
        monkeypatch.setattr(
            stock, "now", lambda minutes=minutes: slow.counted_at + timedelta(minutes=minutes)
        )
        assert (stock.keep() is not None) == is_counted, minutes


def test_very_many_rows_are_told_about_as_the_database_knows_them(context, people_and_books, monkeypatch):
    assert totals.count()[:3] == (8, 7, 4)
    monkeypatch.setattr(totals, "_COUNTED_EXACTLY", 3)
    if db.engine.dialect.name == "postgresql":
        db.session.execute(text("ANALYZE interactions, users"))
        db.session.commit()

    assert totals.count()[:3] == (8, 7, 4)


def test_a_table_is_known_to_be_large_without_counting_it(context, people_and_books):
    assert totals.are_more_than(7)
    assert not totals.are_more_than(8)


def test_what_came_last_is_told_by_event(context, people_and_books, do):
    do("ana", "b1", event="cart", recommendation_id="some-list")

    assert totals.recent(3) == totals.Recent({"view": 1, "purchase": 1, "cart": 1}, naming_a_list=1)
    assert sum(totals.recent(100).events.values()) == 9
