"""The best of many rows of scores."""

from __future__ import annotations

import numpy as np
import pytest

from recsvc.recommender.ranking import best_of_rows


@pytest.mark.parametrize(
    "row",
    [
        [0, 0, 3, 0, 1, 2, 0, 0],  # few say anything
        [0, 0, -1, 0, 5, -2, 0, -np.inf],  # fewer above 0 than are wanted
        [-3, -1, -2, -np.inf, -5, 1, -4, -np.inf],  # zeros do not fill it up either
        [4, 1, 3, 2, 8, 6, 7, 5],
        [0, 0, 0, 0, 0, 0, 0, 0],
    ],
)
@pytest.mark.parametrize("most", [1, 3, 8])
def test_the_best_of_a_row_have_the_greatest_scores_whatever_their_sign(row, most):
    rows = np.array([row, row[::-1]], np.float32)
    found = best_of_rows(rows, most)

    assert [len(set(of_row)) for of_row in found.tolist()] == [most, most]
    for scores, of_row in zip(rows, found, strict=True):
        assert sorted(scores[of_row].tolist()) == sorted(scores.tolist())[8 - most :]
