"""The arrays of a model version: items only, since a user is computed at request time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recsvc.recommender.features import FeatureMatrix
from recsvc.recommender.interactions import InteractionMatrix
from recsvc.recommender.lightfm_model import LearnedFactors
from recsvc.recommender.popularity import popularity


@dataclass(frozen=True)
class Bundle:
    """What a web process maps. n items, d components, f item features, g user features.

    Attributes:
        item_keys: int32, shape (n,), ascending; `item_index` is a position here.
        item_embeddings: float32, shape (n, d).
        item_biases: float32, shape (n,).
        item_norms: float32, shape (n,): lengths of the embeddings.
        item_popularity: float32, shape (n,): users who like the item.
        gram: float64, shape (d, d): item_embeddings.T @ item_embeddings.
        item_feature_keys: int32, shape (f,), ascending.
        item_feature_embeddings: float32, shape (f, d).
        item_feature_biases: float32, shape (f,).
        user_feature_keys: int32, shape (g,), ascending.
        user_feature_embeddings: float32, shape (g, d).
        mean_user: float32, shape (d,).
    """

    item_keys: NDArray[np.int32]
    item_embeddings: NDArray[np.float32]
    item_biases: NDArray[np.float32]
    item_norms: NDArray[np.float32]
    item_popularity: NDArray[np.float32]
    gram: NDArray[np.float64]
    item_feature_keys: NDArray[np.int32]
    item_feature_embeddings: NDArray[np.float32]
    item_feature_biases: NDArray[np.float32]
    user_feature_keys: NDArray[np.int32]
    user_feature_embeddings: NDArray[np.float32]
    mean_user: NDArray[np.float32]

    @classmethod
    def build(
        cls,
        matrix: InteractionMatrix,
        item_features: FeatureMatrix,
        user_features: FeatureMatrix,
        learned: LearnedFactors,
    ) -> Bundle:
        """Puts together what serving needs of a training."""
        embeddings = learned.item_embeddings
        return cls(
            item_keys=matrix.item_keys,
            item_embeddings=embeddings,
            item_biases=learned.item_biases,
            item_norms=np.linalg.norm(embeddings, axis=1).astype(np.float32),
            item_popularity=popularity(matrix.strengths),
            gram=embeddings.T.astype(np.float64) @ embeddings,
            item_feature_keys=item_features.feature_keys,
            item_feature_embeddings=learned.item_feature_embeddings,
            item_feature_biases=learned.item_feature_biases,
            user_feature_keys=user_features.feature_keys,
            user_feature_embeddings=learned.user_feature_embeddings,
            mean_user=learned.mean_user,
        )

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Bundle:
        """Takes the arrays of a version as they were mapped.

        Raises:
            ValueError: One is missing, or their shapes do not fit together.
        """
        names = [entry.name for entry in fields(cls)]
        missing = sorted(set(names) - arrays.keys())
        if missing:
            raise ValueError(f"arrays are missing: {', '.join(missing)}")
        bundle = cls(**{name: arrays[name] for name in names})
        items, components = bundle.item_embeddings.shape
        expected = {
            "item_keys": (items,),
            "item_biases": (items,),
            "item_norms": (items,),
            "item_popularity": (items,),
            "gram": (components, components),
            "item_feature_embeddings": (len(bundle.item_feature_keys), components),
            "item_feature_biases": (len(bundle.item_feature_keys),),
            "user_feature_embeddings": (len(bundle.user_feature_keys), components),
            "mean_user": (components,),
        }
        for name, shape in expected.items():
            if getattr(bundle, name).shape != shape:
                raise ValueError(f"{name} has shape {getattr(bundle, name).shape}, not {shape}")
        return bundle

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Names to arrays, as a version's directory holds them."""
        return {entry.name: getattr(self, entry.name) for entry in fields(self)}
