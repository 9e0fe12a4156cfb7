"""A user's vector from their history, without training."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# Chosen on validation splits of a sparse and a dense data set; each is a plateau, not a peak. See
# docs/adr/0005.
OBSERVED_SHARE = 1e-3  # weight of one history item beside the mean of all items
RIDGE = 0.75  # penalty, in units of the mean square of an embedding's component
RIDGE_OF_ONE = 5.0  # added to it for a history of one item, and less for longer ones
MEAN_SCORE = 4.0  # what the history itself is made to score, before biases
DISLIKED_WEIGHT = 0.3
FEATURES_AS_ITEMS = 3.0  # as how many history items a user's features count


def fold_in(
    item_embeddings: NDArray[np.float32],
    gram: NDArray[np.float64],
    indexes: NDArray[np.intp],
    strengths: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Solves for the user vector that a history stands for, the item embeddings being fixed.

    The user's half-step of implicit-feedback ALS (Hu, Koren and Volinsky 2008) against LightFM's item
    embeddings, its penalties relative to their size, so that one set of constants serves every model. WARP
    fixes no scale of scores, while item biases are learned on one: so the vector is then stretched until the
    history's weighted mean score is `MEAN_SCORE`, on which full biases fit. Disliked items are pulled to 0.

    Args:
        item_embeddings: float32, shape (items, d).
        gram: float64, shape (d, d): item_embeddings.T @ item_embeddings.
        indexes: Item indexes of the history, shape (h,), distinct.
        strengths: float32, shape (h,), not 0; negative where the user dislikes the item.

    Returns:
        float32, shape (d,); zero where nothing is liked, or what is liked has no embedding.
    """
    items, components = item_embeddings.shape
    liked = strengths > 0
    if not liked.any():
        return np.zeros(components, np.float32)
    weights = strengths[liked].astype(np.float64)
    factors = item_embeddings[indexes[liked]].astype(np.float64)
    total = weights.sum()
    effective_length = total**2 / (weights @ weights)

    matrix = gram / items + (OBSERVED_SHARE / weights.mean() * weights * factors.T) @ factors
    if not liked.all():
        disliked = item_embeddings[indexes[~liked]].astype(np.float64)
        matrix += (DISLIKED_WEIGHT / total * -strengths[~liked] * disliked.T) @ disliked
    mean_square = np.trace(gram) / items / components
    matrix[np.diag_indices(components)] += (RIDGE + RIDGE_OF_ONE / effective_length) * mean_square

    wanted = weights @ factors
    if not wanted.any():
        return np.zeros(components, np.float32)
    solution = np.linalg.solve(matrix, wanted)
    scored = wanted @ solution
    stretched: NDArray[np.float32] = (solution * (MEAN_SCORE * total / scored)).astype(np.float32)
    return stretched


def join_features(
    folded: NDArray[np.float32], liked: int, of_features: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Joins what a history says with what a user's features say; the longer the history, the more it counts.

    Args:
        folded: float32, shape (d,): from the history.
        liked: How many items of the history are liked.
        of_features: float32, shape (d,): from the features.

    Returns:
        float32, shape (d,).
    """
    share = np.float32(liked / (liked + FEATURES_AS_ITEMS))
    return share * folded + (1 - share) * of_features
