"""A user's half-step of alternating least squares, against the normal equations and `implicit` itself."""

from __future__ import annotations

import numpy as np
import pytest
from implicit.cpu.als import AlternatingLeastSquares as Estimator
from scipy import sparse
from threadpoolctl import threadpool_limits

from recsvc.recommender.examples import Examples
from recsvc.recommender.voices.als import AlternatingLeastSquares

PARAMETERS = {"components": 8, "confidence": 3.0, "penalty": 5.0}


@pytest.fixture(scope="module")
def voice(shop) -> AlternatingLeastSquares:
    return AlternatingLeastSquares.fit(shop, PARAMETERS, lambda done: None)


@pytest.fixture(scope="module")
def damping(shop):
    """What a like counts for: (user's · item's number of likes)^-¼, brought to the same mean as the likes."""
    likes = shop.strengths.toarray()
    of_users = np.maximum((likes > 0).sum(axis=1), 1) ** -0.25
    of_items = np.maximum((likes > 0).sum(axis=0), 1) ** -0.25
    scale = likes.sum() / (of_users[:, None] * likes * of_items).sum()

    def of(user_likes: int, item: int | slice = slice(None)):
        return scale * user_likes**-0.25 * of_items[item]

    of.likes = scale * of_users[:, None] * likes * of_items
    return of


@pytest.fixture(scope="module")
def estimator(shop, damping) -> Estimator:
    """The same fit by the library alone."""
    with threadpool_limits(1, "blas"):
        estimator = Estimator(
            factors=8, alpha=3.0, regularization=5.0, iterations=10, num_threads=1, random_state=shop.seed
        )
        estimator.fit(sparse.csr_matrix(damping.likes.astype(np.float32)), show_progress=False)
    return estimator


@pytest.mark.parametrize(
    "strengths",
    [{3: 1.0}, {3: 1.0, 40: 2.0, 77: 1.5}, {item: 1 + item / 100 for item in range(0, 280, 7)}],
    ids=["one item", "fewer items than components", "more items than components"],
)
def test_scores_are_those_of_implicits_own_solution_for_the_user(
    voice, estimator, damping, history_of, strengths
):
    row = np.zeros((1, 290), np.float32)
    row[0, list(strengths)] = list(strengths.values())
    row *= damping(len(strengths))
    with threadpool_limits(1, "blas"):
        user = estimator.recalculate_user(0, sparse.csr_matrix(row))

    scores = voice.score(history_of(strengths), np.arange(290))

    assert scores == pytest.approx(estimator.item_factors @ user, rel=1e-3, abs=1e-4)


def test_scores_are_those_of_the_normal_equations_with_the_factors_as_they_were(
    voice, estimator, damping, history_of
):
    # With a disliked item of strength 2: its confidence is 0.3 · 3 · 2, damped, and it is wanted to score 0.
    factors = estimator.item_factors.astype(np.float64)
    liked, disliked = {5: 1.0, 9: 2.0}, {11: -2.0}
    matrix = factors.T @ factors + 5.0 * np.eye(8)
    wanted = np.zeros(8)
    for item, strength in liked.items():
        confidence = 3 * strength * damping(2, item)
        matrix += max(confidence - 1, 0) * np.outer(factors[item], factors[item])
        wanted += confidence * factors[item]
    matrix += 0.3 * 3 * 2 * damping(2, 11) * np.outer(factors[11], factors[11])

    scores = voice.score(history_of(liked | disliked), np.arange(290))

    assert scores == pytest.approx(factors @ np.linalg.solve(matrix, wanted), rel=1e-3, abs=1e-4)


def test_embeddings_are_whitened_against_their_penalised_sum(voice, estimator):
    # W Wᵀ = F (FᵀF + penalty)⁻¹ Fᵀ
    factors = estimator.item_factors.astype(np.float64)
    expected = factors @ np.linalg.solve(factors.T @ factors + 5.0 * np.eye(8), factors.T)

    assert voice.embeddings @ voice.embeddings.T == pytest.approx(expected, rel=1e-3, abs=1e-5)


def test_a_like_so_faint_that_it_counts_less_than_an_unobserved_item_still_speaks_for_it(
    voice, damping, history_of
):
    # 3 · 0.1 < 1, and damping is of about 1: the confidence is that of any item, not less.
    history = history_of({5: 0.1})

    x = voice.vector(history)

    # (I + 0) x = 0.3 q, damped
    assert x == pytest.approx(0.3 * damping(1, 5) * voice.embeddings[5], rel=1e-4)


def test_who_only_dislikes_has_no_vector(voice, history_of):
    assert not voice.vector(history_of({5: -1, 6: -3})).any()


def test_a_dislike_lowers_what_is_like_it(voice, history_of):
    near = int(np.argsort(voice.embeddings @ voice.embeddings[10])[-2])

    without = voice.score(history_of({10: 1}), np.array([near]))
    with_dislike = voice.score(history_of({10: 1, near: -3}), np.array([near]))

    assert with_dislike < without


@pytest.mark.parametrize(("users", "items"), [(255, 300), (300, 255)], ids=["users", "items"])
def test_little_data_is_not_spoken_for(examples_of, users, items):
    few = examples_of(np.eye(users, items))

    assert AlternatingLeastSquares.choose(few, None, {"factors": 64}, lambda done: None) is None


def test_no_more_components_are_used_than_settings_allow(shop):
    assert AlternatingLeastSquares.choose(shop, None, {"factors": 63}, lambda done: None) is None
    _, parameters = AlternatingLeastSquares.choose(shop, None, {"factors": 300}, lambda done: None)
    assert parameters["components"] == 64  # 280 items that somebody likes are not enough for 256


def test_the_best_weights_and_bolder_ones_are_tried_with_more_components(examples_of):
    random = np.random.default_rng(0)
    many: Examples = examples_of(random.random((1030, 1030)) < 0.004)
    many.strengths.sum_duplicates()
    everybody = random.choice(1030, 1030, replace=False)
    likes = many.strengths.toarray()
    likes[np.arange(1030), everybody] = 1
    tried, first = [], []

    def judge(voice: AlternatingLeastSquares) -> float:
        first.append(voice.confidence[0])
        # The same damping of the same likes: the first confidence stands for 10.
        tried.append((voice.embeddings.shape[1], pytest.approx(10 * first[-1] / first[0])))
        return 1.0 + (tried[-1][1] == 3.0) + (tried[-1][0] == 256)

    _, parameters = AlternatingLeastSquares.choose(
        examples_of(likes, threads=4), judge, {"factors": 256}, lambda done: None
    )

    assert tried == [(64, 10.0), (64, 3.0), (64, 30.0), (64, 30.0), (256, 3.0), (256, 6.0)]
    assert parameters == {"components": 256, "confidence": 3.0, "penalty": 30.0}
