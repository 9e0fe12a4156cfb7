"""Alternating least squares, against what is minimised and the normal equations."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from recsvc.recommender.examples import Examples
from recsvc.recommender.voices import als
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


def objective(confidences, items, penalty):
    """What is minimised (Hu, Koren and Volinsky 2008), of items' factors and the best of users' for them."""
    gram = items.T @ items + penalty * np.eye(items.shape[1])
    total = penalty * np.square(items).sum()
    for of_user in confidences.astype(np.float64):
        beyond = np.maximum(of_user - 1, 0)  # an unobserved item has a confidence of 1
        user = np.linalg.solve(gram + (items.T * beyond) @ items, items.T @ of_user)
        errors = np.where(of_user > 0, of_user / np.maximum(beyond + 1, 1e-30), 0) - items @ user
        total += ((beyond + 1) * errors**2).sum() + penalty * np.square(user).sum()
    return total


def factors_of(voice, penalty):
    """The factors, but for a rotation: whitened, W = F L⁻ᵀ, so that I - WᵀW = penalty · L⁻¹ L⁻ᵀ."""
    whitened = np.asarray(voice.embeddings, np.float64)
    rest = np.eye(whitened.shape[1]) - whitened.T @ whitened
    return whitened @ np.linalg.cholesky(penalty * np.linalg.inv(rest))


@pytest.mark.parametrize(("confidence", "penalty"), [(3.0, 5.0), (10.0, 30.0), (30.0, 30.0)])
def test_what_is_minimised_is_nearly_as_small_as_by_many_exact_solutions(shop, damping, confidence, penalty):
    confidences = confidence * damping.likes
    exact = np.random.default_rng(1).standard_normal((290, 8)) * 0.1
    for _ in range(20):
        for rows in (confidences, confidences.T):
            gram = exact.T @ exact + penalty * np.eye(8)
            matrices = [gram + (exact.T * np.maximum(row - 1, 0)) @ exact for row in rows]
            exact = np.array([np.linalg.solve(*pair) for pair in zip(matrices, rows @ exact, strict=True)])
    parameters = {"components": 8, "confidence": confidence, "penalty": penalty}

    voice = AlternatingLeastSquares.fit(shop, parameters, lambda done: None)

    found = objective(confidences, factors_of(voice, penalty), penalty)
    assert found < 1.05 * objective(confidences, exact, penalty)
    assert found < 0.8 * objective(confidences, 0 * exact, penalty)


def test_the_only_like_there_is_is_fitted_as_by_hand(examples_of):
    # 10 (1 - xy)² + 2 (x² + y²) is least where x = y and 10 (1 - y²) = 2: y² = 0.8; whitened, y² / (y² + 2).
    parameters = {"components": 1, "confidence": 10.0, "penalty": 2.0}

    voice = AlternatingLeastSquares.fit(examples_of([[1]]), parameters, lambda done: None)

    assert voice.embeddings**2 == pytest.approx(0.8 / 2.8, rel=0.02)


def test_threads_change_nothing_but_the_time(shop, voice):
    by_three = AlternatingLeastSquares.fit(replace(shop, threads=3), PARAMETERS, lambda done: None)

    assert by_three.embeddings == pytest.approx(voice.embeddings, abs=1e-4)


def test_progress_is_told_as_it_goes(shop):
    told: list[float] = []

    AlternatingLeastSquares.fit(shop, PARAMETERS, told.append)

    assert told == sorted(told)
    assert 0 < told[0] < 0.2
    assert told[-1] == 1


@pytest.mark.parametrize(
    "strengths",
    [
        {3: 1.0},
        {3: 1.0, 40: 2.0, 77: 1.5},
        {5: 1.0, 9: 2.0, 11: -2.0},
        {item: 1 + item / 100 for item in range(0, 280, 7)},
    ],
    ids=["one item", "fewer items than components", "one disliked", "more items than components"],
)
def test_scores_are_those_of_the_normal_equations(voice, damping, history_of, strengths):
    # Disliked items are wanted to score 0, with 0.3 of the confidence, damped like all.
    liked = sum(strength > 0 for strength in strengths.values())
    items = factors_of(voice, 5.0)
    matrix, wanted = items.T @ items + 5.0 * np.eye(8), np.zeros(8)
    for item, strength in strengths.items():
        confidence = 3 * abs(strength) * damping(liked, item)
        if strength > 0:
            matrix += max(confidence - 1, 0) * np.outer(items[item], items[item])
            wanted += confidence * items[item]
        else:
            matrix += 0.3 * confidence * np.outer(items[item], items[item])

    scores = voice.score(history_of(strengths), np.arange(290))

    assert scores == pytest.approx(items @ np.linalg.solve(matrix, wanted), rel=1e-3, abs=1e-4)


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


@pytest.mark.parametrize(
    ("little_work", "with_more"),
    [(0, [3.0, 6.0]), (10**9, [3.0, 6.0, 10.0, 30.0, 30.0])],
    ids=["where it takes long", "and others once more where it takes little"],
)
def test_the_best_weights_and_bolder_ones_are_tried_with_more_components(
    monkeypatch, examples_of, little_work, with_more
):
    monkeypatch.setattr(als, "_LITTLE_WORK", little_work)
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
        examples_of(likes), judge, {"factors": 256}, lambda done: None
    )

    assert tried[:4] == [(64, 10.0), (64, 3.0), (64, 30.0), (64, 30.0)]
    assert tried[4:] == [(256, confidence) for confidence in with_more]
    assert parameters == {"components": 256, "confidence": 3.0, "penalty": 30.0}
