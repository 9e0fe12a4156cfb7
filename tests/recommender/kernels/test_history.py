"""What a history says of items, and what each of them counts for."""

from __future__ import annotations

import numpy as np
import pytest

NOTHING = np.empty(0, np.intp)
FIRST, NONE = np.zeros(1, np.intp), np.full(1, -1)
GAPLESS = np.arange(10, 60, dtype=np.int32)


def test_what_is_done_with_an_item_adds_up(of_kind):
    # log2(1 + 1 + 2) and log2(1 + 0.5), the newest first, item 12 being the third that is known.
    places, strengths = of_kind.likings(GAPLESS, (12, 10, 12), [1.0, 0.5, 2.0], 9)

    assert (places.dtype, strengths.dtype) == (np.intp, np.float32)
    assert places.tolist() == [2, 0]
    assert strengths.tolist() == [2, pytest.approx(np.log2(1.5))]


def test_little_is_not_lost_beside_much_that_is_taken_back(of_kind):
    found = of_kind.likings(GAPLESS, [10, 10, 10], [1e8, 1.0, -1e8], 9)

    assert [part.tolist() for part in found] == [[0], [1]]


def test_little_is_a_strength_too(of_kind):
    # log2(1 + w) is w / ln 2 where w is next to nothing, and all powers of two are exact.
    places, strengths = of_kind.likings(GAPLESS, [10, 11, 12], [2**-40, -(2**-60), 7.0], 9)

    assert places.tolist() == [0, 1, 2]
    assert strengths.tolist() == pytest.approx([2**-40 / np.log(2), -(2**-60) / np.log(2), 3], rel=1e-6)
    assert strengths[2] == 3


def test_what_is_disliked_has_a_strength_below_nothing(of_kind):
    assert [part.tolist() for part in of_kind.likings(GAPLESS, [10, 10], [1.0, -4.0], 9)] == [[0], [-2]]


@pytest.mark.parametrize("keys", [[5, 11], [11, 2**40], [11, 12]], ids=["below", "beyond", "said nothing of"])
def test_items_that_are_not_known_or_of_which_nothing_is_said_are_left_out(of_kind, keys):
    weights = [1.0 if key != 12 else 0.0 for key in keys]

    assert [part.tolist() for part in of_kind.likings(GAPLESS, keys, weights, 9)] == [[1], [1]]


def test_what_takes_back_what_was_said_leaves_nothing(of_kind):
    assert [part.tolist() for part in of_kind.likings(GAPLESS, [10, 10], [1.0, -1.0], 9)] == [[], []]


def test_no_more_items_are_looked_at_than_wanted_and_all_that_was_done_with_them(of_kind):
    """Item 5, which is not known, is one of the two that are looked at."""
    assert [part.tolist() for part in of_kind.likings(GAPLESS, [5, 10, 11, 10], [1.0, 1, 1, 2], 2)] == [
        [0],
        [2],
    ]
    assert [part.tolist() for part in of_kind.likings(GAPLESS, [10], [1.0], 0)] == [[], []]


def test_of_a_history_of_nothing_nothing_is_liked(of_kind):
    assert [part.tolist() for part in of_kind.likings(GAPLESS, (), [], 9)] == [[], []]


def test_as_many_weights_are_taken_as_there_are_interactions(of_kind):
    for weights in ([], [1.0, 1.0]):
        with pytest.raises(ValueError, match=r"argument|weights"):
            of_kind.likings(GAPLESS, [10], weights, 9)


def test_numbers_are_weighed_by_the_weights_of_their_places(of_kind):
    weights, numbers = np.array([2, 3, 5], np.float32), np.array([10, 1, 0.5], np.float32)

    assert of_kind.weighed(weights, np.array([2, 0, 2]), numbers).tolist() == [50, 2, 2.5]
    assert of_kind.weighed(weights, NOTHING, numbers[:0]).tolist() == []


def test_a_weight_that_is_not_there_is_refused(of_kind):
    with pytest.raises(IndexError, match="3"):
        of_kind.weighed(np.ones(3, np.float32), np.array([3]), np.ones(1, np.float32))


def test_as_many_numbers_are_weighed_as_places_are_chosen_and_none_by_a_place_before_the_first(compiled):
    with pytest.raises(IndexError, match="-1"):
        compiled.weighed(np.ones(3, np.float32), NONE, np.ones(1, np.float32))
    with pytest.raises(ValueError, match="2 weights are chosen for 1 numbers"):
        compiled.weighed(np.ones(3, np.float32), np.array([0, 1]), np.ones(1, np.float32))


BY_PLACE, OF_FEWER = np.array([3, 2, 1], np.float32), np.array([7, 5], np.float32)


def test_without_a_liked_item_older_ones_move_up(of_kind):
    found = of_kind.without_each(np.ones(3, np.float32), BY_PLACE, OF_FEWER, np.array([2, 0, 1]))

    assert found.dtype == np.float32
    assert found.tolist() == [[7, 5, 0], [0, 7, 5], [7, 0, 5]]


def test_disliked_items_neither_move_nor_make_others_move(of_kind):
    strengths, weights = np.array([-1, 2, -3, 4], np.float32), np.array([9, 3, 8, 2], np.float32)

    found = of_kind.without_each(strengths, weights, OF_FEWER[:1], np.array([0, 1, 2, 3]))

    assert found.tolist() == [[0, 3, 8, 2], [9, 0, 8, 7], [9, 3, 0, 2], [9, 7, 8, 0]]


def test_without_its_only_item_a_history_is_empty(of_kind):
    one = np.ones(1, np.float32)

    assert of_kind.without_each(one, one, OF_FEWER[:0], FIRST).tolist() == [[0]]
    assert of_kind.without_each(one[:0], one[:0], OF_FEWER[:0], NOTHING).shape == (0, 0)


@pytest.mark.parametrize("place", [3, 10**6])
def test_an_item_that_is_not_there_cannot_be_left_out(of_kind, place):
    with pytest.raises(IndexError, match=str(place)):
        of_kind.without_each(np.ones(3, np.float32), BY_PLACE, OF_FEWER, np.array([place]))


def test_weights_of_other_items_are_not_taken_for_those_of_the_history_or_places_before_it(compiled):
    with pytest.raises(ValueError, match="2 items, and weights of 3"):
        compiled.without_each(np.ones(2, np.float32), BY_PLACE, OF_FEWER, FIRST)
    with pytest.raises(IndexError, match="-1"):
        compiled.without_each(np.ones(3, np.float32), BY_PLACE, OF_FEWER, NONE)
