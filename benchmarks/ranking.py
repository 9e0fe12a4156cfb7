"""Microseconds for a list of 20, by the number of items and the length of the user's history.

    python -m benchmarks.ranking [--items 10000,50000,100000,500000] [--histories 5,50,500] [--rounds N]
        [--seed N] [--json]

Three things take turns of twenty calls, each on one thread: the whole blend as a web process ranks with it
(`Model.recommend` on arrays that were written as a version and mapped again); `LightFM.predict` for all
items of a user, with as many components as the blend's LightFM has by default, and `numpy.argsort`; and
nothing but the product of a float32 matrix of 64 components an item with a vector, which is as fast as
memory gives the numbers away.

A model is made up, with as many voices, neighbours and components as default settings allow at the most, all
voices with a weight; every hundredth item is one that nobody likes yet. Popularity follows a power law in
histories and in neighbours alike, and both keep to tastes of a thousand items. Each call has another history.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter_ns
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from threadpoolctl import threadpool_limits

from recsvc.config import Config
from recsvc.recommender.blend import Blend
from recsvc.recommender.examples import History
from recsvc.recommender.model import Model
from recsvc.recommender.relations import Relations, join, strongest
from recsvc.recommender.selection import Selection
from recsvc.recommender.voice import Voice
from recsvc.recommender.voices.als import AlternatingLeastSquares
from recsvc.recommender.voices.item_weights import ItemWeights
from recsvc.recommender.voices.lightfm import LightFMHybrid
from recsvc.recommender.voices.neighbours import Neighbours
from recsvc.recommender.voices.popularity import Popularity
from recsvc.recommender.voices.svd import TruncatedSVD
from recsvc.storage.artifacts import open_version, write_files
from recsvc.storage.signing import Signer

K = 20
COMPONENTS = 64  # of the bare product
OURS, LIGHTFM, PRODUCT = "recsvc", "lightfm_predict_argsort", "bare_product"

_MOST_ITEMS_FOR_WEIGHTS = 10_000
_COLD_EVERY = 100
_ITEMS_A_TASTE = 1_000
_USERS = 1_000
_KNOTS = (1, 3, 10, 30, 100)
_ROWS_AT_ONCE = 5_000
_BYTES_A_PAGE = 4_096
_CALLS_A_TURN = 20  # as a process under load answers one such request after another


class Catalogue:
    """Items by popularity and taste.

    Attributes:
        items: How many there are.
        by_popularity: Item indexes, the most popular first.
    """

    def __init__(self, items: int, random: np.random.Generator) -> None:
        self.items = items
        self.by_popularity = random.permutation(items)
        self.is_cold = np.zeros(items, dtype=bool)
        self.is_cold[self.by_popularity[::-_COLD_EVERY]] = True
        self._tastes = max(1, items // _ITEMS_A_TASTE)
        self._random = random

    def draw(self, tastes: NDArray[np.intp], count: int) -> NDArray[np.intp]:
        """Items that the same users like: half of one taste, half of any, the popular ones more often.

        Args:
            tastes: Shape (m,).
            count: How many for each of them.

        Returns:
            Item indexes, shape (m, count), with repetitions.
        """
        of_taste = self._ranks(self.items // self._tastes, (len(tastes), count)) * self._tastes
        ranks = np.where(
            self._random.random((len(tastes), count)) < 0.5,
            np.minimum(of_taste + tastes[:, None], self.items - 1),
            self._ranks(self.items, (len(tastes), count)),
        )
        drawn: NDArray[np.intp] = self.by_popularity[ranks]
        return drawn

    def relations(self, most: int) -> Relations:
        """So many related items of each."""
        taste_of = np.empty(self.items, np.intp)
        taste_of[self.by_popularity] = np.arange(self.items) % self._tastes
        blocks = []
        for begin in range(0, self.items, _ROWS_AT_ONCE):
            drawn = self.draw(taste_of[begin : begin + _ROWS_AT_ONCE], 3 * most)
            bounds = np.arange(0, drawn.size + 1, drawn.shape[1])
            weights = self._random.random(drawn.size, dtype=np.float32)
            rows = sparse.csr_array((weights, drawn.ravel(), bounds), shape=(len(drawn), self.items))
            rows.sum_duplicates()
            blocks.append(strongest(rows, most))
        return join(blocks, self._random.random(self.items, dtype=np.float32) + np.float32(0.1))

    def histories(self, length: int) -> Iterator[History]:
        """Histories of that length without end, each another."""
        while True:
            taste = self._random.integers(self._tastes, size=1)
            drawn = self.draw(taste, 4 * length)[0]
            _, firsts = np.unique(drawn, return_index=True)
            distinct = drawn[np.sort(firsts)]
            if len(distinct) >= length:
                strengths = 1 + 2 * self._random.random(length, dtype=np.float32)
                yield History(distinct[:length], strengths)

    def _ranks(self, items: int, shape: tuple[int, int]) -> NDArray[np.intp]:
        # The inverse of the distribution function of (rank + 10) ** -0.9.
        low, high = 10**0.1, (items + 10) ** 0.1
        ranks = (low + (high - low) * self._random.random(shape)) ** 10 - 10
        return np.minimum(ranks.astype(np.intp), items - 1)


def make_model(catalogue: Catalogue, random: np.random.Generator) -> Model:
    """Makes up a model of default settings' greatest size."""
    items, config = catalogue.items, Config()
    length, neighbours = config.model_components, config.model_neighbours

    def normal(*shape: int) -> NDArray[np.float32]:
        return random.standard_normal(shape, np.float32) * np.float32(0.1)

    likes = np.empty(items, np.int32)
    likes[catalogue.by_popularity] = 100_000 * (np.arange(items) + 10.0) ** -0.9 + 1
    likes[catalogue.is_cold] = 0
    positive = np.maximum(likes, 1).astype(np.float32)
    embeddings = normal(items, length)
    voices: dict[str, Voice] = {
        "als": AlternatingLeastSquares(normal(items, config.model_factors), np.full(items, 10, np.float32)),
        "lightfm": LightFMHybrid(
            embeddings=embeddings,
            biases=normal(items),
            spectrum=np.square(embeddings).mean(axis=0),
            mean_item=normal(length + 1),
            item_features=normal(0, length + 1),
            user_features=normal(0, length),
            mean_user=normal(length),
        ),
        "neighbours": Neighbours(catalogue.relations(neighbours)),
        "popularity": Popularity(np.log1p(likes).astype(np.float32)),
        "svd": TruncatedSVD(normal(items, config.model_factors), positive**-0.5, positive**0.5),
    }
    if items <= _MOST_ITEMS_FOR_WEIGHTS:
        voices["item_weights"] = ItemWeights(catalogue.relations(neighbours))
    voices = dict(sorted(voices.items()))
    empty = np.empty(0, np.int32)
    weights = random.random((len(_KNOTS), len(voices)), np.float32) + np.float32(0.1)
    slopes = np.ones(len(voices), np.float32)
    # What the newest counts more for costs something, so that it is counted here.
    blend = Blend(np.array(_KNOTS, np.float32), weights, slopes, 0 * slopes, recency=0.75)
    return Model(np.arange(1, items + 1, dtype=np.int32), likes, empty, empty, voices, blend)


@contextmanager
def served(model: Model) -> Iterator[Model]:
    """The same model, written as a version and mapped as a web process maps it."""
    with tempfile.TemporaryDirectory(prefix="recsvc-") as folder:
        version, signer = Path(folder) / "version", Signer(["a secret of this benchmark"])
        version.mkdir()
        manifest = {"version": version.name}
        write_files(version, arrays=model.arrays(), files={}, manifest=manifest, signer=signer)
        arrays = open_version(version, signer)[1]
        for array in arrays.values():
            # A process that has served for a while has touched every page; a first touch costs more.
            array.reshape(-1).view(np.uint8)[::_BYTES_A_PAGE].max(initial=0)
        yield Model.from_arrays(arrays)


def rankings(model: Model, catalogue: Catalogue, length: int, seed: int) -> dict[str, Callable[[], Any]]:
    """What is to be timed: three functions without arguments, another user at each call."""
    random = np.random.default_rng(seed)
    every, newcomers = np.ones(len(model), dtype=bool), model.newcomers
    histories = catalogue.histories(length)
    present = [next(histories) for _ in range(200)]
    turns = iter(range(10**9))

    def ours() -> Any:
        history = present[next(turns) % len(present)]
        return model.recommend(history, K, Selection(every, None, history.indexes), newcomers)

    matrix = random.standard_normal((len(model), COMPONENTS), np.float32)
    vectors = random.standard_normal((_USERS, COMPONENTS), np.float32)
    length_of_default = Config().model_components
    estimator = _lightfm(
        random.standard_normal((len(model), length_of_default), np.float32),
        random.standard_normal((_USERS, length_of_default), np.float32),
    )
    every_item = np.arange(len(model), dtype=np.int32)

    def lightfm() -> Any:
        scores = estimator.predict(int(random.integers(_USERS)), every_item, num_threads=1)
        return np.argsort(-scores)[:K]

    def product() -> Any:
        return matrix @ vectors[random.integers(_USERS)]

    return {OURS: ours, LIGHTFM: lightfm, PRODUCT: product}


def measure(items: int, lengths: list[int], rounds: int, seed: int) -> list[dict[str, Any]]:
    """Times all three at a size, in turns.

    Args:
        items: How many.
        lengths: Of histories.
        rounds: How many calls of each.
        seed: Of everything random.

    Returns:
        A dictionary a length: medians and quartiles in microseconds, and ratios of medians.
    """
    random = np.random.default_rng([seed, items])
    catalogue = Catalogue(items, random)
    found = []
    with served(make_model(catalogue, random)) as model, threadpool_limits(1):
        for length in lengths:
            functions = rankings(model, catalogue, length, seed)
            for function in functions.values():
                for _ in range(max(3, rounds // 10)):
                    function()
            nanoseconds: dict[str, list[int]] = {name: [] for name in functions}
            for _ in range(-(-rounds // _CALLS_A_TURN)):
                for name, function in functions.items():
                    for _ in range(_CALLS_A_TURN):
                        began = perf_counter_ns()
                        function()
                        nanoseconds[name].append(perf_counter_ns() - began)
            found.append({"items": items, "history": length, **_summary(nanoseconds)})
    return found


def _summary(nanoseconds: dict[str, list[int]]) -> dict[str, Any]:
    quartiles = {
        name: [round(float(value), 1) for value in np.quantile(np.array(times) / 1_000, [0.25, 0.5, 0.75])]
        for name, times in nanoseconds.items()
    }
    medians = {name: median for name, (_, median, _) in quartiles.items()}
    return {
        "microseconds": medians,
        "quartiles": quartiles,
        "ours_by_bare_product": round(medians[OURS] / medians[PRODUCT], 2),
        "lightfm_by_ours": round(medians[LIGHTFM] / medians[OURS], 2),
    }


def _lightfm(item_embeddings: NDArray[np.float32], user_embeddings: NDArray[np.float32]) -> Any:
    from lightfm import LightFM

    model = LightFM(no_components=item_embeddings.shape[1], loss="warp")
    nobody = sparse.coo_matrix((len(user_embeddings), len(item_embeddings)), dtype=np.float32)
    model.fit_partial(nobody, epochs=0)
    model.item_embeddings, model.user_embeddings = item_embeddings, user_embeddings
    return model


def main() -> None:
    """Reads the arguments, measures, and prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--items", default="10000,50000,100000,500000", help="sizes with commas between")
    parser.add_argument("--histories", default="5,50,500", help="lengths with commas between")
    parser.add_argument("--rounds", type=int, default=200, help="calls of each")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    lengths = [int(length) for length in arguments.histories.split(",")]
    results: list[dict[str, Any]] = []
    if not arguments.json:
        print("Microseconds (medians of calls, twenty a turn, one thread):")
        print(f"{'items':>8}{'history':>9}{'recsvc':>10}{'LightFM':>10}{'product':>10}", end="")
        print(f"{'recsvc / product':>19}{'LightFM / recsvc':>19}")
    for items in map(int, arguments.items.split(",")):
        for result in measure(items, lengths, arguments.rounds, arguments.seed):
            results.append(result)
            if not arguments.json:
                times = "".join(f"{result['microseconds'][name]:10,.0f}" for name in (OURS, LIGHTFM, PRODUCT))
                print(f"{items:8}{result['history']:9}{times}{result['ours_by_bare_product']:19.2f}", end="")
                print(f"{result['lightfm_by_ours']:19.2f}", flush=True)
    if arguments.json:
        print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
