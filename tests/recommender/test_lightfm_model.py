"""Fits of matrices so small that a library is tempted to divide by zero."""

from __future__ import annotations

import pickle
from dataclasses import fields

import numpy as np
import pytest
from scipy import sparse

from recsvc.recommender.bundle import Bundle
from recsvc.recommender.features import FeatureMatrix, build_features
from recsvc.recommender.interactions import InteractionMatrix
from recsvc.recommender.lightfm_model import LearnedFactors, LightFMParameters, fit

PARAMETERS = LightFMParameters(
    components=4, epochs=3, learning_rate=0.05, alpha=1e-5, max_sampled=10, seed=7, threads=1
)


def no_features(owners: int) -> FeatureMatrix:
    return labelled(owners, {})


def labelled(owners: int, labels: dict[int, list[int]]) -> FeatureMatrix:
    pairs = [(owner, label) for owner, of_owner in labels.items() for label in of_owner]
    return build_features(
        np.arange(owners, dtype=np.int32),
        np.array([owner for owner, _ in pairs], np.int32),
        np.array([label for _, label in pairs], np.int32),
    )


def learn(
    likes: list[list[float]], items: FeatureMatrix | None = None, users: FeatureMatrix | None = None
) -> LearnedFactors:
    strengths = sparse.csr_array(np.array(likes, np.float32))
    return fit(
        strengths,
        items or no_features(strengths.shape[1]),
        users or no_features(strengths.shape[0]),
        PARAMETERS,
        on_epoch=lambda epoch: None,
    )


def arrays(learned: LearnedFactors) -> dict[str, np.ndarray]:
    named = {entry.name: getattr(learned, entry.name) for entry in fields(learned)}
    return {name: value for name, value in named.items() if isinstance(value, np.ndarray)}


@pytest.mark.parametrize(
    "likes",
    [[[1.0]], [[1.0, 2.0, 1.0], [1.0, 1.0, 3.0]], [[1.0, 0.0]], [[1.0], [2.0]], [[0.0, 0.0], [0.0, 1.0]]],
    ids=["one user, one item", "no negatives", "a cold item", "one item", "a user who likes nothing"],
)
def test_tiny_data_gives_finite_factors(likes):
    learned = learn(likes)

    assert learned.item_embeddings.shape == (len(likes[0]), 4)
    assert all(np.isfinite(array).all() for array in arrays(learned).values())


def test_a_cold_item_is_represented_by_its_features_alone():
    # Items 1 and 2 are cold. 1 has both features, 2 has none.
    items = labelled(3, {0: [50], 1: [50, 60]})

    learned = learn([[1.0, 0.0, 0.0], [2.0, 0.0, 0.0]], items)

    of_features = learned.item_feature_embeddings.sum(axis=0) / np.sqrt(2)
    assert learned.item_embeddings[1] == pytest.approx(of_features, rel=1e-5)
    assert not learned.item_embeddings[2].any()
    assert not np.allclose(learned.item_embeddings[0], learned.item_feature_embeddings[0])


def test_one_thread_and_one_seed_repeat_a_fit_bit_for_bit():
    likes = np.random.default_rng(0).integers(0, 2, (30, 20)).astype(float).tolist()

    first, second = arrays(learn(likes)), arrays(learn(likes))

    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_the_kept_estimator_holds_what_was_taken_out_of_it():
    learned = learn([[1.0, 2.0], [1.0, 0.0]])

    estimator = pickle.loads(learned.estimator)

    assert np.array_equal(estimator.item_embeddings, learned.item_embeddings)


def test_an_epoch_that_raises_ends_the_fit():
    seen: list[int] = []

    def stop(epoch: int) -> None:
        seen.append(epoch)
        if epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(sparse.csr_array(np.eye(3, dtype=np.float32)), no_features(3), no_features(3), PARAMETERS, stop)
    assert seen == [1, 2]


@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")
def test_a_fit_whose_factors_are_not_finite_is_an_error():
    with pytest.raises(ValueError, match=r"not finite|NaN"):
        learn([[np.inf, 1.0], [1.0, 0.0]])


@pytest.fixture
def bundle() -> Bundle:
    items, users = labelled(3, {0: [50], 1: [60]}), labelled(2, {1: [9]})
    strengths = sparse.csr_array(np.array([[1, 0, 1], [0, 1, 0]], np.float32))
    matrix = InteractionMatrix(np.array([1, 2], np.int32), np.array([10, 11, 12], np.int32), strengths)
    return Bundle.build(matrix, items, users, fit(strengths, items, users, PARAMETERS, lambda epoch: None))


def test_a_bundle_survives_its_arrays(bundle):
    again = Bundle.from_arrays(bundle.arrays())

    assert again.item_keys.tolist() == [10, 11, 12]
    assert again.item_popularity.tolist() == [1, 1, 1]
    assert again.gram == pytest.approx(again.item_embeddings.T @ again.item_embeddings, rel=1e-4, abs=1e-6)
    assert again.item_norms == pytest.approx(np.sqrt((again.item_embeddings**2).sum(axis=1)), rel=1e-5)


@pytest.mark.parametrize("name", [entry.name for entry in fields(Bundle)])
def test_a_bundle_that_lacks_an_array_is_refused_by_name(bundle, name):
    lacking = {key: array for key, array in bundle.arrays().items() if key != name}

    with pytest.raises(ValueError, match=f"missing: {name}$"):
        Bundle.from_arrays(lacking)


@pytest.mark.parametrize(
    "name",
    [
        "item_keys",
        "item_biases",
        "item_norms",
        "item_popularity",
        "gram",
        "item_feature_embeddings",
        "item_feature_biases",
        "user_feature_embeddings",
        "mean_user",
    ],
)
def test_a_bundle_with_an_array_of_another_shape_is_refused_by_name(bundle, name):
    misshapen = bundle.arrays() | {name: bundle.arrays()[name][:-1]}

    with pytest.raises(ValueError, match=f"^{name} has shape"):
        Bundle.from_arrays(misshapen)
