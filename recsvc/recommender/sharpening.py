"""Taking from relations between items what follows from other relations already."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recsvc.recommender import kernels
from recsvc.recommender.relations import Relations, blocks

_FEWEST = 10  # relations of an item; what it would lose below that is left to it faintly
_FAINT = np.float32(0.01)
_TURNS = 30  # of the power iteration; the radius is a scale, and need not be exact


def blur(relations: Relations, through: Relations, threads: int) -> NDArray[np.float32]:
    """How strongly each pair of related items is related through third items.

    Args:
        relations: Weights w from item to item; what items count for in a history is left aside.
        through: Weights p from item to item, what items count for with them. They are brought to a spectral
            radius of 1, so that the result is of the scale of w.
        threads: How many.

    Returns:
        float32, shape (e,): Σ_k w_ik p_kj for each entry (i, j) of `relations`.
    """
    shape = len(relations), len(relations)
    rest = through.weights * np.repeat(through.sources, np.diff(through.bounds))
    radius = _spectral_radius(sparse.csr_array((rest, through.items, through.bounds), shape=shape))
    blurred = np.zeros(len(relations.weights), np.float32)
    if radius == 0:
        return blurred
    onward = rest / np.float32(radius)

    def work(block: tuple[int, int]) -> None:
        begin, end = block
        bounds = relations.bounds[begin : end + 1]
        blurred[bounds[0] : bounds[-1]] = kernels.blurred(
            bounds, relations.items, relations.weights, through.bounds, through.items, onward
        )

    ways = np.concatenate([[0], np.cumsum(np.diff(through.bounds)[relations.items])])[relations.bounds]
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, blocks(ways)))
    return blurred


def sharpen(relations: Relations, blurred: NDArray[np.float32], strength: float) -> Relations:
    """Subtracts what is known through third items, and leaves out what is then left of no relation.

    A relation between two items is often no more than that both go with a third. One step of the sharpening
    process of Choi et al. (2023), on relations instead of on a user's scores, so that it costs nothing when a
    list is made. Where hardly any of an item's relations would be left, as of one of a genre whose items
    everybody likes alike, all stay, faintly: nothing else would tell what it is liked together with.

    Args:
        relations: Rows of related items.
        blurred: As `blur` computed it for them.
        strength: How much of it is subtracted; 0 or more.

    Returns:
        Relations with the entries that are still above 0, and the faint ones.
    """
    weights = relations.weights - np.float32(strength) * blurred
    has_few = np.diff(_bounds(relations, weights > 0)) < _FEWEST
    is_faint = np.repeat(has_few, np.diff(relations.bounds)) & (weights <= 0)
    weights[is_faint] = _FAINT * relations.weights[is_faint]
    kept = weights > 0
    return Relations(_bounds(relations, kept), relations.items[kept], weights[kept], relations.sources)


def _bounds(relations: Relations, kept: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Where each item's row begins among those entries that are kept, shape (n + 1,)."""
    before: NDArray[np.int64] = np.concatenate([[0], np.cumsum(kept)])[relations.bounds]
    return before


def _spectral_radius(matrix: sparse.csr_array[Any]) -> float:
    vector: NDArray[np.float32] = np.ones(matrix.shape[0], np.float32)
    radius = 0.0
    for _ in range(_TURNS):
        vector = matrix @ vector
        radius = float(np.linalg.norm(vector))
        if radius == 0:
            return 0.0
        vector = vector / np.float32(radius)
    return radius
