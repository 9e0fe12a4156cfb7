"""A trial of all that a training does, on what it was not told: how good the lists would have been."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from recsvc.recommender import fitting
from recsvc.recommender.evaluation import ScoreAll, rank_all
from recsvc.recommender.examples import Examples, History
from recsvc.recommender.interactions import InteractionColumns, InteractionMatrix
from recsvc.recommender.metrics import (
    bootstrap_interval,
    coverage,
    difference_interval,
    evaluate_lists,
    novelty,
    popularity_bias,
)
from recsvc.recommender.model import Model
from recsvc.recommender.selection import Selection
from recsvc.recommender.split import (
    HeldOut,
    hold_out_after,
    hold_out_items,
    hold_out_latest,
    hold_out_users,
    leave_last_out,
)
from recsvc.recommender.voice import OnProgress, Parameters
from recsvc.recommender.voices.neighbours import Neighbours

K = 20
BLEND, VOICE, BASELINE = "blend", "voice", "baseline"
# As people name them, and as they are computed.
METRICS = {
    "recall_at_20": "recall_at_20",
    "ndcg_at_10": "ndcg_at_10",
    "ndcg_at_20": "ndcg_at_20",
    "map_at_20": "ap_at_20",
    "mrr_at_20": "rr_at_20",
    "hit_rate_at_20": "hit_at_20",
}
COMPARED_BY = "ndcg_at_10"

_SHARE = 0.2  # of what a user likes, or of all likes, to hold out
_USERS_SHARE = 0.2  # of the users at most, where they are held out whole
_ITEM_SHARE = 0.1  # of the items to make cold
_RANKED_AT_ONCE = 50  # users between two reports of progress

Split = Callable[[InteractionMatrix, InteractionColumns, int, int], HeldOut]


def _users(matrix: InteractionMatrix, columns: InteractionColumns, users: int, seed: int) -> HeldOut:
    # Somebody has to be left to learn from.
    able = np.count_nonzero(np.diff(matrix.strengths.indptr) >= 2)
    most = min(users, int(_USERS_SHARE * able))
    return hold_out_users(matrix, columns, share=_SHARE, fewest_items=2, most_users=most, seed=seed)


# Whoever likes one item to ask for and one to know them by is evaluated: most shops have most users so short.
SPLITS: Mapping[str, Split] = {
    "latest": lambda matrix, columns, users, seed: hold_out_latest(
        matrix, columns, share=_SHARE, fewest_items=2, most_users=users, seed=seed
    ),
    "last": lambda matrix, columns, users, seed: leave_last_out(matrix, columns, most_users=users, seed=seed),
    "time": lambda matrix, columns, users, seed: hold_out_after(
        matrix, columns, share=_SHARE, fewest_items=1, most_users=users, seed=seed
    ),
    "users": _users,
    "items": lambda matrix, columns, users, seed: hold_out_items(
        matrix, columns, item_share=_ITEM_SHARE, most_users=users, seed=seed
    ),
}


@dataclass(frozen=True)
class Figure:
    """A mean over users, and between what it may be by the chance of who they are.

    Attributes:
        mean: Over the evaluated users.
        low: Lower end of its 95 % interval.
        high: Upper end.
    """

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Row:
    """How good one model's lists are.

    Attributes:
        name: Of the voice, or of what it is beside voices.
        kind: `blend`, `voice` or `baseline`.
        figures: Of each of `METRICS`.
        coverage: Share of the items to choose from that anybody is shown.
        novelty: Mean self-information of what is shown, in bits; None where all items are cold.
        popularity_bias: How many times as popular as histories lists are; None where all items are cold.
    """

    name: str
    kind: str
    figures: dict[str, Figure]
    coverage: float
    novelty: float | None
    popularity_bias: float | None


@dataclass(frozen=True)
class Cold:
    """What is particular to a split that makes items cold.

    Attributes:
        items: How many were made cold; lists were chosen from these alone.
        with_features: How many of them have a feature that the model knows.
        share_of_lists: Their share in the blend's lists where all items may be shown.
        silent: Voices that say nothing of cold items, and so were not ranked with.
    """

    items: int
    with_features: int
    share_of_lists: float
    silent: tuple[str, ...]


@dataclass(frozen=True)
class Trial:
    """What a trial found.

    Attributes:
        users: How many were evaluated.
        relevant: How many likes were held out of them.
        pairs: How many likes were learned from.
        validation_users: How many users, within what was learned from, parameters and blend were chosen with.
        rows: The blend, its voices, then the baselines.
        best_single: Name of the best row beside the blend, by NDCG@10.
        difference: The blend's NDCG@10 minus that row's, user by user.
        cold: Only where items were made cold.
    """

    users: int
    relevant: int
    pairs: int
    validation_users: int
    rows: list[Row]
    best_single: str
    difference: Figure
    cold: Cold | None


def without(
    matrix: InteractionMatrix, examples: Examples, held_out: HeldOut
) -> tuple[InteractionMatrix, Examples]:
    """What is left to learn from; users and items keep their indexes.

    Args:
        matrix: Of all interactions.
        examples: Of all interactions.
        held_out: A split of the matrix.
    """
    rest = examples.rest_of(matrix, held_out)
    return replace(matrix, strengths=rest.strengths, ages=rest.ages), rest


def run(
    matrix: InteractionMatrix,
    columns: InteractionColumns,
    examples: Examples,
    held_out: HeldOut,
    limits: Mapping[str, Parameters],
    *,
    neighbours: int,
    on_progress: Callable[[str, float], None],
) -> Trial:
    """Learns from what is left as a training would, and ranks for the users that something was held out of.

    Parameters and blend are chosen on a validation split of what is left; nothing that was held out is seen
    before lists are compared with it.

    Args:
        matrix: Of all interactions.
        columns: All interactions.
        examples: Of all interactions.
        held_out: A split of the matrix, with at least one user.
        limits: Names of the voices wanted to what settings say of them.
        neighbours: How many each item keeps in plain item–item.
        on_progress: Told the stage and the part of it that is done, 0 to 1. May raise, which ends the trial.

    Raises:
        ValueError: A fit diverged.
    """
    left, rest = without(matrix, examples, held_out)
    # All columns may stay: a split dates only pairs that its matrix has.
    inner = fitting.hold_out(left, columns, examples.seed)
    choice = fitting.choose(left, rest, inner, limits, lambda done: on_progress("choose", done))
    model = fitting.fit(left, rest, choice.parameters, choice.blend, lambda done: on_progress("fit", done))
    plain = Neighbours.plain(rest, neighbours, lambda _: on_progress("fit", 1.0))
    histories = examples.histories(held_out)
    only = held_out.cold_items if len(held_out.cold_items) else None
    lists: dict[tuple[str, str], NDArray[np.intp]] = {
        (BLEND, BLEND): _serve(model, histories, only, lambda done: on_progress("rank", done))
    }
    asked = [model.with_recency(history) for history in histories]
    for name, voice in model.voices.items():
        if only is None or voice.speaks_of_cold:
            lists[name, VOICE] = rank_all(_among(voice.score_all, only), asked, K)
    baselines: dict[str, ScoreAll] = {
        "plain popularity": _alike_for_all(rest.counts),
        "plain item–item": plain.score_all,
    }
    if only is not None:
        # What came into the catalogue first is often what most like, so that order alone may foretell a lot.
        baselines = {
            "by chance": _by_chance(len(model), examples.seed),
            "catalogue order": _alike_for_all(-np.arange(len(model))),
        }
    for name, score_all in baselines.items():
        lists[name, BASELINE] = rank_all(_among(score_all, only), histories, K)

    values = {key: evaluate_lists(of_model, held_out.relevant, [10, K]) for key, of_model in lists.items()}
    by = METRICS[COMPARED_BY]
    ours = values[BLEND, BLEND][by]
    best = max((key for key in lists if key[1] != BLEND), key=lambda key: values[key][by].mean())
    theirs = values[best][by]
    return Trial(
        users=len(histories),
        relevant=sum(map(len, held_out.relevant)),
        pairs=int(rest.strengths.nnz),
        validation_users=len(inner.user_indexes) if inner is not None else 0,
        rows=[
            Row(name, kind, _figures(values[name, kind], examples.seed), *_beyond(of_model, held_out, rest))
            for (name, kind), of_model in lists.items()
        ],
        best_single=best[0],
        difference=Figure(float((ours - theirs).mean()), *difference_interval(ours, theirs, examples.seed)),
        cold=_cold(model, histories, only) if only is not None else None,
    )


def _serve(
    model: Model, histories: Sequence[History], only: NDArray[np.intp] | None, on_progress: OnProgress
) -> NDArray[np.intp]:
    """Lists as a web process makes them, shape (histories, K)."""
    every = np.ones(len(model), dtype=bool)
    lists = np.full((len(histories), K), -1, np.intp)
    for row, history in enumerate(histories):
        listed, _ = model.recommend(history, K, Selection(every, only, history.indexes))
        lists[row, : len(listed)] = listed
        if row % _RANKED_AT_ONCE == 0:
            on_progress(row / len(histories))
    return lists


def _among(score_all: ScoreAll, only: NDArray[np.intp] | None) -> ScoreAll:
    """The same order of some items, and no scores for those that are not to be ranked.

    Of two with one score the one with the smaller index comes first, as in lists that are served: items with
    the same features are many, and which of them comes first should not tell models apart. (Rounding may.)
    """
    if only is None:
        return score_all

    def place_some(histories: Sequence[History]) -> NDArray[np.float32]:
        scores = score_all(histories)
        order = only[np.argsort(-scores[:, only], axis=1, kind="stable")]
        places = np.full(scores.shape, -np.inf, np.float32)
        np.put_along_axis(places, order, -np.arange(len(only), dtype=np.float32)[None], axis=1)
        return places

    return place_some


def _alike_for_all(of_items: NDArray[np.intp]) -> ScoreAll:
    scores = of_items.astype(np.float32)
    return lambda histories: np.repeat(scores[None], len(histories), axis=0)


def _by_chance(items: int, seed: int) -> ScoreAll:
    random = np.random.default_rng(seed)
    return lambda histories: random.random((len(histories), items), np.float32)


def _figures(values: Mapping[str, NDArray[np.float64]], seed: int) -> dict[str, Figure]:
    return {
        name: Figure(float(values[computed].mean()), *bootstrap_interval(values[computed], seed))
        for name, computed in METRICS.items()
    }


def _beyond(
    lists: NDArray[np.intp], held_out: HeldOut, rest: Examples
) -> tuple[float, float | None, float | None]:
    """Coverage, novelty and popularity bias."""
    items = len(rest.counts)
    if len(held_out.cold_items):
        # Nobody likes any of them: they are all as new and as unpopular as can be.
        return coverage(lists, items) * items / len(held_out.cold_items), None, None
    counts = rest.counts.astype(np.float64)
    learned_from = int(np.count_nonzero(rest.lengths))
    told = novelty(lists, counts, learned_from), popularity_bias(lists, held_out.histories, counts)
    new, bias = (None if np.isnan(value) else value for value in told)
    return coverage(lists, items), new, bias


def _cold(model: Model, histories: Sequence[History], cold: NDArray[np.intp]) -> Cold:
    lists = _serve(model, histories, None, lambda _: None)
    newcomers = model.newcomers
    return Cold(
        items=len(cold),
        with_features=int(np.isin(cold, newcomers.indexes[newcomers.has_features]).sum()),
        share_of_lists=float(np.isin(lists[lists >= 0], cold).mean()),
        silent=tuple(name for name, voice in model.voices.items() if not voice.speaks_of_cold),
    )
