"""Whether LightFM's daily fit should begin where the last one ended, or anew.

    python -m benchmarks.warm_start (--movielens DIR | --interactions N) [--days N] [--epochs N]
        [--warm 1,2,5] [--components N] [--threads N] [--seed N] [--json]

DIR holds `ratings.csv` of a MovieLens set; with --interactions a made-up shop of that size
(`benchmarks.synthetic`), item features among it. What half of the users, 1,000 at the most, came to like last
is held out of all of the days. Up to the first of the last so many days LightFM is fitted once with --epochs.
Then, day by day, it is fitted to all there is by then: anew, with --epochs; and for each number of --warm
going on for so many epochs from what the same number had come to the day before, rows of new users, items and
features added as LightFM begins them. Quality is NDCG@10 and Recall@20 of the voice on what was held out,
histories being what there is by the day. Seconds are of the fits alone, of all threads' processors. Nothing
of the database, the other voices or the blend is in it.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from time import process_time
from typing import Any
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from benchmarks.synthetic import EVENTS, Shop
from recsvc.config import DEFAULT_EVENT_WEIGHTS, Config
from recsvc.recommender.evaluation import rank_all
from recsvc.recommender.examples import Examples, History
from recsvc.recommender.features import build_features
from recsvc.recommender.interactions import EventScale, InteractionColumns, InteractionMatrix, build_matrix
from recsvc.recommender.keys import locate
from recsvc.recommender.lightfm_model import Fitting, LightFMParameters, fit_by_epoch
from recsvc.recommender.metrics import evaluate_lists
from recsvc.recommender.split import hold_out_newest
from recsvc.recommender.voices.lightfm import LightFMHybrid

_DAY = 86_400_000_000
_USERS = 1_000
# Of LightFM's users and items: what was learned, and what AdaGrad knows of it.
_LEARNED = (
    "embeddings",
    "embedding_gradients",
    "embedding_momentum",
    "biases",
    "bias_gradients",
    "bias_momentum",
)


@dataclass(frozen=True)
class Data:
    """All that happens, in the order of time.

    Attributes:
        columns: Of it.
        scale: What each event says.
        features: The item and the feature of each: int32, shape (n,) both.
    """

    columns: InteractionColumns
    scale: EventScale
    features: tuple[NDArray[np.int32], NDArray[np.int32]]


def read_movielens(folder: Path) -> Data:
    """All ratings, without genres."""
    rows = np.loadtxt(folder / "ratings.csv", delimiter=",", skiprows=1)
    rows = rows[np.argsort(rows[:, 3], kind="stable")]
    columns = InteractionColumns(
        rows[:, 0].astype(np.int32),
        rows[:, 1].astype(np.int32),
        np.zeros(len(rows), np.int16),
        rows[:, 2].astype(np.float32),
        (rows[:, 3] * 1e6).astype(np.int64),
    )
    weights = np.array([DEFAULT_EVENT_WEIGHTS["rating"]], np.float32)
    nothing = np.empty(0, np.int32)
    return Data(columns, EventScale(weights, 0, 2.5, 5.0), (nothing, nothing))


def make_up(interactions: int, seed: int) -> Data:
    """A made-up shop."""
    shop = Shop(interactions, seed)
    chunks = list(shop.rows())
    columns = InteractionColumns(
        np.concatenate([rows.users for rows in chunks]),
        np.concatenate([rows.items for rows in chunks]),
        np.concatenate([rows.events for rows in chunks]).astype(np.int16),
        np.zeros(interactions, np.float32),
        np.concatenate([rows.occurred_at for rows in chunks]),
    )
    weights = np.array([DEFAULT_EVENT_WEIGHTS[event] for event in EVENTS], np.float32)
    owners = np.repeat(np.arange(len(shop.features), dtype=np.int32), shop.features.shape[1])
    return Data(columns, EventScale(weights, -1, 0.0, 1.0), (owners, shop.features.ravel()))


class Days:
    """What there is to learn from by each day, and what is held out of all of them."""

    def __init__(self, data: Data, seed: int, threads: int) -> None:
        self._data, self._seed, self._threads = data, seed, threads
        self._whole = build_matrix(data.columns, data.scale, np.empty(0, np.int32))
        self._held_out, _ = hold_out_newest(
            self._whole,
            data.columns,
            since=len(data.columns),
            share=0.2,
            fewest_items=5,
            most_users=min(_USERS, len(self._whole.user_keys) // 2),
            seed=seed,
        )

    def last(self, days: int) -> Iterator[tuple[InteractionMatrix, Examples]]:
        """What there is by the end of each of the last days on which anything happened."""
        numbers = self._data.columns.occurred_at // _DAY
        for day in np.unique(numbers)[-days:].tolist():
            yield self._by(int(np.searchsorted(numbers, day, side="right")))

    def _by(self, rows: int) -> tuple[InteractionMatrix, Examples]:
        columns = InteractionColumns(
            **{name: column[:rows] for name, column in vars(self._data.columns).items()}
        )
        matrix = build_matrix(columns, self._data.scale, np.empty(0, np.int32))
        # Whatever is held out of the whole is taken out of each part of it.
        users = locate(self._whole.user_keys, matrix.user_keys)
        items = locate(self._whole.item_keys, matrix.item_keys)
        kept = self._held_out.strengths[users][:, items]
        kept.data[:] = 1
        strengths = matrix.strengths.multiply(kept).tocsr()
        strengths.sort_indices()
        nothing = np.empty(0, np.int32)
        examples = Examples(
            strengths=strengths.astype(np.float32),
            ages=np.zeros(strengths.nnz, np.float32),
            item_features=build_features(matrix.item_keys, *self._data.features),
            user_features=build_features(matrix.user_keys, nothing, nothing),
            seed=self._seed,
            threads=self._threads,
        )
        return replace(matrix, strengths=examples.strengths, ages=examples.ages), examples

    def quality(self, matrix: InteractionMatrix, examples: Examples, fitting: Fitting) -> dict[str, float]:
        """NDCG@10 and Recall@20 of the voice among those that there is a history of by then."""
        voice = LightFMHybrid._of(examples, fitting)
        histories, relevant = [], []
        places = locate(matrix.user_keys, self._whole.user_keys[self._held_out.user_indexes])
        for place, wanted in zip(places.tolist(), self._held_out.relevant, strict=True):
            row = slice(*examples.strengths.indptr[place : place + 2]) if place >= 0 else slice(0)
            if row.stop > (row.start or 0):
                indexes = examples.strengths.indices[row].astype(np.intp)
                histories.append(History(indexes, examples.strengths.data[row]))
                # An item that is not there yet cannot be hit, and is missed all the same.
                found = locate(matrix.item_keys, self._whole.item_keys[wanted])
                relevant.append(np.where(found >= 0, found, len(matrix.item_keys) + wanted))
        values = evaluate_lists(rank_all(voice.score_all, histories, 20), relevant, [10, 20])
        return {name: float(values[name].mean()) for name in ("ndcg_at_10", "recall_at_20")}


@dataclass(frozen=True)
class State:
    """What a fit has come to, and of whom: what the next day goes on from.

    Attributes:
        model: LightFM's estimator.
        users: Keys of its users.
        items: Keys of its items.
        features: Keys of its item features.
    """

    model: Any
    users: NDArray[np.int32]
    items: NDArray[np.int32]
    features: NDArray[np.int32]


def fit(
    matrix: InteractionMatrix, examples: Examples, parameters: LightFMParameters, before: State | None
) -> tuple[Fitting, State, float]:
    """Fits as a training does, anew or going on; the fit, its state and its seconds."""
    began = process_time()
    steps = fit_by_epoch(examples.strengths, examples.item_features, examples.user_features, parameters)
    features = examples.item_features.feature_keys
    with _beginning_with(before, matrix, features):
        *_, fitting = steps
    seconds = process_time() - began
    return fitting, State(fitting.model, matrix.user_keys, matrix.item_keys, features), seconds


@contextmanager
def _beginning_with(
    before: State | None, matrix: InteractionMatrix, features: NDArray[np.int32]
) -> Iterator[None]:
    """LightFM begins with what was learned the day before, where it was, and as ever with what is new."""
    if before is None:
        yield
        return
    from lightfm import LightFM

    initialize = LightFM._initialize
    users = locate(before.users, matrix.user_keys)
    of_features = locate(before.features, features)
    items = np.concatenate(
        [
            locate(before.items, matrix.item_keys),
            np.where(of_features >= 0, of_features + len(before.items), -1),
        ]
    )

    def begin(model: Any, *arguments: Any) -> None:
        initialize(model, *arguments)
        for side, places in (("user", users), ("item", items)):
            known = np.flatnonzero(places >= 0)
            for name in _LEARNED:
                of_old = getattr(before.model, f"{side}_{name}")
                getattr(model, f"{side}_{name}")[known] = of_old[places[known]]

    with patch.object(LightFM, "_initialize", begin):
        yield


def replay(data: Data, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Every day, in each way: seconds and quality."""
    days = Days(data, arguments.seed, arguments.threads)
    config = Config()
    limits = {
        "learning_rate": config.model_learning_rate,
        "alpha": config.model_alpha,
        "max_sampled": config.model_max_sampled,
        "seed": arguments.seed,
        "threads": arguments.threads,
        "components": arguments.components,
    }
    ways = {f"{epochs} more": epochs for epochs in map(int, arguments.warm.split(","))}
    states: dict[str, State] = {}
    told = []
    for number, (matrix, examples) in enumerate(days.last(arguments.days + 1)):
        anew = LightFMParameters(epochs=arguments.epochs, **limits)
        fitting, state, seconds = fit(matrix, examples, anew, None)
        row = {"day": number, "likes": int(examples.strengths.nnz)}
        told.append(row | {"way": "anew", "seconds": seconds, **days.quality(matrix, examples, fitting)})
        for way, epochs in ways.items():
            if number == 0:
                states[way] = state
                continue
            parameters = LightFMParameters(epochs=epochs, **limits)
            fitting, states[way], seconds = fit(matrix, examples, parameters, states[way])
            told.append(row | {"way": way, "seconds": seconds, **days.quality(matrix, examples, fitting)})
        print(json.dumps(told[-1 - len(ways) :]), file=sys.stderr, flush=True)
    return [row for row in told if row["day"] > 0]


def _table(told: list[dict[str, Any]]) -> Iterator[str]:
    def of(way: str, name: str) -> NDArray[np.float64]:
        return np.array([row[name] for row in told if row["way"] == way])

    yield f"{'way':12}{'seconds':>10}{'NDCG@10':>10}{'Recall@20':>11}{'last day':>10}{'by anew':>9}"
    for way in dict.fromkeys(row["way"] for row in told):
        ndcg, recall = of(way, "ndcg_at_10"), of(way, "recall_at_20")
        yield (
            f"{way:12}{of(way, 'seconds').mean():10.2f}{ndcg.mean():10.4f}{recall.mean():11.4f}"
            f"{ndcg[-1]:10.4f}{ndcg.mean() / of('anew', 'ndcg_at_10').mean():9.3f}"
        )


def main() -> None:
    """Reads the arguments, replays, and prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--movielens", type=Path, metavar="DIR")
    source.add_argument("--interactions", type=int, metavar="N")
    parser.add_argument("--days", type=int, default=10)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--warm", default="1,2,5", metavar="EPOCHS", help="with commas between")
    parser.add_argument("--components", type=int, default=128)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    if arguments.movielens:
        data = read_movielens(arguments.movielens)
    else:
        data = make_up(arguments.interactions, arguments.seed)
    with threadpool_limits(limits=1, user_api="blas"):
        told = replay(data, arguments)
    print(json.dumps(told, indent=2) if arguments.json else "\n".join(_table(told)))


if __name__ == "__main__":
    main()
