"""LightFM behind one module: nothing else in the project imports it.

The library fits; what it learned is then taken out as plain arrays, because a web process serves from arrays
alone. A multi-threaded LightFM call hangs a process that forks afterwards, so only a worker's job fits.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recsvc.recommender.features import FeatureMatrix


@dataclass(frozen=True)
class LightFMParameters:
    """Parameters of a fit.

    Attributes:
        components: Length of an embedding.
        epochs: Passes over the interactions.
        learning_rate: AdaGrad's initial rate.
        alpha: L2 penalty on user and item features.
        max_sampled: Items that WARP samples in search of a violation.
        seed: Of initialisation and sampling.
        threads: Threads to fit with; only 1 repeats bit for bit.
    """

    components: int
    epochs: int
    learning_rate: float
    alpha: float
    max_sampled: int
    seed: int
    threads: int


@dataclass(frozen=True)
class LearnedFactors:
    """What a fit has learned, identities and features summed up.

    Attributes:
        item_embeddings: float32, shape (items, components).
        item_biases: float32, shape (items,).
        user_feature_embeddings: float32, shape (user features, components).
        mean_user: float32, shape (components,): mean of the users' identities.
    """

    item_embeddings: NDArray[np.float32]
    item_biases: NDArray[np.float32]
    user_feature_embeddings: NDArray[np.float32]
    mean_user: NDArray[np.float32]


def fit_by_epoch(
    strengths: sparse.csr_array[Any],
    item_features: FeatureMatrix,
    user_features: FeatureMatrix,
    parameters: LightFMParameters,
) -> Iterator[Fitting]:
    """Fits a hybrid model by WARP loss (Kula 2015; Weston, Bengio and Usunier 2011).

    Args:
        strengths: CSR float32, shape (users, items), positive entries: how much a user likes an item.
        item_features: Rows of the items.
        user_features: Rows of the users.
        parameters: How to fit.

    Yields:
        The fit, after each epoch, for whoever wants to look; always the same object.
    """
    from lightfm import LightFM

    positives = _with_int32_indexes(strengths).tocoo()
    # Weights of mean 1 leave the learning rate what its name says, whatever scale the events are on.
    weights = positives.copy()
    weights.data = (positives.data / positives.data.mean()).astype(np.float32)
    positives.data = np.ones_like(weights.data)

    model = LightFM(
        no_components=parameters.components,
        loss="warp",
        learning_rate=parameters.learning_rate,
        item_alpha=parameters.alpha,
        user_alpha=parameters.alpha,
        max_sampled=parameters.max_sampled,
        random_state=parameters.seed,
    )
    item_rows = _with_int32_indexes(item_features.with_identity())
    user_rows = _with_int32_indexes(user_features.with_identity())
    fitting = Fitting(model, item_features, user_features)
    for _ in range(parameters.epochs):
        model.fit_partial(
            positives,
            user_features=user_rows,
            item_features=item_rows,
            sample_weight=weights,
            epochs=1,
            num_threads=parameters.threads,
        )
        yield fitting


@dataclass(frozen=True)
class Fitting:
    """A fit that may still go on.

    Attributes:
        model: LightFM's estimator.
        item_features: Rows of the items.
        user_features: Rows of the users.
    """

    model: Any
    item_features: FeatureMatrix
    user_features: FeatureMatrix

    def factors(self) -> LearnedFactors:
        """Takes out what has been learned so far.

        Raises:
            ValueError: The fit diverged: an embedding is not finite.
        """
        items, users = self.item_features.rows.shape[0], self.user_features.rows.shape[0]
        identities, of_features = np.split(self.model.item_embeddings, [items])
        biases, biases_of_features = np.split(self.model.item_biases, [items])
        item_embeddings = identities + self.item_features.rows @ of_features
        item_biases = biases + self.item_features.rows @ biases_of_features
        if not (np.isfinite(item_embeddings).all() and np.isfinite(item_biases).all()):
            raise ValueError("the fit diverged: embeddings are not finite; try a smaller learning rate")
        return LearnedFactors(
            item_embeddings=item_embeddings.astype(np.float32),
            item_biases=item_biases.astype(np.float32),
            user_feature_embeddings=self.model.user_embeddings[users:].copy(),
            mean_user=self.model.user_embeddings[:users].mean(axis=0),
        )

    def pickled(self) -> bytes:
        """The estimator, pickled."""
        return pickle.dumps(self.model, pickle.HIGHEST_PROTOCOL)


def _with_int32_indexes(rows: sparse.csr_array[Any]) -> Any:
    # LightFM's C code takes no other integers, and SciPy's older matrix class.
    indexes, pointers = rows.indices.astype(np.int32), rows.indptr.astype(np.int32)
    return sparse.csr_matrix((rows.data, indexes, pointers), shape=rows.shape)
