"""A user's vector from their history."""

from __future__ import annotations

import numpy as np
import pytest

from recsvc.recommender.fold_in import FEATURES_AS_ITEMS, MEAN_SCORE, fold_in, join_features

ITEMS, COMPONENTS = 6_000, 16


@pytest.fixture(scope="module")
def embeddings() -> np.ndarray:
    return np.random.default_rng(11).normal(0, 0.3, (ITEMS, COMPONENTS)).astype(np.float32)


def fold(embeddings: np.ndarray, indexes: list[int], strengths: list[float]) -> np.ndarray:
    gram = embeddings.T.astype(np.float64) @ embeddings
    return fold_in(embeddings, gram, np.array(indexes, np.intp), np.array(strengths, np.float32))


HISTORY = [3, 500, 42, 4_999]
STRENGTHS = [1.0, 2.0, 0.5, 3.0]


def test_one_item_on_an_axis_is_scored_the_mean_score():
    # Gram of two unit items is the identity; the solution is parallel to the item, and stretched to 4.
    vector = fold(np.eye(2, dtype=np.float32), [0], [1.0])

    assert vector.tolist() == pytest.approx([MEAN_SCORE, 0.0])


def test_the_weighted_mean_score_of_the_history_is_the_mean_score(embeddings):
    scores = embeddings[HISTORY] @ fold(embeddings, HISTORY, STRENGTHS)

    assert np.average(scores, weights=STRENGTHS) == pytest.approx(MEAN_SCORE, rel=1e-5)


@pytest.mark.parametrize("factor", [1e-3, 7.0, 1e3])
def test_scaled_embeddings_give_the_same_scores(embeddings, factor):
    scaled = (embeddings * factor).astype(np.float32)

    scores = scaled @ fold(scaled, HISTORY, STRENGTHS)

    assert scores == pytest.approx(embeddings @ fold(embeddings, HISTORY, STRENGTHS), rel=1e-3, abs=1e-3)


@pytest.mark.parametrize("factor", [0.01, 100.0])
def test_scaled_strengths_give_the_same_vector(embeddings, factor):
    strengths = [*STRENGTHS, -2.0]
    history = [*HISTORY, 77]

    vector = fold(embeddings, history, [strength * factor for strength in strengths])

    assert vector == pytest.approx(fold(embeddings, history, strengths), rel=1e-3, abs=1e-4)


def test_the_order_of_a_history_makes_no_difference(embeddings):
    vector = fold(embeddings, HISTORY[::-1], STRENGTHS[::-1])

    assert vector == pytest.approx(fold(embeddings, HISTORY, STRENGTHS), rel=1e-4, abs=1e-5)


@pytest.mark.parametrize(("indexes", "strengths"), [([], []), ([3], [-1.0]), ([3, 4], [-1.0, -5.0])])
def test_where_nothing_is_liked_there_is_no_vector(embeddings, indexes, strengths):
    assert not fold(embeddings, indexes, strengths).any()


def test_what_is_liked_but_has_no_embedding_gives_no_vector(embeddings):
    without = embeddings.copy()
    without[3] = 0

    assert not fold(without, [3], [1.0]).any()


def test_a_model_that_learned_nothing_gives_no_vector():
    assert not fold(np.zeros((5, 4), np.float32), [1, 2], [1.0, -1.0]).any()


def test_a_dislike_lowers_the_score_of_that_item(embeddings):
    # One like to one that is alike, so that without the dislike the second scores high.
    embeddings = embeddings.copy()
    embeddings[1] = embeddings[0] + np.float32(0.05)

    liked = embeddings[1] @ fold(embeddings, [0, 9], [1.0, 1.0])
    disliked = embeddings[1] @ fold(embeddings, [0, 9, 1], [1.0, 1.0, -3.0])

    assert disliked < liked


@pytest.mark.parametrize("length", [1, 2, 17, 300, 5_000])
def test_histories_of_any_length_give_finite_scores(embeddings, length):
    random = np.random.default_rng(length)
    indexes = random.permutation(ITEMS)[:length]
    strengths = random.uniform(0.1, 6, length) * np.where(random.random(length) < 0.1, -1, 1)
    strengths[0] = 1.0

    vector = fold(embeddings, indexes.tolist(), strengths.tolist())

    assert vector.dtype == np.float32
    assert np.isfinite(embeddings @ vector).all()
    assert vector.any()


def test_features_count_as_much_as_so_many_items():
    folded, of_features = np.array([4.0, 0.0], np.float32), np.array([0.0, 4.0], np.float32)

    joined = join_features(folded, int(FEATURES_AS_ITEMS), of_features)

    assert joined.tolist() == pytest.approx([2.0, 2.0])


def test_a_long_history_drowns_features():
    joined = join_features(np.ones(1, np.float32), 997, np.zeros(1, np.float32))

    assert joined.item() == pytest.approx(0.997)
