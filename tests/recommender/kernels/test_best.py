"""The best of scores, and what is nearest of what a list may hold."""

from __future__ import annotations

import numpy as np
import pytest

from recsvc.recommender.kernels import plain

NOTHING = np.empty(0, np.intp)


SCORES = np.array([0.1, 0.9, 0.5, 0.9, -2.0], np.float32)


def test_the_best_come_first(of_kind):
    assert of_kind.best_places(SCORES, 3).tolist() == [1, 3, 2]


def test_the_best_are_told_apart_by_what_single_precision_does_not_tell(of_kind):
    days = 1e9 + np.arange(5.0)  # floats of single precision are 64 apart there

    assert of_kind.best_places(days, 2).tolist() == [4, 3]


def test_of_equal_scores_the_first_comes_first(of_kind):
    assert of_kind.best_places(np.zeros(50, np.float32), 5).tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("most", [5, 99])
def test_where_there_are_no_more_than_wanted_all_are_ranked(of_kind, most):
    assert of_kind.best_places(SCORES, most).tolist() == [1, 3, 2, 0, 4]


def test_of_nothing_there_is_nothing_best(of_kind):
    assert of_kind.best_places(SCORES[:0], 10).tolist() == []
    assert of_kind.best_places(SCORES, 0).tolist() == []


def test_infinite_scores_are_ranked_too(of_kind):
    assert of_kind.best_places(np.array([1, np.inf, -np.inf, 2], np.float32), 4).tolist() == [1, 3, 0, 2]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [400, 1_300])
@pytest.mark.parametrize("seed", range(5))
def test_the_best_are_the_beginning_of_the_full_stable_sort(of_kind, seed, size, dtype):
    scores = np.random.default_rng(seed).integers(-20, 20, size).astype(dtype)  # with many ties
    expected = sorted(range(size), key=lambda place: (-scores[place], place))

    for most in (1, 2, 10, 100, size - 1, size, size + 1):
        assert of_kind.best_places(scores, most).tolist() == expected[:most]


def test_ranks_count_from_one_and_after_all_equal_ones(of_kind):
    scores = np.array([[3, 1, 3, np.nan], [0, -1, 5, -np.inf]], np.float32)

    found = of_kind.ranks(scores, np.array([0, 0, 1, 1, 1]), np.array([0, 1, 1, 2, 3]))

    assert found.tolist() == [2, 3, 3, 1, 4]


def test_nothing_to_rank_has_no_ranks(of_kind):
    assert of_kind.ranks(np.zeros((0, 0), np.float32), NOTHING, NOTHING).tolist() == []


@pytest.mark.parametrize(("rows", "places"), [([0, 2], [0, 0]), ([0, 0], [0, 3]), ([0, 1], [0, 1, 2])])
def test_a_score_that_is_not_there_has_no_rank(of_kind, rows, places):
    with pytest.raises(IndexError):
        of_kind.ranks(np.zeros((2, 3), np.float32), np.array(rows), np.array(places))


@pytest.mark.parametrize("length", [1, 31, 450])
def test_what_is_compiled_ranks_as_plain_does(compiled, length):
    random = np.random.default_rng(length)
    scores = random.integers(-9, 9, (40, length)).astype(np.float32)
    rows, places = random.integers(0, 40, 300), random.integers(0, length, 300)

    assert compiled.ranks(scores, rows, places).tolist() == plain.ranks(scores, rows, places).tolist()


@pytest.mark.parametrize("size", [6, 6_000])
def test_the_nearest_are_distinct_ascending_and_above_nothing(of_kind, size):
    sums, is_open = np.zeros(size, np.float32), np.ones(size, bool)
    sums[[1, 2, 3, 5]] = [0.5, 3.0, -1.0, 2.0]

    for most, expected in ((9, [1, 2, 5]), (3, [1, 2, 5]), (2, [2, 5]), (1, [2]), (0, [])):
        found, related = of_kind.nearest(sums, NOTHING, most, is_open, NOTHING, None)
        assert (found.tolist(), related) == (expected, len(expected))


def test_others_are_added_whatever_their_sums_and_counted_apart(of_kind):
    sums, is_open = np.array([1, 2, 0, 0], np.float32), np.array([True, True, True, False, True])

    found, related = of_kind.nearest(sums, np.array([4, 2, 3, 1, 4]), 1, is_open, NOTHING, None)

    assert (found.tolist(), related) == ([1, 2, 4], 1)


def test_what_a_list_may_not_hold_takes_no_place_of_what_it_may(of_kind):
    sums = np.array([5, 4, 3, 2, 1], np.float32)
    is_open = np.array([True, False, True, True, True])

    found, related = of_kind.nearest(sums, np.array([0, 1]), 2, is_open, np.array([0, 0]), None)
    assert (found.tolist(), related) == ([2, 3], 2)
    found, related = of_kind.nearest(sums, NOTHING, 2, is_open, np.array([2]), np.array([1, 2, 4]))
    assert (found.tolist(), related) == ([4], 1)


def test_another_item_that_is_not_there_is_refused(of_kind):
    with pytest.raises(IndexError):
        of_kind.nearest(np.zeros(3, np.float32), np.array([3]), 2, np.ones(3, bool), NOTHING, None)


@pytest.mark.parametrize("seed", range(20))
def test_what_is_compiled_finds_near_what_plain_does(compiled, seed):
    random = np.random.default_rng(seed)
    size = int(random.integers(1, 9_000))
    sums = random.integers(-3, 60, size).astype(np.float32)  # with many ties
    sums[random.random(size) < 0.6] = 0
    is_open = random.random(size + 40) < 0.9
    others, excluded = random.integers(0, size + 40, (2, 30))
    members = np.flatnonzero(random.random(size + 40) < 0.5) if seed % 2 else None
    for most in (1, 20, 200, 3_000):
        given = sums, others, most, is_open, np.sort(excluded), members
        found, related = compiled.nearest(*given)
        expected, of_expected = plain.nearest(*given)
        assert (found.tolist(), related) == (expected.tolist(), of_expected)


@pytest.mark.parametrize("best", [slice(0, 10_000, 512), slice(100, 10_000, 512)], ids=["first", "others"])
@pytest.mark.parametrize("are_excluded", [True, False])
def test_where_the_best_are_is_of_no_account(compiled, best, are_excluded):
    """Be they among those by which it is guessed what is worth a look; be they wanted or not."""
    sums = np.random.default_rng(1).random(10_000).astype(np.float32)
    for place in range(32):
        sums[best.start + place : 10_000 : 512] += 1
    excluded = np.flatnonzero(sums > 1) if are_excluded else NOTHING
    given = sums, NOTHING, 200, np.ones(10_000, bool), excluded, None
    found, related = compiled.nearest(*given)

    expected, of_expected = plain.nearest(*given)
    assert (found.tolist(), related) == (expected.tolist(), of_expected)
