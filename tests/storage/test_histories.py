"""What users did, read in columns."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from recsvc.extensions import db
from recsvc.storage.models import Event, Interaction, Item, User
from recsvc.storage.queries import interactions
from recsvc.storage.queries.interactions import UserHistory

MORNING = datetime(2026, 11, 23, 8, 30, tzinfo=UTC)
NOON = MORNING + timedelta(hours=3.5)


@pytest.fixture
def readers(context) -> dict[str, int]:
    """One who did three things, two of them at once; one who did nothing. Their keys."""
    db.session.add_all([User(user_id="busy"), User(user_id="idle")])
    db.session.add_all(Item(item_id=item_id) for item_id in ("book", "film"))
    db.session.add_all(Event(name=name) for name in ("view", "rating"))
    db.session.flush()
    keys = {user.user_id: user.user_key for user in db.session.query(User)}
    for key, item_key, code, value, moment in (
        (11, 1, 1, None, NOON),
        (12, 2, 2, 4.5, MORNING),
        (13, 2, 1, None, NOON),
    ):
        db.session.add(
            Interaction(
                interaction_key=key,
                user_key=keys["busy"],
                item_key=item_key,
                event_code=code,
                value=value,
                occurred_at=moment,
            )
        )
    db.session.flush()
    return keys


BUSY = UserHistory(
    interaction_keys=(13, 11, 12),
    item_keys=(2, 1, 2),
    event_codes=(1, 1, 2),
    values=(None, None, 4.5),
    occurred_at=(NOON, NOON, MORNING),
)


@pytest.mark.parametrize("with_times", [True, False])
def test_a_history_is_newest_first_and_of_one_moment_what_came_in_last(readers, with_times):
    expected = BUSY if with_times else replace(BUSY, occurred_at=())

    assert interactions.history("busy", with_times=with_times) == (readers["busy"], expected)


def test_who_did_nothing_has_a_key_and_an_empty_history(readers):
    assert interactions.history("idle") == (readers["idle"], UserHistory())
    assert len(UserHistory()) == 0


def test_who_is_not_known_has_no_key(readers):
    assert interactions.history("nobody") == (None, UserHistory())


@pytest.mark.parametrize("with_times", [True, False])
def test_histories_of_many_are_those_of_each(readers, with_times):
    found = interactions.histories(["idle", "nobody", "busy"], with_times=with_times)

    assert found == {
        user_id: interactions.history(user_id, with_times=with_times) for user_id in ("busy", "idle")
    }


def test_what_is_in_the_basket_comes_before_what_was_done():
    basket = UserHistory((99,), (7,), (3,), (None,), (NOON,))

    both = basket.before(BUSY)

    assert len(both) == 4
    assert both.item_keys == (7, 2, 1, 2)
    assert both.occurred_at == (NOON, NOON, NOON, MORNING)
    assert UserHistory().before(BUSY) == BUSY
