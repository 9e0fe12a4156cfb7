"""Ranking for many users at once: what a user has not seen, over all items."""

from __future__ import annotations

import numpy as np
import pytest

from recsvc.recommender import evaluation
from recsvc.recommender.evaluation import rank_all


def scorer(*rows):
    scores = {number: np.array(row, np.float32) for number, row in enumerate(rows)}

    def score_all(histories):
        # A history's first strength says whose it is.
        return np.stack([scores[int(history.strengths[0]) - 1] for history in histories])

    return score_all


def test_items_of_the_history_are_not_ranked(history_of):
    lists = rank_all(scorer([9.0, 5.0, 1.0]), [history_of({0: 1})], 2)

    assert lists.tolist() == [[1, 2]]


def test_each_user_has_a_row_of_their_own(history_of):
    score_all = scorer([4, 3, 2, 1], [1, 2, 3, 4])

    lists = rank_all(score_all, [history_of({0: 1}), history_of({0: 2})], 2)

    assert lists.tolist() == [[1, 2], [3, 2]]


def test_a_list_that_cannot_be_filled_ends_with_minus_one(history_of):
    lists = rank_all(scorer([4, 3, 2, 1]), [history_of({0: 1, 2: 1})], 4)

    assert lists.tolist() == [[1, 3, -1, -1]]


def test_more_places_than_items_stay_empty(history_of):
    lists = rank_all(scorer([1, 2]), [history_of({0: 1})], 5)

    assert lists.tolist() == [[1, -1, -1, -1, -1]]


def test_who_has_seen_everything_gets_an_empty_row(history_of):
    lists = rank_all(scorer([1, 2]), [history_of({0: 1, 1: 1})], 2)

    assert lists.tolist() == [[-1, -1]]


def test_of_equal_scores_the_smaller_index_comes_first(history_of):
    lists = rank_all(scorer([1, 7, 1, 7], [1, 1, 1, 1]), [history_of({0: 1}), history_of({1: 2})], 2)

    assert lists.tolist() == [[1, 3], [0, 2]]


def test_scores_that_the_scorer_keeps_are_left_as_they_are(history_of):
    kept = np.arange(4, dtype=np.float32)

    rank_all(lambda histories: np.broadcast_to(kept, (len(histories), 4)), [history_of({1: 1})] * 3, 2)

    assert kept.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("scores_at_once", [1, 130, 1_000_000])
def test_however_many_are_scored_at_once_each_list_is_the_same_as_alone(
    monkeypatch, history_of, scores_at_once
):
    monkeypatch.setattr(evaluation, "_SCORES_AT_ONCE", scores_at_once)
    random = np.random.default_rng(2)
    rows = random.permutation(20 * 60).reshape(20, 60).astype(np.float32)
    histories = []
    for user in range(20):
        others = random.choice(np.arange(1, 60), 9, replace=False).tolist()
        histories.append(history_of({0: user + 1} | dict.fromkeys(others, 1.0)))
    expected = [
        [item for item in np.argsort(-row).tolist() if item not in history.indexes][:7]
        for row, history in zip(rows, histories, strict=True)
    ]

    assert rank_all(scorer(*rows), histories, 7).tolist() == expected


@pytest.mark.parametrize("threads", [1, 3])
def test_chunks_and_threads_make_no_difference(monkeypatch, history_of, threads):
    random = np.random.default_rng(3)
    rows = random.random((11, 6))
    histories = [history_of({2: number + 1}) for number in range(11)]
    monkeypatch.setattr(evaluation, "_SCORES_AT_ONCE", 6 * 4)

    lists = rank_all(scorer(*rows), histories, 2, threads)

    rows[:, 2] = -1
    assert lists.tolist() == np.argsort(-rows, axis=1)[:, :2].tolist()


def test_nobody_has_no_lists():
    assert rank_all(scorer(), [], 3).shape == (0, 3)
