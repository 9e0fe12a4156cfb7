"""Systems of equations, for the vectors of users and items."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.linalg import lapack

from recsvc.recommender.kernels.plain.related import check_entries

# The stubs of SciPy's versions differ in which shapes they say it takes.
_dposv: Callable[..., Any] = lapack.dposv

SMALL = 1e-12  # beside the square of what is wanted: floats tell no less

NOT_FINITE = "a history cannot be folded in: its embeddings are not finite"


def fold_in(
    embeddings: NDArray[np.float32],
    strengths: NDArray[np.float32],
    spectrum: NDArray[np.float32] | None,
    numbers: Sequence[tuple[float, ...]],
    weights: NDArray[np.float32],
    of_each: NDArray[np.intp],
    left_out: NDArray[np.intp],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Solves for vectors of a user, and what each item of the history adds; see `recommender.fold_in`.

    Args:
        embeddings: float32, shape (h, d); at least one item.
        strengths: float32, shape (h,).
        spectrum: float32, shape (d,); None for the identity.
        numbers: Of each of k systems: wanting, counting, unobserved, disliked, ridge and score.
        weights: What the items of the history count for in each row of the answers, float32, shape (p, h).
        of_each: Which system each row of the answers solves, shape (p,).
        left_out: Place in the history of the item that each row does without, shape (p,); -1 for none.

    Returns:
        Coefficients, float32, shape (p, h), 0 for the item left out; vectors, float32, shape (p, d).

    Raises:
        IndexError: A place is none of h, or a system none of k.
        ValueError: The numbers are not finite.
    """
    for row, (system, place) in enumerate(zip(of_each.tolist(), left_out.tolist(), strict=True)):
        if not (0 <= system < len(numbers) and -1 <= place < len(embeddings)):
            raise IndexError(f"row {row} asks for system {system} without place {place}")
    found = np.zeros((len(of_each), len(embeddings)), np.float32)
    vectors = np.zeros((len(of_each), embeddings.shape[1]), np.float32)
    # By whichever are fewer (Woodbury's identity).
    residuals_of = _among_items if len(embeddings) <= embeddings.shape[1] else _among_components
    for system, (wanting, counting, unobserved, disliked, ridge, score) in enumerate(numbers):
        rows = np.flatnonzero(of_each == system)
        without = np.flatnonzero(left_out[rows] >= 0)
        places = left_out[rows][without]
        base = None if spectrum is None else np.maximum(spectrum + ridge, np.finfo(np.float32).tiny)
        whitened = embeddings if base is None else embeddings / np.sqrt(base)
        confidences = np.where(
            strengths > 0, np.maximum(counting * strengths - unobserved, 0), -disliked * strengths
        )
        roots = np.sqrt(confidences)
        left = wanting * np.maximum(strengths, 0) * weights[rows]
        left[without, places] = 0
        residuals = residuals_of(whitened, roots, left, without, places)
        coefficients = (left - roots * residuals).astype(np.float32)
        coefficients[without, places] = 0
        if not np.isnan(score):
            scored = (coefficients @ whitened @ whitened.T * left).sum(axis=1, keepdims=True)
            wanted = score * left.sum(axis=1, keepdims=True)
            coefficients *= np.where(scored > 0, wanted / np.where(scored > 0, scored, 1), 0)
        found[rows] = coefficients
        vectors[rows] = coefficients @ embeddings if base is None else coefficients @ embeddings / base
    return found, vectors


def _among_items(
    whitened: NDArray[np.float32],
    roots: NDArray[np.float32],
    left: NDArray[np.floating],
    without: NDArray[np.intp],
    places: NDArray[np.intp],
) -> NDArray[np.float64]:
    # The same products on both sides: what is rounded otherwise would not cancel.
    products = (whitened @ whitened.T).astype(np.float64)
    right = np.zeros((len(left) + len(places), len(whitened)))
    right[: len(left)] = roots * (left.astype(np.float64) @ products)
    each = np.arange(len(places))
    right[len(left) + each, places] = 1
    products *= roots
    products *= roots[:, None]
    solved = _solve(products, right.T).T
    residuals, inverse = solved[: len(left)], solved[len(left) :]
    # The inverse of a matrix without a row and its column, by that of the whole (block inversion).
    ratios = residuals[without, places] / inverse[each, places]
    residuals[without] -= ratios[:, None] * inverse
    return residuals


def _among_components(
    whitened: NDArray[np.float32],
    roots: NDArray[np.float32],
    left: NDArray[np.floating],
    without: NDArray[np.intp],
    places: NDArray[np.intp],
) -> NDArray[np.float64]:
    counted = roots[:, None] * whitened
    of_places = counted[places]
    solved = _solve(counted.T @ counted, np.concatenate([left @ whitened, of_places]).T).T
    vectors, change = solved[: len(left)], solved[len(left) :]
    # What the item left out had added to the inverse (Sherman and Morrison 1950).
    added = np.einsum("pd,pd->p", of_places, vectors[without])
    ratios = added / (1 - np.einsum("pd,pd->p", of_places, change))
    vectors[without] += ratios[:, None] * change
    residuals: NDArray[np.float64] = vectors @ counted.T
    return residuals


def _solve(matrix: NDArray[np.floating], right: NDArray[np.floating]) -> NDArray[np.float64]:
    """Solves (I + matrix) x = right, shape (m, sides), for a symmetric matrix, positive semidefinite."""
    exact = np.asarray(matrix, np.float64)
    places = np.arange(len(exact))
    exact[places, places] += 1
    # In the order of LAPACK's rows, which for a symmetric matrix is the other one, it need not be copied.
    _, solution, failed = _dposv(exact.T, right, lower=1, overwrite_a=1)
    if failed or not np.isfinite(solution).all():
        raise ValueError(NOT_FINITE)
    found: NDArray[np.float64] = solution
    return found


def solve_rows(
    embeddings: NDArray[np.float32],
    bounds: NDArray[np.int64],
    items: NDArray[np.int32],
    wanted: NDArray[np.float32],
    counted: NDArray[np.float32],
    steps: int,
) -> NDArray[np.float32]:
    """Solves (I + Σ c_i q_i q_iᵀ) x = Σ w_i q_i for many vectors, by a few steps of conjugate gradients.

    From nothing on (Hestenes and Stiefel 1952); a row that nothing is left of takes no more steps.

    Args:
        embeddings: q, float32, shape (n, d).
        bounds: int64, shape (m + 1,): where the entries of each row begin and end.
        items: int32, shape (e,): which embeddings the entries of a row are of.
        wanted: w, float32, shape (e,).
        counted: c, float32, shape (e,), not negative.
        steps: How many; d of them, or one more than a row has entries, are exact but for rounding.

    Returns:
        x, float32, shape (m, d); 0 where a row has no entry.

    Raises:
        IndexError: An item is none of n, or a row is not within the entries.
        ValueError: There are not as many numbers as items.
    """
    for numbers in (wanted, counted):
        check_entries(bounds, items, numbers, len(embeddings))
    entries = slice(bounds[0], bounds[-1])
    of_entries, row_of = embeddings[items[entries]], np.repeat(np.arange(len(bounds) - 1), np.diff(bounds))

    def added(weights: NDArray[np.float32]) -> NDArray[np.float32]:
        where = items[entries], bounds - bounds[0]
        rows = sparse.csr_array((weights, *where), shape=(len(bounds) - 1, len(embeddings)))
        sums: NDArray[np.float32] = rows @ embeddings
        return sums

    residual = added(wanted[entries])
    direction, solved, square = residual.copy(), np.zeros_like(residual), _squares(residual)
    least = square * np.float32(SMALL)
    for _ in range(steps):
        is_left = square > least
        products = np.einsum("ec,ec->e", of_entries, direction[row_of])
        image = direction + added(counted[entries] * products)
        size = _ratios(square, np.einsum("rc,rc->r", direction, image)[:, None], is_left)
        solved += size * direction
        residual -= size * image
        before, square = square, _squares(residual)
        direction = residual + _ratios(square, before, is_left) * direction
    return solved


def _ratios(
    some: NDArray[np.float32], others: NDArray[np.float32], wanted: NDArray[np.bool]
) -> NDArray[np.float32]:
    """Quotients where they are wanted, else 0."""
    ratios: NDArray[np.float32] = np.divide(some, others, out=np.zeros_like(some), where=wanted)
    return ratios


def _squares(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Of each row, float32, shape (m, 1)."""
    squares: NDArray[np.float32] = np.einsum("rc,rc->r", rows, rows)[:, None]
    return squares
