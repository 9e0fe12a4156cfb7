"""How long to fit: until what was held out is foretold no better."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from recsvc.recommender.evaluation import evaluate_factors, evaluate_popularity
from recsvc.recommender.features import FeatureMatrix
from recsvc.recommender.interactions import InteractionColumns, InteractionMatrix
from recsvc.recommender.lightfm_model import LightFMParameters, fit_by_epoch
from recsvc.recommender.split import hold_out_latest

_SHARE = 0.2
_FEWEST_ITEMS = 5
_MOST_USERS = 1_000
_FEWEST_USERS = 20  # fewer say nothing
_PATIENCE = 2  # looks without a gain
EPOCHS_UNTOLD = 10  # where too little can be held out to tell


@dataclass(frozen=True)
class Choice:
    """How long to fit, and how good that turned out to be.

    Attributes:
        epochs: Number of epochs.
        metrics: Of the held-out items at that number, and of popularity; None where too little could be
            held out.
    """

    epochs: int
    metrics: dict[str, object] | None


def choose_epochs(
    *,
    matrix: InteractionMatrix,
    columns: InteractionColumns,
    item_features: FeatureMatrix,
    user_features: FeatureMatrix,
    parameters: LightFMParameters,
    on_epoch: Callable[[int], None],
) -> Choice:
    """Fits to all but what some users liked last, and looks at ever longer steps how well that is foretold.

    Args:
        matrix: Built from `columns`.
        columns: All interactions.
        item_features: Rows of the items.
        user_features: Rows of the users.
        parameters: How to fit; its epochs are the most there may be.
        on_epoch: Called after each epoch with the number of epochs done. May raise, which ends the search.

    Returns:
        The number of epochs with the highest NDCG@10.
    """
    held_out = hold_out_latest(
        matrix,
        columns,
        share=_SHARE,
        fewest_items=_FEWEST_ITEMS,
        most_users=_MOST_USERS,
        seed=parameters.seed,
    )
    if len(held_out.user_indexes) < _FEWEST_USERS:
        return Choice(min(EPOCHS_UNTOLD, parameters.epochs), None)
    best_epoch, best, looks_without_gain, next_look = 0, {"ndcg_at_10": -1.0}, 0, 2
    fitting = fit_by_epoch(held_out.strengths, item_features, user_features, parameters)
    for epoch, present in enumerate(fitting, start=1):
        on_epoch(epoch)
        if epoch < next_look and epoch < parameters.epochs:
            continue
        found = evaluate_factors(present.factors(), held_out)
        next_look = epoch + max(1, epoch // 4)
        if found["ndcg_at_10"] > best["ndcg_at_10"]:
            best_epoch, best, looks_without_gain = epoch, found, 0
        else:
            looks_without_gain += 1
        if looks_without_gain == _PATIENCE:
            break
    told = {"held_out_users": len(held_out.user_indexes), **best, "popularity": evaluate_popularity(held_out)}
    return Choice(best_epoch, told)
