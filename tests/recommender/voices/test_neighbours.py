"""Co-occurrence and its damping. The numbers are worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from recsvc.recommender import relations as rows_of_items
from recsvc.recommender.voices.neighbours import Neighbours

# User 0 likes items 0 and 1, user 1 all three, user 2 only item 1. Lengths 2, 3, 1; counts 2, 3, 1.
LIKES = [[1, 2, 0], [1, 1, 3], [0, 5, 0]]
PLAIN = {"source_exponent": 0.0, "target_exponent": 0.0, "sharpening": 0.0, "neighbours": 9}


def fit(examples, **parameters) -> Neighbours:
    return Neighbours.fit(examples, PLAIN | parameters, lambda done: None)


def dense(voice: Neighbours) -> np.ndarray:
    """Weights from item to item, the source's damping with them."""
    relations = voice.relations
    rows = np.zeros((len(relations), len(relations)))
    for item in range(len(relations)):
        entries = slice(relations.bounds[item], relations.bounds[item + 1])
        rows[item, relations.items[entries]] = relations.weights[entries]
    return rows * relations.sources[:, None]


# Σ_u s_ui s_uj / √(length of u)
OF_0_AND_1 = 1 * 2 / 2**0.5 + 1 * 1 / 3**0.5
OF_0_AND_2 = 1 * 3 / 3**0.5
OF_1_AND_2 = 1 * 3 / 3**0.5


def test_a_weight_sums_products_of_strengths_each_divided_by_the_root_of_the_users_length(examples_of):
    assert dense(fit(examples_of(LIKES))) == pytest.approx(
        np.array([[0, OF_0_AND_1, OF_0_AND_2], [OF_0_AND_1, 0, OF_1_AND_2], [OF_0_AND_2, OF_1_AND_2, 0]]),
        rel=1e-6,
    )


def test_popular_candidates_are_damped_by_the_exponent_of_the_target(examples_of):
    weights = dense(fit(examples_of(LIKES), target_exponent=0.5))

    assert weights[0] == pytest.approx([0, OF_0_AND_1 / 3**0.5, OF_0_AND_2], rel=1e-6)
    assert weights[1] == pytest.approx([OF_0_AND_1 / 2**0.5, 0, OF_1_AND_2], rel=1e-6)


def test_popular_items_of_a_history_are_damped_by_the_exponent_of_the_source(examples_of):
    weights = dense(fit(examples_of(LIKES), source_exponent=1.0))

    assert weights[0] == pytest.approx([0, OF_0_AND_1 / 2, OF_0_AND_2 / 2], rel=1e-6)
    assert weights[1] == pytest.approx([OF_0_AND_1 / 3, 0, OF_1_AND_2 / 3], rel=1e-6)


def test_with_both_halves_and_users_of_one_length_a_weight_is_the_cosine(examples_of):
    likes = np.array([[1, 1, 0], [0, 1, 1], [1, 0, 1], [1, 1, 0]])

    weights = dense(fit(examples_of(likes), source_exponent=0.5, target_exponent=0.5))

    norms = np.linalg.norm(likes, axis=0)
    cosines = likes.T @ likes / norms / norms[:, None]
    np.fill_diagonal(cosines, 0)
    assert weights * 2**0.5 == pytest.approx(cosines, rel=1e-6)


def test_only_the_strongest_neighbours_of_an_item_are_kept(examples_of):
    weights = dense(fit(examples_of(LIKES), neighbours=1))

    # Of item 0: 1.99 to 1, 1.73 to 2. Of item 1: 1.99 to 0, 1.73 to 2.
    assert weights == pytest.approx(np.array([[0, OF_0_AND_1, 0], [OF_0_AND_1, 0, 0], weights[2]]), rel=1e-6)
    assert np.count_nonzero(weights[2]) == 1


def test_strongest_means_after_the_damping_of_the_candidate(examples_of):
    # 1.99 / 3 to item 1 is less than 1.73 / 1 to item 2.
    weights = dense(fit(examples_of(LIKES), target_exponent=1.0, neighbours=1))

    assert weights[0] == pytest.approx([0, 0, OF_0_AND_2], rel=1e-6)


def test_an_item_is_never_its_own_neighbour(shop):
    assert not dense(fit(shop)).diagonal().any()


def test_an_item_that_nobody_likes_has_no_neighbours_and_is_none(examples_of):
    weights = dense(fit(examples_of([[1, 0, 1], [1, 0, 1]]), source_exponent=1.0, target_exponent=0.5))

    assert not weights[1].any()
    assert not weights[:, 1].any()
    assert np.isfinite(weights).all()


@pytest.mark.parametrize("likes", [[[1]], [[1, 0], [0, 1]]], ids=["one item", "nothing in common"])
def test_where_no_two_items_have_a_user_in_common_nobody_has_neighbours(examples_of, likes):
    assert not dense(fit(examples_of(likes))).any()


@pytest.mark.parametrize("pairs_at_once", [1, 500])
@pytest.mark.parametrize("threads", [1, 4])
def test_blocks_and_threads_make_no_difference(monkeypatch, shop, pairs_at_once, threads):
    whole = fit(shop, neighbours=20, target_exponent=0.5, sharpening=0.5)
    monkeypatch.setattr(rows_of_items, "_WORK_OF_A_BLOCK", pairs_at_once)

    divided = fit(
        type(shop)(shop.strengths, shop.ages, shop.item_features, shop.user_features, 1, threads),
        neighbours=20,
        target_exponent=0.5,
        sharpening=0.5,
    )

    assert dense(divided) == pytest.approx(dense(whole), rel=1e-6)


def test_a_relation_that_follows_from_two_others_is_sharpened_away(examples_of):
    # Who likes 0 or 2 likes 1 as well: 0 and 2 have one user in common, because of 1.
    likes = np.array([[1, 1, 0]] * 4 + [[0, 1, 1]] * 4 + [[1, 1, 1]])
    # Weights are divided by the roots of both counts, 5, 9 and 5.
    # Items 0 and 1 share four users of length 2 and one of 3, items 0 and 2 only the last.
    side = (4 / 2**0.5 + 1 / 3**0.5) / (5 * 9) ** 0.5
    ends = 1 / 3**0.5 / 5
    # The symmetric matrix [[0, s, e], [s, 0, s], [e, s, 0]] has the eigenvalue (e + √(e² + 8s²)) / 2.
    radius = (ends + (ends**2 + 8 * side**2) ** 0.5) / 2

    weights = dense(fit(examples_of(likes), source_exponent=0.5, target_exponent=0.5, sharpening=0.4))

    assert weights[0, 1] == pytest.approx(side - 0.4 * ends * side / radius, rel=1e-5)
    # e = 0.115 is less than 0.4 s² / radius = 0.4 · 0.26 / 0.78; of few relations it stays, faintly.
    assert weights[0, 2] == pytest.approx(0.01 * ends, rel=1e-5)
    assert ends < 0.4 * side**2 / radius


def test_exponents_then_sharpening_then_the_historys_exponent_are_chosen(shop):
    wanted = {"source_exponent": 0.5, "target_exponent": 0.25, "sharpening": 0.5, "neighbours": 30}
    best = dense(fit(shop, **wanted))

    def judge(voice: Neighbours) -> float:
        tried.append(voice)
        tried_one = dense(voice)
        return float((tried_one * best).sum() / np.linalg.norm(tried_one) / np.linalg.norm(best))

    tried: list[Neighbours] = []
    _, parameters = Neighbours.choose(shop, judge, {"neighbours": 30}, lambda done: None)

    assert parameters == wanted
    # Three targets by two sources by two; four more sharpenings; the three other sources.
    assert len(tried) == 12 + 4 + 3


def test_plain_item_item_is_the_cosine_with_nothing_subtracted(examples_of, history_of):
    # Two like items 0 and 1, one of them 2 as well, and each user's likes count less by how many there are.
    plain = Neighbours.plain(examples_of([[1, 1, 1], [1, 1, 0]]), 10, lambda done: None)

    scores = plain.score(history_of({0: 1}), np.arange(3))

    assert scores.tolist() == pytest.approx([0, (3**-0.5 + 2**-0.5) / 2, 3**-0.5 / 2**0.5])
