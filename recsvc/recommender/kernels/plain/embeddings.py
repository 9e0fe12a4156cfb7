"""Rows of one byte a number, and their products."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def rows(
    numbers: NDArray[np.int8], units: NDArray[np.float32], chosen: NDArray[np.intp]
) -> NDArray[np.float32]:
    """Reads some rows.

    Args:
        numbers: int8, shape (n, d).
        units: float32, shape (n,): what 1 stands for in each row.
        chosen: Rows, shape (c,).

    Returns:
        float32, shape (c, d).

    Raises:
        IndexError: A row is none of n.
    """
    found: NDArray[np.float32] = numbers[chosen] * units[chosen][:, None]
    return found


def products(
    numbers: NDArray[np.int8],
    units: NDArray[np.float32],
    chosen: NDArray[np.intp],
    vector: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Multiplies some rows with a vector.

    Args:
        numbers: As for `rows`.
        units: As for `rows`.
        chosen: As for `rows`.
        vector: float32, shape (d,).

    Returns:
        float32, shape (c,).

    Raises:
        IndexError: A row is none of n.
    """
    found: NDArray[np.float32] = (numbers[chosen].astype(np.float32) @ vector) * units[chosen]
    return found


def products_of_each(
    numbers: NDArray[np.int8],
    units: NDArray[np.float32],
    chosen: NDArray[np.intp],
    vectors: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Multiplies some rows with each of some vectors.

    Args:
        numbers: As for `rows`.
        units: As for `rows`.
        chosen: As for `rows`.
        vectors: float32, shape (p, d).

    Returns:
        float32, shape (p, c).

    Raises:
        IndexError: A row is none of n.
    """
    found: NDArray[np.float32] = (vectors @ numbers[chosen].astype(np.float32).T) * units[chosen]
    return found
