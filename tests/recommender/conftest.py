"""Makers of small examples and histories, and one made-up shop that has something to learn in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from scipy import sparse

from recsvc.recommender.examples import Examples, History
from recsvc.recommender.features import FeatureMatrix, build_features

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
