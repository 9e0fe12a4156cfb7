"""Editions, diversity, newsletters, what is trending and what is new."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from recsvc.services.catalogue import ItemContent, delete_item, patch_item, put_item, put_items, put_user
from recsvc.services.recommending import (
    Filters,
    for_session,
    for_user,
    for_users,
    latest,
    popular,
    similar_to,
    trending,
)
from recsvc.services.serving import Serving, serving

DAY = timedelta(days=1)
NOW = datetime.now(UTC)


def ids(answer) -> list[str]:
    return [item.item_id for item in answer.items]


@pytest.fixture
def look(context):
    """Serves from a new look at everything, trends counted anew."""

    def again() -> None:
        context.extensions["recsvc.serving"] = Serving()
        serving().refresh()

    return again


def tie(*item_ids: str, group: str = "one work") -> None:
    for item_id in item_ids:
        patch_item(item_id, {"group": group})
    serving().refresh()


def test_a_list_holds_one_edition_of_a_work_and_stays_as_long(trained, do):
    editions = {"crime-0", "crime-4", "poetry-0"}
    tie(*editions)
    do("newcomer", "crime-1")
    lists = (
        for_user("newcomer", Filters(k=13)),
        for_user("nobody", Filters(k=14)),
        for_session(["crime-1"], Filters(k=13)),
        popular(Filters(k=14)),
        trending(Filters(k=14)),
        latest(Filters(k=14)),
        for_user("nobody", Filters(k=14, diversity=0.5)),
        for_user("newcomer", Filters(k=13, diversity=0.5)),
        similar_to("crime-2", Filters(k=13)),
    )

    for answer in lists:
        assert len(editions & set(ids(answer))) == 1, answer
        assert len(ids(answer)) == 14 - (
            answer.user_id != "nobody" and answer.strategy not in {"popular", "trending", "latest"}
        )


def test_who_has_seen_one_edition_has_seen_the_work(trained, do, ids_for):
    tie("crime-0", "crime-4")
    do("newcomer", "crime-4")

    assert not {"crime-0", "crime-4"} & set(ids_for("newcomer", k=16))
    assert len(ids_for("newcomer", k=16)) == 14
    assert {"crime-0", "crime-4"} & set(ids_for("newcomer", k=16, include_seen=True))


def test_another_edition_is_not_said_to_be_like_a_work(trained):
    tie("crime-0", "crime-4")

    assert "crime-4" not in ids(similar_to("crime-0", Filters(k=16)))


def test_an_excluded_edition_leaves_its_place_to_another(trained):
    tie("crime-0", "crime-4")

    assert "crime-4" in ids(popular(Filters(k=16, exclude=["crime-0"])))


def test_editions_are_parted_again(trained, ids_for):
    tie("crime-0", "crime-4")
    assert len(ids_for("nobody", k=16)) == 15
    patch_item("crime-4", {"group": None})

    assert len(ids_for("nobody", k=16)) == 16


def test_before_there_is_a_model_one_edition_is_enough_too(context, do, ids_for):
    put_items((f"b{number}", ItemContent(group="g")) for number in range(4))
    put_item("other", ItemContent())
    do("u", "b2")

    assert sorted(ids_for("nobody", k=9)) == ["b2", "other"]


def test_a_diverse_list_mixes_shelves_and_is_as_long(trained, do):
    do("newcomer", "crime-1", "crime-2")
    plain = ids(for_user("newcomer", Filters(k=6)))
    mixed = ids(for_user("newcomer", Filters(k=6, diversity=0.9)))

    assert {item_id.split("-")[0] for item_id in plain} == {"crime"}
    assert {item_id.split("-")[0] for item_id in mixed} == {"crime", "poetry"}
    assert mixed[0] == plain[0]
    assert len(set(mixed)) == 6
    assert len(ids(for_user("newcomer", Filters(k=200, diversity=0.9)))) == 14


def test_items_that_came_after_the_training_can_be_in_a_diverse_list(trained, do):
    put_item("new", ItemContent(categories=["poetry"], features={"mood": ["poetry"]}))
    serving().refresh()
    do("newcomer", "crime-1")

    answer = for_user("newcomer", Filters(k=16, diversity=0.5, explain=True))

    assert "new" in ids(answer)
    assert all(sum(reason["share"] for reason in item.reasons) == pytest.approx(1) for item in answer.items)


def test_many_lists_at_once_are_the_lists_one_by_one(trained, do, train):
    put_user("crime-reader-3", {"likes": ["crime"]})
    train()
    put_user("labelled", {"likes": ["crime"]})
    do("newcomer", "poetry-1")
    user_ids = ["newcomer", "crime-reader-3", "nobody", "labelled", "newcomer", "poetry-reader-2"]

    answers = for_users(user_ids, Filters(k=4))

    assert [answer.user_id for answer in answers] == user_ids
    for user_id, answer in zip(user_ids, answers, strict=True):
        alone = for_user(user_id, Filters(k=4))
        assert (answer.strategy, answer.items) == (alone.strategy, alone.items)
    assert len({answer.recommendation_id for answer in answers}) == 5  # one of them was asked for twice


def test_a_thousand_lists_need_few_statements(trained):
    from sqlalchemy import event

    from recsvc.extensions import db

    statements: list[str] = []
    event.listen(db.engine, "before_cursor_execute", lambda *a: statements.append(a[2]))
    for_users([f"crime-reader-{number % 12}" for number in range(500)], Filters(k=10))

    assert len(statements) <= 4


def test_what_is_liked_more_than_usual_is_trending(trained, do, train, look):
    for reader in range(20):
        do(f"old-fan-{reader}", "crime-1", occurred_at=NOW - 100 * DAY)
    train()
    for reader in range(6):
        do(f"fan-{reader}", "poetry-3")
    look()

    answer = trending(Filters(k=16))

    assert (answer.strategy, len(answer.items)) == ("trending", 16)
    assert answer.items[0].item_id == "poetry-3"
    assert ids(answer).index("crime-1") > 3
    assert ids(trending(Filters(k=1, category="crime")))[0].startswith("crime")


def test_where_nothing_is_liked_of_late_what_is_popular_is_trending(context, do, train, look):
    for reader in range(4):
        for number in range(reader + 1):
            do(f"r{reader}", f"b{3 - number}", occurred_at=NOW - 30 * DAY)
    train()
    look()

    assert ids(trending(Filters(k=4))) == ids(popular(Filters(k=4))) == ["b3", "b2", "b1", "b0"]


def test_without_a_model_there_are_trends_too(context, do, look):
    do("a", "b1", "b2")
    do("b", "b2")
    look()

    assert ids(trending(Filters(k=5))) == ["b2", "b1"]


def test_a_trend_is_what_exceeds_the_expected_by_its_scatter():
    from recsvc.services.trends import RecentLikes

    recent = RecentLikes(np.array([1, 2]), np.array([6, 4]))

    # Of 10 likes of late, 9 : 1 : 0 are expected: (6 − 9) / √10, (4 − 1) / √2; the third follows the lowest.
    trend = recent.trend(np.array([1, 2, 3]), np.array([90, 10, 0]), np.array([2.0, 1.0, 0.0], np.float32))

    assert trend == pytest.approx([-3 / np.sqrt(10), 3 / np.sqrt(2), -3 / np.sqrt(10) - 2])


def test_the_latest_were_published_last_and_none_is_yet_to_come(context, look):
    for name, days in (("old", -900), ("new", -1), ("older", -901), ("to come", 3)):
        put_item(name, ItemContent(published_at=NOW + days * DAY, categories=["c"] if days < -2 else []))
    put_item("undated", ItemContent())
    look()

    assert ids(latest(Filters(k=9))) == ["undated", "new", "old", "older"]
    assert ids(latest(Filters(k=9, category="c"))) == ["old", "older"]
    assert ids(latest(Filters(k=2, exclude=["undated"]))) == ["new", "old"]
    delete_item("new")
    serving().refresh()
    assert ids(latest(Filters(k=9))) == ["undated", "old", "older"]
