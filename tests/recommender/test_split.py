"""Holding out: what users came to like last, all after a moment, users whole, and items whole."""

import numpy as np
import pytest
from scipy import sparse

from recsvc.recommender import pairs
from recsvc.recommender.interactions import EventScale, InteractionColumns, InteractionMatrix, build_matrix
from recsvc.recommender.split import (
    HeldOut,
    hold_out_after,
    hold_out_items,
    hold_out_latest,
    hold_out_users,
    leave_last_out,
)

LIKE, DISLIKE = 1, 2
SCALE = EventScale(np.array([0.0, 1.0, -1.0], np.float32), rating_code=-1, neutral=2.5, best=5.0)


def columns_of(*rows):
    users, items, events, moments = np.array(rows, np.int64).reshape(-1, 4).T
    return InteractionColumns(
        np.array(users, np.int32),
        np.array(items, np.int32),
        np.array(events, np.int16),
        np.zeros(len(rows), np.float32),
        np.array(moments, np.int64),
    )


def hold_out(columns, **options):
    matrix = build_matrix(columns, SCALE, np.empty(0, np.int32))
    settings = {"share": 0.5, "fewest_items": 2, "most_users": 10, "seed": 1} | options
    return matrix, hold_out_latest(matrix, columns, **settings)


def split_by(function, columns, **options):
    matrix = build_matrix(columns, SCALE, np.empty(0, np.int32))
    return matrix, function(matrix, columns, **({"seed": 1} | options))


def items_of(rows, matrix):
    return [matrix.item_keys[rows[[row]].indices].tolist() for row in range(rows.shape[0])]


def test_the_latest_items_are_held_out_and_the_rest_stays():
    columns = columns_of((7, 10, LIKE, 30), (7, 11, LIKE, 10), (7, 12, LIKE, 40), (7, 13, LIKE, 20))

    matrix, held_out = hold_out(columns)

    assert matrix.item_keys[held_out.relevant[0]].tolist() == [10, 12]
    assert matrix.item_keys[held_out.strengths.indices].tolist() == [11, 13]


def test_an_item_is_as_late_as_its_last_interaction():
    columns = columns_of((7, 10, LIKE, 1), (7, 11, LIKE, 5), (7, 10, LIKE, 9))

    matrix, held_out = hold_out(columns)

    assert matrix.item_keys[held_out.relevant[0]].tolist() == [10]


def test_a_disliked_item_is_never_held_out():
    columns = columns_of((7, 10, LIKE, 1), (7, 11, LIKE, 2), (7, 12, DISLIKE, 9))

    matrix, held_out = hold_out(columns)

    assert matrix.item_keys[held_out.relevant[0]].tolist() == [11]


def test_users_with_few_items_stay_whole():
    columns = columns_of((1, 10, LIKE, 1), (2, 10, LIKE, 1), (2, 11, LIKE, 2))

    _, held_out = hold_out(columns)

    assert held_out.user_indexes.tolist() == [1]
    assert held_out.strengths[[0]].nnz == 1


def test_no_more_users_are_chosen_than_wanted_and_by_seed_always_the_same():
    rows = [(user, item, LIKE, item) for user in range(50) for item in range(4)]

    first, second = (hold_out(columns_of(*rows), most_users=8)[1] for _ in range(2))

    assert len(first.user_indexes) == 8
    assert first.user_indexes.tolist() == second.user_indexes.tolist()


def test_the_future_is_missing_of_everybody_evaluated_or_not():
    rows = [(user, item, LIKE, item) for user in range(50) for item in range(4)]

    matrix, held_out = hold_out(columns_of(*rows), most_users=8)

    assert items_of(held_out.strengths, matrix) == [[0, 1]] * 50


def test_the_matrix_that_was_given_is_left_as_it_is():
    columns = columns_of((7, 10, LIKE, 1), (7, 11, LIKE, 2))

    matrix, _ = hold_out(columns)

    assert matrix.strengths.nnz == 2


def test_what_is_not_held_out_is_the_history():
    columns = columns_of((7, 10, LIKE, 30), (7, 11, LIKE, 10), (7, 12, LIKE, 40), (8, 10, LIKE, 20))

    matrix, held_out = hold_out(columns, share=0.3)

    assert matrix.item_keys[held_out.histories.indices].tolist() == [10, 11]
    assert held_out.histories.shape == (1, 3)


def told_of(matrix, held_out):
    """What is known of each evaluated user, in its order, and what is asked for, all by keys."""
    known = items_of(held_out.histories, matrix)
    asked = [matrix.item_keys[items].tolist() for items in held_out.relevant]
    return dict(
        zip(matrix.user_keys[held_out.user_indexes].tolist(), zip(known, asked, strict=True), strict=True)
    )


@pytest.mark.parametrize("at_least_one", [True, False])
def test_who_comes_or_goes_changes_nothing_for_the_others(at_least_one):
    # Two fifths of 13 items are 5.2: how many are held out is by chance too. All are of the same moment.
    likes = [(user, item, LIKE, 5) for user in range(50) for item in range(user % 3, 39, 3)]
    options = {"share": 0.4, "most_users": 20, "at_least_one": at_least_one}

    before = told_of(*hold_out(columns_of(*likes), **options))
    gone = sorted(before)[3]
    after = told_of(
        *hold_out(columns_of(*(row for row in likes if row[0] != gone), (99, 7, LIKE, 5)), **options)
    )

    kept = before.keys() & after.keys()
    assert kept == before.keys() - {gone}
    assert len(after) == 20
    assert {user: after[user] for user in kept} == {user: before[user] for user in kept}


def test_users_lose_other_items_of_the_same_moment():
    columns = columns_of(*((user, item, LIKE, 5) for user in range(30) for item in range(10)))

    _, held_out = hold_out(columns, share=0.1, most_users=30)

    assert len({items.item() for items in held_out.relevant}) > 5


def test_items_are_cold_whichever_others_are_there():
    likes = [(user, item, LIKE, 5) for user in range(9) for item in range(40)]

    def cold_without(gone):
        columns = columns_of(*(row for row in likes if row[1] != gone))
        matrix, held_out = split_by(hold_out_items, columns, item_share=0.1, most_users=9)
        return {*matrix.item_keys[held_out.cold_items].tolist()}

    # A tenth of them, to the nearest.
    before = cold_without(None)
    warm = min({*range(40)} - before)
    assert len(before) == 4
    assert cold_without(warm) == before


def test_items_of_one_moment_are_held_out_in_random_order():
    columns = columns_of(*((7, item, LIKE, 5) for item in range(4)))

    found = {hold_out(columns, share=0.25, seed=seed)[1].relevant[0].item() for seed in range(60)}

    assert found == {0, 1, 2, 3}


def test_a_share_is_rounded_but_never_to_nothing():
    columns = columns_of(*((1, item, LIKE, item) for item in range(3)), *((2, i, LIKE, i) for i in range(9)))

    _, held_out = hold_out(columns, share=0.2)

    # 0.6 of an item, and 1.8.
    assert [len(items) for items in held_out.relevant] == [1, 2]
    _, held_out = hold_out(columns, share=0.01)
    assert [len(items) for items in held_out.relevant] == [1, 1]


def test_users_with_few_items_lose_one_by_chance_so_that_of_all_it_is_the_share():
    rows = [(user, item, LIKE, item) for user in range(1_000) for item in range(2)]
    columns = columns_of(*rows, *((1_000, item, LIKE, item) for item in range(10)))

    matrix, held_out = hold_out(columns, share=0.2, at_least_one=False, most_users=2_000)

    # 0.4 of an item of each of the thousand, whose number deviates by 15.5 from draw to draw; and two items.
    assert 400 - 62 < len(held_out.user_indexes) - 1 < 400 + 62
    assert [items.tolist() for items in held_out.relevant[:-1]] == [[1]] * (len(held_out.user_indexes) - 1)
    assert held_out.relevant[-1].tolist() == [8, 9]
    assert held_out.strengths.nnz == matrix.strengths.nnz - len(held_out.user_indexes) - 1
    assert np.diff(held_out.histories.indptr).tolist() == [1] * (len(held_out.user_indexes) - 1) + [8]


def test_what_was_done_between_two_looks_at_the_columns_is_not_missed(monkeypatch):
    random = np.random.default_rng(3)
    columns = columns_of(*((u, i, LIKE, t) for u, i, t in random.integers(0, [9, 30, 99], (400, 3)).tolist()))
    _, whole = hold_out(columns)

    monkeypatch.setattr(pairs, "_AT_ONCE", 7)
    _, in_parts = hold_out(columns)

    assert [items.tolist() for items in in_parts.relevant] == [items.tolist() for items in whole.relevant]


@pytest.mark.parametrize("seed", range(5))
def test_the_latest_items_are_those_that_counting_one_by_one_finds(seed):
    random = np.random.default_rng(seed)
    rows = [
        (user, item, event, moment)  # every moment is another, so there are no ties
        for moment, (user, item, event) in enumerate(
            random.integers([0, 0, 1], [9, 30, 3], (500, 3)).tolist()
        )
    ]
    matrix, held_out = hold_out(columns_of(*rows), share=0.3)
    last = {(user, item): moment for user, item, _, moment in rows}

    for user, relevant in zip(held_out.user_indexes, held_out.relevant, strict=True):
        liked = matrix.strengths[[user]].indices.tolist()
        by_moment = sorted(
            liked, key=lambda item, user=user: last[matrix.user_keys[user], matrix.item_keys[item]]
        )
        assert relevant.tolist() == sorted(by_moment[-max(1, round(0.3 * len(liked))) :])


def test_histories_are_what_may_be_learned_where_nothing_else_is_said():
    strengths = sparse.csr_array(np.array([[1, 0], [0, 2]], np.float32))

    held_out = HeldOut(strengths, np.array([1]), [np.array([0])])

    assert held_out.histories.toarray().tolist() == [[0, 2]]
    assert held_out.cold_items.tolist() == []


def test_one_last_item_of_each_user_is_left_out():
    columns = columns_of(
        (1, 10, LIKE, 5),
        (1, 11, LIKE, 9),
        (1, 12, LIKE, 1),
        (2, 10, LIKE, 2),
        (2, 12, LIKE, 1),
        (3, 10, LIKE, 1),
    )

    matrix, held_out = split_by(leave_last_out, columns, most_users=10)

    assert held_out.user_indexes.tolist() == [0, 1]
    assert [matrix.item_keys[items].tolist() for items in held_out.relevant] == [[11], [10]]
    assert items_of(held_out.histories, matrix) == [[10, 12], [12]]
    assert items_of(held_out.strengths, matrix) == [[10, 12], [12], [10]]


def test_all_that_is_younger_than_one_moment_is_held_out():
    # Of 8 pairs the two youngest: those of the moments 70 and 80.
    columns = columns_of(
        (1, 10, LIKE, 10), (1, 11, LIKE, 20), (1, 12, LIKE, 70),
        (2, 10, LIKE, 30), (2, 11, LIKE, 40),
        (3, 11, LIKE, 50), (3, 12, LIKE, 60), (3, 10, LIKE, 80),
    )  # fmt: skip

    matrix, held_out = split_by(hold_out_after, columns, share=0.25, fewest_items=2, most_users=10)

    assert items_of(held_out.strengths, matrix) == [[10, 11], [10, 11], [11, 12]]
    assert held_out.user_indexes.tolist() == [0, 2]
    assert [matrix.item_keys[items].tolist() for items in held_out.relevant] == [[12], [10]]
    assert items_of(held_out.histories, matrix) == [[11, 10], [12, 11]]


def test_a_pair_is_as_old_as_its_first_interaction_and_keeps_its_full_strength():
    columns = columns_of((1, 10, LIKE, 10), (1, 11, LIKE, 50), (1, 10, LIKE, 90))

    matrix, held_out = split_by(hold_out_after, columns, share=0.5, fewest_items=1, most_users=10)

    assert matrix.item_keys[held_out.relevant[0]].tolist() == [11]
    # Two likes: log2(1 + 2).
    assert held_out.strengths.data.tolist() == pytest.approx([1.58496], abs=1e-5)


def test_users_with_little_before_the_moment_are_not_evaluated_but_not_learned_from_either():
    columns = columns_of(
        (1, 10, LIKE, 10), (1, 11, LIKE, 20), (1, 12, LIKE, 80),
        (2, 10, LIKE, 30), (2, 11, LIKE, 70),
    )  # fmt: skip

    matrix, held_out = split_by(hold_out_after, columns, share=0.4, fewest_items=2, most_users=10)

    assert held_out.user_indexes.tolist() == [0]
    assert items_of(held_out.strengths, matrix) == [[10, 11], [10]]


@pytest.mark.parametrize(("share", "after"), [(0.1, []), (0.3, [2, 3]), (0.6, [2, 3]), (0.9, [0, 1, 2, 3])])
def test_pairs_of_one_moment_stay_on_one_side_of_the_cut(share, after):
    # Items 0 and 1 at one moment, 2 and 3 at another, later one.
    columns = columns_of((1, 0, LIKE, 5), (1, 1, LIKE, 5), (1, 2, LIKE, 8), (1, 3, LIKE, 8))

    _, held_out = split_by(hold_out_after, columns, share=share, fewest_items=1, most_users=10)

    assert held_out.strengths.indices.tolist() == [item for item in range(4) if item not in after]


def test_without_any_times_there_is_no_moment_to_split_at():
    columns = columns_of((1, 10, LIKE, 0), (1, 11, LIKE, 0), (2, 10, LIKE, 0))

    _, held_out = split_by(hold_out_after, columns, share=0.2, fewest_items=1, most_users=10)

    assert held_out.user_indexes.tolist() == []
    assert held_out.strengths.nnz == 3


def test_no_more_users_are_evaluated_after_a_moment_than_wanted_while_all_are_cut():
    columns = columns_of(*((user, item, LIKE, item) for user in range(50) for item in range(4)))

    _, held_out = split_by(hold_out_after, columns, share=0.25, fewest_items=1, most_users=8)

    assert len(held_out.user_indexes) == len(held_out.relevant) == held_out.histories.shape[0] == 8
    assert held_out.strengths.nnz == 50 * 3


def test_held_out_users_are_not_learned_from_and_asked_for_their_latest_items():
    columns = columns_of(
        (1, 10, LIKE, 3), (1, 11, LIKE, 1), (1, 12, LIKE, 2), (1, 13, LIKE, 4), (2, 10, LIKE, 1)
    )

    matrix, held_out = split_by(hold_out_users, columns, share=0.25, fewest_items=2, most_users=10)

    assert held_out.user_indexes.tolist() == [0]
    assert items_of(held_out.strengths, matrix) == [[], [10]]
    assert items_of(held_out.histories, matrix) == [[10, 12, 11]]
    assert matrix.item_keys[held_out.relevant[0]].tolist() == [13]


def test_only_as_many_users_as_wanted_are_held_out_whole():
    columns = columns_of(*((user, item, LIKE, item) for user in range(50) for item in range(4)))

    _, held_out = split_by(hold_out_users, columns, share=0.25, fewest_items=2, most_users=8)

    left = np.diff(held_out.strengths.indptr)
    assert left[held_out.user_indexes].tolist() == [0] * 8
    assert left.sum() == 42 * 4


def cold(rows, **options):
    strengths = sparse.csr_array(np.array(rows, np.float32))
    users, items = (np.arange(length, dtype=np.int32) for length in strengths.shape)
    settings = {"item_share": 0.5, "most_users": 10, "seed": 1} | options
    ages = np.zeros(strengths.nnz, np.float32)
    liked = [(user, item, LIKE, item) for user, item in zip(*strengths.nonzero(), strict=True)]
    return hold_out_items(InteractionMatrix(users, items, strengths, ages), columns_of(*liked), **settings)


def test_nothing_is_learned_of_cold_items_and_who_likes_them_is_asked_for_them():
    # Of the three items that anybody likes one is made cold.
    rows = np.array([[1, 2, 0, 3], [0, 4, 0, 5], [6, 0, 0, 0], [0, 7, 0, 0], [0, 0, 0, 8]])

    made_cold = set()
    for seed in range(20):
        held_out = cold(rows, item_share=0.4, seed=seed)
        (item,) = held_out.cold_items.tolist()
        made_cold.add(item)
        without = rows * (np.arange(4) != item)
        # Who likes it and another; who likes it alone has no history to go by.
        able = np.flatnonzero((rows[:, item] > 0) & (without.sum(axis=1) > 0))
        assert held_out.strengths.toarray().tolist() == without.tolist()
        assert held_out.user_indexes.tolist() == able.tolist()
        assert held_out.histories.toarray().tolist() == without[able].tolist()
        assert [items.tolist() for items in held_out.relevant] == [[item]] * len(able)

    assert made_cold == {0, 1, 3}  # an item that nobody likes is cold already


def test_items_are_cold_for_users_who_are_not_evaluated_too():
    held_out = cold(np.ones((30, 10)), most_users=3)

    assert len(held_out.user_indexes) == 3
    assert held_out.strengths.nnz == 30 * 5
    assert [items.tolist() for items in held_out.relevant] == [held_out.cold_items.tolist()] * 3


def test_a_small_share_still_makes_one_item_cold():
    assert len(cold(np.ones((2, 10)), item_share=0.001).cold_items) == 1


EVERY_SPLIT = [
    lambda matrix, columns: hold_out_latest(
        matrix, columns, share=0.2, fewest_items=5, most_users=10, seed=1
    ),
    lambda matrix, columns: leave_last_out(matrix, columns, most_users=10, seed=1),
    lambda matrix, columns: hold_out_after(matrix, columns, share=0.2, fewest_items=5, most_users=10, seed=1),
    lambda matrix, columns: hold_out_users(matrix, columns, share=0.2, fewest_items=5, most_users=10, seed=1),
    lambda matrix, columns: hold_out_items(matrix, columns, item_share=0.2, most_users=10, seed=1),
]


@pytest.mark.parametrize("held_out_by", EVERY_SPLIT)
@pytest.mark.parametrize("rows", [[(1, 10, LIKE, 1), (2, 11, LIKE, 2)], [(1, 10, DISLIKE, 1)], []])
def test_nobody_is_evaluated_where_nobody_has_enough(held_out_by, rows):
    columns = columns_of(*rows)
    matrix = build_matrix(columns, SCALE, np.arange(3, dtype=np.int32))

    held_out = held_out_by(matrix, columns)

    assert (held_out.user_indexes.tolist(), held_out.relevant) == ([], [])
    assert held_out.strengths.shape == matrix.strengths.shape
    assert held_out.histories.shape == (0, matrix.strengths.shape[1])


@pytest.mark.parametrize("held_out_by", EVERY_SPLIT)
def test_no_split_asks_for_what_is_known_or_changes_what_it_was_given(held_out_by):
    random = np.random.default_rng(4)
    columns = columns_of(*random.integers([0, 0, LIKE, 0], [30, 40, 3, 50], (2000, 4)).tolist())
    matrix = build_matrix(columns, SCALE, np.empty(0, np.int32))
    before = matrix.strengths.toarray()

    held_out, again = held_out_by(matrix, columns), held_out_by(matrix, columns)

    assert len(held_out.user_indexes) == 10
    assert held_out.user_indexes.dtype == held_out.relevant[0].dtype == np.intp
    assert held_out.strengths.dtype == held_out.histories.dtype == np.float32
    for index, (user, relevant) in enumerate(zip(held_out.user_indexes, held_out.relevant, strict=True)):
        history = held_out.histories[[index]].indices
        assert len(relevant) > 0
        assert sorted([*relevant, *history]) == np.flatnonzero(before[user]).tolist()
        assert relevant.tolist() == sorted(relevant.tolist())
        assert (held_out.histories[[index]].data == before[user][history]).all()
        assert not np.isin(relevant, held_out.strengths[[user]].indices).any()
    assert (matrix.strengths.toarray() == before).all()
    assert (again.strengths != held_out.strengths).nnz == 0
    assert again.user_indexes.tolist() == held_out.user_indexes.tolist()


@pytest.mark.parametrize("held_out_by", EVERY_SPLIT)
def test_histories_are_newest_first_by_what_was_done_last(held_out_by):
    # Item 0 came before the others, and once more after item 4; users like all ten, and somebody else none.
    likes = [(user, item, LIKE, 10 * item) for user in range(5) for item in range(10)]
    columns = columns_of(*likes, *((user, 0, LIKE, 45) for user in range(5)), (9, 3, DISLIKE, 99))
    matrix = build_matrix(columns, SCALE, np.empty(0, np.int32))
    newest_first = [9, 8, 7, 6, 5, 0, 4, 3, 2, 1]

    held_out = held_out_by(matrix, columns)

    told = items_of(held_out.histories, matrix)
    assert told
    for history, asked in zip(told, held_out.relevant, strict=True):
        assert history == [item for item in newest_first if item not in matrix.item_keys[asked]]


def test_what_was_done_again_after_the_moment_makes_nothing_newer_before_it():
    columns = columns_of(
        (1, 10, LIKE, 10), (1, 11, LIKE, 20), (1, 12, LIKE, 80), (1, 10, LIKE, 90),
        (2, 10, LIKE, 10), (2, 11, LIKE, 20), (2, 12, LIKE, 85),
    )  # fmt: skip

    matrix, held_out = split_by(hold_out_after, columns, share=1 / 3, fewest_items=2, most_users=10)

    assert items_of(held_out.histories, matrix) == [[11, 10], [11, 10]]


def test_some_of_the_users_keep_the_order_of_their_histories():
    columns = columns_of(*((user, item, LIKE, 9 - item) for user in range(3) for item in range(5)))

    matrix, held_out = hold_out(columns, share=0.2)

    assert items_of(held_out.of(np.array([0, 2])).histories, matrix) == [[1, 2, 3, 4], [1, 2, 3, 4]]


@pytest.mark.parametrize("held_out_by", EVERY_SPLIT[:2] + EVERY_SPLIT[3:])
def test_where_nobody_knows_the_order_of_a_history_that_of_keys_does_not_pass_for_it(held_out_by):
    columns = columns_of(*((user, item, LIKE, 5) for user in range(50) for item in range(10)))
    matrix = build_matrix(columns, SCALE, np.empty(0, np.int32))

    told = items_of(held_out_by(matrix, columns).histories, matrix)

    ascending = [sum(map(np.less, history, history[1:])) / (len(history) - 1) for history in told]
    assert 0.2 < np.mean(ascending) < 0.8
