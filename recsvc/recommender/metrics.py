"""How good a ranking of all items is, and how sure that is.

Of all: metrics on a sample of the items order models wrongly (Krichene and Rendle 2020).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recsvc.recommender.keys import locate

_DRAWN_AT_ONCE = 1_000_000  # 12 MB: an int32 and a float64 each


def recall(ranked: NDArray[np.intp], relevant: NDArray[np.intp]) -> float:
    """Share of the relevant items that were ranked.

    Args:
        ranked: The k best item indexes, best first.
        relevant: Distinct item indexes, at least one.
    """
    return float(np.isin(relevant, ranked).mean())


def ndcg(ranked: NDArray[np.intp], relevant: NDArray[np.intp]) -> float:
    """Normalised discounted cumulative gain with gains of 0 and 1 (Järvelin and Kekäläinen 2002).

    Args:
        ranked: The k best item indexes, best first.
        relevant: Distinct item indexes, at least one.
    """
    discounts = 1.0 / np.log2(np.arange(2, len(ranked) + 2))
    best = discounts[: len(relevant)].sum()
    return float(discounts[np.isin(ranked, relevant)].sum() / best) if best else 0.0


def average_precision(ranked: NDArray[np.intp], relevant: NDArray[np.intp]) -> float:
    """Mean of the precision at each hit, out of as many hits as there could be; its mean over users is MAP@k.

    Args:
        ranked: The k best item indexes, best first; -1 where the list is shorter.
        relevant: Distinct item indexes, at least one.
    """
    hits = np.isin(ranked, relevant)
    precisions = np.cumsum(hits) / np.arange(1, len(ranked) + 1)
    possible = min(len(ranked), len(relevant))
    return float(precisions[hits].sum() / possible) if possible else 0.0


def reciprocal_rank(ranked: NDArray[np.intp], relevant: NDArray[np.intp]) -> float:
    """One divided by the place of the first hit, 0 without any; its mean over users is MRR@k (Voorhees 1999).

    Args:
        ranked: The k best item indexes, best first; -1 where the list is shorter.
        relevant: Distinct item indexes, at least one.
    """
    places = np.flatnonzero(np.isin(ranked, relevant))
    return float(1.0 / (places[0] + 1)) if len(places) else 0.0


def hit(ranked: NDArray[np.intp], relevant: NDArray[np.intp]) -> float:
    """1 where at least one relevant item was ranked, else 0.

    Args:
        ranked: The k best item indexes, best first; -1 where the list is shorter.
        relevant: Distinct item indexes, at least one.
    """
    return float(np.isin(relevant, ranked).any())


def evaluate_lists(
    lists: NDArray[np.integer[Any]], relevant: Sequence[NDArray[np.intp]], cutoffs: Sequence[int]
) -> dict[str, NDArray[np.float64]]:
    """The metrics above for many users at once, place by place, so that memory is needed for users only.

    A list has as many places as the cut-off says, be it filled or not: who shows less can hit less.

    Args:
        lists: Integers, shape (users, k): item indexes, best first, distinct; -1 where a list is shorter.
        relevant: Distinct item indexes of each user, at least one.
        cutoffs: How many places to look at, each at least one; may be more than k.

    Returns:
        For each cut-off, such as 20: `recall_at_20`, `ndcg_at_20`, `ap_at_20`, `rr_at_20` and `hit_at_20`;
        float64, shape (users,).

    Raises:
        ValueError: If there are not as many users in both, or a user has no relevant item.
    """
    counts = np.array([len(items) for items in relevant], np.int64)
    if len(counts) != len(lists):
        raise ValueError(f"{len(lists)} lists, but relevant items of {len(counts)} users")
    if not counts.all():
        raise ValueError("a user without relevant items cannot be evaluated")
    users = np.arange(len(lists))
    flat = np.concatenate([*relevant, np.empty(0, np.int64)])
    items = int(max(flat.max(initial=-1), lists.max(initial=-1))) + 1
    # A number of its own for each user and item, so that one look-up serves all users.
    wanted = np.sort(np.repeat(users * items, counts) + flat)

    deepest = max(cutoffs, default=0)
    discounts = 1.0 / np.log2(np.arange(2, deepest + 2))
    best = np.cumsum(discounts)
    found = np.zeros(len(users), np.int64)
    gain, precision, first = np.zeros((3, len(users)))
    measured: dict[str, NDArray[np.float64]] = {}
    for place in range(1, deepest + 1):
        if place <= lists.shape[1]:
            shown = lists[:, place - 1].astype(np.int64)
            # Nothing shown is no hit, though its number is that of the user before's last item.
            is_hit = (locate(wanted, users * items + shown) >= 0) & (shown >= 0)
            found += is_hit
            gain += is_hit * discounts[place - 1]
            precision += is_hit * (found / place)
            first[is_hit & (found == 1)] = 1.0 / place
        if place in cutoffs:
            possible = np.minimum(counts, place)
            measured |= {
                f"recall_at_{place}": found / counts,
                f"ndcg_at_{place}": gain / best[possible - 1],
                f"ap_at_{place}": precision / possible,
                f"rr_at_{place}": first.copy(),
                f"hit_at_{place}": (found > 0).astype(np.float64),
            }
    return measured


def coverage(lists: NDArray[np.integer[Any]], items: int) -> float:
    """Share of the catalogue that anybody is shown.

    Args:
        lists: Item indexes, shape (users, k); -1 where a list is shorter.
        items: How many items there are.
    """
    shown = np.zeros(items, dtype=bool)
    shown[lists[lists >= 0]] = True
    return float(shown.mean()) if items else 0.0


def novelty(lists: NDArray[np.integer[Any]], popularity: NDArray[np.floating[Any]], users: int) -> float:
    """Mean self-information of what is shown, in bits (Zhou et al. 2010).

    An item that half of the users like tells 1 bit, one that a quarter like 2. One that nobody likes counts
    as liked by one, or it would tell infinitely much.

    Args:
        lists: Item indexes, shape (users, k); -1 where a list is shorter.
        popularity: Shape (items,): how many users like each item.
        users: How many users there are.

    Returns:
        Mean over users of the mean of their list; empty lists are left out, and NaN if all are empty.
    """
    bits = np.log2(users / np.maximum(popularity, 1.0, dtype=np.float64))
    means, _ = _means_of_lists(lists, bits)
    return float(means.mean()) if len(means) else float("nan")


def popularity_bias(
    lists: NDArray[np.integer[Any]],
    histories: sparse.csr_array[Any],
    popularity: NDArray[np.floating[Any]],
) -> float:
    """How many times as popular what users are shown is as what they like.

    1 where lists are as popular as histories, more where popular items are pushed, less where they are held
    back: one more than the lift of Abdollahpouri et al. (2019), taken over users rather than groups of them.

    Args:
        lists: Item indexes, shape (users, k); -1 where a list is shorter.
        histories: CSR, shape (users, items): what the same users like.
        popularity: Shape (items,): how many users like each item.

    Returns:
        Mean over users of the mean popularity of their list divided by that of their history. Users without
        either, or with a history of items of popularity 0, are left out; NaN if that is all of them.
    """
    lengths = np.diff(histories.indptr)
    owners = np.repeat(np.arange(len(lengths)), lengths)
    # A ratio of means is that of sums: a history's sum, divided by its length, divides a list's mean.
    of_histories = np.bincount(owners, weights=popularity[histories.indices], minlength=len(lengths))
    of_lists, shown = _means_of_lists(lists, popularity.astype(np.float64))
    totals, lengths = of_histories[shown], lengths[shown]
    able = totals > 0
    ratios = of_lists[able] * lengths[able] / totals[able]
    return float(ratios.mean()) if len(ratios) else float("nan")


def bootstrap_interval(
    values: NDArray[np.float64], seed: int, draws: int = 1000, level: float = 0.95
) -> tuple[float, float]:
    """How far the mean over users could be off by the chance of who these users are.

    Percentiles of the means of samples of as many users, drawn with replacement (Efron 1979).

    Args:
        values: A metric of each user, shape (users,).
        seed: Of the samples.
        draws: How many samples.
        level: How often such an interval shall hold the mean over all users there could be.

    Returns:
        Both ends; NaN without any user.
    """
    count = len(values)
    if count == 0:
        return float("nan"), float("nan")
    random = np.random.default_rng(seed)
    means = np.empty(draws)
    at_once = max(1, _DRAWN_AT_ONCE // count)
    for start in range(0, draws, at_once):
        size = min(at_once, draws - start), count
        means[start : start + at_once] = values[random.integers(count, size=size, dtype=np.int32)].mean(
            axis=1
        )
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def difference_interval(
    a: NDArray[np.float64], b: NDArray[np.float64], seed: int, draws: int = 1000, level: float = 0.95
) -> tuple[float, float]:
    """The same for the mean of a - b: whether a is better, or was lucky with these users.

    Paired, user by user: what makes a user hard for both falls out, so the interval is narrower than those of
    both sides would suggest.

    Args:
        a: A metric of each user, shape (users,).
        b: The same metric of the same users.
        seed: Of the samples.
        draws: How many samples.
        level: As above.

    Returns:
        Both ends; a difference is told from chance where 0 is not between them.

    Raises:
        ValueError: If they are not of as many users.
    """
    if a.shape != b.shape:
        raise ValueError(f"values of {len(a)} users cannot be paired with those of {len(b)}")
    return bootstrap_interval(a - b, seed, draws, level)


def _means_of_lists(
    lists: NDArray[np.integer[Any]], by_item: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Mean over each list of something that items have.

    Args:
        lists: Item indexes, shape (users, k); -1 where a list is shorter.
        by_item: Shape (items,).

    Returns:
        The means of the m lists that are not empty, shape (m,), and which lists those are.
    """
    is_shown = lists >= 0
    lengths = is_shown.sum(axis=1)
    # The padding reads the last item, which then counts for nothing.
    totals = np.where(is_shown, by_item[lists], 0.0).sum(axis=1)
    shown = np.flatnonzero(lengths)
    return totals[shown] / lengths[shown], shown
