"""Rows of numbers in one byte each."""

from __future__ import annotations

import numpy as np
import pytest

from recsvc.recommender.one_byte import OneByteRows, products, rounded

ROWS = np.array([[127, -64, 0.4], [0.5, 0.25, -0.5], [0, 0, 0]], np.float32)


def test_a_rows_greatest_number_is_127_of_its_units():
    kept = OneByteRows.of(ROWS)

    assert kept.units == pytest.approx([1, 0.5 / 127, 0])
    assert kept.numbers.tolist() == [[127, -64, 0], [127, 64, -127], [0, 0, 0]]  # 0.25 is 63.5 units: to even
    assert kept.numbers.dtype == np.int8


@pytest.mark.parametrize("size", [1e-30, 1, 1e30])
def test_a_number_is_off_by_half_a_unit_at_the_most(size):
    rows = np.random.default_rng(0).standard_normal((50, 30)).astype(np.float32) * np.float32(size)

    kept = OneByteRows.of(rows)

    off = np.abs(kept[:] - rows) / kept.units[:, None]
    assert 0.4 < off.max() < 0.501


def test_numbers_too_small_for_a_unit_are_nothing():
    kept = OneByteRows.of(np.full((1, 2), 1e-45, np.float32))

    assert kept[:].tolist() == [[0, 0]]


def test_what_is_rounded_is_not_rounded_again():
    kept = rounded(ROWS)

    assert rounded(kept) is kept


def test_equal_rows_are_equal_once_they_are_rounded():
    row = np.array([[0.3, 0.123, -0.77]], np.float32)

    one, other, alone = *OneByteRows.of(np.vstack([row, row]))[:], OneByteRows.of(row)[:][0]

    assert one.tolist() == other.tolist() == alone.tolist()


@pytest.mark.parametrize("chosen", [np.array([1, 0, 0]), slice(None)])
@pytest.mark.parametrize("vectors", [[2, 1, -4], [[2, 1, -4], [1, 0, 0]]])
def test_products_are_those_of_the_rows_that_are_read(vectors, chosen):
    kept, given = OneByteRows.of(ROWS), np.array(vectors, np.float32)

    assert products(given, kept, chosen) == pytest.approx(given @ kept[chosen].T)
    assert products(given, ROWS, chosen) == pytest.approx(given @ ROWS[chosen].T)


def test_rows_survive_their_arrays():
    kept = OneByteRows.of(ROWS)

    again = OneByteRows.from_arrays(kept.arrays(), 3)

    assert again[:].tolist() == kept[:].tolist()
    assert again.shape == (3, 3)


def test_arrays_that_do_not_fit_together_are_refused():
    arrays = OneByteRows.of(ROWS).arrays()

    with pytest.raises(ValueError, match=r"units has shape \(2,\), not \(3,\)"):
        OneByteRows.from_arrays(arrays | {"units": arrays["units"][:2]}, 3)
    with pytest.raises(ValueError, match="missing: units"):
        OneByteRows.from_arrays({"embeddings": arrays["embeddings"]}, 3)
