"""Rows of sparse matrices, and of numbers in one byte each."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from recsvc.recommender.kernels import plain

NOTHING = np.empty(0, np.intp)
FIRST = np.zeros(1, np.intp)


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


def test_what_is_compiled_adds_up_what_plain_does(compiled):
    dense = sparse.random_array((400, 400), density=0.1, rng=np.random.default_rng(0), dtype=np.float32)
    random = np.random.default_rng(1)
    of_history = of_rows(dense, random.choice(400, 60, replace=False), random.standard_normal(60))
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


def test_vectors_of_another_length_are_refused(compiled):
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


def entries_of(dense):
    rows = sparse.csr_array(np.array(dense, np.float32))
    return rows.indptr.astype(np.int64), rows.indices.astype(np.int32), rows.data


# 0 leads to 1 and 2, 1 to 0, 2 to nothing.
DIRECT = [[0, 4, 1], [5, 0, 0], [0, 0, 0]]
THROUGH = [[2, 0, 7], [0, 0, 3], [10, 1, 0]]


def test_an_entry_is_reached_by_each_way_through_an_item_of_its_row(of_kind):
    # 0→1 is 0→2→1 = 1 · 1; 0→2 is 0→1→2 = 4 · 3; 1→0 is 1→0→0 = 5 · 2. That 0 leads to 0 is asked of nobody.
    assert of_kind.blurred(*entries_of(DIRECT), *entries_of(THROUGH)).tolist() == [1, 12, 10]


def test_some_rows_are_reached_as_they_are_among_all(of_kind):
    bounds, items, weights = entries_of(DIRECT)

    assert of_kind.blurred(bounds[1:], items, weights, *entries_of(THROUGH)).tolist() == [10]
    assert of_kind.blurred(bounds[2:], items, weights, *entries_of(THROUGH)).tolist() == []


def test_what_is_compiled_reaches_what_plain_does(compiled):
    random = np.random.default_rng(0)
    direct, through = (
        sparse.random_array((300, 300), density=density, rng=random, dtype=np.float32).toarray()
        for density in (0.05, 0.2)
    )

    found = compiled.blurred(*entries_of(direct), *entries_of(through))

    assert found == pytest.approx(plain.blurred(*entries_of(direct), *entries_of(through)), rel=1e-5)
    assert found == pytest.approx((direct @ through)[direct != 0], rel=1e-5)


@pytest.mark.parametrize("item", [-1, 3, 2_000_000_000])
@pytest.mark.parametrize("which", [0, 1], ids=["of a row", "of what leads on"])
def test_what_leads_to_an_item_that_is_not_there_is_refused(of_kind, which, item):
    rows = [entries_of(DIRECT), entries_of(THROUGH)]
    rows[which][1][0] = item

    with pytest.raises(IndexError):
        of_kind.blurred(*rows[0], *rows[1])


@pytest.mark.parametrize("which", [0, 1], ids=["of a row", "of what leads on"])
def test_bounds_beyond_the_entries_are_refused(of_kind, which):
    rows = [entries_of(DIRECT), entries_of(THROUGH)]
    rows[which][0][-1] += 9

    with pytest.raises(IndexError):
        of_kind.blurred(*rows[0], *rows[1])


@pytest.mark.parametrize("which", [0, 1], ids=["of a row", "of what leads on"])
def test_fewer_weights_than_entries_are_refused(of_kind, which):
    rows = [entries_of(DIRECT), entries_of(THROUGH)]
    rows[which] = *rows[which][:2], rows[which][2][1:]

    with pytest.raises(ValueError, match="items, and"):
        of_kind.blurred(*rows[0], *rows[1])
