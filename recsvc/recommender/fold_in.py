"""A user's vector from their history, without training."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack

# The stubs of SciPy's versions differ in which shapes they say it takes.
_dposv: Callable[..., Any] = lapack.dposv


def fold_in(
    embeddings: NDArray[np.float32],
    confidences: NDArray[np.floating],
    wanted: NDArray[np.floating],
    base: NDArray[np.floating] | None = None,
) -> NDArray[np.float32]:
    """Solves (B + Σ c_i q_i q_iᵀ) x = Σ w_i q_i, and says what each item of the history adds to B x.

    The user's half-step of implicit-feedback ALS (Hu, Koren and Volinsky 2008), the items q being fixed and
    their sum over the catalogue, with the penalty, being the diagonal B. It is solved among the items of the
    history or among the components, whichever are fewer (Woodbury's identity): the solution is
    x = B⁻¹ Σ a_i q_i either way.

    Args:
        embeddings: float32, shape (h, d): the items of the history.
        confidences: c, shape (h,), not negative; (v, h) for v variations at once.
        wanted: w, of the same shape.
        base: Shape (d,), positive, or (v, d): the diagonal of B; the identity where not given.

    Returns:
        The coefficients a, float32, of the shape of `wanted`.
    """
    items, components = embeddings.shape
    if items == 0:
        return np.empty(wanted.shape, np.float32)
    roots = np.sqrt(confidences)
    whitened = embeddings if base is None else embeddings / np.sqrt(base)[..., None, :]
    if items <= components:
        products = whitened @ whitened.swapaxes(-1, -2)
        right = roots * (products @ wanted[..., None])[..., 0]
        residual = _solve(roots[..., None] * products * roots[..., None, :], right)
    else:
        counted = roots[..., None] * whitened
        right = (wanted[..., None, :] @ whitened)[..., 0, :]
        found = _solve(counted.swapaxes(-1, -2) @ counted, right)
        residual = (counted @ found[..., None])[..., 0]
    coefficients: NDArray[np.floating] = wanted - roots * residual
    return coefficients.astype(np.float32)


def _solve(matrix: NDArray[np.floating], right: NDArray[np.floating]) -> NDArray[np.floating]:
    """Solves (I + matrix) x = right for symmetric matrices that are positive semidefinite."""
    places = np.arange(matrix.shape[-1])
    matrix[..., places, places] += 1
    if matrix.ndim > 2:
        found: NDArray[np.floating] = np.linalg.solve(matrix, right[..., None])[..., 0]
        return found
    _, solution, failed = _dposv(matrix, right, lower=1)
    if failed:
        raise ValueError("a history cannot be folded in: its embeddings are not finite")
    only: NDArray[np.floating] = solution
    return only
