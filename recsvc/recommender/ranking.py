"""From scores to a list."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def top_k(scores: NDArray[np.floating[Any]], candidates: NDArray[np.intp], k: int) -> NDArray[np.intp]:
    """Ranks candidates by score and keeps the best.

    Exact, and stable: of two candidates with one score, the one with the smaller index comes first.

    Args:
        scores: Floats without NaN, shape (items,).
        candidates: Item indexes that may be ranked, shape (c,), ascending.
        k: How many to keep.

    Returns:
        Item indexes, shape (min(k, c),), best first.
    """
    chosen = scores[candidates]
    if k < len(candidates):
        threshold = np.partition(chosen, len(chosen) - k)[len(chosen) - k]
        above = np.flatnonzero(chosen > threshold)
        level = np.flatnonzero(chosen == threshold)[: k - len(above)]
        kept = np.sort(np.concatenate([above, level]))
        candidates, chosen = candidates[kept], chosen[kept]
    return candidates[np.argsort(-chosen, kind="stable")]
