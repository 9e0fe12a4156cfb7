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


@pytest.mark.parametrize("row", [3, 1_000_000_000])
def test_a_row_of_numbers_that_is_not_there_is_refused(of_kind, row):
    numbers, units = np.ones((3, 2), np.int8), np.ones(3, np.float32)

    with pytest.raises(IndexError):
        of_kind.rows(numbers, units, np.array([0, row]))
    with pytest.raises(IndexError):
        of_kind.products(numbers, units, np.array([0, row]), np.ones(2, np.float32))


# --- fold-in among the items of a history


def history_of(items, components):
    random = np.random.default_rng(1_000 * items + components)
    return (
        random.normal(size=(items, components)).astype(np.float32),
        np.sqrt(random.uniform(0, 3, items)),
        random.uniform(0, 2, items),
    )


def test_one_item_is_folded_in_by_hand(of_kind):
    # z = 2 · 9 · 5 / (1 + 2² · 9), and what is left is 5 - 2 z.
    found = of_kind.fold_among_items(np.array([[3.0]], np.float32), np.array([2.0]), np.array([5.0]))

    assert found.dtype == np.float32
    assert found.tolist() == [pytest.approx(5 - 2 * 90 / 37)]


# Lengths around those in which products are added up, and more items than are solved for by hand.
@pytest.mark.parametrize(
    ("items", "components"), [(1, 1), (2, 15), (3, 16), (4, 17), (5, 33), (50, 128), (100, 100), (101, 128)]
)
def test_items_are_folded_in_as_the_definition_has_it(of_kind, items, components):
    whitened, roots, wanted = history_of(items, components)
    exact = whitened.astype(np.float64)
    products = exact @ exact.T
    matrix = np.eye(items) + roots[:, None] * products * roots
    expected = wanted - roots * np.linalg.solve(matrix, roots * (products @ wanted))

    found = of_kind.fold_among_items(whitened, roots, wanted)

    assert found == pytest.approx(expected, rel=1e-3, abs=1e-4)


@pytest.mark.parametrize(("items", "components"), [(2, 4), (5, 33), (50, 128), (101, 128)])
def test_without_each_item_the_others_are_folded_in_as_if_they_were_alone(of_kind, items, components):
    whitened, roots, wanted = history_of(items, components)
    places = np.arange(items)[::-3]

    found = of_kind.fold_among_items_without_each(whitened, roots, wanted, places)

    assert found.shape == (len(places), items)
    for row, place in zip(found, places.tolist(), strict=True):
        others = np.delete(np.arange(items), place)
        alone = plain.fold_among_items(whitened[others], roots[others], wanted[others])
        assert row[others] == pytest.approx(alone, rel=1e-3, abs=1e-4)
        assert row[place] == 0


def test_with_nothing_to_leave_out_there_is_nothing_to_fold_in(of_kind):
    assert of_kind.fold_among_items_without_each(*history_of(4, 8), NOTHING).shape == (0, 4)


def test_what_is_not_finite_cannot_be_folded_in(of_kind):
    whitened, roots, wanted = history_of(4, 8)
    whitened[2, 3] = np.nan

    with pytest.raises(ValueError, match="not finite"):
        of_kind.fold_among_items(whitened, roots, wanted)


def test_a_place_that_is_not_in_the_history_cannot_be_left_out(of_kind):
    with pytest.raises(IndexError):
        of_kind.fold_among_items_without_each(*history_of(4, 8), np.array([4]))


def test_numbers_of_other_items_are_not_taken_for_those_of_the_history():
    compiled = importlib.import_module(f"{kernels.__name__}.compiled")
    whitened, roots, wanted = history_of(4, 8)

    for wrong in (
        (whitened, roots[:3], wanted),
        (whitened, roots, wanted[:3]),
        (whitened[:, :0], roots, wanted),
    ):
        with pytest.raises(ValueError, match="do not belong together"):
            compiled.fold_among_items(*wrong)
