"""What voices learn from, and what they are asked about."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from recsvc.recommender.examples import Examples, as_matrix
from recsvc.recommender.interactions import InteractionMatrix
from recsvc.recommender.split import HeldOut

LIKES = [[1, 2, 0, 0], [0, 0, 0, 0], [0, 3, 0, 4]]
AGES = [10, 11, 12, 13]


@pytest.fixture
def examples(examples_of) -> Examples:
    return examples_of(LIKES, of_users={0: [5, 6], 2: [6]}, ages=AGES)


def matrix_of(examples: Examples) -> InteractionMatrix:
    users, items = examples.strengths.shape
    return InteractionMatrix(
        np.arange(users, dtype=np.int32), np.arange(items, dtype=np.int32), examples.strengths, examples.ages
    )


def held_out_of(rest: list[list[float]], relevant: dict[int, list[int]]) -> HeldOut:
    return HeldOut(
        sparse.csr_array(np.array(rest, np.float32)),
        np.array(list(relevant), np.intp),
        [np.array(items) for items in relevant.values()],
    )


def test_an_items_count_is_of_users_and_a_users_length_of_items(examples):
    assert examples.counts.tolist() == [1, 2, 0, 1]
    assert examples.lengths.tolist() == [2, 0, 2]


def test_only_what_is_liked_counts_as_liked(history_of):
    assert history_of({3: 1, 5: -2, 0: 0.5}).liked == 2
    assert history_of({3: -1}).liked == 0
    assert history_of({}).liked == 0


def test_histories_become_rows_in_their_order(history_of):
    rows = as_matrix([history_of({3: 1, 0: -2}), history_of({}), history_of({1: 0.5})], items=4)

    assert rows.toarray().tolist() == [[-2, 0, 0, 1], [0, 0, 0, 0], [0, 0.5, 0, 0]]
    assert rows.dtype == np.float32


def test_no_histories_become_no_rows():
    assert as_matrix([], items=4).shape == (0, 4)


def test_the_rest_has_the_ages_of_what_was_not_held_out(examples):
    held_out = held_out_of([[0, 2, 0, 0], [0, 0, 0, 0], [0, 3, 0, 0]], {0: [0], 2: [3]})

    rest = examples.rest_of(matrix_of(examples), held_out)

    assert rest.strengths.toarray().tolist() == [[0, 2, 0, 0], [0, 0, 0, 0], [0, 3, 0, 0]]
    assert rest.ages.tolist() == [11, 12]
    assert rest.counts.tolist() == [0, 2, 0, 0]
    assert (rest.seed, rest.threads) == (examples.seed, examples.threads)


def test_the_rest_is_counted_anew_even_if_the_whole_was_counted_before(examples):
    assert examples.counts.tolist() == [1, 2, 0, 1]
    held_out = held_out_of([[1, 0, 0, 0], [0] * 4, [0] * 4], {0: [1]})

    rest = examples.rest_of(matrix_of(examples), held_out)

    assert rest.counts.tolist() == [1, 0, 0, 0]
    assert rest.lengths.tolist() == [1, 0, 0]


def test_where_everything_is_held_out_nothing_is_left(examples):
    rest = examples.rest_of(matrix_of(examples), held_out_of([[0] * 4] * 3, {0: [0, 1], 2: [1, 3]}))

    assert (rest.strengths.nnz, rest.ages.tolist()) == (0, [])


def test_a_history_is_what_is_left_of_a_user_and_their_features(examples):
    first, last = examples.histories(held_out_of([[1, 0, 0, 0], [0] * 4, [0, 3, 0, 4]], {0: [1], 2: [0]}))

    assert (first.indexes.tolist(), first.strengths.tolist()) == ([0], [1])
    assert first.features.tolist() == [0, 1]
    assert (last.indexes.tolist(), last.strengths.tolist()) == ([1, 3], [3, 4])
    assert last.features.tolist() == [1]
