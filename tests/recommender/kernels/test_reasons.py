"""What adds most to scores, and how these are divided."""

from __future__ import annotations

import numpy as np
import pytest

NOTHING = np.empty(0, np.intp)
FIRST = np.zeros(1, np.intp)


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


@pytest.mark.parametrize("score", [4.0, 0.0, -4.0])
def test_a_score_that_falls_by_no_more_than_its_rounding_does_not_fall(of_kind, score):
    by_history, by_features = np.array([[6], [-4]], np.float32), np.array([[-2]], np.float32)

    def own_part(without: float) -> float:
        scores, those = np.array([score], np.float32), np.array([[without]], np.float32)
        found = of_kind.parts_of_scores(
            by_history, by_features, scores, np.zeros((1, 1), np.intp), FIRST, those
        )
        return float(found[0, 0])

    # What is added up is 12 in size, and the score 0 or 4: a millionth of them are 12 or 16 millionths.
    assert own_part(score - 8e-6) == 0
    assert own_part(score - 2e-5) == 6


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


def test_parts_that_do_not_belong_together_are_refused(compiled):
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
