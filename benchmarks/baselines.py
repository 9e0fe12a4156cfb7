"""What others do, to be printed beside ours: each learns from training pairs and ranks the items unseen.

    ranker = BASELINES["implicit_als"](train, threads=4, seed=0)
    ranker(np.array([0, 7]))  # shape (2, 20): item indexes, the best first, -1 where there are no more

`train` is a CSR matrix of users and items with positive entries. Settings of BASELINES are those of each
library's own documentation; nothing is tuned. LightFM and implicit use threads: call in a process that forks
no more.
"""

from __future__ import annotations

import os
import pickle
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sqlalchemy import create_engine, text
from threadpoolctl import threadpool_limits

from benchmarks.measuring import Stages

K = 20

Users = NDArray[np.integer[Any]]
Ranker = Callable[[Users], NDArray[np.intp]]

_INTERACTIONS = (
    "SELECT user_id, item_id FROM interactions JOIN users USING (user_key) JOIN items USING (item_key)"
)
_LABELS = (
    "SELECT item_id, name, value FROM item_features JOIN items USING (item_key)"
    " JOIN features USING (feature_key) ORDER BY item_key"
)
_SCORES_AT_ONCE = 8_000_000  # 32 MB of float32


class Baseline(Protocol):
    """Learns from pairs."""

    def __call__(self, train: sparse.csr_array[Any], *, threads: int = 1, seed: int = 0) -> Ranker:
        """Fits.

        Args:
            train: CSR, shape (users, items), positive entries.
            threads: Threads to fit and to rank with.
            seed: Of everything random.

        Returns:
            What gives the 20 best unseen items of some users, shape (users, 20).
        """


def popularity(train: sparse.csr_array[Any], *, threads: int = 1, seed: int = 0) -> Ranker:
    """What most users have, the same for everybody but for what they have already."""
    counts = np.bincount(train.indices, minlength=train.shape[1]).astype(np.float32)
    return _by_scores(train, lambda users: np.tile(counts, (len(users), 1)))


def lightfm_tutorial(train: sparse.csr_array[Any], *, threads: int = 1, seed: int = 0) -> Ranker:
    """LightFM as its quickstart has it: WARP, 30 epochs, library defaults, predictions for all items."""
    from lightfm import LightFM
    from lightfm.data import Dataset

    users, items = train.shape
    dataset = Dataset()
    dataset.fit(range(users), range(items))
    pairs = train.tocoo()
    interactions, _ = dataset.build_interactions(zip(pairs.row.tolist(), pairs.col.tolist(), strict=True))
    model = LightFM(loss="warp", random_state=seed)
    model.fit(interactions, epochs=30, num_threads=threads)

    def score(some: Users) -> NDArray[np.float32]:
        every_item = np.tile(np.arange(items, dtype=np.int32), len(some))
        of_users = np.repeat(some.astype(np.int32), items)
        scores: NDArray[np.float32] = model.predict(of_users, every_item, num_threads=threads)
        return scores.reshape(len(some), items)

    return _by_scores(train, score)


def implicit_als(train: sparse.csr_array[Any], *, threads: int = 1, seed: int = 0) -> Ranker:
    """Alternating least squares, regularised and weighted as in implicit's tutorial, with 128 factors."""
    return _als(train, threads, seed, factors=128, regularization=0.05, alpha=2.0)


def implicit_item_item(train: sparse.csr_array[Any], *, threads: int = 1, seed: int = 0) -> Ranker:
    """Neighbours by BM25, 200 an item, else implicit's defaults."""
    from implicit.nearest_neighbours import BM25Recommender

    return _by_implicit(lambda: BM25Recommender(K=200, num_threads=threads), train)


def als_known(train: sparse.csr_array[Any], *, threads: int = 1, seed: int = 0) -> Ranker:
    """Alternating least squares with 256 factors, and more weight and regularisation than documented."""
    return _als(train, threads, seed, factors=256, regularization=10.0, alpha=10.0)


def cosine_known(train: sparse.csr_array[Any], *, threads: int = 1, seed: int = 0) -> Ranker:
    """Neighbours by cosine, 200 an item."""
    from implicit.nearest_neighbours import CosineRecommender

    return _by_implicit(lambda: CosineRecommender(K=200, num_threads=threads), train)


BASELINES: Mapping[str, Baseline] = {
    "popularity": popularity,
    "lightfm_tutorial": lightfm_tutorial,
    "implicit_als": implicit_als,
    "implicit_item_item": implicit_item_item,
}

# Fixed beforehand too, but known to do better on data like this than what documentation shows.
KNOWN_SETTINGS: Mapping[str, Baseline] = {"als_known": als_known, "cosine_known": cosine_known}

LABELS = {
    "popularity": "popularity",
    "lightfm_tutorial": "LightFM, as documented (its tutorial)",
    "implicit_als": "implicit ALS, as documented",
    "implicit_item_item": "implicit item-item BM25, as documented",
    "als_known": "implicit ALS, 256 factors, alpha 10, reg. 10",
    "cosine_known": "implicit item-item cosine, K=200",
}


def rank_by(
    name: str, train: sparse.csr_array[Any], rows: NDArray[np.intp]
) -> tuple[NDArray[np.intp], dict[str, Any]]:
    """Fits a baseline in this process, and ranks.

    Args:
        name: Of the baseline.
        train: CSR, shape (users, items).
        rows: Users to rank for; -1 for somebody unknown, who gets what is popular.
    """
    stages = Stages()
    with stages.stage("fit"):
        ranker = (BASELINES | KNOWN_SETTINGS)[name](train, threads=os.cpu_count() or 1)
    lists = np.full((len(rows), K), -1, np.intp)
    with stages.stage("rank"):
        popular = np.argsort(-np.bincount(train.indices, minlength=train.shape[1]), kind="stable")[:K]
        lists[:, : len(popular)] = popular
        if (rows >= 0).any():
            lists[rows >= 0] = ranker(rows[rows >= 0])
    return lists, {"seconds": stages.seconds, "peak_mb": stages.peak_mb}


def train_lightfm_as_documented(
    database_url: str,
    file: Path,
    stage: Callable[[str], AbstractContextManager[None]],
    *,
    epochs: int,
    components: int,
    threads: int,
    seed: int,
    most_users: int,
) -> dict[str, Any]:
    """Does with a shop's rows what LightFM's documentation shows, hybrid model and evaluation included.

    Args:
        database_url: Where the rows are.
        file: Where the pickle goes.
        stage: Measures read+build, fit, evaluate and dump.
        epochs: Passes over the pairs.
        components: Length of an embedding.
        threads: Threads to fit and to evaluate with.
        seed: Of the split, the fit, and the choice of users.
        most_users: On how many test users to evaluate at the most; 0 for all.

    Returns:
        What was done: epochs, components, test users, those evaluated, and their Recall@20.
    """
    from lightfm import LightFM
    from lightfm.cross_validation import random_train_test_split
    from lightfm.data import Dataset
    from lightfm.evaluation import recall_at_k

    with stage("read+build"):
        users = [user_id for (user_id,) in _rows(database_url, "SELECT user_id FROM users")]
        features: dict[str, list[str]] = {
            item_id: [] for (item_id,) in _rows(database_url, "SELECT item_id FROM items")
        }
        for item_id, name, value in _rows(database_url, _LABELS):
            features[item_id].append(f"{name}:{value}")
        labels = {label for of_item in features.values() for label in of_item}
        dataset = Dataset()
        dataset.fit(users, features, item_features=labels)
        interactions, _ = dataset.build_interactions(_rows(database_url, _INTERACTIONS))
        item_features = dataset.build_item_features(features.items())
        # Pairs that come more than once would be on both sides of the split, which the evaluation refuses.
        pairs = interactions.tocsr()
        pairs.data[:] = 1
        train, test = random_train_test_split(pairs, test_percentage=0.2, random_state=seed)
    model = LightFM(no_components=components, loss="warp", random_state=seed)
    with stage("fit"):
        model.fit(train, item_features=item_features, epochs=epochs, num_threads=threads)
    with stage("evaluate"):
        test_users = np.unique(test.row)
        asked = test_users
        if 0 < most_users < len(test_users):
            asked = np.random.default_rng(seed).choice(test_users, most_users, replace=False)
            test.data[~np.isin(test.row, asked)] = 0
            test.eliminate_zeros()
        recalls = recall_at_k(model, test, train, k=K, item_features=item_features, num_threads=threads)
    with stage("dump"), file.open("wb") as opened:
        pickle.dump((model, dataset), opened, pickle.HIGHEST_PROTOCOL)
    return {
        "epochs": epochs,
        "components": components,
        "test_users": len(test_users),
        "evaluated_users": len(asked),
        "recall_at_20_of_a_random_split": float(recalls.mean()),
    }


def _rows(database_url: str, query: str) -> Iterator[Any]:
    engine = create_engine(database_url)
    with engine.connect() as connection:
        yield from connection.execution_options(yield_per=10_000).execute(text(query))
    engine.dispose()


def _als(train: sparse.csr_array[Any], threads: int, seed: int, **settings: Any) -> Ranker:
    from implicit.als import AlternatingLeastSquares

    return _by_implicit(
        lambda: AlternatingLeastSquares(iterations=15, num_threads=threads, random_state=seed, **settings),
        train,
    )


def _by_implicit(make: Callable[[], Any], train: sparse.csr_array[Any]) -> Ranker:
    indexes, pointers = train.indices.astype(np.int32), train.indptr.astype(np.int32)
    rows = sparse.csr_matrix((train.data.astype(np.float32), indexes, pointers), shape=train.shape)
    # implicit has threads of its own, and warns of OpenBLAS' beside them; and of a matrix it made itself.
    with threadpool_limits(limits=1, user_api="blas"), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Method expects CSR input")
        model = make()
        model.fit(rows, show_progress=False)

    def rank(users: Users) -> NDArray[np.intp]:
        ranked = np.full((len(users), K), -1, np.intp)
        with threadpool_limits(limits=1, user_api="blas"):
            for batch in _batches(len(users), rows.shape[1]):
                some = users[batch]
                found, _ = model.recommend(some, rows[some], N=K, filter_already_liked_items=True)
                # Where a user has nearly everything, implicit fills up with what they have, and with zeros.
                unseen = rows.shape[1] - np.diff(rows.indptr)[some]
                of_nobody = np.arange(found.shape[1]) >= unseen[:, None]
                is_seen = np.asarray(rows[some[:, None], found].todense()) > 0
                ranked[batch, : found.shape[1]] = np.where(of_nobody | is_seen, -1, found)
        return ranked

    return rank


def _by_scores(train: sparse.csr_array[Any], score: Callable[[Users], NDArray[np.float32]]) -> Ranker:
    items = train.shape[1]
    length = min(K, items)

    def rank(users: Users) -> NDArray[np.intp]:
        ranked = np.full((len(users), K), -1, np.intp)
        for batch in _batches(len(users), items):
            some = users[batch]
            scores = score(some)
            scores[train[some].nonzero()] = -np.inf
            best = np.argpartition(-scores, length - 1, axis=1)[:, :length]
            of_best = np.take_along_axis(scores, best, axis=1)
            best[np.isneginf(of_best)] = -1
            ranked[batch, :length] = np.take_along_axis(best, np.argsort(-of_best, axis=1), axis=1)
        return ranked

    return rank


def _batches(users: int, items: int) -> Iterator[slice]:
    size = max(1, _SCORES_AT_ONCE // items)
    return (slice(start, start + size) for start in range(0, users, size))
