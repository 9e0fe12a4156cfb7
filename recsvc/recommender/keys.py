"""Between the database's keys and the rows of a matrix."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def distinct(keys: NDArray[np.int32]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Distinct keys, and for each key its position among them.

    The database's keys are dense, so a table by key beats sorting.

    Args:
        keys: int32, not negative, shape (n,).

    Returns:
        int32, shape (m,), ascending; int32, shape (n,).
    """
    if len(keys) == 0:
        return np.empty(0, np.int32), np.empty(0, np.int32)
    present = np.zeros(int(keys.max()) + 1, dtype=bool)
    present[keys] = True
    position = np.cumsum(present, dtype=np.int32) - 1
    return np.flatnonzero(present).astype(np.int32), position[keys]


def locate(sorted_keys: NDArray[Any], keys: NDArray[Any]) -> NDArray[np.intp]:
    """Finds keys.

    Args:
        sorted_keys: Distinct integers, ascending, shape (m,).
        keys: Integers, shape (n,).

    Returns:
        Positions in `sorted_keys`, shape (n,); -1 for keys that are not there.
    """
    if len(sorted_keys) == 0:
        return np.full(len(keys), -1, np.intp)
    # Else all of `sorted_keys` would be converted. A key that does not fit into their type is not there.
    positions = np.searchsorted(sorted_keys, keys.astype(sorted_keys.dtype, copy=False))
    positions = np.minimum(positions, len(sorted_keys) - 1)
    return np.where(sorted_keys[positions] == keys, positions, -1)
