"""What kernels do, with NumPy and LAPACK."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.linalg import lapack

from recsvc.recommender.interactions import strength
from recsvc.recommender.keys import locate

# The stubs of SciPy's versions differ in which shapes they say it takes.
_dposv: Callable[..., Any] = lapack.dposv

SMALL = 1e-12  # beside the square of what is wanted: floats tell no less

NOT_FINITE = "a history cannot be folded in: its embeddings are not finite"


def find(known: NDArray[np.int32], later: NDArray[np.int32], keys: NDArray[np.int64]) -> NDArray[np.intp]:
    """Finds keys among others.

    Args:
        known: int32, shape (n,), distinct, ascending.
        later: int32, distinct, ascending, none of them known: their places follow those of the known ones.
        keys: int64, shape (m,).

    Returns:
        Their places, in the order of the keys; of those that are not there, none.
    """
    places, beyond = locate(known, keys), locate(later, keys)
    places = np.where(beyond >= 0, beyond + len(known), places)
    return places[places >= 0]


def likings(
    known: NDArray[np.int32], keys: Sequence[int], weights: Sequence[float], most: int
) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Adds up what interactions say of a liking, by item.

    Args:
        known: int32, shape (n,), distinct, ascending: keys of the items that are of use.
        keys: Of the item of each interaction, newest first.
        weights: What each says.
        most: With how many items, the newest first, whether of use or not; what was done with others is
            passed over.

    Returns:
        Places of the items among those known, newest first, shape (h,); and how much each is liked, float32,
        shape (h,). Those that are not known, or of which nothing is said, are left out.

    Raises:
        ValueError: There are not as many weights as keys.
    """
    summed: dict[int, float] = {}
    for key, weight in zip(keys, weights, strict=True):
        summed[key] = summed.get(key, 0.0) + weight
    newest = list(islice(summed, most))
    strengths = strength(np.fromiter(summed.values(), np.float32, len(newest)))
    places = locate(known, np.array(newest, np.int64))
    kept = (places >= 0) & (strengths != 0)
    return places[kept], strengths[kept]


def weighed(
    weights: NDArray[np.float32], chosen: NDArray[np.intp], numbers: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Multiplies numbers with some weights.

    Args:
        weights: float32, shape (n,).
        chosen: Places in `weights`, shape (h,).
        numbers: float32, shape (h,).

    Returns:
        float32, shape (h,).

    Raises:
        IndexError: A place is none of n.
        ValueError: There are not as many places as numbers.
    """
    found: NDArray[np.float32] = weights[chosen] * numbers
    return found


def without_each(
    strengths: NDArray[np.float32],
    weights: NDArray[np.float32],
    fewer: NDArray[np.float32],
    places: NDArray[np.intp],
) -> NDArray[np.float32]:
    """What the items of a history count for once one is not there, at a time.

    Without a liked item, those after it move up among those that are liked.

    Args:
        strengths: float32, shape (h,): above 0 where the item is liked.
        weights: float32, shape (h,): what each counts for while all are there.
        fewer: float32, shape (liked - 1,): what the liked ones count for, in order, where one is missing.
        places: Of the items to leave out, shape (p,).

    Returns:
        float32, shape (p, h); 0 for the item left out.

    Raises:
        IndexError: A place is none of h.
    """
    found = np.repeat(weights[None], len(places), axis=0)
    is_liked = strengths > 0
    if len(fewer):
        among_liked = np.cumsum(is_liked) - 1
        moved = among_liked - (np.arange(len(strengths)) > places[:, None])
        moves = is_liked & is_liked[places, None]
        found[moves] = fewer[np.clip(moved, 0, len(fewer) - 1)][moves]
    found[np.arange(len(places)), places] = 0
    return found


def relate(
    bounds: NDArray[np.int64],
    items: NDArray[np.int32],
    weights: NDArray[np.float32],
    history: NDArray[np.intp],
    counting: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Adds up some rows of a sparse matrix, each times a number.

    Args:
        bounds: int64, shape (n + 1,): where each row begins.
        items: int32, shape (e,): columns, below n, distinct within a row.
        weights: float32, shape (e,).
        history: Rows, shape (h,).
        counting: float32, shape (h,): what each is multiplied with.

    Returns:
        float32, shape (n,).

    Raises:
        IndexError: A row or a column is none of n.
    """
    entries, of_entry = _entries(bounds, history)
    added = np.bincount(items[entries], weights[entries] * counting[of_entry], minlength=len(bounds) - 1)
    if len(added) >= len(bounds):
        raise IndexError(f"a related item is none of {len(bounds) - 1}")
    return added.astype(np.float32)


def shares(
    bounds: NDArray[np.int64],
    items: NDArray[np.int32],
    weights: NDArray[np.float32],
    history: NDArray[np.intp],
    counting: NDArray[np.float32],
    wanted: NDArray[np.intp],
) -> NDArray[np.float32]:
    """What each row adds to some of the sums of `relate`.

    Args:
        bounds: As for `relate`.
        items: As for `relate`.
        weights: As for `relate`.
        history: As for `relate`.
        counting: As for `relate`.
        wanted: Columns, distinct, shape (c,).

    Returns:
        float32, shape (h, c).
    """
    entries, of_entry = _entries(bounds, history)
    # Column 0 is of all other items.
    columns = np.zeros(len(bounds) - 1, np.intp)
    columns[wanted] = np.arange(1, len(wanted) + 1)
    of_wanted = columns[items[entries]]
    found = np.zeros((len(history), len(wanted) + 1), np.float32)
    found[of_entry, of_wanted] = weights[entries] * counting[of_entry]
    return found[:, 1:]


def nearest(
    sums: NDArray[np.float32],
    others: NDArray[np.intp],
    most: int,
    recommendable: NDArray[np.bool_],
    excluded: NDArray[np.intp],
    members: NDArray[np.intp] | None,
) -> tuple[NDArray[np.intp], int]:
    """Chooses so many items with the greatest sums above 0, and adds others, of those that a list may hold.

    Args:
        sums: float32, shape (n,).
        others: Items, shape (o,).
        most: How many of the greatest.
        recommendable: bool, shape (N,), N at least n: what lists may hold.
        excluded: Items to leave out, ascending.
        members: Items to choose from, ascending; None for all.

    Returns:
        Items, distinct and ascending; and how many were chosen by their sums.

    Raises:
        IndexError: One of the others is none of N.
    """

    def allowed(items: NDArray[np.intp]) -> NDArray[np.intp]:
        is_allowed = recommendable[items] & ~is_in(items, excluded)
        return items[is_allowed if members is None else is_allowed & is_in(items, members)]

    related = allowed(np.flatnonzero(sums > 0))
    related = related[best_places(sums[related], most)]
    return np.unique(np.concatenate([related, allowed(others)])), len(related)


def best_places(scores: NDArray[np.floating[Any]], most: int) -> NDArray[np.intp]:
    """Places of the greatest, the first of equal ones first.

    Args:
        scores: float32 or float64 without NaN, shape (c,).
        most: How many.

    Returns:
        Shape (min(most, c),), best first.
    """
    places = np.arange(len(scores) if most else 0)
    if 0 < most < len(scores):
        threshold = np.partition(scores, len(scores) - most)[len(scores) - most]
        above = np.flatnonzero(scores > threshold)
        level = np.flatnonzero(scores == threshold)[: most - len(above)]
        places = np.sort(np.concatenate([above, level]))
    return places[np.argsort(-scores[places], kind="stable")]


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


def mixed(
    length: int, weights: NDArray[np.float64], scores: Sequence[NDArray[np.float32] | None]
) -> NDArray[np.float32]:
    """Adds up the scores of voices, each times its weight.

    Args:
        length: c, how many scores are in a row.
        weights: float64, shape (r, v).
        scores: Of each voice, float32, shape (r, c), or (1, c) where all rows are alike; None of one that is
            not heard.

    Returns:
        float32, shape (r, c).

    Raises:
        ValueError: The scores of a voice have another shape, or there are not as many weights as voices.
    """
    summed = np.zeros((len(weights), length))
    for of_voice, weight in zip(scores, weights.T, strict=True):
        if of_voice is None:
            continue
        if of_voice.shape not in {(len(weights), length), (1, length)}:
            raise ValueError(f"scores of shape {of_voice.shape} for {len(weights)} × {length}")
        summed += weight[:, None] * of_voice
    return summed.astype(np.float32)


def cold(likes: NDArray[np.int32], items: NDArray[np.intp]) -> NDArray[np.intp]:
    """Finds those that nobody likes.

    Args:
        likes: int32, shape (n,): how many like each item.
        items: Item indexes, shape (c,); those from n on nobody likes.

    Returns:
        Their places among the items, ascending.

    Raises:
        IndexError: An item is none.
    """
    is_cold = items >= len(likes)
    is_cold[~is_cold] = likes[items[~is_cold]] <= 0
    return np.flatnonzero(is_cold)


def greatest(added: NDArray[np.float32], most: int) -> NDArray[np.intp]:
    """Places of the greatest of each column, the first of equal ones first.

    Args:
        added: float32 without NaN, shape (h, c).
        most: How many.

    Returns:
        Shape (min(most, h), c), the greatest first.
    """
    return np.argsort(-added, axis=0, kind="stable")[:most]


def parts_of_scores(
    by_history: NDArray[np.float32],
    by_features: NDArray[np.float32],
    scores: NDArray[np.float32],
    greatest: NDArray[np.intp],
    places: NDArray[np.intp],
    without: NDArray[np.float32],
) -> NDArray[np.float64]:
    """Divides scores among what speaks for them.

    An item of the history that adds to a score has a part of its own only where it is one of those that add
    most, and the score falls without it; where the score without it is not known (NaN), it does.

    Args:
        by_history: float32, shape (h, c): what each item of the history adds.
        by_features: float32, shape (f, c): what each feature of the user adds.
        scores: float32, shape (c,).
        greatest: Places in the history of those that add most, shape (m, c).
        places: All of these, ascending, shape (p,).
        without: float32, shape (p, c): the scores without each of them.

    Returns:
        float64, shape (m + 1 + f + 1, c), not negative: the parts of those that add most, of all else in the
        history, of the features, and of what is the same for all users.

    Raises:
        IndexError: A place is none of h, or one of those that add most is not among the places.
        ValueError: The shapes do not belong together.
    """
    named, features = len(greatest), len(by_features)
    falls = ~(without >= scores)
    columns = np.arange(len(scores))
    of_history = np.maximum(by_history, 0).astype(np.float64)
    parts = np.zeros((named + 1 + features + 1, len(scores)))
    own = of_history[greatest, columns]
    parts[:named] = np.where(falls[np.searchsorted(places, greatest), columns], own, 0)
    parts[named] = np.maximum(of_history.sum(axis=0) - parts[:named].sum(axis=0), 0)
    parts[named + 1 : -1] = np.maximum(by_features, 0)
    added = by_history.sum(axis=0, dtype=np.float64) + by_features.sum(axis=0, dtype=np.float64)
    parts[-1] = np.maximum(scores - added, 0)
    return parts


def portions(parts: NDArray[np.float64], whole: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Divides a whole number by parts, by largest remainders: each portion is within 1 of its own.

    Args:
        parts: float64, shape (m, c), not negative.
        whole: How much is divided for each column.

    Returns:
        Portions, shape (c, m), that add up to the whole, 0 where a column has no part above 0; and their
        places in each row, shape (c, m), the greatest portion first, the first of equal ones first.
    """
    totals = parts.sum(axis=0)
    exact = np.divide(parts * whole, totals, out=np.zeros_like(parts), where=totals > 0)
    found = exact.astype(np.intp)
    ranks = np.argsort(np.argsort(found - exact, axis=0, kind="stable"), axis=0, kind="stable")
    found += ranks < np.where(totals > 0, whole - found.sum(axis=0), 0)
    return found.T, np.argsort(-found, axis=0, kind="stable").T


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


def blurred(
    bounds: NDArray[np.int64],
    items: NDArray[np.int32],
    weights: NDArray[np.float32],
    through_bounds: NDArray[np.int64],
    through_items: NDArray[np.int32],
    through_weights: NDArray[np.float32],
) -> NDArray[np.float32]:
    """How strongly the entries of some rows are reached through others: entries of a product of two matrices.

    Args:
        bounds: int64, shape (m + 1,): where the entries of each row begin and end.
        items: int32, shape (e,): columns, distinct within a row.
        weights: w, float32, shape (e,).
        through_bounds: int64, shape (n + 1,): likewise of the rows of all n columns.
        through_items: int32, shape (f,).
        through_weights: p, float32, shape (f,).

    Returns:
        float32: Σ_k w_ik p_kj for each entry (i, j) of the m rows, in their order.

    Raises:
        IndexError: An item is none of n, or a row is not within the entries.
        ValueError: There are not as many numbers as items.
    """
    size = len(through_bounds) - 1
    _check_entries(bounds, items, weights, size)
    _check_entries(through_bounds, through_items, through_weights, size)
    own = slice(bounds[0], bounds[-1])
    shape = len(bounds) - 1, size
    rows = sparse.csr_array((weights[own], items[own], bounds - bounds[0]), shape=shape)
    both = rows @ sparse.csr_array((through_weights, through_items, through_bounds), shape=(size, size))
    both.sort_indices()
    wanted, reached = _keys(rows), _keys(both)
    if not len(reached):
        return np.zeros(len(wanted), np.float32)
    places = np.minimum(np.searchsorted(reached, wanted), len(reached) - 1)
    return np.where(reached[places] == wanted, both.data[places], np.float32(0))


def _keys(rows: sparse.csr_array[Any]) -> NDArray[np.int64]:
    of_row = np.repeat(np.arange(rows.shape[0], dtype=np.int64), np.diff(rows.indptr))
    keys: NDArray[np.int64] = of_row * rows.shape[1] + rows.indices
    return keys


def _check_entries(
    bounds: NDArray[np.int64], items: NDArray[np.int32], numbers: NDArray[np.float32], size: int
) -> None:
    if len(items) != len(numbers):
        raise ValueError(f"{len(items)} items, and {len(numbers)} numbers of them")
    if np.any(np.diff(bounds, prepend=0, append=len(items)) < 0):
        raise IndexError(f"a row is not within {len(items)} entries")
    if len(items) and not 0 <= items.min() <= items.max() < size:
        raise IndexError(f"an item is none of {size}")


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
        _check_entries(bounds, items, numbers, len(embeddings))
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
        before, square = square, np.where(is_left, _squares(residual), square)
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


def is_in(items: NDArray[np.intp], ascending: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Which of some items are among others that ascend."""
    if not len(ascending):
        return np.zeros(len(items), dtype=bool)
    places = np.minimum(np.searchsorted(ascending, items), len(ascending) - 1)
    found: NDArray[np.bool_] = ascending[places] == items
    return found


def _entries(
    bounds: NDArray[np.int64], history: NDArray[np.intp]
) -> tuple[NDArray[np.int64], NDArray[np.intp]]:
    """Entries of some rows, one row after another, and which of the rows each is of."""
    lengths = bounds[history + 1] - bounds[history]
    of_entry = np.repeat(np.arange(len(history)), lengths)
    before = np.cumsum(lengths) - lengths
    return np.arange(len(of_entry)) + (bounds[history] - before)[of_entry], of_entry
