"""Lists: what a user did a moment ago counts, and a list is as long as it can be."""

from __future__ import annotations

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import permutations

import numpy as np
import pytest

from recsvc.errors import NotFoundError
from recsvc.recommender.model import Model
from recsvc.services import catalogue, tastes
from recsvc.services.catalogue import ItemContent, put_item, put_items, put_user
from recsvc.services.recommending import (
    Filters,
    for_session,
    for_user,
    for_users,
    popular,
    preview_for_user,
    similar_to,
)
from recsvc.services.serving import serving
from recsvc.storage.queries import features


def strategy_for(user_id: str, **filters) -> str:
    return for_user(user_id, Filters(k=5, **filters)).strategy


def test_before_there_is_a_model_everybody_gets_what_is_popular(context, do, ids_for):
    put_items((f"b{number}", ItemContent(title=f"T{number}")) for number in range(4))
    do("a", "b2", "b3")
    do("b", "b2")

    answer = for_user("stranger", Filters(k=3))

    assert (answer.model_version, answer.strategy) == (None, "popular")
    assert [(item.item_id, item.rank, item.title) for item in answer.items] == [
        ("b2", 1, "T2"),
        ("b3", 2, "T3"),
        ("b0", 3, "T0"),
    ]
    assert ids_for("b") == ["b3", "b0", "b1"]


def test_an_empty_shop_gives_an_empty_list(context, ids_for):
    assert ids_for("stranger") == []


def test_each_strategy_is_told(trained, do):
    put_user("labelled", {"language": ["pt"]})
    do("newcomer", "crime-1")
    do("hater", "crime-1", event="dislike")

    assert strategy_for("crime-reader-0") == "personal"
    assert strategy_for("newcomer") == "folded_in"
    assert strategy_for("nobody") == "popular"
    assert strategy_for("hater") == "popular"
    assert strategy_for("labelled") == "popular"  # the model never met the label


def test_a_user_known_by_features_only_gets_them(shop, train, do, ids_for):
    for shelf in shop:
        for reader in range(12):
            put_user(f"{shelf}-reader-{reader}", {"likes": [shelf]})
    train()
    put_user("new", {"likes": ["poetry"]})

    answer = for_user("new", Filters(k=16))

    assert answer.strategy == "features"
    assert len(answer.items) == 16
    do("new", "crime-1")
    assert strategy_for("new") == "folded_in"


def test_readers_of_crime_are_shown_crime(trained, ids_for):
    # Two books of their own shelf are all that a reader has not had.
    assert ids_for("crime-reader-1", k=2) == pytest.approx(ids_for("crime-reader-1", k=2))
    assert {item_id.split("-")[0] for item_id in ids_for("crime-reader-1", k=2)} == {"crime"}
    assert {item_id.split("-")[0] for item_id in ids_for("poetry-reader-1", k=2)} == {"poetry"}


def test_a_list_has_exactly_k_items_whenever_there_are_so_many(trained, ids_for):
    seen = 6
    for k in (1, 5, 16 - seen):
        assert len(set(ids_for("crime-reader-0", k=k))) == k
    assert len(ids_for("crime-reader-0", k=200)) == 16 - seen
    assert len(ids_for("nobody", k=16)) == 16


def test_ranks_count_from_one_and_scores_fall(trained):
    items = for_user("crime-reader-0", Filters(k=8)).items

    assert [item.rank for item in items] == list(range(1, 9))
    assert [item.score for item in items] == sorted((item.score for item in items), reverse=True)


def test_what_was_seen_comes_back_only_if_asked_for(trained, do, ids_for):
    do("newcomer", "crime-1", "crime-2")

    assert not {"crime-1", "crime-2"} & set(ids_for("newcomer", k=16))
    assert {"crime-1", "crime-2"} <= set(ids_for("newcomer", k=16, include_seen=True))


@pytest.mark.parametrize("event", ["purchase", "dislike"])
def test_what_was_bought_or_disliked_never_comes_back(trained, do, ids_for, event):
    do("newcomer", "crime-1")
    do("newcomer", "crime-2", event=event)

    assert "crime-2" not in ids_for("newcomer", k=16)
    assert "crime-2" not in ids_for("newcomer", k=16, include_seen=True)


def test_an_event_that_is_no_sight_leaves_the_item_in(trained, do, ids_for):
    do("newcomer", "crime-3", event="remove_from_cart")

    assert "crime-3" in ids_for("newcomer", k=16)


def test_settings_say_which_events_make_an_item_seen(make_app, database_url):
    from recsvc.services.ingestion import NewInteraction, record

    with make_app(database_url, seen_events=frozenset({"cart"})).app_context():
        for event in ("view", "cart", "purchase"):
            record(NewInteraction("u", f"by-{event}", event))

        assert [item.item_id for item in for_user("u", Filters(k=9)).items] == ["by-view"]


def test_a_list_can_be_of_one_category_without_getting_shorter(trained, ids_for):
    assert sorted(ids_for("poetry-reader-0", k=2, category="crime"))[0].startswith("crime")
    assert sorted(ids_for("nobody", k=8, category="crime")) == trained["crime"]
    assert ids_for("nobody", category="no such") == []


def test_items_can_be_excluded_without_a_list_getting_shorter(trained, ids_for):
    best = ids_for("nobody", k=3)

    others = ids_for("nobody", k=3, exclude=[*best, "never heard of"])

    assert len(others) == 3
    assert not set(best) & set(others)


@pytest.mark.parametrize("change", [{"hidden": True}, {"available": False}, None])
def test_what_may_not_be_recommended_is_left_out(trained, ids_for, change):
    if change is None:
        catalogue.delete_item("crime-0")
    else:
        catalogue.patch_item("crime-0", change)

    assert len(ids_for("nobody", k=16)) == 15
    assert "crime-0" not in ids_for("nobody", k=16)
    serving().refresh()
    for answer in (
        for_session(["crime-1"], Filters(k=16)),
        popular(Filters(k=16)),
        similar_to("crime-1", Filters(k=16)),
        popular(Filters(k=16, category="crime")),
    ):
        assert "crime-0" not in [item.item_id for item in answer.items]


def test_an_item_that_came_after_the_training_fills_a_list_that_is_short(trained, ids_for):
    put_item("brand-new", ItemContent(title="New", categories=["crime"]))

    assert "brand-new" in ids_for("crime-reader-0", k=11)
    assert ids_for("nobody", k=17)[-1] == "brand-new"
    assert "brand-new" in ids_for("nobody", k=9, category="crime")


def test_one_click_changes_the_list(trained, do, ids_for):
    do("newcomer", "crime-1")
    before = ids_for("newcomer", k=5)
    do("newcomer", "poetry-2", "poetry-3", "poetry-4", event="purchase")

    assert ids_for("newcomer", k=5) != before


def test_interactions_with_items_unknown_to_the_model_do_no_harm(trained, do, ids_for):
    do("newcomer", "after-the-training")

    assert strategy_for("newcomer") == "popular"
    assert len(ids_for("newcomer", k=16)) == 16


def test_an_event_that_only_another_process_knows_does_no_harm(trained, do, make_app, context, ids_for):
    do("newcomer", "crime-1")
    newer = make_app(context.config["SQLALCHEMY_DATABASE_URI"], event_weights={"view": 1.0, "podcast": 9.0})
    with newer.app_context():
        from recsvc.services.ingestion import NewInteraction, record

        record(NewInteraction("newcomer", "crime-2", "podcast"))

    assert len(ids_for("newcomer", k=5)) == 5


def test_a_visitor_is_known_by_what_they_looked_at(trained):
    answer = for_session(["crime-1", "crime-2", "never heard of"], Filters(k=3))

    assert (answer.user_id, answer.strategy) == (None, "folded_in")
    assert {item.item_id.split("-")[0] for item in answer.items} == {"crime"}
    assert not {"crime-1", "crime-2"} & {item.item_id for item in answer.items}
    assert for_session(["never heard of"], Filters(k=3)).strategy == "popular"


@pytest.fixture
def recent(trained, publish_again) -> str:
    """The same version, but that the newest of a history counts most."""
    newest_most = {"blend.recency": np.ones(1, np.float32)}
    version = publish_again("20260102T000000Z-recency0", serving().view().served.version, instead=newest_most)
    serving().refresh()
    return version


def test_where_the_newest_counts_most_what_a_visitor_looked_at_last_comes_first(recent):
    for last, others in (("crime", "poetry"), ("poetry", "crime")):
        answer = for_session([f"{others}-1", f"{last}-1"], Filters(k=2))

        assert answer.model_version == recent
        assert answer.items[0].item_id.startswith(last)


def test_where_the_newest_counts_most_what_a_user_did_last_comes_first(recent, do, ids_for):
    # What goes with either is as near to it, so that the order alone decides.
    for last, others in (("crime", "poetry"), ("poetry", "crime")):
        user_id = f"turned to {last}"
        do(user_id, f"{others}-1")
        do(user_id, f"{last}-1")

        assert ids_for(user_id)[0].startswith(last)
        assert for_users([user_id], Filters(k=1))[0].items[0].item_id == ids_for(user_id)[0]

        do(user_id, f"{others}-1")
        assert ids_for(user_id)[0].startswith(others)


def test_where_the_newest_counts_most_what_came_into_the_basket_last_comes_first(recent):
    for last, others in (("crime", "poetry"), ("poetry", "crime")):
        answer = preview_for_user("nobody yet", Filters(k=2), [f"{others}-1", f"{last}-1"])

        assert answer.items[0].item_id.startswith(last)


def test_where_all_count_alike_the_order_of_looking_changes_nothing(trained):
    # Of items whose scores are the same but for rounding, any may come first.
    there, back = (
        {item.item_id: item.score for item in for_session(looked, Filters(k=9)).items}
        for looked in (["crime-1", "poetry-1"], ["poetry-1", "crime-1"])
    )

    assert there == pytest.approx(back, rel=1e-5)


def test_popular_is_what_most_users_like(trained, do, train):
    for reader in range(20):
        do(f"fan-{reader}", "poetry-5")
    train()

    assert popular(Filters(k=1)).items[0].item_id == "poetry-5"
    assert popular(Filters(k=1)).items[0].score == pytest.approx(np.log(1 + 20 + 9))


def test_items_alike_are_of_the_same_shelf_and_never_the_item_itself(trained):
    answer = similar_to("crime-1", Filters(k=7))

    assert {item.item_id for item in answer.items} == set(trained["crime"]) - {"crime-1"}
    assert [item.score for item in answer.items] == sorted((i.score for i in answer.items), reverse=True)


def test_a_new_item_is_like_those_with_its_features(trained):
    put_item("new", ItemContent(features={"mood": ["poetry"]}, categories=["poetry"]))
    serving().refresh()

    assert [item.item_id.split("-")[0] for item in similar_to("new", Filters(k=3)).items] == ["poetry"] * 3
    put_item("bare", ItemContent())
    serving().refresh()
    assert similar_to("bare", Filters(k=3)).strategy == "popular"


def test_there_is_nothing_like_what_does_not_exist(trained):
    with pytest.raises(NotFoundError):
        similar_to("nope", Filters(k=3))


def test_a_long_history_is_left_out_whole_though_its_newest_part_decides_on_taste(context, do):
    from recsvc.services.ingestion import NewInteraction, record_batch

    record_batch(enumerate(NewInteraction("u", f"b{number}", "view") for number in range(700)))
    do("other", "fresh")

    assert [item.item_id for item in for_user("u", Filters(k=200)).items] == ["fresh"]


def test_every_answer_has_a_name_of_its_own(trained):
    assert len({for_user("nobody", Filters(k=1)).recommendation_id for _ in range(5)}) == 5


def test_processes_that_were_forked_name_their_lists_differently():
    script = (
        "import os\n"
        "from recsvc.services.recommending import _new_id\n"
        "child = os.fork()\n"
        "os.write(1, f'{_new_id()}\\n'.encode())\n"
        "child and os.waitpid(child, 0)\n"
    )

    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    ids = told.stdout.split()
    assert [len(one) for one in ids] == [32, 32]
    assert ids[0] != ids[1]


def test_before_there_is_a_model_popular_is_what_most_users_like_not_what_is_touched_most(context, do):
    for reader in range(5):
        do(f"reader-{reader}", "hated", event="dislike")
        do(f"reader-{reader}", "bad", event="rating", value=1.0)
    do("keen", *["viewed"] * 9)
    do("a", "bought", event="purchase")
    do("b", "bought", event="rating", value=5.0)

    answer = popular(Filters(k=4))

    assert [(item.item_id, item.score) for item in answer.items][:2] == [("bought", 2.0), ("viewed", 1.0)]
    assert {item.score for item in answer.items[2:]} == {0.0}


def explained(user_id: str, k: int = 5):
    serving().refresh()
    return for_user(user_id, Filters(k=k, explain=True)).items


def test_reasons_are_given_only_where_they_are_asked_for(trained):
    assert all(item.reasons is None for item in for_user("crime-reader-0", Filters(k=3)).items)
    assert all(item.reasons for item in explained("crime-reader-0"))


def test_the_shares_of_an_items_reasons_add_up_to_one(trained):
    for reader in range(12):
        for item in explained(f"crime-reader-{reader}", k=10):
            assert sum(reason["share"] for reason in item.reasons) == pytest.approx(1, abs=1e-9)


def test_a_named_interaction_is_one_of_the_users_and_its_strongest_event_is_told(trained, do):
    do("ana", "crime-1")
    do("ana", "crime-1", event="purchase")
    do("ana", "crime-1", event="cart")

    named = {
        (reason["item_id"], reason["event"])
        for item in explained("ana")
        for reason in item.reasons
        if reason["because"] == "interaction"
    }

    assert named == {("crime-1", "purchase")}


def test_of_what_a_visitor_looked_at_no_event_is_told(trained):
    answer = for_session(["crime-1", "crime-2"], Filters(k=3, explain=True))

    named = [reason for item in answer.items for reason in item.reasons if reason["because"] == "interaction"]
    assert named
    assert {frozenset(reason) for reason in named} == {frozenset({"because", "share", "item_id"})}


def test_without_a_named_interaction_the_score_is_lower_where_an_older_item_moves_up(
    trained, do, monkeypatch
):
    monkeypatch.setattr(tastes, "_HISTORY_FOR_TASTE", 2)
    histories = list(permutations(["crime-1", "crime-2", "poetry-1", "poetry-4"], 3))
    for history in histories:
        oldest, *newest = history
        for left_out in (None, *newest):
            user_id = f"{history} without {left_out}"
            do(user_id, oldest, event="purchase")
            do(user_id, *(item_id for item_id in newest if item_id != left_out))

    named = 0
    for history in histories:
        for item in explained(f"{history} without None", k=10):
            for because_of in (reason["item_id"] for reason in item.reasons if "item_id" in reason):
                others = explained(f"{history} without {because_of}", k=16)
                (score,) = (other.score for other in others if other.item_id == item.item_id)
                assert score < item.score
                named += 1
    assert named > 20


def test_without_a_named_interaction_the_item_has_a_lower_score(trained, do):
    for number in (1, 2, 4):
        do("ana", f"crime-{number}")
    lists = {
        left_out: {item.item_id: item for item in explained("ana", k=16)}
        if left_out is None
        else {
            item.item_id: item
            for item in for_session(
                [f"crime-{number}" for number in (1, 2, 4) if f"crime-{number}" != left_out], Filters(k=16)
            ).items
        }
        for left_out in (None, "crime-1", "crime-2", "crime-4")
    }

    named = [
        (item_id, reason["item_id"])
        for item_id, item in lists[None].items()
        for reason in item.reasons
        if reason["because"] == "interaction"
    ]

    assert named
    for item_id, because_of in named:
        if item_id in lists[because_of]:
            assert lists[because_of][item_id].score < lists[None][item_id].score


def test_what_is_popular_is_named_as_such(trained, do):
    for user_id in ("nobody", "hater"):
        do("hater", "poetry-1", event="dislike")
        for item in explained(user_id):
            assert [(reason["because"], reason["share"]) for reason in item.reasons] == [("popular", 1.0)]


def test_a_cold_item_is_explained_by_its_features(trained, do):
    put_item("brand-new", ItemContent(title="New", categories=["crime"], features={"mood": ["crime"]}))
    do("ana", "crime-1", "crime-2", event="purchase")

    reasons = {item.item_id: item.reasons for item in explained("ana", k=17)}["brand-new"]

    assert {reason["feature"] for reason in reasons if reason["because"] == "feature"} <= {
        "category:crime",
        "mood:crime",
    }
    assert sum(reason["share"] for reason in reasons) == pytest.approx(1)


def test_a_feature_that_is_gone_by_the_time_it_is_named_is_a_reason_without_words(trained, do, monkeypatch):
    put_item("brand-new", ItemContent(title="New", categories=["crime"]))
    do("ana", "crime-1", "crime-2", event="purchase")
    monkeypatch.setattr(features, "labels_of", lambda keys: {})

    reasons = {item.item_id: item.reasons for item in explained("ana", k=17)}["brand-new"]

    of_features = [reason for reason in reasons if reason["because"] == "feature"]
    assert of_features
    assert not any("feature" in reason for reason in of_features)


def test_an_item_that_came_after_the_training_is_ranked_by_its_features(trained, do, ids_for):
    put_item("new-crime", ItemContent(categories=["crime"], features={"mood": ["crime"]}))
    put_item("new-poetry", ItemContent(categories=["poetry"], features={"mood": ["poetry"]}))
    do("ana", "crime-1", "crime-2", "crime-4", event="purchase")

    ids = ids_for("ana", k=18)

    assert ids.index("new-crime") < ids.index("new-poetry")


def of_a_newsletter(user_id, filters):
    return for_users([user_id], filters)[0]


def before_the_basket(user_id, filters):
    return preview_for_user(user_id, filters, ["crime-5"])


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize("ask", [for_user, of_a_newsletter, before_the_basket], ids=lambda ask: ask.__name__)
def test_old_interactions_count_less_where_a_half_life_is_set(make_app, context, do, ask, train_in):
    day = timedelta(days=1)
    now = datetime.now(UTC)
    do("ana", "poetry-1", "poetry-2", "poetry-4", occurred_at=now - 3_650 * day)
    do("ana", "crime-1", "crime-2", "crime-4", occurred_at=now - day)
    app = make_app(context.config["SQLALCHEMY_DATABASE_URI"], half_life_days=30.0)

    with app.app_context():
        assert train_in().status == "succeeded"
        ids = [item.item_id for item in ask("ana", Filters(k=4)).items]

    assert {item_id.split("-")[0] for item_id in ids} == {"crime"}


@pytest.mark.usefixtures("shop")
def test_what_was_learned_with_a_half_life_is_served_with_it_whatever_settings_say_today(
    make_app, context, do, train_in
):
    day = timedelta(days=1)
    do("ana", "poetry-1", "poetry-2", "poetry-4", occurred_at=datetime.now(UTC) - 3_650 * day)
    do("ana", "crime-1", "crime-2", "crime-4", occurred_at=datetime.now(UTC) - day)
    with make_app(context.config["SQLALCHEMY_DATABASE_URI"], half_life_days=30.0).app_context():
        assert train_in().status == "succeeded"
        while_trained = for_user("ana", Filters(k=4)).items

    serving().refresh()

    assert for_user("ana", Filters(k=4)).items == while_trained


ASKED = {
    "rank": lambda: for_user("crime-reader-0", Filters(k=3)),
    "terms": lambda: for_user("crime-reader-0", Filters(k=3, explain=True)),
    "popular": lambda: popular(Filters(k=3)),
    "similar": lambda: similar_to("crime-1", Filters(k=3)),
}


@pytest.mark.parametrize("asked", ASKED)
def test_a_process_asks_its_model_for_one_list_at_a_time_and_for_the_next_though_one_fails(
    trained, app, monkeypatch, asked
):
    work, inside, most = getattr(Model, asked), [], []

    def watched(*arguments, **more):
        inside.append(None)
        most.append(len(inside))
        time.sleep(0.02)
        inside.pop()
        if len(most) == 2:
            raise ArithmeticError
        return work(*arguments, **more)

    def ask(_):
        with app.app_context():
            return len(ASKED[asked]().items)

    monkeypatch.setattr(Model, asked, watched)
    with ThreadPoolExecutor(6) as pool:
        asking = [pool.submit(ask, number) for number in range(6)]
    failed = [one for one in asking if one.exception()]

    assert [type(one.exception()) for one in failed] == [ArithmeticError]
    assert [one.result() for one in asking if one not in failed] == [3] * 5
    assert set(most) == {1}
