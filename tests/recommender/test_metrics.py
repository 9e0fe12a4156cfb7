"""Recall and NDCG by hand."""

import numpy as np
import pytest

from recsvc.recommender.metrics import ndcg, recall


def test_recall_is_the_share_of_relevant_items_that_were_ranked():
    assert recall(np.array([4, 2, 9]), np.array([2, 7])) == 0.5


def test_ndcg_is_1_when_all_relevant_items_come_first():
    assert ndcg(np.array([3, 5, 1]), np.array([5, 3])) == pytest.approx(1.0)


def test_ndcg_discounts_a_hit_by_its_place():
    # One relevant item in the second place: 1 / log2(3) against 1 / log2(2).
    assert ndcg(np.array([3, 5]), np.array([5])) == pytest.approx(0.63093, abs=1e-5)


def test_ndcg_asks_no_more_hits_than_there_are_places():
    assert ndcg(np.array([1, 2]), np.array([1, 2, 3, 4])) == pytest.approx(1.0)


def test_no_hit_and_no_place_are_worth_nothing():
    assert recall(np.array([1]), np.array([2])) == 0.0
    assert ndcg(np.array([1]), np.array([2])) == 0.0
    assert ndcg(np.array([], dtype=int), np.array([2])) == 0.0
