"""EASE in closed form: by hand, by its definition, and by both sides of Woodbury's identity."""

from __future__ import annotations

import numpy as np
import pytest

from recsvc.recommender.voices import item_weights
from recsvc.recommender.voices.item_weights import ItemWeights

EVERY = {"neighbours": 1_000}


def fit(examples, **parameters) -> ItemWeights:
    return ItemWeights.fit(examples, {"penalty": 1.0, **EVERY, **parameters}, lambda done: None)


def dense(voice: ItemWeights) -> np.ndarray:
    relations = voice.relations
    rows = np.zeros((len(relations), len(relations)))
    for item in range(len(relations)):
        entries = slice(relations.bounds[item], relations.bounds[item + 1])
        rows[item, relations.items[entries]] = relations.weights[entries]
    return rows * relations.sources[:, None]


def ease(likes: np.ndarray, penalty: float) -> np.ndarray:
    """Steck (2019), equation 8: B = I - P diag(1 / P_jj) with P = (XᵀX + λ I)⁻¹."""
    exact = likes.astype(np.float64)
    inverse = np.linalg.inv(exact.T @ exact + penalty * np.eye(likes.shape[1]))
    weights = np.eye(len(inverse)) - inverse / inverse.diagonal()
    np.fill_diagonal(weights, 0)
    return weights


def test_two_items_by_hand(examples_of):
    # XᵀX is [[3, 2], [2, 2]]; the penalty is 2 · (3 + 2) / 2 = 5, so P is [[8, 2], [2, 7]]⁻¹ = [[7, -2],
    # [-2, 8]] / 52. To item 0 from item 1: 2 / 7; to item 1 from item 0: 2 / 8.
    weights = dense(fit(examples_of([[1, 1], [1, 1], [1, 0]]), penalty=2.0))

    assert weights == pytest.approx(np.array([[0, 2 / 8], [2 / 7, 0]]), rel=1e-6)


def test_two_items_and_one_user_by_hand(examples_of):
    # XᵀX is [[1, 2], [2, 4]], the penalty 2 · (1 + 4) / 2 = 5: P is [[6, 2], [2, 9]]⁻¹ =
    # [[9, -2], [-2, 6]] / 50.
    # One user and two items: the inverse comes from the users' side.
    weights = dense(fit(examples_of([[1, 2]]), penalty=2.0))

    assert weights == pytest.approx(np.array([[0, 2 / 6], [2 / 9, 0]]), rel=1e-5)


@pytest.mark.parametrize(("users", "items"), [(60, 12), (12, 60), (20, 20), (21, 20), (19, 20)])
def test_weights_are_those_of_the_definition_on_either_side(examples_of, users, items):
    random = np.random.default_rng(users)
    likes = random.choice([0, 0, 0, 1, 2.5], (users, items)).astype(np.float32)
    likes[0] = 1
    penalty = 0.5 * np.square(likes).sum() / items

    weights = dense(fit(examples_of(likes), penalty=0.5))

    assert weights == pytest.approx(ease(likes, penalty), rel=1e-3, abs=1e-5)


def test_the_penalty_is_in_units_of_the_mean_square_of_an_item(examples_of):
    # Ten times the same users: ten times the squares, so that the same penalty means the same.
    likes = np.array([[1, 1, 0], [0, 1, 1], [1, 1, 1]])

    once, tenfold = (dense(fit(examples_of(np.tile(likes, (times, 1))))) for times in (1, 10))

    assert tenfold == pytest.approx(once, rel=1e-4)


def test_items_that_nobody_likes_are_left_out_and_change_nothing(examples_of):
    likes = np.array([[1, 1, 0], [0, 1, 1], [1, 1, 1]])
    among_cold = np.zeros((3, 6))
    among_cold[:, [1, 2, 4]] = likes

    weights = dense(fit(examples_of(among_cold)))

    assert weights[np.ix_([1, 2, 4], [1, 2, 4])] == pytest.approx(dense(fit(examples_of(likes))), rel=1e-6)
    assert not weights[[0, 3, 5]].any()
    assert not weights[:, [0, 3, 5]].any()


def test_only_the_strongest_weights_of_an_item_are_kept_negative_ones_too(examples_of):
    likes = np.array([[0, 1, 1, 1], [0, 0, 1, 1], [0, 0, 1, 0], [0, 1, 0, 0], [1, 1, 0, 0]])
    whole = dense(fit(examples_of(likes), penalty=0.1))

    cut = dense(fit(examples_of(likes), penalty=0.1, neighbours=2))

    for row, of_item in zip(cut, whole, strict=True):
        strongest = np.argsort(-np.abs(of_item))[:2]
        assert np.flatnonzero(row).tolist() == sorted(strongest.tolist())
        assert row[strongest].tolist() == of_item[strongest].tolist()
    assert (cut < 0).any()


def test_rows_at_once_make_no_difference(monkeypatch, shop):
    whole = dense(fit(shop, neighbours=20))
    monkeypatch.setattr(item_weights, "_ROWS_AT_ONCE", 37)

    assert dense(fit(shop, neighbours=20)).tolist() == whole.tolist()


@pytest.mark.parametrize("likes", [[[1]], [[2], [1]], [[0, 3, 0]]], ids=["one pair", "one item", "one hot"])
def test_one_item_alone_has_no_weights(examples_of, likes):
    assert not dense(fit(examples_of(likes))).any()


def test_it_does_not_speak_for_a_catalogue_that_would_take_too_long(monkeypatch, shop):
    monkeypatch.setattr(item_weights, "_MOST_WORK", 280.0**3 - 1)

    assert ItemWeights.choose(shop, lambda voice: 1.0, EVERY, lambda done: None) is None


@pytest.mark.parametrize(("most", "tries"), [(280.0**3, 3), (280.0**3 - 1, 1)])
def test_penalties_are_tried_where_there_is_time(monkeypatch, shop, most, tries):
    monkeypatch.setattr(item_weights, "_WORK_FOR_ONE_LOOK", most)
    judged = []

    ItemWeights.choose(shop, lambda voice: judged.append(voice) or 1.0, EVERY, lambda done: None)

    assert len(judged) == tries


def test_users_who_like_nothing_make_no_more_work(monkeypatch, examples_of):
    # 40 items, 3 users who like something and 97 who do not: to invert among the users takes 3³ + 40² · 3.
    likes = np.zeros((100, 40))
    likes[:3] = 1
    inverted = []
    invert = item_weights._invert
    monkeypatch.setattr(
        item_weights, "_invert", lambda gram, penalty: inverted.append(len(gram)) or invert(gram, penalty)
    )

    voice = fit(examples_of(likes))

    assert dense(voice) == pytest.approx(dense(fit(examples_of(likes[:3]))), rel=1e-4)
    assert inverted == [3, 3]
