"""How much each voice counts: learned from what was held out, by the length of a history."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from recsvc.recommender.examples import History
from recsvc.recommender.kernels import best_places, ranks
from recsvc.recommender.voice import Voice, checked

K = 20  # places that weights are chosen for
_KNOTS = (1, 3, 10, 30, 100)  # lengths of history with weights of their own
_FEWEST_USERS = 30  # with a history so long, or the knot has no weights of its own
_MOST_USERS_OF_KNOT = 1_000
_OF_EACH_VOICE = 100  # candidates
_SCORES_AT_ONCE = 8_000_000  # of each voice
_HALVES = 32  # random halves of the users that weights are tuned on and averaged over
_FINEST_STEP = 0.03
_LEAST_SHARE = 0.03  # of the weight of all voices, at some length; less is not heard at all


_OfUser = tuple[NDArray[np.float32], NDArray[np.intp]]  # candidates' scores by each voice, and those that hit


@dataclass(frozen=True)
class Blend:
    """Weights of voices. A voice's scores are brought to unit deviation before they are weighed.

    Attributes:
        lengths: float32, shape (knots,): lengths of history, ascending.
        weights: float32, shape (knots, voices): of the voices in the order of their names; 0 or more.
        slopes: float32, shape (voices,): by how much a voice's score rises, on average over items that
            somebody likes, with that of the voice that speaks of cold items.
        offsets: float32, shape (voices,): the voice's mean score where that of the other is 0.
        recency: How much more the newest items of a history count, for every voice: an exponent, 0 where they
            count like the others; see `examples.weights_by_place`.
    """

    lengths: NDArray[np.float32]
    weights: NDArray[np.float32]
    slopes: NDArray[np.float32]
    offsets: NDArray[np.float32]
    recency: float = 0.0

    def at(self, length: int) -> NDArray[np.float64]:
        """Weights for a history of some length, shape (voices,); between knots by its logarithm."""
        found = self._found.get(length)
        if found is None:
            found = self._found[length] = self._interpolated(length)
        return found

    @cached_property
    def _found(self) -> dict[int, NDArray[np.float64]]:
        return {}

    def _interpolated(self, length: int) -> NDArray[np.float64]:
        place = np.interp(np.log(max(length, 1)), np.log(self.lengths), np.arange(len(self.lengths)))
        below = int(place)
        above = min(below + 1, len(self.lengths) - 1)
        mixed: NDArray[np.float64] = self.weights[below] + (place - below) * (
            self.weights[above] - self.weights[below]
        )
        return mixed

    def heard(self) -> NDArray[np.bool_]:
        """Which voices have any weight, bool, shape (voices,)."""
        return np.asarray(self.weights.max(axis=0) > 0)

    def of(self, places: Sequence[int]) -> Blend:
        """The blend of some of the voices."""
        kept = list(places)
        return replace(
            self, weights=self.weights[:, kept], slopes=self.slopes[kept], offsets=self.offsets[kept]
        )

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What has to be kept."""
        return {
            "lengths": self.lengths,
            "weights": self.weights,
            "slopes": self.slopes,
            "offsets": self.offsets,
            **({"recency": np.array([self.recency], np.float32)} if self.recency else {}),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], voices: int) -> Blend:
        """Takes mapped arrays.

        Raises:
            ValueError: One is missing, or their shapes do not fit together.
        """
        knots = len(arrays["lengths"]) if "lengths" in arrays else -1
        shapes = {
            "lengths": (knots,),
            "weights": (knots, voices),
            "slopes": (voices,),
            "offsets": (voices,),
        }
        # Versions of before there was such a number have none, nor has one in which it is 0.
        found = checked({"recency": np.zeros(1, np.float32), **arrays}, {**shapes, "recency": (1,)})
        recency = float(found.pop("recency")[0])
        if not 0 <= recency < np.inf:
            raise ValueError(f"recency is {recency}, and no number from 0 on")
        return cls(**found, recency=recency)


def learn_blend(
    voices: Mapping[str, Voice],
    histories: Sequence[History],
    relevant: Sequence[NDArray[np.intp]] | None,
    is_hot: NDArray[np.bool_],
    *,
    seed: int,
    threads: int,
    on_progress: Callable[[float], None],
) -> Blend:
    """Finds the weights with which what was held out is foretold best.

    NDCG@20 is climbed coordinate by coordinate, from the best single voice and from equal weights, on random
    halves of the users; the mean of what is found is kept. First with the histories as they are, then with
    all cut to each of some lengths, from where the first ended; of the two the mean counts.

    Args:
        voices: Fitted to what was not held out, in the order of their names.
        histories: Of users that something was held out of, at least one; with what is newest in them counting
            as it is to count.
        relevant: What was held out of each; None where weights cannot be learned, and all voices count alike.
        is_hot: bool, shape (items,): which items anybody likes.
        seed: Of the halves, and of which items of a history stay when it is cut and nobody knows the newest.
        threads: How many.
        on_progress: Told the part that is done, 0 to 1. May raise, which ends the search.
    """
    random = np.random.default_rng(seed)
    moments = _Moments(voices, histories[0], is_hot)
    gathered = _gather(
        voices, histories, histories, relevant, is_hot=is_hot, threads=threads, moments=moments
    )
    scales = moments.deviations()
    slopes, offsets = moments.regressions()
    alike = np.full(len(voices), 1 / len(voices))
    if relevant is None:
        weights = (alike / scales).astype(np.float32)[None]
        return Blend(np.ones(1, np.float32), weights, slopes, offsets)

    (recency,) = {history.recency for history in histories}
    usual = _tune_on_halves(gathered, scales, [alike], random, threads)
    lengths, found = [], []
    for place, length in enumerate(_KNOTS):
        on_progress((place + 1) / (len(_KNOTS) + 1))
        users = [user for user, history in enumerate(histories) if history.liked >= length]
        if len(users) < _FEWEST_USERS:
            continue
        chosen = np.sort(random.choice(users, min(len(users), _MOST_USERS_OF_KNOT), replace=False)).tolist()
        whole = [histories[user] for user in chosen]
        cut = [_cut(history, length, random) for history in whole]
        of_knot = _gather(
            voices, cut, whole, [relevant[user] for user in chosen], is_hot=is_hot, threads=threads
        )
        lengths.append(length)
        # Half way to what suits all lengths: on users not tuned on, that was better than either.
        found.append((_tune_on_halves(of_knot, scales, [usual], random, threads) + usual) / 2)
    if not found:
        lengths, found = [1], [usual]
    shares = np.array(found)
    shares[:, shares.max(axis=0) < _LEAST_SHARE] = 0
    weights = (shares / scales).astype(np.float32)
    return Blend(np.array(lengths, np.float32), weights, slopes, offsets, recency)


class _Moments:
    """Sums over users and hot items from which deviations and regressions are computed.

    Scores are counted from one of the voice's own: the squares of great ones that are all alike would tell
    of nothing but rounding.
    """

    def __init__(self, voices: Mapping[str, Voice], history: History, is_hot: NDArray[np.bool_]) -> None:
        names = list(voices)
        first = int(np.argmax(is_hot))
        self.origins = np.array([voice.score_all([history])[0, first] for voice in voices.values()])
        self.cold = next((names.index(name) for name in names if voices[name].speaks_of_cold), None)
        self.count = 0.0
        self.sums, self.squares, self.products = np.zeros((3, len(names)))

    def of(self, scores: Sequence[NDArray[np.float32]], is_hot: NDArray[np.bool_]) -> NDArray[np.float64]:
        """What some users' scores add: how many, their sums, squares and products, shape (4, voices)."""
        hot = [of_voice.compress(is_hot, axis=1) for of_voice in scores]
        for of_voice, origin in zip(hot, self.origins, strict=True):
            np.subtract(of_voice, origin, out=of_voice)
        beside = hot[self.cold] if self.cold is not None else np.zeros_like(hot[0])
        # Rows are added up in single precision, as fast as they come from memory, and their sums in double.
        by_row = [
            (of_voice.sum(axis=1), np.vecdot(of_voice, of_voice), np.vecdot(of_voice, beside))
            for of_voice in hot
        ]
        sums: NDArray[np.float64] = np.array(by_row).sum(axis=2, dtype=np.float64).T
        return np.concatenate([[[of_voice.size for of_voice in hot]], sums])

    def add(self, found: NDArray[np.float64]) -> None:
        counts, sums, squares, products = found
        self.count += float(counts[0])
        self.sums += sums
        self.squares += squares
        self.products += products

    def deviations(self) -> NDArray[np.float64]:
        means = self.sums / self.count
        deviations = np.sqrt(np.maximum(self.squares / self.count - means**2, 0))
        # A voice that says the same of all items has nothing to be brought to one scale.
        return np.where(deviations > 0, deviations, 1.0)

    def regressions(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        from_origins = self.sums / self.count
        means = self.origins + from_origins
        if self.cold is None:
            return np.zeros(len(means), np.float32), means.astype(np.float32)
        covariances = self.products / self.count - from_origins * from_origins[self.cold]
        variance = covariances[self.cold]
        slopes = np.maximum(covariances / variance, 0) if variance > 0 else np.zeros(len(means))
        slopes[self.cold] = 1.0
        return slopes.astype(np.float32), (means - slopes * means[self.cold]).astype(np.float32)


@dataclass(frozen=True)
class _Gathered:
    """Candidates of each user with every voice's scores; rows padded to one length.

    Attributes:
        scores: float32, shape (users, candidates, voices); NaN at padding.
        hits: User and place of each candidate that was held out.
        ideals: Shape (users,): discounted gain of a perfect list.
    """

    scores: NDArray[np.float32]
    hits: tuple[NDArray[np.intp], NDArray[np.intp]]
    ideals: NDArray[np.float64]

    def of(self, users: NDArray[np.intp]) -> _Gathered:
        place = np.full(len(self.ideals), -1)
        place[users] = np.arange(len(users))
        kept = place[self.hits[0]] >= 0
        hits = place[self.hits[0][kept]], self.hits[1][kept]
        return _Gathered(self.scores[users], hits, self.ideals[users])

    def ndcg(self, weights: NDArray[np.float64]) -> float:
        users, places = self.hits
        of_hits = ranks(self.scores @ weights.astype(np.float32), users, places)
        gains = np.where(of_hits <= K, 1 / np.log2(of_hits + 1), 0.0)
        of_users = np.bincount(users, gains, minlength=len(self.ideals)) / self.ideals
        return float(of_users.mean())


def _gather(
    voices: Mapping[str, Voice],
    histories: Sequence[History],
    seen: Sequence[History],
    relevant: Sequence[NDArray[np.intp]] | None,
    *,
    is_hot: NDArray[np.bool_],
    threads: int,
    moments: _Moments | None = None,
) -> _Gathered:
    items = len(is_hot)
    at_once = max(1, _SCORES_AT_ONCE // items // threads)

    def gather(start: int) -> tuple[NDArray[np.float64] | None, list[_OfUser]]:
        scores = [voice.score_all(histories[start : start + at_once]) for voice in voices.values()]
        found = None if moments is None else moments.of(scores, is_hot)
        if relevant is None:
            return found, []
        found_of: list[_OfUser] = []
        for row, history in enumerate(seen[start : start + at_once]):
            is_open = is_hot.copy()
            is_open[history.indexes] = False
            best = [
                best_places(np.where(is_open, of_voice[row], -np.inf), _OF_EACH_VOICE) for of_voice in scores
            ]
            candidates = np.unique(np.concatenate(best))
            candidates = candidates[is_open[candidates]]
            places = np.flatnonzero(np.isin(candidates, relevant[start + row]))
            found_of.append((np.stack([of_voice[row, candidates] for of_voice in scores], axis=1), places))
        return found, found_of

    of_users: list[_OfUser] = []
    with ThreadPoolExecutor(threads) as pool, threadpool_limits(1, "blas"):
        for found, of_some in pool.map(gather, range(0, len(histories), at_once)):
            if moments is not None and found is not None:
                moments.add(found)
            of_users += of_some
    if relevant is None:
        nobody = np.empty(0, np.intp)
        return _Gathered(np.empty((0, 0, len(voices)), np.float32), (nobody, nobody), np.empty(0))
    longest = max(len(scores) for scores, _ in of_users)
    padded = np.full((len(of_users), longest, len(voices)), np.nan, np.float32)
    for user, (scores, _) in enumerate(of_users):
        padded[user, : len(scores)] = scores
    hit_users = np.repeat(np.arange(len(of_users)), [len(places) for _, places in of_users])
    hit_places = np.concatenate([places for _, places in of_users])
    gains = np.concatenate([[0], np.cumsum(1 / np.log2(np.arange(2, K + 2)))])
    ideals = gains[[min(len(items_of_user), K) for items_of_user in relevant]]
    return _Gathered(padded, (hit_users, hit_places), ideals)


def _tune_on_halves(
    gathered: _Gathered,
    scales: NDArray[np.float64],
    starts: Sequence[NDArray[np.float64]],
    random: np.random.Generator,
    threads: int,
) -> NDArray[np.float64]:
    scores = (gathered.scores / scales).astype(np.float32)
    scaled = replace(gathered, scores=scores)
    users = len(gathered.ideals)
    middle = max(1, users // 2)

    def tune(shuffled: NDArray[np.intp]) -> tuple[NDArray[np.float64], list[float]]:
        tuned = _tune(scaled.of(np.sort(shuffled[:middle])), starts)
        return tuned, _gains(scaled.of(np.sort(shuffled[middle:])), tuned)

    with ThreadPoolExecutor(threads) as pool, threadpool_limits(1, "blas"):
        found, gains = zip(*pool.map(tune, [random.permutation(users) for _ in range(_HALVES)]), strict=True)
    weights: NDArray[np.float64] = np.mean(found, axis=0)
    # Weights are never below 0, so that even of a voice that is of no use the mean is above it.
    useful = np.where(np.mean(gains, axis=0) > 0, weights, 0.0)
    weights = useful / useful.sum() if useful.any() else weights
    # The mean of good weights is good as a rule; where it is not, one voice alone may be better.
    alone = [np.eye(len(scales))[voice] for voice in range(len(scales))]
    best: NDArray[np.float64] = max([weights, *alone], key=scaled.ndcg)
    return best


def _gains(gathered: _Gathered, weights: NDArray[np.float64]) -> list[float]:
    """By how much each voice that has a weight makes lists better, for users it was not tuned on."""
    if not len(gathered.ideals):
        return [float(weight) for weight in weights]
    quality = gathered.ndcg(weights)
    gains = []
    for voice, weight in enumerate(weights.tolist()):
        without = weights.copy()
        without[voice] = 0
        gains.append(quality - gathered.ndcg(without) if weight and without.any() else weight)
    return gains


def _tune(gathered: _Gathered, starts: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    voices = gathered.scores.shape[2]
    best: NDArray[np.float64] = max([*starts, *np.eye(voices)], key=gathered.ndcg)
    quality, step = gathered.ndcg(best), 0.4
    while step > _FINEST_STEP:
        improved = False
        for voice in range(voices):
            for change in (step, -step):
                tried = best.copy()
                tried[voice] = max(tried[voice] + change, 0.0)
                if not tried.any():
                    continue
                tried /= tried.sum()
                found = gathered.ndcg(tried)
                if found > quality:
                    best, quality, improved = tried, found, True
        if not improved:
            step /= 2
    return best


def _cut(history: History, length: int, random: np.random.Generator) -> History:
    liked = np.flatnonzero(history.strengths > 0)
    # The newest are what a short history is made of; where nobody knows which they are, any.
    kept = liked[:length] if history.recency else np.sort(random.choice(liked, length, replace=False))
    return replace(history, indexes=history.indexes[kept], strengths=history.strengths[kept])
