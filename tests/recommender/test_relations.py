"""Related items: a sparse matrix that a history is multiplied with."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from recsvc.recommender.relations import Relations, join, strongest

# 0 is related to 1 and 2, 1 to 0, 2 to nothing, 3 to all others.
DENSE = np.array([[0, 2, 0.5, 0], [4, 0, 0, 0], [0, 0, 0, 0], [1, 1, -1, 0]], np.float32)
SOURCES = np.array([1, 0.5, 1, 2], np.float32)
EVERY = np.arange(4)


@pytest.fixture
def relations() -> Relations:
    rows = sparse.csr_array(DENSE)
    return Relations(rows.indptr.astype(np.int64), rows.indices.astype(np.int32), rows.data, SOURCES)


def test_a_score_is_the_sum_of_strength_times_source_times_weight(relations, history_of):
    # 1.5 · 1 · row 0, and 2 · ½ · row 1.
    scores = relations.opinion(history_of({0: 1.5, 1: 2})).near

    assert scores.tolist() == [4, 3, 0.75, 0]


def test_a_disliked_item_counts_three_tenths_against_what_is_related(relations, history_of):
    scores = relations.opinion(history_of({0: -1})).near

    assert scores.tolist() == pytest.approx([0, -0.6, -0.15, 0])


@pytest.mark.parametrize("strengths", [{}, {2: 5}], ids=["an empty history", "nothing is related"])
def test_where_nothing_is_related_all_scores_are_zero(relations, history_of, strengths):
    assert relations.opinion(history_of(strengths)).near.tolist() == [0, 0, 0, 0]
    assert relations.score_all([history_of(strengths)]).tolist() == [[0, 0, 0, 0]]


@pytest.mark.parametrize(
    ("most", "expected"),
    # Of 3, the nearest, 3 · 2 · row 3; and of 0, which is near by 2, 2 · 1 · row 0.
    [(1, [6, 6, -6, 0]), (2, [6, 10, -5, 0]), (9, [6, 10, -5, 0])],
)
def test_what_is_near_is_followed_from_the_nearest_and_never_from_what_is_not(relations, most, expected):
    near = np.array([2, -5, 0, 3], np.float32)

    assert relations.follow(near, most).tolist() == expected


def test_relations_read_are_those_of_all_items_of_the_history(relations, history_of):
    assert relations.opinion(history_of({0: 1, 2: 1, 3: -1})).relations_read == 2 + 0 + 3


def test_many_histories_are_scored_as_each_alone(relations, history_of):
    histories = [history_of({0: 1.5, 1: 2}), history_of({}), history_of({3: 1, 0: -1}), history_of({2: 1})]

    scores = relations.score_all(histories)

    assert scores.dtype == np.float32
    assert scores == pytest.approx(np.stack([relations.opinion(history).near for history in histories]))


def test_shares_are_the_terms_of_the_score_in_the_order_asked(relations, history_of):
    history = history_of({3: 1, 2: 1, 0: -1})

    shares = relations.opinion(history).shares(np.array([2, 0, 1]))

    assert shares.tolist() == [
        pytest.approx([-2, 2, 2]),
        [0, 0, 0],
        pytest.approx([-0.15, 0, -0.6]),
    ]


def test_shares_add_up_to_the_score(relations, history_of):
    history = history_of({3: 0.5, 1: 1, 0: -2})

    shares = relations.opinion(history).shares(EVERY)

    assert shares.sum(axis=0) == pytest.approx(relations.opinion(history).near)


def test_an_empty_history_has_no_shares(relations, history_of):
    assert relations.opinion(history_of({})).shares(EVERY).shape == (0, 4)


def test_no_items_have_no_shares(relations, history_of):
    assert relations.opinion(history_of({0: 1, 2: 1})).shares(np.empty(0, np.intp)).shape == (2, 0)


def test_the_strongest_entries_of_each_row_are_kept_whatever_their_sign():
    rows = sparse.csr_array(np.array([[0.1, -3, 2, 0.2], [0, 0, 1, 0], [0, 0, 0, 0]], np.float32))

    lengths, columns, values = strongest(rows, 2)

    assert lengths.tolist() == [2, 1, 0]
    assert columns.tolist() == [1, 2, 2]
    assert values.tolist() == [-3, 2, 1]


def test_no_row_is_filled_up_beyond_what_it_has():
    lengths, columns, _ = strongest(sparse.csr_array(DENSE), 99)

    assert lengths.tolist() == [2, 1, 0, 3]
    assert columns.tolist() == [1, 2, 0, 0, 1, 2]


def test_of_many_entries_exactly_the_strongest_stay():
    random = np.random.default_rng(1)
    dense = random.normal(size=(40, 90)) * (random.random((40, 90)) < 0.5)

    lengths, columns, values = strongest(sparse.csr_array(dense.astype(np.float32)), 10)

    ends = np.cumsum(lengths)
    for row, (begin, end) in enumerate(zip(ends - lengths, ends, strict=True)):
        assert columns[begin:end].tolist() == sorted(np.argsort(-np.abs(dense[row]))[:10].tolist())
        assert values[begin:end] == pytest.approx(dense[row, columns[begin:end]])


def test_blocks_of_rows_are_put_on_top_of_each_other():
    rows = sparse.csr_array(DENSE)

    joined = join([strongest(rows[:1], 9), strongest(rows[1:3], 9), strongest(rows[3:], 9)], SOURCES)

    assert joined.bounds.tolist() == [0, 2, 3, 3, 6]
    assert joined.items.tolist() == [1, 2, 0, 0, 1, 2]
    assert joined.weights.tolist() == [2, 0.5, 4, 1, 1, -1]
    assert len(joined) == 4


def test_relations_survive_their_arrays(relations, history_of):
    again = Relations.from_arrays(relations.arrays(), 4)

    # Row 0, and 2 · 2 · row 3.
    assert again.opinion(history_of({0: 1, 3: 2})).near.tolist() == [4, 6, -3.5, 0]


@pytest.mark.parametrize("name", ["bounds", "items", "weights", "sources"])
def test_relations_that_lack_an_array_are_refused_by_name(relations, name):
    lacking = {key: array for key, array in relations.arrays().items() if key != name}

    with pytest.raises(ValueError, match=f"missing: {name}$"):
        Relations.from_arrays(lacking, 4)


@pytest.mark.parametrize("name", ["bounds", "items", "weights", "sources"])
@pytest.mark.parametrize(
    "misshape",
    [lambda array: array[:0], lambda array: array[None], lambda array: array[0, ...]],
    ids=["empty", "two dimensions", "no dimension"],
)
def test_an_array_of_another_shape_is_refused(relations, name, misshape):
    arrays = relations.arrays() | {name: misshape(relations.arrays()[name])}

    with pytest.raises(ValueError, match=r"has shape"):
        Relations.from_arrays(arrays, 4)


def test_relations_of_another_number_of_items_are_refused(relations):
    with pytest.raises(ValueError, match="has shape"):
        Relations.from_arrays(relations.arrays(), 5)
