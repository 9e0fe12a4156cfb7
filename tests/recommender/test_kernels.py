"""Kernels: compiled and plain, they say the same."""

from __future__ import annotations

import importlib
import sys

import numpy as np
import pytest
from scipy import sparse

from recsvc.recommender import kernels
from recsvc.recommender.kernels import plain

NOTHING = np.empty(0, np.intp)
FIRST, NONE = np.zeros(1, np.intp), np.full(1, -1)


@pytest.fixture(params=["plain", "compiled"])
def of_kind(request):
    return importlib.import_module(f"{kernels.__name__}.{request.param}")


def test_what_can_be_compiled_is_compiled_here():
    assert kernels.IS_COMPILED
    assert kernels.relate is importlib.import_module(f"{kernels.__name__}.compiled").relate


def test_where_nothing_is_compiled_numpy_does_it(monkeypatch):
    monkeypatch.delattr(kernels, "compiled")
    monkeypatch.setitem(sys.modules, f"{kernels.__name__}.compiled", None)
    for name in kernels.__all__:
        monkeypatch.setattr(kernels, name, None)

    again = importlib.reload(kernels)

    assert not again.IS_COMPILED
    assert again.relate is plain.relate


# --- the best places

SCORES = np.array([0.1, 0.9, 0.5, 0.9, -2.0], np.float32)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_best_come_first(of_kind, dtype):
    assert of_kind.best_places(SCORES.astype(dtype), 3).tolist() == [1, 3, 2]


def test_of_equal_scores_the_first_comes_first(of_kind):
    assert of_kind.best_places(np.zeros(50, np.float32), 5).tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("most", [5, 99])
def test_where_there_are_no_more_than_wanted_all_are_ranked(of_kind, most):
    assert of_kind.best_places(SCORES, most).tolist() == [1, 3, 2, 0, 4]


def test_of_nothing_there_is_nothing_best(of_kind):
    assert of_kind.best_places(SCORES[:0], 10).tolist() == []
    assert of_kind.best_places(SCORES, 0).tolist() == []


def test_infinite_scores_are_ranked_too(of_kind):
    assert of_kind.best_places(np.array([1, np.inf, -np.inf, 2]), 4).tolist() == [1, 3, 0, 2]


@pytest.mark.parametrize("seed", range(5))
def test_the_best_are_the_beginning_of_the_full_stable_sort(of_kind, seed):
    scores = np.random.default_rng(seed).integers(-20, 20, 400).astype(np.float32)  # with many ties
    expected = sorted(range(400), key=lambda place: (-scores[place], place))

    for most in (1, 2, 10, 100, 399, 400, 401):
        assert of_kind.best_places(scores, most).tolist() == expected[:most]


# --- keys

GAPLESS = np.arange(10, 60, dtype=np.int32)
NO_KEYS = GAPLESS[:0]
FAR_APART = np.array([-7, 3, 4, 900, 2**31 - 1], np.int32)


@pytest.mark.parametrize("known", [GAPLESS, FAR_APART, GAPLESS[::7].copy(), GAPLESS[:1]], ids=len)
def test_each_key_is_found_where_it_is(of_kind, known):
    found = of_kind.find(known, NO_KEYS, known[::-1].astype(np.int64))

    assert found.tolist() == list(range(len(known)))[::-1]
    assert found.dtype == np.intp


@pytest.mark.parametrize("known", [GAPLESS, FAR_APART, GAPLESS[::7].copy(), GAPLESS[:0]], ids=len)
def test_keys_that_are_not_there_are_found_nowhere(of_kind, known):
    strange = {-(2**40), -8, 2, 5, 899, 901, 2**31, 2**31 + 10, 2**40} - set(known.tolist())

    assert of_kind.find(known, NO_KEYS, np.array(sorted(strange))).tolist() == []


@pytest.mark.parametrize("seed", range(5))
def test_of_all_numbers_those_are_found_that_are_there(of_kind, seed):
    """Whatever is missing between them, and whatever is asked for again."""
    random = np.random.default_rng(seed)
    known = np.flatnonzero(random.random(500) < random.random()).astype(np.int32)
    keys = random.integers(-5, 505, 2_000)

    assert known[of_kind.find(known, NO_KEYS, keys)].tolist() == keys[np.isin(keys, known)].tolist()


def test_keys_that_came_later_follow_those_that_are_known(of_kind):
    later = np.array([2, 70, 90], np.int32)

    # 50 known ones; the order is that of the keys that are asked for.
    assert of_kind.find(GAPLESS, later, np.array([90, 10, 2, 3, 59])).tolist() == [52, 0, 50, 49]
    assert of_kind.find(NO_KEYS, later, np.array([90, 10])).tolist() == [2]


# --- what a history says of items


def test_what_is_done_with_an_item_adds_up(of_kind):
    # log2(1 + 1 + 2) and log2(1 + 0.5), the newest first, item 12 being the third that is known.
    places, strengths = of_kind.likings(GAPLESS, (12, 10, 12), [1.0, 0.5, 2.0], 9)

    assert (places.dtype, strengths.dtype) == (np.intp, np.float32)
    assert places.tolist() == [2, 0]
    assert strengths.tolist() == [2, pytest.approx(np.log2(1.5))]


def test_little_is_not_lost_beside_much_that_is_taken_back(of_kind):
    found = of_kind.likings(GAPLESS, [10, 10, 10], [1e8, 1.0, -1e8], 9)

    assert [part.tolist() for part in found] == [[0], [1]]


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


def test_as_many_numbers_are_weighed_as_places_are_chosen_and_none_by_a_place_before_the_first():
    compiled = importlib.import_module(f"{kernels.__name__}.compiled")

    with pytest.raises(IndexError, match="-1"):
        compiled.weighed(np.ones(3, np.float32), NONE, np.ones(1, np.float32))
    with pytest.raises(ValueError, match="2 weights are chosen for 1 numbers"):
        compiled.weighed(np.ones(3, np.float32), np.array([0, 1]), np.ones(1, np.float32))


# --- what each item counts for, and each voice

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


def test_weights_of_other_items_are_not_taken_for_those_of_the_history_or_places_before_it():
    compiled = importlib.import_module(f"{kernels.__name__}.compiled")

    with pytest.raises(ValueError, match="2 items, and weights of 3"):
        compiled.without_each(np.ones(2, np.float32), BY_PLACE, OF_FEWER, FIRST)
    with pytest.raises(IndexError, match="-1"):
        compiled.without_each(np.ones(3, np.float32), BY_PLACE, OF_FEWER, NONE)


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


def test_an_item_before_the_first_is_neither_liked_nor_cold():
    with pytest.raises(IndexError, match="-1"):
        importlib.import_module(f"{kernels.__name__}.compiled").cold(np.ones(3, np.int32), NONE)


# A history of three items, the second of which nobody asks about, a feature, and two scored items.
BY_HISTORY = np.array([[4, -1], [2, 1], [1, 6]], np.float32)
BY_FEATURES = np.array([[3, -2]], np.float32)
GREATEST = np.array([[0, 2], [1, 0]])
SCORES_OF_TWO = np.array([11, 3], np.float32)


def test_scores_are_divided_among_what_speaks_for_them(of_kind):
    without = np.array([[7, 4], [11, 3], [np.nan, 2]], np.float32)

    found = of_kind.parts_of_scores(
        BY_HISTORY, BY_FEATURES, SCORES_OF_TWO, GREATEST, np.array([0, 1, 2]), without
    )

    # The first score does not fall without item 1, nor the second without item 0. Of 11, 7 and 3 are of the
    # history and the feature, and 1 of neither; of 3, 6 and -2, so that nothing is.
    assert found.dtype == np.float64
    assert found.T.tolist() == [[4, 0, 3, 3, 1], [6, 0, 1, 0, 0]]


def test_without_what_nothing_is_known_a_score_falls(of_kind):
    one = np.ones((1, 1), np.float32)

    found = of_kind.parts_of_scores(one, one[:0], one[0], np.zeros((1, 1), np.intp), FIRST, one * np.nan)

    assert found.tolist() == [[1], [0], [0]]


def test_with_no_history_all_is_of_features_or_of_neither(of_kind):
    nothing = np.empty((0, 2), np.float32)

    found = of_kind.parts_of_scores(
        nothing, BY_FEATURES, SCORES_OF_TWO, np.empty((0, 2), np.intp), NOTHING, nothing
    )

    assert found.T.tolist() == [[0, 3, 8], [0, 0, 5]]


def test_parts_that_do_not_belong_together_are_refused():
    compiled = importlib.import_module(f"{kernels.__name__}.compiled")
    places, without = np.array([0, 1, 2]), np.zeros((3, 2), np.float32)

    for wrong in (
        (BY_HISTORY[:, :1], BY_FEATURES, SCORES_OF_TWO, GREATEST, places, without),
        (BY_HISTORY, BY_FEATURES[:, :1], SCORES_OF_TWO, GREATEST, places, without),
        (BY_HISTORY, BY_FEATURES, SCORES_OF_TWO, GREATEST[:, :1].copy(), places, without),
        (BY_HISTORY, BY_FEATURES, SCORES_OF_TWO, GREATEST, places, without[:2]),
        (BY_HISTORY, BY_FEATURES, SCORES_OF_TWO, GREATEST, places, without[:, :1].copy()),
    ):
        with pytest.raises(ValueError, match="does not belong together"):
            compiled.parts_of_scores(*wrong)
    with pytest.raises(IndexError, match="place 3 is none of 3"):
        compiled.parts_of_scores(BY_HISTORY, BY_FEATURES, SCORES_OF_TWO, GREATEST, places + 1, without)
    with pytest.raises(IndexError, match="place 2 is none of those"):
        compiled.parts_of_scores(BY_HISTORY, BY_FEATURES, SCORES_OF_TWO, GREATEST, places[:2], without[:2])
    for nowhere in (-1, 10**6):
        with pytest.raises(IndexError, match=f"place {nowhere} is none of those"):
            compiled.parts_of_scores(
                BY_HISTORY, BY_FEATURES, SCORES_OF_TWO, np.full_like(GREATEST, nowhere), places, without
            )


# --- rows of a sparse matrix

# 0 is related to 1 and 2, 1 to 0, 2 to nothing, 3 to all others.
DENSE = np.array([[0, 2, 0.5, 0], [4, 0, 0, 0], [0, 0, 0, 0], [1, 1, -1, 0]], np.float32)


def of_rows(dense, history, counting):
    rows = sparse.csr_array(dense)
    return (
        rows.indptr.astype(np.int64),
        rows.indices.astype(np.int32),
        rows.data,
        np.array(history, np.intp),
        np.array(counting, np.float32),
    )


def test_rows_are_added_up_each_times_its_number(of_kind):
    # 1.5 · row 0, and −2 · row 3.
    assert of_kind.relate(*of_rows(DENSE, [0, 3], [1.5, -2])).tolist() == [-2, 1, 2.75, 0]
    assert of_kind.relate(*of_rows(DENSE, [2], [5])).tolist() == [0, 0, 0, 0]
    assert of_kind.relate(*of_rows(DENSE, [], [])).tolist() == [0, 0, 0, 0]


def test_shares_are_what_each_row_adds_in_the_order_asked(of_kind):
    found = of_kind.shares(*of_rows(DENSE, [3, 2, 0], [1, 1, -2]), np.array([2, 0, 3]))

    assert found.tolist() == [[-1, 1, 0], [0, 0, 0], [-1, 0, 0]]


def test_what_is_compiled_adds_up_what_plain_does():
    dense = sparse.random_array((400, 400), density=0.1, rng=np.random.default_rng(0), dtype=np.float32)
    random = np.random.default_rng(1)
    of_history = of_rows(dense, random.choice(400, 60, replace=False), random.standard_normal(60))
    compiled = importlib.import_module(f"{kernels.__name__}.compiled")
    wanted = random.choice(400, 90, replace=False)

    assert compiled.relate(*of_history) == pytest.approx(plain.relate(*of_history), abs=1e-5)
    assert compiled.shares(*of_history, wanted) == pytest.approx(plain.shares(*of_history, wanted))
    assert compiled.shares(*of_history, wanted).sum(axis=0) == pytest.approx(
        compiled.relate(*of_history)[wanted], abs=1e-5
    )


@pytest.mark.parametrize("row", [4, 400_000_000])
def test_a_row_that_is_not_there_is_refused(of_kind, row):
    with pytest.raises(IndexError):
        of_kind.relate(*of_rows(DENSE, [0, row], [1, 1]))


@pytest.mark.parametrize("item", [4, 2_000_000_000])
def test_a_related_item_that_is_not_there_is_refused(of_kind, item):
    bounds, items, *rest = of_rows(DENSE, [3, 0], [1, 1])
    items[1] = item

    with pytest.raises((IndexError, MemoryError)):
        of_kind.relate(bounds, items, *rest)


@pytest.mark.parametrize("wanted", [[7, 15], [15, 7], [15, 7, 23, 31, 0]], ids=str)
def test_shares_are_told_apart_whatever_the_items_are_called(of_kind, wanted):
    """Items that would stand at one place of a table, its last."""
    bounds, related = np.array([0, 32] + [32] * 31), np.arange(32, dtype=np.int32)
    weights, one = np.arange(32, dtype=np.float32) + 1, np.ones(1, np.float32)

    found = of_kind.shares(bounds, related, weights, FIRST, one, np.array(wanted))

    assert found.tolist() == [[item + 1 for item in wanted]]


# --- what is nearest


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
def test_what_is_compiled_finds_near_what_plain_does(seed):
    random = np.random.default_rng(seed)
    size = int(random.integers(1, 9_000))
    sums = random.integers(-3, 60, size).astype(np.float32)  # with many ties
    sums[random.random(size) < 0.6] = 0
    is_open = random.random(size + 40) < 0.9
    others, excluded = random.integers(0, size + 40, (2, 30))
    members = np.flatnonzero(random.random(size + 40) < 0.5) if seed % 2 else None
    compiled = importlib.import_module(f"{kernels.__name__}.compiled")

    for most in (1, 20, 200, 3_000):
        given = sums, others, most, is_open, np.sort(excluded), members
        found, related = compiled.nearest(*given)
        expected, of_expected = plain.nearest(*given)
        assert (found.tolist(), related) == (expected.tolist(), of_expected)


@pytest.mark.parametrize("best", [slice(0, 10_000, 512), slice(100, 10_000, 512)], ids=["first", "others"])
@pytest.mark.parametrize("are_excluded", [True, False])
def test_where_the_best_are_is_of_no_account(best, are_excluded):
    """Be they among those by which it is guessed what is worth a look; be they wanted or not."""
    sums = np.random.default_rng(1).random(10_000).astype(np.float32)
    for place in range(32):
        sums[best.start + place : 10_000 : 512] += 1
    excluded = np.flatnonzero(sums > 1) if are_excluded else NOTHING
    given = sums, NOTHING, 200, np.ones(10_000, bool), excluded, None
    compiled = importlib.import_module(f"{kernels.__name__}.compiled")

    found, related = compiled.nearest(*given)

    expected, of_expected = plain.nearest(*given)
    assert (found.tolist(), related) == (expected.tolist(), of_expected)


# --- rows in one byte a number


@pytest.mark.parametrize("length", [0, 1, 63, 64, 65, 200])
def test_rows_and_their_products_are_those_of_the_numbers_times_their_units(of_kind, length):
    random = np.random.default_rng(length)
    numbers = random.integers(-127, 128, (50, length)).astype(np.int8)
    units, vector = random.random(50, np.float32), random.standard_normal(length).astype(np.float32)
    chosen = random.integers(0, 50, 30)
    exact = numbers[chosen].astype(float) * units[chosen, None]

    assert of_kind.rows(numbers, units, chosen) == pytest.approx(exact)
    assert of_kind.products(numbers, units, chosen, vector) == pytest.approx(exact @ vector, abs=1e-3)
    assert of_kind.products(numbers, units, NOTHING, vector).shape == (0,)


@pytest.mark.parametrize("length", [0, 1, 15, 16, 17, 64, 200])
@pytest.mark.parametrize(("rows", "vectors"), [(0, 3), (1, 1), (4, 2), (5, 3), (30, 40)], ids=str)
def test_products_of_each_vector_are_those_of_one(of_kind, length, rows, vectors):
    random = np.random.default_rng(length)
    numbers = random.integers(-127, 128, (50, length)).astype(np.int8)
    units, some = random.random(50, np.float32), random.standard_normal((vectors, length)).astype(np.float32)
    chosen = random.integers(0, 50, rows)

    found = of_kind.products_of_each(numbers, units, chosen, some)

    assert (found.shape, found.dtype) == ((vectors, rows), np.float32)
    for of_vector, vector in zip(found, some, strict=True):
        alone = (numbers[chosen].astype(float) * units[chosen, None]) @ vector
        assert of_vector == pytest.approx(alone, abs=1e-3)
    assert of_kind.products_of_each(numbers, units, chosen, some[:0]).shape == (0, rows)


def test_vectors_of_another_length_are_refused():
    compiled = importlib.import_module(f"{kernels.__name__}.compiled")

    with pytest.raises(ValueError, match="rows of 2 numbers, and vectors of 3"):
        compiled.products_of_each(
            np.ones((3, 2), np.int8), np.ones(3, np.float32), FIRST, np.ones((1, 3), np.float32)
        )


@pytest.mark.parametrize("row", [3, 1_000_000_000])
def test_a_row_of_numbers_that_is_not_there_is_refused(of_kind, row):
    numbers, units = np.ones((3, 2), np.int8), np.ones(3, np.float32)

    with pytest.raises(IndexError):
        of_kind.rows(numbers, units, np.array([0, row]))
    with pytest.raises(IndexError):
        of_kind.products(numbers, units, np.array([0, row]), np.ones(2, np.float32))
    with pytest.raises(IndexError):
        of_kind.products_of_each(numbers, units, np.array([0, row]), np.ones((1, 2), np.float32))


# --- the greatest of columns, and how a whole is divided


def test_the_greatest_of_each_column_come_first_and_of_equal_ones_the_first(of_kind):
    added = np.array([[1, 5, -1], [3, 5, -2], [2, 0, -3]], np.float32)

    assert of_kind.greatest(added, 2).tolist() == [[1, 0, 0], [2, 1, 1]]
    assert of_kind.greatest(added, 9).tolist() == [[1, 0, 0], [2, 1, 1], [0, 2, 2]]
    assert of_kind.greatest(added[:0], 2).shape == (0, 3)
    assert of_kind.greatest(added[:, :0], 2).shape == (2, 0)
    assert of_kind.greatest(added, 0).shape == (0, 3)


@pytest.mark.parametrize("seed", range(5))
def test_the_greatest_are_the_beginning_of_each_columns_stable_sort(of_kind, seed):
    added = np.random.default_rng(seed).integers(-4, 5, (40, 7)).astype(np.float32)  # with many ties

    found = of_kind.greatest(added, 5)

    for column, of_column in zip(added.T.tolist(), found.T.tolist(), strict=True):
        assert of_column == sorted(range(40), key=lambda place: (-column[place], place))[:5]


def test_a_whole_is_divided_by_largest_remainders(of_kind):
    # Of 10: 3.75, 3.75 and 2.5, so that the first two get the 2 that are left; 5, 5 and 0; and nothing.
    parts = np.array([[3.0, 1.0, 0.0], [3.0, 1.0, 0.0], [2.0, 0.0, 0.0]])

    portions, order = of_kind.portions(parts, 10)

    assert portions.tolist() == [[4, 4, 2], [5, 5, 0], [0, 0, 0]]
    assert order.tolist() == [[0, 1, 2], [0, 1, 2], [0, 1, 2]]


def test_portions_are_ordered_the_greatest_first_and_of_equal_ones_the_first(of_kind):
    portions, order = of_kind.portions(np.array([[1.0], [6.0], [1.0], [2.0]]), 1000)

    assert portions.tolist() == [[100, 600, 100, 200]]
    assert order.tolist() == [[1, 3, 0, 2]]


@pytest.mark.parametrize("seed", range(20))
def test_portions_add_up_and_each_is_within_one_of_its_own(of_kind, seed):
    random = np.random.default_rng(seed)
    parts = random.exponential(size=(int(random.integers(1, 12)), 30)) * (random.random(30) < 0.9)

    portions, order = of_kind.portions(parts, 1000)

    totals = parts.sum(axis=0)
    assert portions.sum(axis=1).tolist() == [1000 if total else 0 for total in totals]
    exact = np.divide(1000 * parts, totals, out=np.zeros_like(parts), where=totals > 0)
    assert (np.abs(portions.T - exact) < 1).all()
    assert (np.diff(np.take_along_axis(portions, order, axis=1), axis=1) <= 0).all()


# --- fold-in


def systems_of(items, components, systems=1):
    random = np.random.default_rng(1_000 * items + components)
    # Wanting, counting, unobserved, disliked, ridge, score.
    low, high = [0.5, 1, 0, 0.1, 0.1, 1], [2, 3, 0.5, 1, 2, 9]
    return (
        random.normal(size=(items, components)).astype(np.float32),
        (random.uniform(0.1, 3, items) * np.where(random.random(items) < 0.2, -1, 1)).astype(np.float32),
        random.uniform(0.5, 5, components).astype(np.float32),
        random.uniform(low, high, (systems, 6)).astype(np.float32),
    )


def folded_in(of_kind, embeddings, *systems):
    """With all items counting alike, wherever they are."""
    *of_history, of_each, left_out = systems
    weights = np.ones((len(of_each), len(embeddings)), np.float32)
    return of_kind.fold_in(embeddings, *of_history, weights, of_each, left_out)


def solved(embeddings, strengths, spectrum, numbers, weights):
    """The definition, in double precision: what each item adds, and the solution, stretched to a score."""
    wanting, counting, unobserved, disliked, ridge, score = numbers.astype(np.float64)
    exact, strengths = embeddings.astype(np.float64), strengths.astype(np.float64)
    base = np.ones(embeddings.shape[1]) if spectrum is None else spectrum + ridge
    confidences = np.array(
        [
            max(counting * strength - unobserved, 0) if strength > 0 else disliked * abs(strength)
            for strength in strengths
        ]
    )
    wanted = np.array(
        [wanting * max(strength, 0) * weight for strength, weight in zip(strengths, weights, strict=True)]
    )
    vector = np.linalg.solve(np.diag(base) + exact.T @ (confidences[:, None] * exact), exact.T @ wanted)
    added = wanted - confidences * (exact @ vector)
    scored = wanted @ exact @ vector
    stretch = 1 if np.isnan(score) else score * wanted.sum() / scored if scored > 0 else 0
    return stretch * added, stretch * vector


def weights_for(items, rows):
    return np.random.default_rng(items).uniform(0.2, 5, (rows, items)).astype(np.float32)


def numbers_of(*numbers):
    return np.array([numbers], np.float32)


def test_one_item_is_folded_in_by_hand(of_kind):
    # Wanted as ½ · 4 with a confidence of 3 · 4 - 2: (1 + 4 + 10 · 3²) x = 2 · 3, and 2 - 10 · 3 x is left.
    three, four = np.full((1, 1), 3, np.float32), np.array([4], np.float32)
    numbers, x = numbers_of(0.5, 3, 2, 9, 1, np.nan), 6 / 95

    coefficients, vectors = folded_in(of_kind, three, four, four, numbers, FIRST, NONE)

    assert (coefficients.dtype, vectors.dtype) == (np.float32, np.float32)
    assert coefficients.tolist() == [[pytest.approx(2 - 10 * 3 * x)]]
    assert vectors.tolist() == [[pytest.approx(x)]]


def test_a_solution_is_stretched_until_the_history_scores_what_it_shall(of_kind):
    three, four = np.full((1, 1), 3, np.float32), np.array([4], np.float32)

    coefficients, vectors = folded_in(
        of_kind, three, four, four, numbers_of(0.5, 3, 2, 9, 1, 3.5), FIRST, NONE
    )

    # As the item is wanted as ½ · 4, 2 · 3 x = 2 · 3.5, and x = 3 a / (4 + 1).
    assert vectors.tolist() == [[pytest.approx(7 / 6)]]
    assert coefficients.tolist() == [[pytest.approx(7 / 6 * 5 / 3)]]


def test_a_disliked_item_is_wanted_as_nothing(of_kind):
    # Both are alike: (1 + 1 · 1 + 2 · 3) x = 1, and to the disliked one 0 - 2 · 3 x is left.
    alike, strengths = np.ones((2, 1), np.float32), np.array([1, -3], np.float32)

    coefficients, vectors = folded_in(
        of_kind, alike, strengths, None, numbers_of(1, 1, 0, 2, 0, np.nan), FIRST, NONE
    )

    assert vectors.tolist() == [[pytest.approx(1 / 8)]]
    assert coefficients.tolist() == [[pytest.approx(1 - 1 / 8), pytest.approx(-6 / 8)]]


# Lengths around those in which products are added up, and more items than are solved for by hand, or than
# there are components.
SIZES = [(1, 1), (2, 15), (3, 16), (4, 17), (5, 33), (50, 128), (100, 100), (101, 128), (5, 4), (40, 8)]


@pytest.mark.parametrize(("items", "components"), SIZES, ids=str)
def test_items_are_folded_in_as_the_definition_has_it(of_kind, items, components):
    embeddings, strengths, spectrum, numbers = systems_of(items, components, systems=3)
    numbers[0, 5] = np.nan
    of_each = np.array([2, 0, 1, 0])

    weights = weights_for(items, rows=4)

    found = of_kind.fold_in(embeddings, strengths, spectrum, numbers, weights, of_each, np.full(4, -1))

    for coefficients, vector, system, of_row in zip(*found, of_each.tolist(), weights, strict=True):
        added, x = solved(embeddings, strengths, spectrum, numbers[system], of_row)
        assert coefficients == pytest.approx(added, rel=1e-3, abs=1e-4)
        assert vector == pytest.approx(x, rel=1e-3, abs=1e-4)


@pytest.mark.parametrize(("items", "components"), SIZES, ids=str)
@pytest.mark.parametrize("is_whitened", [True, False], ids=["by a spectrum", "by the identity"])
def test_without_an_item_the_others_are_folded_in_as_if_they_were_alone(
    of_kind, items, components, is_whitened
):
    embeddings, strengths, spectrum, numbers = systems_of(items, components, systems=2)
    spectrum = spectrum if is_whitened else None
    numbers[1, 5] = np.nan
    left_out = np.append(np.arange(items)[::-3], -1)
    of_each = np.arange(len(left_out)) % 2

    weights = weights_for(items, rows=len(left_out))

    found = of_kind.fold_in(embeddings, strengths, spectrum, numbers, weights, of_each, left_out)

    assert [part.shape for part in found] == [(len(left_out), items), (len(left_out), components)]
    told = of_each.tolist(), left_out.tolist(), weights
    for coefficients, vector, system, place, of_row in zip(*found, *told, strict=True):
        others = np.arange(items)[np.arange(items) != place]
        added, x = solved(embeddings[others], strengths[others], spectrum, numbers[system], of_row[others])
        assert coefficients[others] == pytest.approx(added, rel=1e-3, abs=1e-4)
        assert vector == pytest.approx(x, rel=1e-3, abs=1e-4)
        if place >= 0:
            assert coefficients[place] == 0


def test_with_nothing_to_solve_for_nothing_is_folded_in(of_kind):
    found = folded_in(of_kind, *systems_of(4, 8), NOTHING, NOTHING)

    assert [part.shape for part in found] == [(0, 4), (0, 8)]


def test_what_would_have_to_score_less_than_nothing_adds_nothing(of_kind):
    # What is wanted of two opposites is nothing in all.
    opposite, alike = np.array([[1.0], [-1.0]], np.float32), np.ones(2, np.float32)

    found = folded_in(of_kind, opposite, alike, None, numbers_of(1, 0, 0, 1, 0, 5), FIRST, NONE)

    assert [part.tolist() for part in found] == [[[0, 0]], [[0]]]


def test_a_spectrum_of_nothing_is_taken_for_next_to_nothing(of_kind):
    # As a component has one that no item uses.
    embeddings, one = np.array([[1, 0]], np.float32), np.ones(1, np.float32)
    spectrum = np.array([1, 0], np.float32)

    coefficients, vectors = folded_in(
        of_kind, embeddings, one, spectrum, numbers_of(1, 1, 0, 1, 0, np.nan), FIRST, NONE
    )

    assert coefficients.tolist() == [[0.5]]
    assert vectors.tolist() == [[0.5, 0]]


def test_what_is_not_finite_cannot_be_folded_in(of_kind):
    embeddings, *rest = systems_of(4, 8)
    embeddings[2, 3] = np.nan

    with pytest.raises(ValueError, match="not finite"):
        folded_in(of_kind, embeddings, *rest, FIRST, NONE)


@pytest.mark.parametrize("row", ["a spectrum", "a strength"])
def test_a_number_that_is_none_is_not_taken_for_a_small_one(of_kind, row):
    embeddings, strengths, spectrum, numbers = systems_of(4, 8)
    (spectrum if row == "a spectrum" else strengths)[1] = np.nan
    # So that nothing else is wrong with the system.
    embeddings *= np.float32(1e-3)
    numbers[:, [1, 3]] = 0

    with pytest.raises(ValueError, match="not finite"):
        folded_in(of_kind, embeddings, strengths, spectrum, numbers, FIRST, NONE)


@pytest.mark.parametrize("place", [4, -2])
def test_a_place_that_is_not_in_the_history_cannot_be_left_out(of_kind, place):
    with pytest.raises(IndexError, match=f"place {place}"):
        folded_in(of_kind, *systems_of(4, 8), FIRST, np.array([place]))


@pytest.mark.parametrize("system", [1, -1])
def test_a_system_that_is_not_there_cannot_be_solved(of_kind, system):
    with pytest.raises(IndexError, match=f"system {system}"):
        folded_in(of_kind, *systems_of(4, 8), np.array([system]), NONE)


def test_numbers_of_other_items_are_not_taken_for_those_of_the_history():
    compiled = importlib.import_module(f"{kernels.__name__}.compiled")
    embeddings, strengths, spectrum, numbers = systems_of(4, 8)

    alike = np.ones((1, 4), np.float32)
    for wrong in (
        (embeddings, strengths[:3], spectrum, numbers, alike, FIRST, NONE),
        (embeddings, strengths, spectrum[:7], numbers, alike, FIRST, NONE),
        (embeddings, strengths, spectrum, numbers, alike[:, :3], FIRST, NONE),
        (embeddings, strengths, spectrum, numbers, alike[:0], FIRST, NONE),
        (embeddings, strengths, spectrum, numbers, alike, FIRST, NOTHING),
    ):
        with pytest.raises(ValueError, match="do not belong together"):
            compiled.fold_in(*wrong)
    with pytest.raises(ValueError, match="a system is of 6 numbers, and not 5"):
        compiled.fold_in(embeddings, strengths, spectrum, numbers[:, :5], alike, FIRST, NONE)
    with pytest.raises(ValueError, match="no components"):
        compiled.fold_in(embeddings[:, :0], strengths, spectrum[:0], numbers, alike, FIRST, NONE)
