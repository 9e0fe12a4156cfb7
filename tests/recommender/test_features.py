"""Features as rows."""

from __future__ import annotations

import numpy as np
import pytest

from recsvc.recommender.features import build_features, weighted_sum


def int32(*values: int) -> np.ndarray:
    return np.array(values, np.int32)


def test_the_features_of_an_owner_share_a_length_of_one():
    features = build_features(int32(10, 20, 30), int32(10, 20, 20, 20, 20), int32(5, 5, 6, 7, 8))

    assert features.feature_keys.tolist() == [5, 6, 7, 8]
    assert features.rows.toarray().tolist() == [[1, 0, 0, 0], [0.5, 0.5, 0.5, 0.5], [0, 0, 0, 0]]
    assert features.rows.dtype == np.float32


def test_features_of_owners_that_are_not_in_the_matrix_are_left_out():
    features = build_features(int32(20), int32(10, 20, 30), int32(1, 2, 3))

    assert features.feature_keys.tolist() == [2]
    assert features.rows.toarray().tolist() == [[1.0]]


def test_owners_without_any_feature_have_empty_rows():
    features = build_features(int32(10, 20), int32(), int32())

    assert features.rows.shape == (2, 0)
    assert features.with_identity().toarray().tolist() == [[1, 0], [0, 1]]


def test_the_identity_comes_before_the_features():
    features = build_features(int32(10, 20), int32(20), int32(9))

    assert features.with_identity().toarray().tolist() == [[1, 0, 0], [0, 1, 1]]


def test_a_weighted_sum_is_what_the_row_stands_for():
    embeddings = np.array([[3, 0], [0, 4], [9, 9]], np.float32)

    vector, known = weighted_sum(int32(5, 6, 7), embeddings, [6, 5, 99])

    assert known == 2
    assert vector.tolist() == pytest.approx([3 / 2**0.5, 4 / 2**0.5])


@pytest.mark.parametrize("keys", [[], [99]])
def test_features_that_the_model_never_met_stand_for_nothing(keys):
    vector, known = weighted_sum(int32(5), np.ones((1, 3), np.float32), keys)

    assert (vector.tolist(), known) == ([0, 0, 0], 0)


def test_a_model_without_features_knows_none():
    vector, known = weighted_sum(int32(), np.empty((0, 3), np.float32), [1, 2])

    assert (vector.tolist(), known) == ([0, 0, 0], 0)
