"""One of each group, and items unlike each other: small cases worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from recsvc.recommender.diversity import best_of_each_group, diverse

NORTH, EAST, NORTH_EAST = [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]


def best(scores, groups, k):
    codes = None if groups is None else np.array(groups, np.int64)
    return best_of_each_group(np.array(scores, np.float32), codes, k).tolist()


def chosen(scores, vectors, k, diversity):
    return diverse(
        np.array(scores, np.float32), np.array(vectors, np.float32).reshape(len(scores), 2), k, diversity
    ).tolist()


def test_without_groups_the_best_are_kept():
    assert best([0.1, 0.9, 0.5], None, 2) == [1, 2]


def test_of_each_group_the_best_is_kept_and_items_of_none_are_not_a_group():
    assert best([5, 4, 3, 2, 1], [7, 7, 0, 0, 8], 4) == [0, 2, 3, 4]


def test_a_list_is_as_long_as_there_are_groups():
    assert best([5, 4, 3, 2], [7, 7, 8, 8], 4) == [0, 2]
    assert best([], [], 3) == []


@pytest.mark.parametrize("k", [1, 3, 20])
def test_however_many_of_the_best_are_one_group_the_list_is_full(k):
    scores = np.arange(5_000, 0, -1)
    groups = np.ones(5_000, np.int64)
    groups[-k:] = 0

    assert best(scores, groups, k + 1) == [0, *range(5_000 - k, 5_000)]


def test_no_diversity_is_the_order_of_the_scores():
    assert chosen([3, 2, 1], [NORTH, NORTH, EAST], 2, 0.0) == [0, 1]


def test_half_diversity_prefers_what_is_unlike_to_what_is_a_little_better():
    # Relevance 1, 0.9, 0 and cosines 1 and 0 to the first: 0.45 − 0.5 for the second, 0 − 0 for the third.
    assert chosen([10, 9, 0], [NORTH, NORTH, EAST], 2, 0.5) == [0, 2]
    # At 0.4 it is 0.54 − 0.4 against 0.
    assert chosen([10, 9, 0], [NORTH, NORTH, EAST], 2, 0.4) == [0, 1]


def test_full_diversity_looks_at_unlikeness_alone_after_the_first_place():
    assert chosen([10, 9, 8], [NORTH, NORTH_EAST, EAST], 3, 1.0) == [0, 2, 1]


def test_what_nothing_is_known_of_is_unlike_everything_and_equal_scores_do_no_harm():
    assert chosen([1, 1, 1], [NORTH, NORTH, [0.0, 0.0]], 2, 0.5) == [0, 2]
    assert chosen([], [], 3, 0.5) == []


def test_a_list_is_never_longer_than_what_it_is_chosen_from():
    assert sorted(chosen([3, 2, 1], [NORTH, EAST, NORTH], 9, 0.7)) == [0, 1, 2]
