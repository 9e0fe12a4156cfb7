"""What an event says, and how interactions become a matrix. The numbers are worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from recsvc.recommender import interactions
from recsvc.recommender.interactions import EventScale, InteractionColumns, build_matrix, decay, strength

VIEW, PURCHASE, RATING, DISLIKE = 1, 2, 3, 4


@pytest.fixture
def scale() -> EventScale:
    weights = np.array([0, 1, 5, 4, -4], np.float32)
    return EventScale(weights, rating_code=RATING, neutral=2.5, best=5.0)


DAY = 86_400_000_000
EMPTY = np.empty(0, np.int32)


def columns(*rows: tuple[int, int, int, float], days: list[float] | None = None) -> InteractionColumns:
    users, items, codes, values = zip(*rows, strict=True) if rows else ((), (), (), ())
    return InteractionColumns(
        np.array(users, np.int32),
        np.array(items, np.int32),
        np.array(codes, np.int16),
        np.array(values, np.float32),
        (np.array(days or [0.0] * len(rows)) * DAY).astype(np.int64),
    )


def apply(scale: EventScale, code: int, value: float = 0.0) -> float:
    return scale.apply(np.array([code], np.int16), np.array([value], np.float32)).item()


@pytest.mark.parametrize(("code", "weight"), [(VIEW, 1.0), (PURCHASE, 5.0), (DISLIKE, -4.0), (0, 0.0)])
def test_an_event_has_its_weight_whatever_its_value(scale, code, weight):
    assert apply(scale, code) == weight
    assert apply(scale, code, value=3.0) == weight


@pytest.mark.parametrize(
    ("rating", "weight"),
    [(5.0, 4.0), (3.75, 2.0), (2.5, 0.0), (1.25, -2.0), (0.0, -4.0), (-9.0, -4.0), (100.0, 4.0)],
)
def test_a_rating_weighs_in_a_straight_line_around_neutral(scale, rating, weight):
    assert apply(scale, RATING, rating) == pytest.approx(weight)


def test_ratings_are_not_read_where_settings_have_none():
    scale = EventScale(np.array([0, 1, 5, 4], np.float32), rating_code=-1, neutral=2.5, best=5.0)

    assert apply(scale, RATING, 1.0) == 4.0


def test_an_event_that_came_after_the_settings_were_read_says_nothing(scale):
    codes = np.array([VIEW, 9, PURCHASE], np.int16)

    assert scale.apply(codes, np.zeros(3, np.float32)).tolist() == [1.0, 0.0, 5.0]


def test_weighing_leaves_the_scale_as_it_is(scale):
    scale.apply(np.array([RATING, RATING], np.int16), np.array([0, 5], np.float32))

    assert scale.weights.tolist() == [0, 1, 5, 4, -4]


@pytest.mark.parametrize(("weight", "expected"), [(0, 0), (1, 1), (3, 2), (7, 3), (-1, -1), (-7, -3)])
def test_strength_is_the_logarithm_with_the_sign_of_the_weight(weight, expected):
    assert strength(np.array([weight], np.float32)).item() == pytest.approx(expected)


def test_events_of_one_pair_are_added_before_they_are_damped(scale):
    matrix = build_matrix(columns((7, 3, VIEW, 0), (7, 3, VIEW, 0), (7, 3, PURCHASE, 0)), scale, EMPTY)

    assert matrix.strengths.toarray().tolist() == [[3.0]]  # log2(1 + 1 + 1 + 5)


def test_pairs_that_say_nothing_or_speak_against_are_not_stored(scale):
    rows = columns(
        (1, 10, VIEW, 0), (1, 11, DISLIKE, 0), (2, 10, PURCHASE, 0), (2, 10, DISLIKE, 0), (2, 11, RATING, 2.5)
    )

    matrix = build_matrix(rows, scale, EMPTY)

    assert matrix.user_keys.tolist() == [1, 2]
    assert matrix.item_keys.tolist() == [10, 11]
    assert matrix.strengths.toarray().tolist() == [[1.0, 0.0], [1.0, 0.0]]
    assert matrix.strengths.nnz == 2


def test_an_item_of_the_catalogue_has_a_column_even_if_nobody_touched_it(scale):
    matrix = build_matrix(columns((1, 20, VIEW, 0)), scale, np.array([10, 20, 30], np.int32))

    assert matrix.item_keys.tolist() == [10, 20, 30]
    assert matrix.strengths.toarray().tolist() == [[0.0, 1.0, 0.0]]


def test_an_item_that_left_the_catalogue_still_teaches(scale):
    matrix = build_matrix(columns((1, 20, VIEW, 0)), scale, np.array([10], np.int32))

    assert matrix.item_keys.tolist() == [10, 20]


def test_no_interactions_make_an_empty_matrix(scale):
    matrix = build_matrix(columns(), scale, np.array([10], np.int32), half_life=30)

    assert matrix.strengths.shape == (0, 1)
    assert matrix.ages.tolist() == []


@pytest.mark.parametrize(("age", "left"), [(0, 1.0), (10, 0.5), (20, 0.25), (5, 2**-0.5), (-10, 2.0)])
def test_a_half_life_leaves_half(age, left):
    assert decay(np.array([age]), 10.0).tolist() == [pytest.approx(left)]


def test_nothing_is_so_old_that_nothing_is_left_of_it_or_of_its_square():
    left = decay(np.array([59.0, 60.0, 61.0, 1e6]), 1.0)

    assert left.tolist() == [2**-59, 2**-60, 2**-60, 2**-60]
    assert (left * left >= np.finfo(np.float32).tiny).all()


def test_without_a_half_life_time_takes_nothing():
    left = decay(np.array([0.0, 3.0, 1e6]), None)

    assert left.tolist() == [1.0, 1.0, 1.0]
    assert left.dtype == np.float32


def test_a_weight_is_halved_by_its_age_before_it_is_damped(scale):
    # The newest of all is a day of user 2's; user 1's purchase is one half-life older, and weighs 2.5.
    rows = columns((1, 10, PURCHASE, 0), (2, 10, PURCHASE, 0), days=[70, 100])

    matrix = build_matrix(rows, scale, EMPTY, half_life=30)

    assert matrix.strengths.toarray().ravel().tolist() == pytest.approx([np.log2(1 + 2.5), np.log2(1 + 5)])


def test_each_interaction_of_a_pair_ages_by_itself(scale):
    # 1 view today, 1 a half-life ago, 1 two half-lives ago: 1 + ½ + ¼.
    rows = columns(*[(1, 10, VIEW, 0)] * 3, days=[100, 90, 80])

    matrix = build_matrix(rows, scale, EMPTY, half_life=10)

    assert matrix.strengths.data.tolist() == [pytest.approx(np.log2(2.75))]


def test_what_was_liked_long_ago_is_liked_still(scale):
    # A view of 40 half-lives ago; beside 1 so little is lost in single precision.
    rows = columns((1, 10, VIEW, 0), (2, 20, VIEW, 0), days=[0, 1200])

    matrix = build_matrix(rows, scale, EMPTY, half_life=30)

    assert matrix.strengths.data.tolist() == [pytest.approx(2**-40 / np.log(2)), 1]


def test_an_old_dislike_fades_before_a_new_purchase(scale):
    # Today's purchase +5, the dislike of two half-lives ago -4 · ¼; without decay 5 - 4.
    rows = columns((1, 10, DISLIKE, 0), (1, 10, PURCHASE, 0), days=[0, 60])

    faded = build_matrix(rows, scale, EMPTY, half_life=30).strengths.data
    kept = build_matrix(rows, scale, EMPTY).strengths.data

    assert faded.tolist() == [pytest.approx(np.log2(5))]
    assert kept.tolist() == [pytest.approx(1)]


def test_a_purchase_may_fade_until_a_new_dislike_outweighs_it(scale):
    # 5 · ½ - 4 < 0.
    rows = columns((1, 10, PURCHASE, 0), (1, 10, DISLIKE, 0), days=[0, 30])

    assert build_matrix(rows, scale, EMPTY, half_life=30).strengths.nnz == 0
    assert build_matrix(rows, scale, EMPTY).strengths.nnz == 1


def test_a_pair_is_as_old_as_its_last_interaction_of_whatever_event(scale):
    rows = columns(
        (1, 10, PURCHASE, 0), (1, 10, VIEW, 0), (1, 11, VIEW, 0), (2, 10, VIEW, 0), (2, 11, DISLIKE, 0),
        days=[0, 4, 1, 2.5, 10],
    )  # fmt: skip

    matrix = build_matrix(rows, scale, EMPTY)

    # Days before the newest of all, which is a dislike and has no pair of its own.
    assert matrix.strengths.toarray().astype(bool).tolist() == [[True, True], [True, False]]
    assert matrix.ages.tolist() == pytest.approx([6, 9, 7.5])
    assert matrix.ages.dtype == np.float32


def test_ages_are_in_the_order_of_the_strengths_whatever_that_of_the_rows(scale):
    rows = columns((2, 11, VIEW, 0), (1, 12, VIEW, 0), (2, 10, VIEW, 0), (1, 10, VIEW, 0), days=[1, 2, 3, 4])

    matrix = build_matrix(rows, scale, EMPTY)

    assert matrix.item_keys[matrix.strengths.indices].tolist() == [10, 12, 10, 11]
    assert matrix.ages.tolist() == [0, 2, 1, 3]


@pytest.mark.parametrize("half_life", [None, 50.0])
@pytest.mark.parametrize("at_once", [1, 7, 1_000])
def test_what_is_weighed_at_once_makes_no_difference(monkeypatch, scale, at_once, half_life):
    random = np.random.default_rng(8)
    rows = columns(
        *zip(
            random.integers(1, 12, 600).tolist(),
            random.integers(1, 9, 600).tolist(),
            random.integers(0, 5, 600).tolist(),
            random.uniform(0, 5, 600).tolist(),
            strict=True,
        ),
        days=random.uniform(0, 300, 600).tolist(),
    )
    whole = build_matrix(rows, scale, EMPTY, half_life)
    monkeypatch.setattr(interactions, "_ROWS_AT_ONCE", at_once)

    chunked = build_matrix(rows, scale, EMPTY, half_life)

    assert (chunked.strengths != whole.strengths).nnz == 0
    assert chunked.strengths.has_sorted_indices
    assert chunked.ages.tolist() == whole.ages.tolist()


def test_a_matrix_equals_the_same_sums_done_one_by_one(scale):
    random = np.random.default_rng(3)
    rows = columns(
        *zip(
            random.integers(1, 30, 2_000).tolist(),
            random.integers(1, 40, 2_000).tolist(),
            random.integers(0, 5, 2_000).tolist(),
            random.uniform(0, 5, 2_000).tolist(),
            strict=True,
        )
    )
    expected: dict[tuple[int, int], float] = {}
    for user, item, code, value in zip(
        rows.user_keys.tolist(),
        rows.item_keys.tolist(),
        rows.event_codes.tolist(),
        rows.values.tolist(),
        strict=True,
    ):
        expected[user, item] = expected.get((user, item), 0.0) + apply(scale, code, value)

    matrix = build_matrix(rows, scale, EMPTY)

    found = matrix.strengths.tocoo()
    stored = {
        (int(matrix.user_keys[row]), int(matrix.item_keys[column])): value
        for row, column, value in zip(*found.coords, found.data.tolist(), strict=True)
    }
    liked = {pair: float(np.log2(1 + weight)) for pair, weight in expected.items() if weight > 1e-5}
    assert stored == pytest.approx(liked, rel=1e-4)
