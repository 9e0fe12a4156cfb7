"""What warm items lose by cold ones that may be on the same lists.

    python -m benchmarks.cold_items [--share PART] [--users N] [--seed N] [--json]

Reads the database that the settings name, as `recsvc evaluate` does, and changes nothing. A part of the items
is made cold: all interactions with them are taken away, so that only features tell of them. Then the latest
fifth of what each user likes of the other items is held out, a model is learned from the rest as a training
would, and lists of 20 are made twice: of all items, and without the cold ones. What is lost is what the
first find less of what was held out, all of which is warm.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from recsvc import create_app
from recsvc.config import Config
from recsvc.recommender import fitting
from recsvc.recommender.metrics import bootstrap_interval, difference_interval, evaluate_lists
from recsvc.recommender.selection import Selection
from recsvc.recommender.split import hold_out_items, hold_out_latest
from recsvc.recommender.trial import without
from recsvc.services import tuned
from recsvc.services.learning import build, limits_of, read_rows

K = 20
METRICS = {"recall_at_20": "Recall@20", "ndcg_at_20": "NDCG@20"}


@dataclass(frozen=True)
class Found:
    """What lists found.

    Attributes:
        items: How many were made cold.
        with_features: How many of these the model knows a feature of.
        share_of_lists: Part of the places that they have on lists of all items.
        values: Metric to what each user's lists scored: of all items, and without the cold ones; shape (n,).
    """

    items: int
    with_features: int
    share_of_lists: float
    values: dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]


def measure(config: Config, *, share: float, users: int, seed: int) -> Found:
    """Learns once, and makes lists twice.

    Args:
        config: The settings.
        share: Of the items that somebody likes, how many to make cold.
        users: How many to make lists for at the most.
        seed: Of everything random.
    """
    rows = read_rows(config, lambda read, total: None)
    limits, half_life = tuned.in_force(config, limits_of(config))
    matrix, examples = build(config, rows, half_life)
    cold = hold_out_items(matrix, rows.interactions, item_share=share, most_users=users, seed=seed)
    left, rest = without(matrix, examples, cold)
    held_out = hold_out_latest(
        left, rows.interactions, share=0.2, fewest_items=5, most_users=users, seed=seed
    )
    left, rest = without(left, rest, held_out)
    with threadpool_limits(limits=1, user_api="blas"):
        inner = fitting.hold_out(left, rows.interactions, seed)
        choice = fitting.choose(left, rest, inner, limits, lambda done: None)
        model = fitting.fit(left, rest, choice.parameters, choice.blend, lambda done: None)
    histories = examples.histories(held_out)
    every = np.ones(len(model), dtype=bool)
    only_warm = every.copy()
    only_warm[cold.cold_items] = False

    def lists(recommendable: NDArray[np.bool_]) -> NDArray[np.intp]:
        listed = np.full((len(histories), K), -1, np.intp)
        for row, history in enumerate(histories):
            found, _ = model.recommend(history, K, Selection(recommendable, None, history.indexes))
            listed[row, : len(found)] = found
        return listed

    of_all, of_warm = lists(every), lists(only_warm)
    with_cold, without_cold = (
        evaluate_lists(of_model, held_out.relevant, [K]) for of_model in (of_all, of_warm)
    )
    newcomers = model.newcomers
    return Found(
        items=len(cold.cold_items),
        with_features=int(np.isin(cold.cold_items, newcomers.indexes[newcomers.has_features]).sum()),
        share_of_lists=float(np.isin(of_all[of_all >= 0], cold.cold_items).mean()),
        values={name: (with_cold[name], without_cold[name]) for name in METRICS},
    )


def summary(found: Found, seed: int) -> dict[str, Any]:
    """Means, and what is lost with its interval."""
    result: dict[str, Any] = {
        "cold_items": found.items,
        "with_features": found.with_features,
        "share_of_lists": found.share_of_lists,
    }
    for name, (ours, theirs) in found.values.items():
        low, high = difference_interval(ours, theirs, seed)
        result["users"] = len(ours)
        result[name] = {
            "of_all": float(ours.mean()),
            "interval": bootstrap_interval(ours, seed),
            "without_cold": float(theirs.mean()),
            "lost": float(1 - ours.mean() / theirs.mean()),
            "lost_interval": [-high / theirs.mean(), -low / theirs.mean()],
        }
    return result


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--share", type=float, default=0.1, help="of the items, how many to make cold")
    parser.add_argument("--users", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    config = Config.from_environment()
    with create_app(config).app_context():
        found = measure(config, share=arguments.share, users=arguments.users, seed=arguments.seed)
    result = summary(found, arguments.seed)
    if arguments.json:
        print(json.dumps(result, indent=2))
        return
    print(
        f"{result['cold_items']:,} cold items, {result['with_features']:,} of them with features, have"
        f" {result['share_of_lists']:.1%} of the places on lists of {result['users']:,} users"
    )
    for name, label in METRICS.items():
        told = result[name]
        low, high = told["lost_interval"]
        print(
            f"{label} of warm items  {told['of_all']:.4f} beside cold ones  {told['without_cold']:.4f} alone"
            f"  lost {told['lost']:.2%} ({low:+.2%} to {high:+.2%})"
        )


if __name__ == "__main__":
    main()
