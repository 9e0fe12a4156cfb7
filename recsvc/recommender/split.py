"""Holding interactions out, to see how well what was learned from the rest foretells them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recsvc.recommender.interactions import InteractionColumns, InteractionMatrix
from recsvc.recommender.keys import locate


@dataclass(frozen=True)
class HeldOut:
    """A matrix without what was held out of it.

    Attributes:
        strengths: CSR float32, shape (users, items): what may be learned from.
        user_indexes: Shape (n,): users of whom something is held out.
        relevant: The item indexes held out of each of them.
    """

    strengths: sparse.csr_array[Any]
    user_indexes: NDArray[np.intp]
    relevant: list[NDArray[np.intp]]


def hold_out_latest(
    matrix: InteractionMatrix,
    columns: InteractionColumns,
    *,
    share: float,
    fewest_items: int,
    most_users: int,
    seed: int,
) -> HeldOut:
    """Holds out what some users came to like last.

    Only some users, so that what is learned from the rest is nearly what would be learned from all.

    Args:
        matrix: Built from `columns`.
        columns: All interactions.
        share: Of a user's liked items, how many to hold out; at least one.
        fewest_items: Users who like fewer items are left whole.
        most_users: From how many users to hold out.
        seed: Chooses the users, and the order of items of the same moment.

    Returns:
        The rest, and what was held out.
    """
    random = np.random.default_rng(seed)
    strengths = matrix.strengths
    able = np.flatnonzero(np.diff(strengths.indptr) >= fewest_items)
    chosen = np.sort(random.choice(able, min(most_users, len(able)), replace=False))
    is_chosen = np.zeros(len(matrix.user_keys), dtype=bool)
    is_chosen[chosen] = True
    rows = np.flatnonzero(is_chosen[locate(matrix.user_keys, columns.user_keys)])
    owners = locate(matrix.user_keys, columns.user_keys[rows])
    items = locate(matrix.item_keys, columns.item_keys[rows])
    last_moment: dict[tuple[int, int], int] = {}
    for owner, item, moment in zip(
        owners.tolist(), items.tolist(), columns.occurred_at[rows].tolist(), strict=True
    ):
        pair = owner, item
        last_moment[pair] = max(moment, last_moment.get(pair, moment))

    rest = strengths.copy()
    relevant = []
    for user in chosen.tolist():
        begin, end = strengths.indptr[user], strengths.indptr[user + 1]
        liked = strengths.indices[begin:end]
        moments = np.array([last_moment[user, item] for item in liked.tolist()])
        order = np.lexsort((random.random(len(liked)), moments))
        latest = order[-max(1, round(share * len(liked))) :]
        rest.data[begin + latest] = 0
        relevant.append(np.sort(liked[latest]).astype(np.intp))
    rest.eliminate_zeros()
    return HeldOut(rest, chosen, relevant)
