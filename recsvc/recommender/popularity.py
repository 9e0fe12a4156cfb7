"""How popular items are: what a user is shown of whom nothing is known."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse


def popularity(strengths: sparse.csr_array[Any]) -> NDArray[np.float32]:
    """Counts the users who like each item.

    Args:
        strengths: CSR, shape (users, items); stored entries are positive.

    Returns:
        float32, shape (items,).
    """
    return np.bincount(strengths.indices, minlength=strengths.shape[1]).astype(np.float32)
