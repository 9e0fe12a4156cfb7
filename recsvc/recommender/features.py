"""Features of items and users as sparse rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recsvc.recommender.keys import locate


@dataclass(frozen=True)
class FeatureMatrix:
    """Which rows have which features.

    Attributes:
        feature_keys: int32, shape (features,), ascending; a column of `rows` each.
        rows: CSR float32, shape (owners, features); of an owner with c features, each weighs 1/√c.
    """

    feature_keys: NDArray[np.int32]
    rows: sparse.csr_array[Any]

    def with_identity(self) -> sparse.csr_array[Any]:
        """Puts a column of its own for each row before the features, as LightFM's hybrid has it.

        Returns:
            CSR float32, shape (owners, owners + features).
        """
        identity = sparse.eye_array(self.rows.shape[0], dtype=np.float32, format="csr")
        joined: sparse.csr_array[Any] = sparse.hstack([identity, self.rows], format="csr", dtype=np.float32)
        return joined


def build_features(
    owner_keys: NDArray[np.int32], keys: NDArray[np.int32], feature_keys: NDArray[np.int32]
) -> FeatureMatrix:
    """Builds the feature rows of owners — all items, or all users.

    Args:
        owner_keys: int32, shape (owners,), ascending: whose row is which.
        keys: int32, shape (n,): the owner of each feature.
        feature_keys: int32, shape (n,): the feature. Owners that are not among `owner_keys` are left out.

    Returns:
        The rows.
    """
    owners = locate(owner_keys, keys)
    known = owners >= 0
    owners = owners[known]
    features, columns = np.unique(feature_keys[known], return_inverse=True)
    counts = np.bincount(owners, minlength=len(owner_keys))
    weights = (1.0 / np.sqrt(counts[owners])).astype(np.float32)
    rows = sparse.csr_array((weights, (owners, columns)), shape=(len(owner_keys), len(features)))
    return FeatureMatrix(features.astype(np.int32), rows)


def weighted_sum(
    known_keys: NDArray[np.int32], embeddings: NDArray[np.float32], feature_keys: Sequence[int]
) -> tuple[NDArray[np.float32], int]:
    """What a row of `FeatureMatrix` with these features stands for.

    Args:
        known_keys: int32, shape (features,), ascending: features that the model has learned.
        embeddings: float32, shape (features, d).
        feature_keys: An owner's features.

    Returns:
        float32, shape (d,), and how many of the features the model knows; zeros where it knows none.
    """
    positions = locate(known_keys, np.array(feature_keys, np.int64))
    positions = positions[positions >= 0]
    if len(positions) == 0:
        return np.zeros(embeddings.shape[1], np.float32), 0
    vector = embeddings[positions].sum(axis=0) / np.sqrt(len(positions))
    return vector.astype(np.float32), len(positions)
