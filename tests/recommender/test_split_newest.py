"""Holding out what came last: new to whoever has read all rows up to one."""

import numpy as np
import pytest

from recsvc.recommender.interactions import EventScale, InteractionColumns, build_matrix
from recsvc.recommender.split import hold_out_newest

SCALE = EventScale(np.array([0.0, 1.0, -1.0], np.float32), rating_code=-1, neutral=2.5, best=5.0)
LIKE, DISLIKE = 1, 2


def hold_out(*rows, since, moments=None, **options):
    """Rows are (user, item) or (user, item, event), in the order of their receipt, the youngest first."""
    users, items, events = np.array([(*row, LIKE)[:3] for row in rows], np.int64).T
    columns = InteractionColumns(
        users.astype(np.int32),
        items.astype(np.int32),
        events.astype(np.int16),
        np.zeros(len(rows), np.float32),
        np.arange(len(rows), 0, -1) * 1_000_000 if moments is None else np.array(moments),
    )
    matrix = build_matrix(columns, SCALE, np.empty(0, np.int32))
    settings = {"share": 0.5, "fewest_items": 2, "most_users": 10, "seed": 1} | options
    held_out, is_new = hold_out_newest(matrix, columns, since=since, **settings)
    told = {
        int(matrix.user_keys[user]): (
            matrix.item_keys[held_out.histories[[row]].indices].tolist(),
            matrix.item_keys[held_out.relevant[row]].tolist(),
            bool(is_new[row]),
        )
        for row, user in enumerate(held_out.user_indexes.tolist())
    }
    rest = held_out.strengths.tocoo()
    left = {
        (int(matrix.user_keys[user]), int(matrix.item_keys[item]))
        for user, item in zip(*rest.coords, strict=True)
    }
    return told, left


def test_all_that_came_after_the_row_is_held_out_however_old_it_is():
    told, left = hold_out((7, 10), (7, 11), (7, 12), (7, 13), (7, 14), since=2)

    assert told == {7: ([10, 11], [12, 13, 14], True)}
    assert left == {(7, 10), (7, 11)}


def test_what_was_known_before_is_not_new_when_it_is_done_again():
    told, left = hold_out((7, 10), (7, 11), (7, 10), (7, 12), since=2)

    assert told == {7: ([10, 11], [12], True)}
    assert left == {(7, 10), (7, 11)}


def test_histories_are_newest_first_by_what_was_known_when_it_came():
    # Item 11 is the older one, unless it was done again before 12 was; what comes later is not known yet.
    told, _ = hold_out((7, 11), (7, 10), (7, 11), (7, 12), since=3, moments=[1, 5, 3, 9])
    assert told == {7: ([10, 11], [12], True)}

    told, _ = hold_out((7, 11), (7, 10), (7, 11), (7, 12), since=3, moments=[1, 5, 8, 9])
    assert told == {7: ([11, 10], [12], True)}

    told, _ = hold_out((7, 11), (7, 10), (7, 12), (7, 11), since=2, moments=[1, 5, 9, 8])
    assert told == {7: ([10, 11], [12], True)}


def test_who_has_nothing_new_has_a_history_of_before_what_is_held_out():
    told, _ = hold_out((7, 11), (7, 10), (7, 12), (7, 13), (7, 11), since=5, moments=[1, 2, 3, 4, 9])

    assert told == {7: ([10, 11], [12, 13], False)}


def test_of_somebody_new_a_share_is_held_out_all_of_which_is_new():
    told, _ = hold_out((1, 10), (7, 10), (7, 11), (7, 12), (7, 13), since=1)

    assert told == {7: ([10, 11], [12, 13], True)}


def test_of_others_a_share_is_held_out_none_of_which_is_new():
    told, left = hold_out((7, 10), (7, 11), (7, 12), (7, 13), (8, 10), since=5, moments=[1, 2, 3, 4, 5])

    assert told == {7: ([11, 10], [12, 13], False)}
    assert left == {(7, 10), (7, 11), (8, 10)}


def test_of_others_it_is_held_out_what_happened_last_in_whatever_order_it_was_received():
    seconds = [3, 9, 1, 8, 7, 2, 5, 4]
    rows = [(7, 10 + place) for place in range(8)]

    told, left = hold_out(*rows, since=8, share=0.25, moments=[second * 1_000_000 for second in seconds])

    assert told == {7: ([14, 16, 17, 10, 15, 12], [11, 13], False)}
    assert left == {(7, item) for item in (10, 12, 14, 15, 16, 17)}


def test_who_comes_or_goes_changes_nothing_for_the_others():
    # All of one moment, so that chance decides who is asked, for what, and in which order the rest is known.
    likes = [(user, item) for user in range(30) for item in range(user % 3, 39, 3)]

    def told_without(gone):
        rows = [row for row in likes if row[0] != gone]
        return hold_out(*rows, since=len(rows), moments=[5] * len(rows))[0]

    before = told_without(None)
    gone = sorted(before)[3]
    after = told_without(gone)

    kept = before.keys() - {gone}
    assert len(before) == len(after) == 10
    assert {user: after.get(user) for user in kept} == {user: before[user] for user in kept}


def test_of_what_others_did_at_one_moment_chance_decides_and_not_the_order_of_receipt():
    found = set()
    for seed in range(60):
        told, _ = hold_out((7, 10), (7, 11), (7, 12), since=3, share=0.3, moments=[5] * 3, seed=seed)
        found.add(tuple(told[7][1]))

    assert found == {(10,), (11,), (12,)}


def test_who_came_and_who_did_not_are_dated_each_by_their_own():
    rows = [(7, 10), (7, 11), (8, 10), (8, 11), (7, 12)]

    told, _ = hold_out(*rows, since=4, moments=[1, 2, 9, 8, 0])

    assert told == {7: ([11, 10], [12], True), 8: ([11], [10], False)}


def test_who_only_repeats_or_dislikes_since_is_one_of_the_others():
    told, _ = hold_out((7, 10), (7, 11), (8, 10), (8, 11), (7, 10), (8, 12, DISLIKE), since=4)

    assert told == {7: ([10], [11], False), 8: ([10], [11], False)}


def test_who_likes_too_little_to_know_them_by_stays_whole():
    told, left = hold_out((1, 10), (7, 11), (8, 10), (8, 11), since=1, fewest_items=3)

    assert told == {}
    assert len(left) == 4


def test_one_liked_before_is_enough_to_know_somebody_by():
    told, _ = hold_out((7, 10), (7, 11), since=1, fewest_items=5)

    assert told == {7: ([10], [11], True)}


@pytest.mark.parametrize("most_users", [0, 3, 6, 50])
def test_users_with_something_new_are_taken_first_and_others_fill_up(most_users):
    old = [(user, item) for user in range(20) for item in (10, 11)]
    new = [(user, 12) for user in range(5)]

    told, left = hold_out(*old, *new, since=40, most_users=most_users)

    assert sum(is_new for *_, is_new in told.values()) == min(5, most_users)
    assert len(told) == min(20, most_users)
    assert len(left) == 45 - len(told)


def test_by_seed_always_the_same_users_and_by_another_others():
    rows = [(user, item) for user in range(100) for item in (10, 11)]

    first, again, other = (set(hold_out(*rows, since=100, most_users=9, seed=seed)[0]) for seed in (1, 1, 2))

    assert first == again
    assert first != other


def test_nothing_is_held_out_of_nobody():
    assert hold_out((7, 10), since=1)[0] == {}
