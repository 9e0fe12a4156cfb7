"""What came of what was shown; counts worked out by hand."""

from __future__ import annotations

import logging
from datetime import timedelta

import pytest
from sqlalchemy import func, select, text, update
from sqlalchemy.exc import SQLAlchemyError

from recsvc.config import Experiment
from recsvc.extensions import db
from recsvc.services import attribution
from recsvc.services.attribution import Attributed, Recorder, recorder
from recsvc.services.experiments import compare, is_treated, user_hash
from recsvc.services.importing import Request, import_path
from recsvc.services.ingestion import NewInteraction, record_batch
from recsvc.services.privacy import erase_user, merge_user
from recsvc.services.recommending import Filters, for_session, for_user, for_users, popular
from recsvc.services.serving import Serving, serving
from recsvc.storage.database import write_transaction
from recsvc.storage.models import ShownRecommendation, now


def shown() -> int:
    return db.session.scalar(select(func.count()).select_from(ShownRecommendation)) or 0


def follow(do, answer, user_id: str, event: str, place: int = 0) -> None:
    do(user_id, answer.items[place].item_id, event=event, recommendation_id=answer.recommendation_id)


def test_a_request_writes_nothing_and_the_recorder_does(trained):
    statements: list[str] = []
    from sqlalchemy import event

    event.listen(db.engine, "before_cursor_execute", lambda *a: statements.append(a[2]))
    for_user("crime-reader-0", Filters(k=5))
    popular(Filters(k=5))
    assert not any("shown_recommendations" in statement for statement in statements)
    assert shown() == 0

    assert recorder().write() == 2
    assert shown() == 2


def test_views_carts_and_purchases_are_counted_by_version_and_strategy(trained, do):
    version = serving().view().version
    lists = [for_user(f"crime-reader-{number}", Filters(k=3)) for number in range(3)]
    other = for_session(["crime-1"], Filters(k=3))
    attribution.flush()
    follow(do, lists[0], "crime-reader-0", "view")
    follow(do, lists[0], "crime-reader-0", "view", 1)
    follow(do, lists[0], "crime-reader-0", "purchase", 1)
    follow(do, lists[1], "crime-reader-1", "cart")
    follow(do, lists[1], "crime-reader-1", "like")
    follow(do, other, "somebody", "view")

    assert attribution.told() == [
        Attributed(version, "folded_in", 1, 0, {"view": 1, "cart": 0, "purchase": 0}),
        Attributed(version, "personal", 3, 3, {"view": 2, "cart": 1, "purchase": 1}),
    ]


def test_what_was_not_on_the_list_or_names_no_list_is_not_attributed(trained, do):
    answer = for_user("crime-reader-0", Filters(k=1))
    attribution.flush()
    do("crime-reader-0", "never-shown", recommendation_id=answer.recommendation_id)
    do("crime-reader-0", answer.items[0].item_id, recommendation_id="made up")
    do("crime-reader-0", answer.items[0].item_id)

    assert [told.events["view"] for told in attribution.told()] == [0]


def test_what_somebody_does_does_not_come_of_a_list_that_another_was_shown(trained, do):
    answer = for_user("crime-reader-0", Filters(k=1))
    item_id, named = answer.items[0].item_id, answer.recommendation_id
    attribution.flush()
    users = ("crime-reader-0", "mallory")
    for user_id in users:
        do(user_id, item_id, event="purchase", recommendation_id=named)
    record_batch(enumerate(NewInteraction(one, item_id, "cart", recommendation_id=named) for one in users))

    assert [told.events for told in attribution.told()] == [{"view": 0, "cart": 1, "purchase": 1}]


def test_what_a_guest_was_shown_counts_for_the_account(trained, do):
    answer = for_user("guest", Filters(k=1))
    attribution.flush()
    follow(do, answer, "guest", "view")
    merge_user("guest", "ana")
    follow(do, answer, "ana", "purchase")

    assert [told.events for told in attribution.told()] == [{"view": 1, "cart": 0, "purchase": 1}]


def test_what_is_imported_is_taken_for_what_the_shop_says_it_is(trained, tmp_path):
    answer = for_user("crime-reader-0", Filters(k=1))
    attribution.flush()
    file = tmp_path / "shop.csv"
    row = f"imported,{answer.items[0].item_id},view,{answer.recommendation_id}"
    file.write_text(f"user_id,item_id,event,recommendation_id\n{row}\n")
    import_path(Request("csv", str(file), "interactions"))

    assert [told.events["view"] for told in attribution.told()] == [1]


def test_lists_without_a_model_are_counted_too(context, do):
    do("a", "b1")
    answer = for_user("nobody", Filters(k=1))
    attribution.flush()
    follow(do, answer, "nobody", "purchase")

    assert attribution.told() == [
        Attributed(None, "popular", 1, 1, {"view": 0, "cart": 0, "purchase": 1}),
    ]


def test_an_interaction_that_comes_before_the_record_is_attributed_all_the_same(trained, do):
    answer = for_user("crime-reader-0", Filters(k=1))
    follow(do, answer, "crime-reader-0", "purchase")
    attribution.flush()

    assert [told.events["purchase"] for told in attribution.told()] == [1]


@pytest.mark.parametrize(("share", "least", "most"), [(0.0, 0, 0), (0.3, 40, 80), (1.0, 200, 200)])
def test_a_share_of_the_users_is_recorded_always_the_same(make_app, database_url, share, least, most):
    with make_app(database_url, attribution_sample=share).app_context():
        for _ in range(2):
            for number in range(200):
                for_user(f"u{number}", Filters(k=1))
        attribution.flush()
        users = db.session.scalar(select(func.count(ShownRecommendation.user_hash.distinct())))

        assert least <= users <= most
        assert shown() == 2 * users


def test_old_records_are_not_told_and_are_forgotten(trained):
    for_user("crime-reader-0", Filters(k=1))
    for_user("crime-reader-1", Filters(k=1))
    attribution.flush()
    with write_transaction():
        db.session.execute(
            update(ShownRecommendation)
            .where(ShownRecommendation.user_hash == user_hash("crime-reader-0"))
            .values(shown_at=now() - timedelta(days=31))
        )

    assert [told.recommendations for told in attribution.told()] == [1]
    assert attribution.forget() == 1
    assert shown() == 1


def test_while_the_database_is_away_records_wait(make_app, database_url):
    with make_app(database_url).app_context():
        for_user("u", Filters(k=1))
        db.session.rollback()
        with write_transaction():
            db.session.execute(text("ALTER TABLE shown_recommendations RENAME TO away"))
        with pytest.raises(SQLAlchemyError):
            attribution.flush()
        with write_transaction():
            db.session.execute(text("ALTER TABLE away RENAME TO shown_recommendations"))

        assert recorder().write() == 1


def test_no_more_than_a_bound_waits():
    full = Recorder()
    for number in range(20_005):
        full.add({"recommendation_id": str(number)})

    assert full.lost == 5


def test_a_web_process_writes_by_itself_and_at_its_end(make_app, database_url, serve):
    app = make_app(database_url)
    with serve(app), app.app_context():
        for_user("u", Filters(k=1))

    with app.app_context():
        assert shown() == 1


def test_what_another_process_has_in_hand_of_an_erased_user_is_not_recorded(make_app, trained, context, do):
    do("ana", "crime-1")
    other = make_app(context.config["SQLALCHEMY_DATABASE_URI"])
    with other.app_context():
        for_user("ana", Filters(k=1))
        for_user("bob", Filters(k=1))

    erase_user("ana")
    with other.app_context():
        attribution.flush()
        for_user("ana", Filters(k=1))  # whoever has the id now is another to us
        attribution.flush()

    db.session.rollback()  # this session's snapshot is of before
    assert shown() == 2


def test_what_another_process_has_in_hand_of_a_merged_guest_is_not_recorded(make_app, trained, context, do):
    do("guest", "crime-1")
    other = make_app(context.config["SQLALCHEMY_DATABASE_URI"])
    with other.app_context():
        for_user("guest", Filters(k=1))

    merge_user("guest", "ana")
    with other.app_context():
        attribution.flush()

    db.session.rollback()  # this session's snapshot is of before
    assert shown() == 0


# Experiments


@pytest.fixture
def two_versions(trained, train) -> tuple[str, str]:
    first = serving().view().version
    return first, train().model_version


@pytest.fixture
def experimenting(make_app, context, two_versions):
    app = make_app(context.config["SQLALCHEMY_DATABASE_URI"], experiment=Experiment(*two_versions, share=0.5))
    with app.app_context():
        serving().refresh()
        yield app


def test_users_are_split_by_their_id_and_stay_where_they_are(experimenting, two_versions):
    served = {f"u{n}": for_user(f"u{n}", Filters(k=1)).model_version for n in range(400)}

    assert set(served.values()) == set(two_versions)
    assert 150 < list(served.values()).count(two_versions[0]) < 250
    experimenting.extensions["recsvc.serving"] = Serving()
    assert {user: for_user(user, Filters(k=1)).model_version for user in served} == served


def test_one_side_of_a_newsletter_may_have_a_half_life_and_the_other_none(
    make_app, context, trained, train_in
):
    url, first = context.config["SQLALCHEMY_DATABASE_URI"], serving().view().version
    with make_app(url, half_life_days=30.0).app_context():
        versions = first, train_in().model_version
    readers = [f"crime-reader-{number}" for number in range(12)]

    with make_app(url, experiment=Experiment(*versions, share=0.5)).app_context():
        serving().refresh()
        together = for_users(readers, Filters(k=3))

        assert {answer.model_version for answer in together} == set(versions)
        assert [answer.items for answer in together] == [
            for_user(user, Filters(k=3)).items for user in readers
        ]


def test_who_has_no_id_gets_the_active_version(experimenting, two_versions):
    assert for_session(["crime-1"], Filters(k=1)).model_version == two_versions[1]
    assert popular(Filters(k=1)).model_version == two_versions[1]


def test_both_sides_respect_a_change_of_the_catalogue(experimenting):
    from recsvc.services.catalogue import patch_item

    patch_item("crime-0", {"hidden": True})
    serving().refresh()

    for number in range(20):
        assert "crime-0" not in [i.item_id for i in for_user(f"u{number}", Filters(k=16)).items]


def test_the_status_compares_the_sides_by_users(experimenting, two_versions, do):
    users = [f"u{n}" for n in range(60)]
    sides = {version: [] for version in two_versions}
    for user in users:
        answer = for_user(user, Filters(k=2))
        for_user(user, Filters(k=2))
        sides[answer.model_version].append((user, answer))
    attribution.flush()
    for user, answer in sides[two_versions[1]][:10]:
        follow(do, answer, user, "purchase")
        follow(do, answer, user, "purchase", 1)

    compared = attribution.compared()

    control, treatment = len(sides[two_versions[0]]), len(sides[two_versions[1]])
    assert (compared.control.users, compared.treatment.users) == (control, treatment)
    assert (compared.control.recommendations, compared.treatment.recommendations) == (
        2 * control,
        2 * treatment,
    )
    assert compared.treatment.users_with == {"view": 0, "cart": 0, "purchase": 10}
    assert compared.differences["purchase"].difference == pytest.approx(10 / treatment)
    assert compared.differences["purchase"].low > 0
    assert compared.differences["view"].low < 0 < compared.differences["view"].high


def test_a_version_that_cannot_be_served_gives_all_users_the_active_one(
    make_app, context, two_versions, caplog
):
    app = make_app(
        context.config["SQLALCHEMY_DATABASE_URI"],
        experiment=Experiment(two_versions[0], "not-there", share=0.5),
    )
    with app.app_context():
        serving().refresh()

        assert {for_user(f"u{n}", Filters(k=1)).model_version for n in range(20)} == {two_versions[1]}
        logging.getLogger().addHandler(caplog.handler)  # the new application has taken it away
        with caplog.at_level("INFO"):
            serving().refresh()
        assert "not-there" in serving().problem
        assert "well_again" not in caplog.text
        attribution.flush()
        assert attribution.compared().control.users == 0


def test_an_interval_of_agresti_and_caffo():
    # 4 of 18 and 8 of 18 users: (5 / 20, 9 / 20), variances 0.009375 and 0.012375.
    found = compare((4, 18), (8, 18))

    assert found.difference == pytest.approx(4 / 18)
    assert (found.low, found.high) == pytest.approx((0.2 - 0.289061, 0.2 + 0.289061), abs=1e-5)
    assert compare((0, 0), (1, 2)) is None


@pytest.mark.parametrize("share", [0.0, 0.1, 1.0])
def test_the_share_of_the_treated_is_the_one_that_is_set(share):
    experiment = Experiment("a", "b", share)
    treated = sum(is_treated(experiment, f"user-{number}") for number in range(5_000))

    assert treated / 5_000 == pytest.approx(share, abs=0.02)


def test_two_experiments_split_users_differently():
    first, second = Experiment("a", "b", 0.5), Experiment("a", "c", 0.5)
    same = sum(is_treated(first, f"u{n}") == is_treated(second, f"u{n}") for n in range(2_000))

    assert 800 < same < 1_200
