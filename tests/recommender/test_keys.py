"""Keys of the database and positions in a matrix."""

from __future__ import annotations

import numpy as np

from recsvc.recommender.keys import distinct, locate


def int32(*values: int) -> np.ndarray:
    return np.array(values, np.int32)


def test_distinct_keys_come_ascending_with_the_position_of_each():
    keys, positions = distinct(int32(7, 3, 7, 0, 3))

    assert keys.tolist() == [0, 3, 7]
    assert positions.tolist() == [2, 1, 2, 0, 1]
    assert keys.dtype == positions.dtype == np.int32


def test_no_keys_have_no_distinct_ones():
    keys, positions = distinct(int32())

    assert (keys.tolist(), positions.tolist()) == ([], [])


def test_distinct_agrees_with_sorting():
    keys = np.random.default_rng(0).integers(0, 500, 5_000).astype(np.int32)
    expected, inverse = np.unique(keys, return_inverse=True)

    found, positions = distinct(keys)

    assert np.array_equal(found, expected)
    assert np.array_equal(positions, inverse)


def test_keys_are_located_and_strangers_are_minus_one():
    assert locate(int32(2, 5, 9), int32(9, 1, 2, 5, 6, 10)).tolist() == [2, -1, 0, 1, -1, -1]


def test_nothing_is_located_among_no_keys():
    assert locate(int32(), int32(1, 2)).tolist() == [-1, -1]


def test_no_keys_are_located_nowhere():
    assert locate(int32(1, 2), np.array([], np.int64)).tolist() == []


def test_a_key_too_great_for_the_others_type_is_not_taken_for_one_of_them():
    assert locate(int32(2, 5, 9), np.array([2**32 + 5, 5], np.int64)).tolist() == [-1, 1]
