"""Evaluation ranks what a user has not seen, over all items."""

import numpy as np
import pytest
from scipy import sparse

from recsvc.recommender.evaluation import evaluate, evaluate_popularity
from recsvc.recommender.split import HeldOut


def held_out(rows, relevant):
    return HeldOut(
        sparse.csr_array(np.array(rows, np.float32)),
        np.arange(len(rows)),
        [np.array(items) for items in relevant],
    )


def test_items_of_the_history_are_not_ranked():
    # Item 0 scores best, but the user has it: the held-out item 1 is first.
    given = held_out([[1, 0, 0]], [[1]])

    found = evaluate(lambda _histories: np.array([[9.0, 5.0, 1.0]]), given)

    assert found == {"recall_at_20": 1.0, "ndcg_at_10": 1.0}


def test_figures_are_means_over_users():
    # 25 items, best first: the first user's item is in the first place, the second user's in the 22nd.
    scores = np.arange(25, 0, -1).astype(np.float32)
    given = held_out(np.zeros((2, 25)), [[0], [21]])

    assert evaluate(lambda _histories: np.stack([scores, scores]), given) == {
        "recall_at_20": 0.5,
        "ndcg_at_10": 0.5,
    }


def test_the_scorer_is_given_the_history_with_its_strengths():
    asked = []

    def score(histories):
        asked.extend((indexes.tolist(), strengths.tolist()) for indexes, strengths in histories)
        return np.zeros((len(histories), 3))

    evaluate(score, held_out([[0, 2, 1]], [[0]]))

    assert asked == [([1, 2], [2.0, 1.0])]


def test_popularity_ranks_by_the_users_who_are_left():
    # Item 1 has two users, item 2 one; the last user has neither, and item 2 was held out: second place.
    given = held_out([[1, 1, 0], [0, 1, 0], [1, 0, 1], [1, 0, 0]], [[], [], [], [2]])
    only_last = HeldOut(given.strengths, given.user_indexes[3:], given.relevant[3:])

    assert evaluate_popularity(only_last)["ndcg_at_10"] == pytest.approx(0.63093, abs=1e-5)
