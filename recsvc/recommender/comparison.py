"""Two models and what is popular, compared on likes that none of them was fitted to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recsvc.recommender.examples import Examples, History
from recsvc.recommender.interactions import InteractionColumns, InteractionMatrix
from recsvc.recommender.keys import locate
from recsvc.recommender.metrics import difference_interval, evaluate_lists
from recsvc.recommender.model import Model
from recsvc.recommender.selection import Selection
from recsvc.recommender.split import HeldOut, hold_out_newest

K = 20
METRICS = ("ndcg_at_10", "recall_at_20")
# So wide that of two models alike one is taken for worse, in either metric, in less than 1 % of comparisons.
LEVEL = 0.998

_SHARE = 0.2
_FEWEST_ITEMS = 2
_MOST_USERS = 1_000
_DRAWS = 10_000

Values = Mapping[str, NDArray[np.float64]]


@dataclass(frozen=True)
class Ground:
    """What models are compared on.

    Attributes:
        held_out: A split of all interactions.
        is_new: bool, shape (n,): of which users all that was held out came after the active version's data.
    """

    held_out: HeldOut
    is_new: NDArray[np.bool_]


@dataclass(frozen=True)
class Comparison:
    """One model beside another on the same users.

    Attributes:
        users: How many.
        ours: Means over them, by metric.
        theirs: The same of the other.
        differences: Ours less theirs: the mean, and both ends of its interval.
    """

    users: int
    ours: dict[str, float]
    theirs: dict[str, float]
    differences: dict[str, tuple[float, float, float]]


def lay_out(
    matrix: InteractionMatrix, columns: InteractionColumns, *, since: int, fewest_users: int, seed: int
) -> Ground | None:
    """Sets aside what models will be compared on; of at most half of the users, for the rest has to teach.

    Args:
        matrix: Built from `columns`.
        columns: All interactions, in the order in which they were received.
        since: The first row that the active version was not fitted to.
        fewest_users: Fewer are not worth a comparison.
        seed: Chooses the users.

    Returns:
        None where there are fewer users.
    """
    able = np.count_nonzero(np.diff(matrix.strengths.indptr) >= _FEWEST_ITEMS)
    held_out, is_new = hold_out_newest(
        matrix,
        columns,
        since=since,
        share=_SHARE,
        fewest_items=_FEWEST_ITEMS,
        most_users=min(_MOST_USERS, int(able) // 2),
        seed=seed,
    )
    return Ground(held_out, is_new) if len(is_new) >= fewest_users else None


def evaluate(
    model: Model,
    matrix: InteractionMatrix,
    examples: Examples,
    held_out: HeldOut,
    users: NDArray[np.intp],
    *,
    on_progress: Callable[[float], None],
    personal: bool = True,
) -> Values:
    """Ranks for some of the users as a web process does, and looks what of the held out is found.

    The model may be of other data: what it does not know of a history it does not take into account, items
    that it does not know it does not list, and those that are no longer there are left out.

    Args:
        model: Any.
        matrix: Of all interactions.
        examples: Of all interactions.
        held_out: A split of them.
        users: Which of the users that something was held out of, shape (m,).
        on_progress: Told the part that is done, 0 to 1. May raise, which ends the ranking.
        personal: Whether for each user; else what the model says is popular.

    Returns:
        `METRICS`, each float64, shape (m,).
    """
    to_matrix = locate(matrix.item_keys, model.item_keys)
    to_model = locate(model.item_keys, matrix.item_keys)
    feature_places = locate(model.user_feature_keys, examples.user_features.feature_keys)
    present = to_matrix >= 0
    histories = examples.histories(held_out)
    lists = np.full((len(users), K), -1, np.intp)
    for row, user in enumerate(users.tolist()):
        history = _translated(histories[user], to_model, feature_places)
        selection = Selection(present, None, history.indexes)
        if personal:
            listed, _ = model.recommend(history, K, selection)
        else:
            listed, _ = model.popular(K, selection)
        lists[row, : len(listed)] = to_matrix[listed]
        on_progress((row + 1) / len(users))
    values = evaluate_lists(lists, [held_out.relevant[user] for user in users.tolist()], [10, K])
    return {name: values[name] for name in METRICS}


def compare(ours: Values, theirs: Values, seed: int) -> Comparison:
    """Compares what two models found for the same users, pair by pair.

    Args:
        ours: As `evaluate` gives it.
        theirs: The same of the other model.
        seed: Of the bootstrap.
    """
    return Comparison(
        users=len(ours[METRICS[0]]),
        ours={name: float(ours[name].mean()) for name in METRICS},
        theirs={name: float(theirs[name].mean()) for name in METRICS},
        differences={
            name: (
                float((ours[name] - theirs[name]).mean()),
                *difference_interval(ours[name], theirs[name], seed, _DRAWS, LEVEL),
            )
            for name in METRICS
        },
    )


def of_users(values: Values, users: NDArray[np.bool_]) -> Values:
    """The values of some users."""
    return {name: of_metric[users] for name, of_metric in values.items()}


def _translated(history: History, to_model: NDArray[np.intp], feature_places: NDArray[np.intp]) -> History:
    indexes = to_model[history.indexes]
    features = feature_places[history.features]
    known = indexes >= 0
    return History(indexes[known], history.strengths[known], features[features >= 0])
