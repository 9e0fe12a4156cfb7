"""Holding interactions out, to see how well what was learned from the rest foretells them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recsvc.recommender.draws import Purpose, chances
from recsvc.recommender.interactions import InteractionColumns, InteractionMatrix
from recsvc.recommender.keys import locate
from recsvc.recommender.pairs import (
    Pairs,
    count_by,
    date,
    divide,
    latest,
    pairs_of,
    part,
    part_by_chance,
    without,
)

_AS_LEARNED: sparse.csr_array[Any] = sparse.csr_array(np.empty((0, 0), np.float32))  # told by identity


@dataclass(frozen=True)
class HeldOut:
    """A matrix without what was held out of it.

    Attributes:
        strengths: CSR float32, shape (users, items): what may be learned from.
        user_indexes: intp, shape (n,), ascending: the evaluated users, as rows of the matrix that was split.
        relevant: The item indexes held out of each of them; intp, ascending, at least one.
        histories: CSR float32, shape (n, items), each row newest first: what is known of each of them when
            they ask. Left out, it is what may be learned of them, in no order: their rows of `strengths`.
        cold_items: intp, ascending: items that were made cold by taking every interaction with them away.
            Those that have features are still warm.
    """

    strengths: sparse.csr_array[Any]
    user_indexes: NDArray[np.intp]
    relevant: list[NDArray[np.intp]]
    histories: sparse.csr_array[Any] = field(default_factory=lambda: _AS_LEARNED)
    cold_items: NDArray[np.intp] = field(default_factory=lambda: np.empty(0, np.intp))

    def __post_init__(self) -> None:
        if self.histories is _AS_LEARNED:
            object.__setattr__(self, "histories", self.strengths[self.user_indexes])

    def of(self, places: NDArray[np.intp]) -> HeldOut:
        """The same split with fewer users to evaluate.

        Args:
            places: In `user_indexes`, ascending, shape (m,).
        """
        return replace(
            self,
            user_indexes=self.user_indexes[places],
            relevant=[self.relevant[place] for place in places.tolist()],
            histories=self.histories[places],
        )


def hold_out_latest(
    matrix: InteractionMatrix,
    columns: InteractionColumns,
    *,
    share: float,
    fewest_items: int,
    most_users: int,
    seed: int,
    at_least_one: bool = True,
) -> HeldOut:
    """Holds out what every user came to like last.

    Of every user, evaluated or not, since the future is missing of everybody: where the others' latest items
    are learned from, other parameters and weights look best than those that foretell the future best.

    Args:
        matrix: Built from `columns`.
        columns: All interactions.
        share: Of a user's liked items, how many to hold out.
        fewest_items: Users who like fewer items are left whole.
        most_users: How many users to evaluate.
        seed: Chooses the users, and the order of items of the same moment; for each user alike, whoever else
            is there.
        at_least_one: Of each of them, however much more than the share that is; otherwise of as many as make
            it the share of all.

    Returns:
        The rest, and what was held out of the chosen users.
    """
    everybody = pairs_of(matrix, _users_who_like(fewest_items, matrix))
    moments = date(matrix, columns, everybody, np.maximum)
    counts = everybody.counts()
    if at_least_one:
        wanted = part(share, counts)
    else:
        drawn = chances(seed, Purpose.ROUNDING, matrix.user_keys[everybody.user_indexes])
        wanted = part_by_chance(share, counts, drawn)
    ties = _ties(matrix, everybody, seed)
    held = latest(everybody, moments, wanted, ties)
    chosen = _some(matrix, everybody.user_indexes[wanted > 0], most_users, seed)
    pairs = pairs_of(matrix, chosen)
    of_chosen = np.searchsorted(everybody.positions, pairs.positions)
    histories, relevant = divide(matrix, pairs, moments[of_chosen], held[of_chosen], ties[of_chosen])
    return HeldOut(without(matrix, everybody.positions[held]), chosen, relevant, histories)


def hold_out_newest(
    matrix: InteractionMatrix,
    columns: InteractionColumns,
    *,
    since: int,
    share: float,
    fewest_items: int,
    most_users: int,
    seed: int,
) -> tuple[HeldOut, NDArray[np.bool_]]:
    """Holds out what some users came to like last.

    Users who came to like something from row `since` on are taken first: all of that is held out of them, or,
    where there is nothing before it, a share of what they like. When it happened does not matter: an old
    purchase that was imported today is new to whoever learned yesterday. Of the others a share is held out,
    by when it happened: what was imported at once was received in no order that means anything.

    Args:
        matrix: Built from `columns`.
        columns: All interactions, in the order in which they were received.
        since: The first row that is new; the number of rows where none is.
        share: Of a user's liked items, how many to hold out; at least one.
        fewest_items: Users who like fewer items, and nothing new beside something old, are left whole.
        most_users: From how many users to hold out.
        seed: Chooses the users, and the order of items of the same moment.

    Returns:
        The rest, and what was held out; and of which of the users all of that is new: bool, shape (n,).
    """
    lengths = np.diff(matrix.strengths.indptr)
    came = np.zeros(len(lengths), dtype=bool)
    who_came = np.unique(columns.user_keys[since:])
    came[locate(matrix.user_keys, who_came)] = True
    others = _some(matrix, np.flatnonzero(~came & (lengths >= max(2, fewest_items))), most_users, seed)
    pairs = pairs_of(matrix, np.union1d(np.flatnonzero(came), others))
    # Who came is dated by rows, and the others by microseconds: only moments of one user are compared.
    moments = np.where(np.isin(columns.user_keys, who_came), np.arange(len(columns)), columns.occurred_at)
    firsts = date(matrix, replace(columns, occurred_at=moments), pairs, np.minimum)
    came_now = (firsts >= since) & came[pairs.user_indexes][pairs.owners()]
    counts, new = pairs.counts(), count_by(pairs.bounds, came_now)
    wanted = np.where((new > 0) & (new < counts), new, part(share, counts))
    is_new = (new > 0) & ((new < counts) | (counts >= max(2, fewest_items)))
    is_other = (new == 0) & (counts >= max(2, fewest_items))

    newest = _some(matrix, pairs.user_indexes[is_new], most_users, seed)
    filling = _some(matrix, pairs.user_indexes[is_other], most_users - len(newest), seed)
    chosen = np.searchsorted(pairs.user_indexes, np.union1d(newest, filling))
    of_chosen = pairs_of(matrix, pairs.user_indexes[chosen])
    is_of_chosen = np.isin(pairs.owners(), chosen)
    ties = _ties(matrix, pairs, seed)
    held = latest(pairs, firsts, wanted, ties)[is_of_chosen]
    # What is known of them by then: of what came with what is held out, or after it, nothing.
    first_held = np.where(held, firsts[is_of_chosen], np.iinfo(np.int64).max)
    known = np.minimum.reduceat(first_held, of_chosen.bounds[:-1]) if len(chosen) else first_held
    lasts = date(matrix, columns, of_chosen, np.maximum, by=moments, before=known)
    histories, relevant = divide(matrix, of_chosen, lasts, held, ties[is_of_chosen])
    rest = without(matrix, of_chosen.positions[held])
    return HeldOut(rest, of_chosen.user_indexes, relevant, histories), is_new[chosen]


def leave_last_out(
    matrix: InteractionMatrix,
    columns: InteractionColumns,
    *,
    fewest_items: int = 2,
    most_users: int,
    seed: int,
) -> HeldOut:
    """Holds out the one item that each user came to like last.

    Args:
        matrix: Built from `columns`.
        columns: All interactions.
        fewest_items: Users who like fewer items are left whole. From 2 on everybody keeps a history.
        most_users: How many users to evaluate.
        seed: Chooses the users, and the order of items of the same moment.

    Returns:
        The rest, and what was held out of the chosen users: one item a user.
    """
    # A share of nothing is rounded up to one item.
    return hold_out_latest(
        matrix, columns, share=0.0, fewest_items=fewest_items, most_users=most_users, seed=seed
    )


def hold_out_after(
    matrix: InteractionMatrix,
    columns: InteractionColumns,
    *,
    share: float,
    fewest_items: int,
    most_users: int,
    seed: int,
) -> HeldOut:
    """Holds out all that anybody came to like after one moment.

    A pair is as old as its first interaction, of whatever event. One from before the moment is learned from
    with its full strength, to which interactions after the moment may have added, and with the age of its
    last: both are of the matrix, which is made before it is split. So the inner order of the rest, and what
    is popular lately, know a little of the future. What is asked for is what was new to a user.

    Relevant items may be younger than the moment, so that nothing of them was learned.

    Args:
        matrix: Built from `columns`.
        columns: All interactions.
        share: Of all liked pairs, how many to hold out. Where many pairs are of the same moment they stay
            together, on the side that comes nearer to the share.
        fewest_items: Users who came to like fewer items before the moment are not evaluated, nor are those
            who came to like none after it. What they liked after it is held out nevertheless.
        most_users: How many users to evaluate.
        seed: Chooses the users.

    Returns:
        What came before the moment, and what the chosen users came to like after it.
    """
    everybody = pairs_of(matrix, np.arange(len(matrix.user_keys)))
    firsts = date(matrix, columns, everybody, np.minimum)
    is_after = _youngest(firsts, share)
    after = count_by(everybody.bounds, is_after)
    able = np.flatnonzero((everybody.counts() - after >= fewest_items) & (after > 0))
    chosen = _some(matrix, able, most_users, seed)
    pairs = pairs_of(matrix, chosen)
    moment = firsts[is_after].min(initial=np.iinfo(np.int64).max)
    lasts = date(matrix, columns, pairs, np.maximum, before=np.full(len(chosen), moment))
    ties = _ties(matrix, pairs, seed)
    histories, relevant = divide(matrix, pairs, lasts, is_after[pairs.positions], ties)
    return HeldOut(without(matrix, is_after), chosen, relevant, histories)


def hold_out_users(
    matrix: InteractionMatrix,
    columns: InteractionColumns,
    *,
    share: float,
    fewest_items: int,
    most_users: int,
    seed: int,
) -> HeldOut:
    """Holds out some users whole, whose lists then come from folding their histories in.

    Strong generalisation, as Marlin (2004) calls it.

    Args:
        matrix: Built from `columns`.
        columns: All interactions.
        share: Of a user's liked items, how many of the latest to ask for; at least one. The others are their
            history.
        fewest_items: Users who like fewer items stay in training.
        most_users: How many users to hold out.
        seed: Chooses the users, and the order of items of the same moment.

    Returns:
        The other users' interactions — these users' rows are empty — and what was held out.
    """
    chosen = _some(matrix, _users_who_like(fewest_items, matrix), most_users, seed)
    pairs = pairs_of(matrix, chosen)
    moments, ties = date(matrix, columns, pairs, np.maximum), _ties(matrix, pairs, seed)
    held = latest(pairs, moments, part(share, pairs.counts()), ties)
    histories, relevant = divide(matrix, pairs, moments, held, ties)
    return HeldOut(without(matrix, pairs.positions), chosen, relevant, histories)


def hold_out_items(
    matrix: InteractionMatrix, columns: InteractionColumns, *, item_share: float, most_users: int, seed: int
) -> HeldOut:
    """Makes items cold: nothing is learned of them, and users who like them are asked for them.

    Args:
        matrix: Built from `columns`.
        columns: All interactions.
        item_share: Of the items that somebody likes, how many to make cold; at least one.
        most_users: How many users to evaluate, of those who like both a cold item and another.
        seed: Chooses the items and the users.

    Returns:
        The interactions with the other items; the chosen users' cold items; and which items are cold.
    """
    strengths = matrix.strengths
    liked = np.unique(strengths.indices)
    wanted = min(int(part(item_share, np.array(len(liked)))), len(liked))
    cold = _lowest(liked.astype(np.intp), chances(seed, Purpose.ITEMS, matrix.item_keys[liked]), wanted)
    is_cold = np.zeros(strengths.shape[1], dtype=bool)
    is_cold[cold] = True
    is_held = is_cold[strengths.indices]
    held = count_by(strengths.indptr, is_held)
    able = np.flatnonzero((held > 0) & (held < np.diff(strengths.indptr)))
    chosen = _some(matrix, able, most_users, seed)
    pairs = pairs_of(matrix, chosen)
    lasts, ties = date(matrix, columns, pairs, np.maximum), _ties(matrix, pairs, seed)
    histories, relevant = divide(matrix, pairs, lasts, is_held[pairs.positions], ties)
    return HeldOut(without(matrix, is_held), chosen, relevant, histories, cold)


def _youngest(moments: NDArray[np.int64], share: float) -> NDArray[np.bool_]:
    """Which moments are among the last of all, those that are equal being kept together."""
    if len(moments) == 0:
        return np.zeros(0, dtype=bool)
    first = len(moments) - min(int(part(share, np.array(len(moments)))), len(moments))
    cut = np.partition(moments, first)[first]
    with_ties, without_ties = moments >= cut, moments > cut
    too_many = np.count_nonzero(with_ties) - share * len(moments)
    too_few = share * len(moments) - np.count_nonzero(without_ties)
    nearest: NDArray[np.bool_] = with_ties if too_many < too_few else without_ties
    return nearest


def _users_who_like(fewest_items: int, matrix: InteractionMatrix) -> NDArray[np.intp]:
    # Who likes nothing has nothing to hold out, whatever is asked for.
    return np.flatnonzero(np.diff(matrix.strengths.indptr) >= max(1, fewest_items))


def _some(matrix: InteractionMatrix, users: NDArray[np.intp], most: int, seed: int) -> NDArray[np.intp]:
    return _lowest(users, chances(seed, Purpose.USERS, matrix.user_keys[users]), min(most, len(users)))


def _lowest(indexes: NDArray[np.intp], drawn: NDArray[np.float64], wanted: int) -> NDArray[np.intp]:
    return np.sort(indexes[np.argsort(drawn)[:wanted]])


def _ties(matrix: InteractionMatrix, pairs: Pairs, seed: int) -> NDArray[np.float64]:
    """What decides between a user's pairs of the same moment, shape (p,)."""
    users = matrix.user_keys[pairs.user_indexes][pairs.owners()]
    return chances(seed, Purpose.ORDER, users, matrix.item_keys[matrix.strengths.indices[pairs.positions]])
