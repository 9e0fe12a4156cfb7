"""Holding out what users came to like last."""

import numpy as np

from recsvc.recommender.interactions import EventScale, InteractionColumns, build_matrix
from recsvc.recommender.split import hold_out_latest

LIKE, DISLIKE = 1, 2
SCALE = EventScale(np.array([0.0, 1.0, -1.0], np.float32), rating_code=-1, neutral=2.5, best=5.0)


def columns_of(*rows):
    users, items, events, moments = zip(*rows, strict=True)
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
    assert first.strengths.nnz == 50 * 4 - 8 * 2


def test_the_matrix_that_was_given_is_left_as_it_is():
    columns = columns_of((7, 10, LIKE, 1), (7, 11, LIKE, 2))

    matrix, _ = hold_out(columns)

    assert matrix.strengths.nnz == 2
