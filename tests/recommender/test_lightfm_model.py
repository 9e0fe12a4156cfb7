"""Fits of matrices so small that a library is tempted to divide by zero."""

from __future__ import annotations

import pickle
from dataclasses import fields

import numpy as np
import pytest

from recsvc.recommender.examples import Examples
from recsvc.recommender.lightfm_model import LearnedFactors, LightFMParameters, fit_by_epoch

PARAMETERS = LightFMParameters(
    components=4, epochs=3, learning_rate=0.05, alpha=1e-5, max_sampled=10, seed=7, threads=1
)


def epochs(examples: Examples):
    return fit_by_epoch(examples.strengths, examples.item_features, examples.user_features, PARAMETERS)


def learn(examples: Examples) -> LearnedFactors:
    *_, last = epochs(examples)
    return last.factors()


def arrays(learned: LearnedFactors) -> dict[str, np.ndarray]:
    return {entry.name: getattr(learned, entry.name) for entry in fields(learned)}


@pytest.mark.parametrize(
    "likes",
    [[[1.0]], [[1.0, 2.0, 1.0], [1.0, 1.0, 3.0]], [[1.0, 0.0]], [[1.0], [2.0]], [[0.0, 0.0], [0.0, 1.0]]],
    ids=["one user, one item", "no negatives", "a cold item", "one item", "a user who likes nothing"],
)
def test_tiny_data_gives_finite_factors(examples_of, likes):
    learned = learn(examples_of(likes))

    assert learned.item_embeddings.shape == (len(likes[0]), 4)
    assert learned.item_biases.shape == (len(likes[0]),)
    assert learned.user_feature_embeddings.shape == (0, 4)
    assert learned.mean_user.shape == (4,)
    assert all(np.isfinite(array).all() for array in arrays(learned).values())


def test_an_item_is_the_sum_of_its_identity_and_its_features_by_the_root_of_their_number(examples_of):
    examples = examples_of(np.eye(3), of_items={0: [50], 1: [50, 60]})
    *_, last = epochs(examples)

    learned = last.factors()

    # Rows of the estimator: three items, then the features 50 and 60.
    rows = last.model.item_embeddings
    assert learned.item_embeddings[0] == pytest.approx(rows[0] + rows[3], rel=1e-5)
    assert learned.item_embeddings[1] == pytest.approx(rows[1] + (rows[3] + rows[4]) / 2**0.5, rel=1e-5)
    assert learned.item_embeddings[2].tolist() == rows[2].tolist()
    biases = last.model.item_biases
    assert learned.item_biases[1] == pytest.approx(biases[1] + (biases[3] + biases[4]) / 2**0.5, rel=1e-5)


def test_users_are_taken_out_as_their_features_and_the_mean_of_their_identities(examples_of):
    *_, last = epochs(examples_of(np.eye(3), of_users={1: [9]}))

    learned = last.factors()

    assert learned.user_feature_embeddings.tolist() == last.model.user_embeddings[3:].tolist()
    assert learned.mean_user == pytest.approx(last.model.user_embeddings[:3].mean(axis=0), rel=1e-5)


def test_one_thread_and_one_seed_repeat_a_fit_bit_for_bit(examples_of):
    likes = np.random.default_rng(0).integers(0, 2, (30, 20))

    first, second = arrays(learn(examples_of(likes))), arrays(learn(examples_of(likes)))

    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_strengths_count_beside_each_other_and_not_by_their_scale(examples_of):
    likes = np.random.default_rng(0).integers(0, 3, (30, 20))

    once, eightfold, flat = (arrays(learn(examples_of(rows))) for rows in (likes, likes * 8, likes > 0))

    assert all(np.array_equal(once[name], eightfold[name]) for name in once)
    assert not np.array_equal(once["item_embeddings"], flat["item_embeddings"])


def test_the_pickled_estimator_holds_what_was_taken_out_of_it(examples_of):
    *_, last = epochs(examples_of([[1, 2], [1, 0]]))

    estimator = pickle.loads(last.pickled())

    assert np.array_equal(estimator.item_embeddings, last.factors().item_embeddings)


def test_the_fit_can_be_looked_at_after_each_epoch_and_left(examples_of):
    fit = epochs(examples_of(np.eye(5)))

    first, second = (next(fit).factors().item_embeddings for _ in range(2))

    assert not np.array_equal(first, second)
    assert len(list(fit)) == PARAMETERS.epochs - 2


@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")
def test_a_fit_whose_factors_are_not_finite_is_an_error(examples_of):
    with pytest.raises(ValueError, match=r"not finite|NaN"):
        learn(examples_of([[np.inf, 1.0], [1.0, 0.0]]))
