"""A user's vector from their history, without training."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from recsvc.recommender.kernels import fold_among_items, fold_among_items_without_each
from recsvc.recommender.kernels.plain import solve


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
        confidences: c, shape (h,), not negative.
        wanted: w, shape (h,).
        base: Shape (d,), positive: the diagonal of B; the identity where not given.

    Returns:
        The coefficients a, float32, shape (h,).
    """
    items, components = embeddings.shape
    if items == 0:
        return np.empty(0, np.float32)
    roots = np.sqrt(confidences)
    whitened = _whitened(embeddings, base)
    if items <= components:
        return fold_among_items(whitened, roots, wanted)
    counted = roots[:, None] * whitened
    residual = counted @ solve(counted.T @ counted, wanted @ whitened)
    coefficients: NDArray[np.floating] = wanted - roots * residual
    return coefficients.astype(np.float32)


def fold_in_without_each(
    embeddings: NDArray[np.float32],
    confidences: NDArray[np.floating],
    wanted: NDArray[np.floating],
    base: NDArray[np.floating] | None,
    places: NDArray[np.intp],
) -> NDArray[np.float32]:
    """The same with one item left out of the history at a time, by one factorisation for all of them.

    Args:
        embeddings: float32, shape (h, d): the items of the history.
        confidences: c, shape (h,), not negative.
        wanted: w, shape (h,).
        base: Shape (d,), positive; None for the identity.
        places: Of the items to leave out, shape (p,).

    Returns:
        Coefficients, float32, shape (p, h); 0 for the item left out.
    """
    items, components = embeddings.shape
    roots = np.sqrt(confidences)
    whitened = _whitened(embeddings, base)
    if items <= components:
        return fold_among_items_without_each(whitened, roots, wanted, places)
    each = np.arange(len(places))
    left = np.empty((len(places), items))
    left[:] = wanted
    left[each, places] = 0
    counted = roots[:, None] * whitened
    without = counted[places]
    solved = solve(counted.T @ counted, np.concatenate([left @ whitened, without]).T).T
    found, change = solved[: len(places)], solved[len(places) :]
    # What the item left out had added to the inverse (Sherman and Morrison 1950).
    ratios = np.einsum("pd,pd->p", without, found) / (1 - np.einsum("pd,pd->p", without, change))
    residual = (found + ratios[:, None] * change) @ counted.T
    coefficients: NDArray[np.float64] = left - roots * residual
    coefficients[each, places] = 0
    return coefficients.astype(np.float32)


def _whitened(embeddings: NDArray[np.float32], base: NDArray[np.floating] | None) -> NDArray[np.floating]:
    return embeddings if base is None else embeddings / np.sqrt(base)
