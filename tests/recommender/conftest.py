"""Makers of small examples and histories, and one made-up shop that has something to learn in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import sparse

from recsvc.recommender.blend import Blend, learn_blend
from recsvc.recommender.examples import Examples, History
from recsvc.recommender.features import FeatureMatrix, build_features
from recsvc.recommender.model import Model
from recsvc.recommender.voice import Voice
from recsvc.recommender.voices import voices
from recsvc.recommender.voices.lightfm import LightFMHybrid
from recsvc.recommender.voices.popularity import Popularity

Labels = Mapping[int, Sequence[int]]


def _labelled(owners: int, labels: Labels) -> FeatureMatrix:
    pairs = [(owner, label) for owner, of_owner in labels.items() for label in of_owner]
    return build_features(
        np.arange(owners, dtype=np.int32),
        np.array([owner for owner, _ in pairs], np.int32),
        np.array([label for _, label in pairs], np.int32),
    )


def _examples_of(
    likes: Any,
    *,
    of_items: Labels | None = None,
    of_users: Labels | None = None,
    ages: Sequence[float] | None = None,
    seed: int = 7,
    threads: int = 1,
) -> Examples:
    strengths = sparse.csr_array(np.array(likes, np.float32))
    return Examples(
        strengths=strengths,
        ages=np.zeros(strengths.nnz, np.float32) if ages is None else np.array(ages, np.float32),
        item_features=_labelled(strengths.shape[1], of_items or {}),
        user_features=_labelled(strengths.shape[0], of_users or {}),
        seed=seed,
        threads=threads,
    )


def _history_of(strengths: Mapping[int, float], features: Sequence[int] = ()) -> History:
    return History(
        np.array(list(strengths), np.intp),
        np.array(list(strengths.values()), np.float32),
        np.array(features, np.intp),
    )


@pytest.fixture(scope="session")
def labelled() -> Callable[..., FeatureMatrix]:
    """Makes feature rows: labelled(owners, {owner: labels})."""
    return _labelled


@pytest.fixture(scope="session")
def examples_of() -> Callable[..., Examples]:
    """Makes examples of a dense matrix of likes."""
    return _examples_of


@pytest.fixture(scope="session")
def history_of() -> Callable[..., History]:
    """Makes a history: history_of({item: strength}, features)."""
    return _history_of


@pytest.fixture
def without() -> Callable[[History, int], History]:
    """Leaves the item at a place out of a history."""

    def leave_out(history: History, place: int) -> History:
        indexes, strengths = np.delete(history.indexes, place), np.delete(history.strengths, place)
        return replace(history, indexes=indexes, strengths=strengths)

    return leave_out


@pytest.fixture(scope="session")
def shop() -> Examples:
    """300 users and 290 items of five tastes; nobody likes the last 10 items, the last user nothing.

    Item i is of taste i % 5, which its first feature (i % 5) tells; feature 9 tells nothing. So with users.
    """
    users, items, tastes = 300, 290, 5
    random = np.random.default_rng(5)
    alike = np.arange(users)[:, None] % tastes == np.arange(items) % tastes
    popular = random.permutation(np.linspace(0.4, 2.0, items))
    likes = random.random((users, items)) < np.where(alike, 0.25, 0.01) * popular
    strengths = likes * random.choice([1.0, 2.0, 2.585], (users, items))
    strengths[-1] = 0
    strengths[:, -10:] = 0
    return _examples_of(
        strengths,
        of_items={item: [item % tastes, 9] for item in range(items)},
        of_users={user: [user % tastes, 9] for user in range(users)},
        ages=random.uniform(0, 100, np.count_nonzero(strengths)).tolist(),
    )


PARAMETERS: dict[str, dict[str, Any]] = {
    "als": {"components": 16, "confidence": 10.0, "penalty": 30.0},
    "item_weights": {"penalty": 5.0, "neighbours": 60},
    "lightfm": {"components": 16, "epochs": 8, "learning_rate": 0.05, "alpha": 1e-5, "max_sampled": 10},
    "neighbours": {
        "source_exponent": 0.5,
        "target_exponent": 0.25,
        "sharpening": 0.5,
        "neighbours": 60,
    },
    "popularity": {"half_life": None},
    "svd": {"components": 16, "filter": 0.5, "source_exponent": 0.5, "target_exponent": 0.5},
}


def _hybrid_of(embeddings: Any, *, biases: Any = None, item_features: Any = (), **rows: Any) -> LightFMHybrid:
    known = np.array(embeddings, np.float32)
    items, length = known.shape
    return LightFMHybrid(
        embeddings=known,
        biases=np.zeros(items, np.float32) if biases is None else np.array(biases, np.float32),
        spectrum=np.square(known).mean(axis=0),
        mean_item=np.zeros(length + 1, np.float32),
        item_features=np.array(item_features, np.float32).reshape(-1, length + 1),
        user_features=np.array(rows.get("user_features", ()), np.float32).reshape(-1, length),
        mean_user=np.array(rows.get("mean_user", np.zeros(length)), np.float32),
    )


def _model_of(
    likes: Sequence[int],
    voices: Mapping[str, Voice],
    weights: Sequence[float],
    *,
    slopes: Sequence[float] | None = None,
    offsets: Sequence[float] | None = None,
    item_feature_keys: Sequence[int] = (),
    user_feature_keys: Sequence[int] = (),
) -> Model:
    nothing = np.zeros(len(weights))
    blend = Blend(
        np.ones(1, np.float32),
        np.array([weights], np.float32),
        np.array(nothing if slopes is None else slopes, np.float32),
        np.array(nothing if offsets is None else offsets, np.float32),
    )
    return Model(
        item_keys=np.arange(len(likes), dtype=np.int32),
        likes=np.array(likes, np.int32),
        item_feature_keys=np.array(item_feature_keys, np.int32),
        user_feature_keys=np.array(user_feature_keys, np.int32),
        voices=dict(sorted(voices.items())),
        blend=blend,
    )


@pytest.fixture(scope="session")
def hybrid_of() -> Callable[..., LightFMHybrid]:
    """Makes LightFM's voice of embeddings; an item of which nothing is known is all zeros."""
    return _hybrid_of


@pytest.fixture(scope="session")
def model_of() -> Callable[..., Model]:
    """Makes a model: model_of(likes, voices, weights), weights being in the order of the voices' names."""
    return _model_of


@pytest.fixture(scope="session")
def popularity_of() -> Callable[[Sequence[int]], Popularity]:
    """Makes popularity's voice of how many like each item."""
    return lambda likes: Popularity(np.log1p(np.array(likes, np.float32)))


@pytest.fixture(scope="session")
def shop_model(shop: Examples) -> Model:
    """Every voice fitted to the shop, all counting alike."""
    fitted = {name: voice.fit(shop, PARAMETERS[name], lambda done: None) for name, voice in voices().items()}
    histories = [
        History(shop.strengths[[user]].indices.astype(np.intp), shop.strengths[[user]].data)
        for user in range(0, 290, 10)
    ]
    return Model(
        item_keys=np.arange(290, dtype=np.int32),
        likes=shop.counts.astype(np.int32),
        item_feature_keys=shop.item_features.feature_keys,
        user_feature_keys=shop.user_features.feature_keys,
        voices=fitted,
        blend=learn_blend(
            fitted, histories, None, shop.counts > 0, seed=1, threads=1, on_progress=lambda done: None
        ),
    )
