"""What is known of a user, in the model's terms."""

from __future__ import annotations

from dataclasses import astuple, replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from recsvc.config import current_config
from recsvc.services import learning, tastes
from recsvc.services.events import CART, PURCHASE, event_book
from recsvc.services.serving import serving
from recsvc.services.tastes import reads_times, taste_of_session, taste_of_user
from recsvc.storage.models import now
from recsvc.storage.queries import interactions
from recsvc.storage.queries.interactions import UserHistory


@pytest.fixture
def done(trained) -> UserHistory:
    """A view of item 3, then of 2, of 1, and of 2 again, which was bought and put into the basket before."""
    codes = event_book().codes
    events = ("view", "view", "view", "view", PURCHASE, CART)
    return UserHistory(
        interaction_keys=(96, 95, 94, 93, 92, 91),
        item_keys=(3, 2, 1, 2, 2, 2),
        event_codes=tuple(codes[event] for event in events),
        values=(None,) * 6,
        occurred_at=(now(),) * 6,
    )


def test_all_events_of_the_newest_items_count_and_no_other_item(done, monkeypatch):
    scale = event_book().scale
    weight = {event: scale.weights[code] for event, code in event_book().codes.items()}
    monkeypatch.setattr(tastes, "_HISTORY_FOR_TASTE", 2)

    taste = taste_of_user(serving().view(), done, [])

    # log2(1 + w), the weights of an item's events added up.
    of_two = 2 * weight["view"] + weight[PURCHASE] + weight[CART]
    assert taste.item_keys == [3, 2]
    assert taste.history.strengths == pytest.approx(np.log2([1 + weight["view"], 1 + of_two]))


@pytest.mark.parametrize(
    ("most", "keys", "longer"),
    [
        (2, (3, 2, 1, 2, 2, 2), [3, 2, 1]),
        (1, (3, 2, 1, 2, 2, 2), [3, 2]),
        (2, (3, 2, 999, 1, 2, 2), None),  # the next is one that the model does not know
        (3, (3, 2, 1, 2, 2, 2), None),
        (6, (3, 2, 1, 2, 2, 2), None),
    ],
)
def test_a_taste_knows_which_item_moves_up_once_another_is_taken_out(done, monkeypatch, most, keys, longer):
    monkeypatch.setattr(tastes, "_HISTORY_FOR_TASTE", most)
    done = replace(done, item_keys=keys)

    taste = taste_of_user(serving().view(), done, [])

    if longer is None:
        assert taste.longer is None
    else:
        assert taste.model.item_keys[taste.longer.indexes].tolist() == longer
        assert taste.item_keys == longer[:-1]
        assert taste.longer.strengths[:-1].tolist() == taste.history.strengths.tolist()


def test_of_a_visitor_no_item_moves_up(trained, monkeypatch):
    monkeypatch.setattr(tastes, "_HISTORY_FOR_TASTE", 1)

    assert taste_of_session(serving().view(), [3, 2]).longer is None


def test_the_event_that_says_most_of_an_item_is_named(done):
    assert taste_of_user(serving().view(), done, []).events == {3: "view", 2: PURCHASE, 1: "view"}


def test_of_two_events_that_say_as_much_always_the_same_one_is_named(done):
    book = event_book()
    less, more = sorted(book.codes[event] for event in ("view", CART))
    both = replace(done, item_keys=(1,) * 6, event_codes=(more, less, less, more, less, less))
    taste = replace(taste_of_user(serving().view(), done, []), done=both, weights=[1.0] * 6)

    assert taste.events == {1: book.names[more]}


def test_an_event_that_the_settings_do_not_name_is_not_told(done):
    strange = replace(done, event_codes=(99, *done.event_codes[1:]))
    taste = replace(taste_of_user(serving().view(), done, []), done=strange)

    assert taste.events == {2: PURCHASE, 1: "view"}


def test_items_that_a_visitor_looked_at_are_liked_alike(trained):
    taste = taste_of_session(serving().view(), [3, 2])

    assert taste.item_keys == [3, 2]
    assert taste.history.strengths.tolist() == [1, 1]
    assert taste.events == {}


def test_whoever_did_anything_before_the_training_was_trained_on(done):
    view = serving().view()

    def strategy(keys):
        return taste_of_user(view, replace(done, interaction_keys=keys), []).strategy

    last = view.served.manifest["data"]["watermark"]
    assert strategy((last + 6, last + 5, last + 4, last + 3, last + 2, last + 1)) == "folded_in"
    assert strategy((last + 6, last + 5, last + 4, last, last + 2, last + 1)) == "personal"


def test_an_item_that_the_model_does_not_know_takes_nobodys_place(done):
    """The newest interaction is with one that came after the training."""
    unknown = replace(done, item_keys=(999, *done.item_keys[1:]))

    taste = taste_of_user(serving().view(), unknown, [])

    assert taste.item_keys == [2, 1]
    assert len(taste.history.indexes) == 2
    assert [taste.events[key] for key in taste.item_keys] == [PURCHASE, "view"]


def test_items_that_came_after_the_training_tell_nothing_of_a_taste(done):
    assert taste_of_user(serving().view(), replace(done, item_keys=(999,) * 6), []) is None
    assert taste_of_session(serving().view(), [999]) is None


def test_what_a_rating_says_depends_on_its_value(done):
    codes = (event_book().codes["rating"],) * 6
    rated = replace(
        done, item_keys=(1, 2, 3, 4, 5, 6), event_codes=codes, values=(5.0, 4.0, 2.0, 1.0, 2.5, 2.5)
    )

    strengths = taste_of_user(serving().view(), rated, []).history.strengths

    # 2.5 says nothing, and 5 most.
    assert [strength > 0 for strength in strengths.tolist()] == [True, True, False, False]
    assert strengths[0] > strengths[1]
    assert strengths[3] < strengths[2]


@pytest.fixture
def aging(trained):
    """What is served, as though a training with a half-life of 30 days had read up to the first of July."""
    view = serving().view()
    until = {"half_life_days": 30.0, "until": "2026-07-01T00:00:00+00:00"}
    manifest = view.served.manifest | {"data": view.served.manifest["data"] | until}
    return replace(view, served=replace(view.served, manifest=manifest))


@pytest.fixture
def aged(done) -> UserHistory:
    """Views of items 4, 3, 2 and 1: after that training, and one half-life before it, two and three."""
    ends = datetime(2026, 7, 1, tzinfo=UTC)
    return UserHistory(
        interaction_keys=(96, 95, 94, 93),
        item_keys=(4, 3, 2, 1),
        event_codes=(event_book().codes["view"],) * 4,
        values=(None,) * 4,
        occurred_at=tuple(ends - timedelta(days=days) for days in (-40, 30, 60, 90)),
    )


def test_ages_are_counted_from_the_moment_that_the_version_knows_up_to(aging, aged):
    taste = taste_of_user(aging, aged, [])

    assert taste.item_keys == [4, 3, 2, 1]
    assert taste.weights == pytest.approx([1, 1 / 2, 1 / 4, 1 / 8], rel=1e-6)


def test_without_the_newest_the_others_are_as_old_as_with_it(aging, aged):
    without = UserHistory(*(column[1:] for column in astuple(aged)))

    assert taste_of_user(aging, without, []).weights == taste_of_user(aging, aged, []).weights[1:]


@pytest.mark.parametrize("data", [{}, {"half_life_days": 0.0}], ids=["before it was told", "none"])
def test_age_does_not_matter_where_a_version_was_trained_without_a_half_life(aging, aged, data):
    told = aging.served.manifest["data"].copy()
    del told["half_life_days"]
    without = replace(aging, served=replace(aging.served, manifest={"data": told | data}))

    assert taste_of_user(without, aged, []).weights == [1.0] * 4
    assert reads_times(aging)
    assert not reads_times(without)
    assert not reads_times(replace(aging, served=None))


def test_a_history_is_served_as_it_was_learned_from(make_app, context, shop, do, train_in):
    """Dislikes aside, of which nothing is learned."""
    day, moment = timedelta(days=1), now()
    for place in range(8):
        do("ana", f"crime-{place}", f"poetry-{place}", occurred_at=moment - 1.7**place * day)
        do("ana", f"crime-{place}", event="purchase", occurred_at=moment - 1.4**place * day)
    do("ana", "crime-0", "crime-7")

    with make_app(context.config["SQLALCHEMY_DATABASE_URI"], half_life_days=7.0).app_context():
        train_in()
        config, view = current_config(), serving().view()
        rows = learning.read_rows(config, lambda read, total: None)
        matrix, _ = learning.build(config, rows, config.half_life)
        user_key, done = interactions.history("ana", with_times=reads_times(view))
        history = taste_of_user(view, done, []).history

    row = matrix.strengths[[int(np.searchsorted(matrix.user_keys, user_key))]].toarray()[0]
    assert len(history.indexes) == 16
    assert history.strengths == pytest.approx(row[history.indexes], rel=1e-5)
