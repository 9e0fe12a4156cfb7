"""What voices learn from, and what they are asked about."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse

from recsvc.recommender.examples import Examples, weights_by_place
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


def test_items_count_by_their_place_and_one_on_average():
    # 1, ½ and ⅓, by their mean of 11/18.
    assert weights_by_place(3, 1.0).tolist() == pytest.approx([18 / 11, 9 / 11, 6 / 11])
    assert weights_by_place(3, 0.0).tolist() == [1, 1, 1]
    assert weights_by_place(4, 0.5).tolist()[3] == pytest.approx(weights_by_place(4, 0.5)[0] / 2)
    assert weights_by_place(0, 1.0).tolist() == []
    assert weights_by_place(500, 0.75).mean() == pytest.approx(1)


def test_what_many_histories_share_cannot_be_written_to():
    with pytest.raises(ValueError, match="read-only"):
        weights_by_place(3, 1.0)[0] = 7


def test_without_an_item_older_ones_move_up(history_of):
    history = replace(history_of({7: 1, 5: 1, 3: 1}), recency=1.0)

    # Of two 4/3 and 2/3, whichever they are.
    assert history.weights_without_each(np.array([2, 0, 1])).tolist() == [
        [pytest.approx(4 / 3), pytest.approx(2 / 3), 0],
        [0, pytest.approx(4 / 3), pytest.approx(2 / 3)],
        [pytest.approx(4 / 3), 0, pytest.approx(2 / 3)],
    ]


def test_without_a_disliked_item_nothing_moves(history_of):
    history = replace(history_of({9: -1, 7: 1, 5: -1, 3: 1}), recency=1.0)

    newer, older = pytest.approx(4 / 3), pytest.approx(2 / 3)
    assert history.weights.tolist() == [1, newer, 1, older]
    assert history.weights_without_each(np.arange(4)).tolist() == [
        [0, newer, 1, older],
        [1, 0, 1, 1],
        [1, newer, 0, older],
        [1, 1, 1, 0],
    ]


def test_without_its_only_item_nothing_of_a_history_counts(history_of):
    history = replace(history_of({7: 1}), recency=1.0)

    assert history.weights_without_each(np.array([0])).tolist() == [[0]]
    assert history_of({}).weights_without_each(np.empty(0, np.intp)).shape == (0, 0)


def test_strengths_are_added_up_by_place_and_disliked_ones_less(history_of):
    history = history_of({7: 2, 5: -1, 3: 1})

    assert history.counting.tolist() == pytest.approx([2, -0.3, 1])
    # A dislike is in nobody's place, and counts alike wherever it is.
    assert replace(history, recency=1.0).counting.tolist() == pytest.approx([2 * 4 / 3, -0.3, 2 / 3])
