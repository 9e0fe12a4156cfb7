"""A truncated decomposition, against numpy's exact one of the normalised dense matrix."""

from __future__ import annotations

import numpy as np
import pytest

from recsvc.recommender.voices.svd import TruncatedSVD

PLAIN = {"components": 1, "filter": 0.0, "source_exponent": 0.0, "target_exponent": 0.0}


def fit(examples, **parameters) -> TruncatedSVD:
    return TruncatedSVD.fit(examples, PLAIN | parameters, lambda done: None)


def some_likes(users: int, items: int) -> np.ndarray:
    random = np.random.default_rng(users)
    likes = random.choice([0, 0, 1, 2.5], (users, items))
    likes[0] = likes[:, 0] = 1
    return likes


def normalised(likes: np.ndarray) -> np.ndarray:
    lengths = np.maximum(np.count_nonzero(likes, axis=1), 1)
    counts = np.maximum(np.count_nonzero(likes, axis=0), 1)
    return likes / lengths[:, None] ** 0.25 / counts**0.25


def test_two_items_of_one_user_by_hand(examples_of, history_of):
    # The matrix is (1, 1) / 2^¼, its right singular vector (1, 1) / √2: each item's score for the other is ½.
    voice = fit(examples_of([[1, 1]]))

    assert voice.score(history_of({0: 1}), np.arange(2)) == pytest.approx([0.5, 0.5])
    assert voice.score(history_of({0: 1, 1: 3}), np.arange(2)) == pytest.approx([2, 2])


def test_one_user_and_one_item_give_the_strength_back(examples_of, history_of):
    assert fit(examples_of([[7]])).score(history_of({0: 2}), np.arange(1)) == pytest.approx([2])


@pytest.mark.parametrize(("users", "items"), [(30, 20), (20, 30)])
@pytest.mark.parametrize("components", [1, 3, 7])
@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
def test_embeddings_are_the_leading_vectors_by_a_power_of_their_values(
    examples_of, users, items, components, power
):
    likes = some_likes(users, items)
    _, values, vectors = np.linalg.svd(normalised(likes), full_matrices=False)
    leading = vectors[:components] * (values[:components, None] / values[0]) ** power

    voice = fit(examples_of(likes), components=components, filter=power)

    # A vector and its negative are the same: so products are compared.
    assert voice.embeddings @ voice.embeddings.T == pytest.approx(leading.T @ leading, abs=1e-4)
    assert voice.embeddings.shape == (items, components)


def test_a_large_matrix_is_decomposed_nearly_as_exactly(shop):
    _, values, vectors = np.linalg.svd(normalised(shop.strengths.toarray()), full_matrices=False)

    voice = fit(shop, components=5, filter=1.0)

    leading = vectors[:5] * (values[:5, None] / values[0])
    assert voice.embeddings @ voice.embeddings.T == pytest.approx(leading.T @ leading, abs=2e-3)


def test_scores_are_damped_by_the_count_of_the_source_and_raised_by_that_of_the_target(
    examples_of, history_of
):
    likes = some_likes(30, 20)
    counts = np.count_nonzero(likes, axis=0)
    _, _, vectors = np.linalg.svd(normalised(likes), full_matrices=False)
    strengths = np.zeros(20)
    strengths[[2, 5, 9]] = [1, 2, -3]
    counted = np.where(strengths > 0, strengths, 0.3 * strengths) * counts**-0.75
    expected = counted @ vectors[:4].T @ vectors[:4] * counts**0.25

    voice = fit(examples_of(likes), components=4, source_exponent=0.75, target_exponent=0.25)

    assert voice.score(history_of({2: 1, 5: 2, 9: -3}), np.arange(20)) == pytest.approx(expected, abs=1e-4)


def test_an_item_that_nobody_likes_scores_nothing_and_adds_nothing(examples_of, history_of):
    likes = some_likes(30, 20)
    likes[:, 11] = 0

    voice = fit(examples_of(likes), components=5, source_exponent=0.5, target_exponent=0.5)

    assert voice.score(history_of({3: 1}), np.array([11])) == pytest.approx([0], abs=1e-6)
    assert voice.score(history_of({11: 1}), np.arange(20)) == pytest.approx(np.zeros(20), abs=1e-6)


@pytest.mark.parametrize("likes", [[[1]], [[1], [1]], [[1, 1]], [[1, 0], [1, 0]]], ids=str)
def test_it_does_not_speak_for_a_matrix_of_one_row_or_column(examples_of, likes):
    assert TruncatedSVD.choose(examples_of(likes), None, {"factors": 64}, lambda done: None) is None


@pytest.mark.parametrize(("factors", "components"), [(300, 64), (9, 9)])
def test_untold_it_takes_as_many_components_as_usual_or_as_settings_allow(shop, factors, components):
    voice, parameters = TruncatedSVD.choose(shop, None, {"factors": factors}, lambda done: None)

    assert parameters["components"] == components
    assert voice.embeddings.shape == (290, components)


def test_untold_it_takes_no_more_components_than_the_data_has(examples_of):
    _, parameters = TruncatedSVD.choose(
        examples_of(some_likes(6, 9)), None, {"factors": 64}, lambda done: None
    )

    assert parameters["components"] == 5


def test_the_parameters_that_foretell_best_are_found_one_after_another(shop):
    wanted = {"components": 64, "filter": 1.0, "source_exponent": 0.5, "target_exponent": 0.25}
    best = fit(shop, **wanted)
    weakest = np.linalg.norm(best.embeddings[:, -1])

    def judge(voice: TruncatedSVD) -> float:
        judged.append(voice)
        far = abs(voice.embeddings.shape[1] - 64) / 64
        far += abs(np.linalg.norm(voice.embeddings[:, -1]) - weakest) / 10
        far += abs(voice.sources - best.sources).mean() + abs(voice.targets / best.targets - 1).mean()
        return float(np.exp(-far))

    judged: list[TruncatedSVD] = []
    _, parameters = TruncatedSVD.choose(shop, judge, {"factors": 100}, lambda done: None)

    assert parameters == wanted
    # 32, 64 and 100 components, two more of filters and sources, one more of targets.
    assert [voice.embeddings.shape[1] for voice in judged] == [32, 64, 100] + [64] * 5
