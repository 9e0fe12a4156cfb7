"""Scores of voices mixed, and what nobody likes."""

from __future__ import annotations

import numpy as np
import pytest

NOTHING = np.empty(0, np.intp)
NONE = np.full(1, -1)


def test_scores_of_voices_are_added_up_by_their_weights(of_kind):
    weights = np.array([[2, 9, 0.5], [1, 9, -1]])
    scores = [np.array([[1, 2], [3, 4]], np.float32), None, np.array([[10, 20]], np.float32)]

    # The second voice is not heard, and the third says the same in both rows.
    found = of_kind.mixed(2, weights, scores)

    assert found.dtype == np.float32
    assert found.tolist() == [[2 + 5, 4 + 10], [3 - 10, 4 - 20]]
    assert of_kind.mixed(3, weights[:, :0], []).tolist() == [[0, 0, 0], [0, 0, 0]]


def test_little_that_a_voice_says_is_not_lost_beside_much(of_kind):
    scores = [np.full((1, 1), score, np.float32) for score in (1e8, 1, -1e8)]

    assert of_kind.mixed(1, np.ones((1, 3)), scores).tolist() == [[1]]


@pytest.mark.parametrize("shape", [(2, 3), (3, 2), (2, 1)], ids=str)
def test_scores_of_another_shape_are_not_mixed(of_kind, shape):
    with pytest.raises(ValueError, match="scores"):
        of_kind.mixed(2, np.ones((2, 1)), [np.ones(shape, np.float32)])


def test_as_many_voices_are_mixed_as_there_are_weights(of_kind):
    with pytest.raises(ValueError, match=r"argument|weights"):
        of_kind.mixed(2, np.ones((2, 1)), [])


def test_items_that_nobody_likes_or_that_came_later_are_cold(of_kind):
    likes = np.array([0, 5, 1, 2], np.int32)

    assert of_kind.cold(likes, np.array([0, 1, 2, 3, 4, 99, 0])).tolist() == [0, 4, 5, 6]
    assert of_kind.cold(likes, NOTHING).tolist() == []
    assert of_kind.cold(likes[:0], np.array([0, 1])).tolist() == [0, 1]


def test_an_item_before_the_first_is_neither_liked_nor_cold(compiled):
    with pytest.raises(IndexError, match="-1"):
        compiled.cold(np.ones(3, np.int32), NONE)
