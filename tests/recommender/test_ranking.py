"""From scores to a list: exact and stable."""

from __future__ import annotations

import numpy as np
import pytest

from recsvc.recommender.ranking import best_of_rows, top_k

SCORES = np.array([0.1, 0.9, 0.5, 0.9, -2.0], np.float32)


def every(scores: np.ndarray) -> np.ndarray:
    return np.arange(len(scores))


def test_the_best_come_first():
    assert top_k(SCORES, every(SCORES), 3).tolist() == [1, 3, 2]


def test_only_candidates_are_ranked():
    assert top_k(SCORES, np.array([0, 2, 4]), 2).tolist() == [2, 0]


def test_of_equal_scores_the_smaller_index_comes_first():
    level = np.zeros(50, np.float32)

    assert top_k(level, every(level), 5).tolist() == [0, 1, 2, 3, 4]


def test_fewer_candidates_than_places_make_a_shorter_list():
    assert top_k(SCORES, every(SCORES), 99).tolist() == [1, 3, 2, 0, 4]


def test_exactly_as_many_candidates_as_places_are_all_ranked():
    assert top_k(SCORES, every(SCORES), 5).tolist() == [1, 3, 2, 0, 4]


def test_no_candidates_make_an_empty_list():
    assert top_k(SCORES, np.array([], np.intp), 10).tolist() == []


def test_infinite_scores_are_ranked_too():
    scores = np.array([1, np.inf, -np.inf, 2], np.float32)

    assert top_k(scores, every(scores), 4).tolist() == [1, 3, 0, 2]


@pytest.mark.parametrize("seed", range(5))
def test_a_list_is_the_beginning_of_the_full_stable_sort(seed):
    random = np.random.default_rng(seed)
    scores = random.integers(-20, 20, 400).astype(np.float32)  # with many ties
    candidates = np.flatnonzero(random.random(400) < 0.7)
    expected = sorted(candidates.tolist(), key=lambda index: (-scores[index], index))

    for k in (1, 2, 10, 100, len(candidates) - 1, len(candidates), len(candidates) + 1):
        assert top_k(scores, candidates, k).tolist() == expected[:k]


@pytest.mark.parametrize(
    "row",
    [
        [0, 0, 3, 0, 1, 2, 0, 0],  # few say anything
        [0, 0, -1, 0, 5, -2, 0, -np.inf],  # fewer above 0 than are wanted
        [-3, -1, -2, -np.inf, -5, 1, -4, -np.inf],  # zeros do not fill it up either
        [4, 1, 3, 2, 8, 6, 7, 5],
        [0, 0, 0, 0, 0, 0, 0, 0],
    ],
)
@pytest.mark.parametrize("most", [1, 3, 8])
def test_the_best_of_a_row_have_the_greatest_scores_whatever_their_sign(row, most):
    rows = np.array([row, row[::-1]], np.float32)
    found = best_of_rows(rows, most)

    assert [len(set(of_row)) for of_row in found.tolist()] == [most, most]
    for scores, of_row in zip(rows, found, strict=True):
        assert sorted(scores[of_row].tolist()) == sorted(scores.tolist())[8 - most :]
