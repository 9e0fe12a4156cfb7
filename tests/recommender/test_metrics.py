"""Metrics by hand, and by two ways that must agree."""

import math

import numpy as np
import pytest
from scipy import sparse

from recsvc.recommender import metrics
from recsvc.recommender.metrics import (
    average_precision,
    bootstrap_interval,
    coverage,
    difference_interval,
    evaluate_lists,
    hit,
    ndcg,
    novelty,
    popularity_bias,
    recall,
    reciprocal_rank,
)

SINGLE = {"recall": recall, "ndcg": ndcg, "ap": average_precision, "rr": reciprocal_rank, "hit": hit}


def test_recall_is_the_share_of_relevant_items_that_were_ranked():
    assert recall(np.array([4, 2, 9]), np.array([2, 7])) == 0.5


def test_ndcg_is_1_when_all_relevant_items_come_first():
    assert ndcg(np.array([3, 5, 1]), np.array([5, 3])) == pytest.approx(1.0)


def test_ndcg_discounts_a_hit_by_its_place():
    # One relevant item in the second place: 1 / log2(3) against 1 / log2(2).
    assert ndcg(np.array([3, 5]), np.array([5])) == pytest.approx(0.63093, abs=1e-5)


def test_ndcg_asks_no_more_hits_than_there_are_places():
    assert ndcg(np.array([1, 2]), np.array([1, 2, 3, 4])) == pytest.approx(1.0)


def test_average_precision_is_the_mean_of_the_precision_at_each_hit():
    # Hits in the first and the third place: 1/1 and 2/3; a third relevant item is not ranked.
    assert average_precision(np.array([7, 1, 8, 2]), np.array([7, 8, 9])) == pytest.approx((1 + 2 / 3) / 3)


def test_average_precision_asks_no_more_hits_than_there_are_places():
    assert average_precision(np.array([1, 2]), np.array([1, 2, 3, 4])) == pytest.approx(1.0)


def test_the_reciprocal_rank_is_that_of_the_first_hit():
    assert reciprocal_rank(np.array([4, 9, 5, 6]), np.array([6, 5])) == pytest.approx(1 / 3)


def test_a_hit_is_one_however_many_there_are():
    assert hit(np.array([4, 9, 5]), np.array([5])) == 1.0
    assert hit(np.array([4, 9, 5]), np.array([5, 4, 2])) == 1.0


@pytest.mark.parametrize("metric", SINGLE.values())
def test_no_hit_and_no_place_are_worth_nothing(metric):
    assert metric(np.array([1]), np.array([2])) == 0.0
    assert metric(np.array([], dtype=int), np.array([2])) == 0.0
    assert metric(np.array([-1, -1]), np.array([2])) == 0.0


@pytest.mark.parametrize("seed", range(8))
def test_many_users_at_once_are_measured_as_one_by_one(seed):
    random = np.random.default_rng(seed)
    items, width = 40, 25
    lists = np.array([random.permutation(items)[:width] for _ in range(200)])
    lists[np.arange(width) >= random.integers(0, width + 1, 200)[:, None]] = -1  # of any length, even 0
    relevant = [random.permutation(items)[: random.integers(1, 35)] for _ in range(200)]

    found = evaluate_lists(lists, relevant, [1, 5, 10, 25, 60])

    assert len(found) == 25
    for cutoff in (1, 5, 10, 25, 60):
        padded = np.pad(lists, ((0, 0), (0, 60 - width)), constant_values=-1)[:, :cutoff]
        for name, metric in SINGLE.items():
            expected = [metric(row, wanted) for row, wanted in zip(padded, relevant, strict=True)]
            # Sums of more than a few numbers depend on their order in the last bit; counts do not.
            tolerance = 1e-13 if name in {"ndcg", "ap"} else 0
            np.testing.assert_allclose(found[f"{name}_at_{cutoff}"], expected, rtol=tolerance, atol=0)


def test_padding_is_no_hit_even_beside_a_user_whose_last_item_is_relevant():
    # Seen as one number, the second user's padding is the first user's item 3.
    lists = np.array([[3, -1], [-1, -1]])

    found = evaluate_lists(lists, [np.array([3]), np.array([0])], [2])

    assert found["hit_at_2"].tolist() == [1.0, 0.0]


def test_a_short_list_is_held_against_as_many_places_as_the_cutoff_has():
    # One hit of the two that three places had room for: 1 / (1 + 1 / log2(3)).
    found = evaluate_lists(np.array([[5, -1, -1]]), [np.array([5, 6])], [3])

    assert found["ndcg_at_3"].tolist() == pytest.approx([0.61315], abs=1e-5)


def test_a_cutoff_beyond_the_catalogue_counts_what_is_there():
    found = evaluate_lists(np.array([[1, 0]]), [np.array([0])], [100])

    assert {name: value.tolist() for name, value in found.items()} == {
        "recall_at_100": [1.0],
        "ndcg_at_100": pytest.approx([0.63093], abs=1e-5),
        "ap_at_100": [0.5],
        "rr_at_100": [0.5],
        "hit_at_100": [1.0],
    }


def test_nobody_to_evaluate_gives_a_figure_of_nobody():
    found = evaluate_lists(np.empty((0, 10), int), [], [10])

    assert [len(values) for values in found.values()] == [0] * 5


def test_lists_of_places_that_do_not_exist_hit_nothing():
    assert evaluate_lists(np.empty((1, 0), int), [np.array([4])], [10])["recall_at_10"].tolist() == [0.0]


def test_users_without_relevant_items_are_refused():
    with pytest.raises(ValueError, match="without relevant items"):
        evaluate_lists(np.array([[1], [2]]), [np.array([1]), np.array([], int)], [1])


def test_lists_and_relevant_items_must_be_of_as_many_users():
    with pytest.raises(ValueError, match="2 lists, but relevant items of 1 users"):
        evaluate_lists(np.array([[1], [2]]), [np.array([1])], [1])


def test_coverage_is_the_share_of_the_catalogue_that_anybody_is_shown():
    assert coverage(np.array([[0, 1], [1, 2], [2, -1]]), items=12) == 0.25


def test_coverage_of_no_lists_or_no_catalogue_is_nothing():
    assert coverage(np.array([[-1, -1]]), items=3) == 0.0
    assert coverage(np.empty((0, 5), int), items=3) == 0.0
    assert coverage(np.empty((0, 5), int), items=0) == 0.0


def test_novelty_is_a_bit_for_each_halving_of_the_users_who_like_an_item():
    # Of 8 users all, 4 and 2 like the items: 0, 1 and 2 bits.
    popularity = np.array([8, 4, 2], np.float32)

    assert novelty(np.array([[0, 1]]), popularity, users=8) == pytest.approx(0.5)
    assert novelty(np.array([[2, 1]]), popularity, users=8) == pytest.approx(1.5)


def test_an_item_that_nobody_likes_is_as_novel_as_one_that_one_user_likes():
    assert novelty(np.array([[0]]), np.array([0.0, 1.0]), users=8) == 3.0
    assert novelty(np.array([[1]]), np.array([0.0, 1.0]), users=8) == 3.0


def test_every_list_counts_the_same_in_novelty_however_short():
    popularity = np.array([8, 4, 2], np.float32)

    assert novelty(np.array([[2, -1], [0, 1], [-1, -1]]), popularity, users=8) == pytest.approx((2 + 0.5) / 2)


def test_novelty_of_empty_lists_is_not_a_number():
    assert math.isnan(novelty(np.array([[-1]]), np.array([1.0]), users=2))


def bias(lists, histories, popularity):
    return popularity_bias(
        np.array(lists), sparse.csr_array(np.array(histories, np.float32)), np.array(popularity, np.float32)
    )


def test_lists_as_popular_as_histories_have_a_popularity_bias_of_1():
    assert bias([[0, 2]], [[0, 1, 0]], [6, 4, 2]) == 1.0


def test_the_popularity_bias_is_the_mean_ratio_of_list_and_history():
    # Lists of mean popularity 8 and 3; histories of 4 — whatever the strengths — and 6.
    assert bias([[0, -1], [1, 2]], [[0, 0.5, 9], [1, 1, 0]], [8, 4, 2]) == pytest.approx((8 / 3 + 3 / 6) / 2)


def test_users_without_a_list_or_a_history_have_no_part_in_popularity_bias():
    histories = [[0, 1, 0], [0, 1, 0], [0, 0, 0]]

    assert bias([[0], [-1], [0]], histories, [8, 4, 2]) == 2.0


def test_histories_of_items_without_popularity_have_no_part_in_popularity_bias():
    assert bias([[0], [0]], [[0, 1, 0], [0, 0, 1]], [8, 4, 0]) == 2.0
    assert math.isnan(bias([[0]], [[0, 0, 1]], [8, 4, 0]))


def test_the_interval_of_equal_values_has_no_width():
    assert bootstrap_interval(np.full(30, 0.25), seed=1) == (0.25, 0.25)


def test_the_interval_of_one_user_is_that_user():
    assert bootstrap_interval(np.array([0.3]), seed=1) == (0.3, 0.3)


def test_the_interval_of_nobody_is_not_a_number():
    assert all(math.isnan(end) for end in bootstrap_interval(np.empty(0), seed=1))


def test_the_interval_is_that_of_a_normal_mean_where_there_are_many_users():
    # 400 users, half of them with 1: the standard error is 0.5 / sqrt(400) = 0.025.
    values = np.repeat([0.0, 1.0], 200)

    low, high = bootstrap_interval(values, seed=1, draws=4000)

    assert low == pytest.approx(0.5 - 1.96 * 0.025, abs=0.004)
    assert high == pytest.approx(0.5 + 1.96 * 0.025, abs=0.004)


def test_a_lower_level_makes_a_narrower_interval():
    values = np.random.default_rng(5).random(100)

    (low, high), (lower, higher) = (bootstrap_interval(values, seed=1, level=level) for level in (0.5, 0.95))

    assert lower < low < values.mean() < high < higher


def test_an_interval_is_by_seed_always_the_same():
    values = np.random.default_rng(5).random(100)

    assert bootstrap_interval(values, seed=3) == bootstrap_interval(values, seed=3)
    assert bootstrap_interval(values, seed=3) != bootstrap_interval(values, seed=4)


def test_drawing_in_parts_leaves_out_no_draw(monkeypatch):
    values = np.random.default_rng(5).random(100)
    whole = bootstrap_interval(values, seed=3, draws=1000)

    monkeypatch.setattr(metrics, "_DRAWN_AT_ONCE", 700)  # seven draws at once, six at last

    assert bootstrap_interval(values, seed=3, draws=1000) == pytest.approx(whole)


def test_a_small_gain_with_every_user_is_told_from_chance_though_users_differ_much():
    random = np.random.default_rng(5)
    a = random.random(200)
    b = a - 0.01 - 0.01 * random.random(200)

    low, high = difference_interval(a, b, seed=1)

    assert 0.01 < low < high < 0.02
    assert bootstrap_interval(a, seed=1)[0] < bootstrap_interval(b, seed=1)[1]


def test_a_difference_turns_its_sign_with_its_sides():
    a, b = np.random.default_rng(5).random((2, 50))
    low, high = difference_interval(a, b, seed=1)

    assert difference_interval(b, a, seed=1) == pytest.approx((-high, -low))


def test_differences_of_other_users_are_refused():
    with pytest.raises(ValueError, match="2 users cannot be paired with those of 3"):
        difference_interval(np.zeros(2), np.zeros(3), seed=1)
