"""From examples to a model: every voice's parameters and the blend chosen by validation, then all fitted."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recsvc.recommender.blend import Blend, learn_blend
from recsvc.recommender.draws import Purpose, chances
from recsvc.recommender.evaluation import rank_all
from recsvc.recommender.examples import Examples, History
from recsvc.recommender.interactions import InteractionColumns, InteractionMatrix
from recsvc.recommender.judging import Judge, Jury, K
from recsvc.recommender.metrics import evaluate_lists
from recsvc.recommender.model import Model
from recsvc.recommender.recency import choose_recency, fit_plain, with_recency
from recsvc.recommender.relations import RelatedVoice
from recsvc.recommender.selection import Selection
from recsvc.recommender.split import HeldOut, hold_out_after, hold_out_latest
from recsvc.recommender.voice import OnProgress, Parameters, Voice
from recsvc.recommender.voices import voices as known_voices
from recsvc.recommender.voices.lightfm import LightFMHybrid
from recsvc.recommender.voices.popularity import Popularity

_SHARE = 0.2
_SHARE_OF_MANY = 0.1  # where as many users as can be of use are left to judge by
_SOME_ITEMS = 5  # liked by who is held out of, where there are users enough
_FEWEST_ITEMS = 2
_MOST_USERS = 5_000
_SOME_USERS = 2_000
_FEWEST_USERS = 20  # fewer say nothing
_USERS_ENOUGH = 300  # to split by time, or by those who like some items
# Whose likes are held out here are others than those that a version is compared or evaluated by.
_APART = 1 << 31  # beyond what seeds there are
# What part of the time a voice takes, roughly, for a progress bar.
_EFFORT = {"lightfm": 8.0, "als": 2.0, "svd": 2.0}


@dataclass(frozen=True)
class Choice:
    """What validation found.

    Attributes:
        voices: Fitted to what was not held out, in the order of their names.
        parameters: Of each.
        blend: Learned with them.
        held_out: What was held out of those that the blend was learned by; None where too little could be.
        fit_seconds: Spent in fits.
        judging_seconds: Spent in judging fits, and in learning what counts how much.
        left_out: Voices that were fitted, but have no weight.
    """

    voices: dict[str, Voice]
    parameters: dict[str, Parameters]
    blend: Blend
    held_out: HeldOut | None
    fit_seconds: float
    judging_seconds: float
    left_out: list[str]


def hold_out(matrix: InteractionMatrix, columns: InteractionColumns, seed: int) -> HeldOut | None:
    """Holds out what the near future brought, where times tell; else what each of some users liked last.

    Of users who like few items only where others are not enough: one of their items is much of what is known.

    Args:
        matrix: Built from `columns`.
        columns: All interactions.
        seed: Chooses the users, for each alike whoever else is there; below 2³¹.

    Returns:
        The split; None where too little can be held out to say anything.
    """
    # Of who likes two items, one would be half.
    by_chance = partial(hold_out_latest, at_least_one=False)
    for split, fewest_items, fewest in (
        (hold_out_after, _SOME_ITEMS, _USERS_ENOUGH),
        (hold_out_latest, _SOME_ITEMS, _USERS_ENOUGH),
        (hold_out_after, _FEWEST_ITEMS, _USERS_ENOUGH),
        (by_chance, _FEWEST_ITEMS, _USERS_ENOUGH),
        (hold_out_latest, _SOME_ITEMS, _FEWEST_USERS),
        (by_chance, _FEWEST_ITEMS, _FEWEST_USERS),
    ):
        # What is chosen is for all of the data: the less of it is held out, the better it suits.
        for share, enough in ((_SHARE_OF_MANY, _MOST_USERS), (_SHARE, fewest)):
            held_out = split(
                matrix,
                columns,
                share=share,
                fewest_items=fewest_items,
                most_users=_MOST_USERS,
                seed=_APART + seed,
            )
            if len(held_out.user_indexes) >= enough:
                return held_out
    return None


def choose(
    matrix: InteractionMatrix,
    examples: Examples,
    held_out: HeldOut | None,
    limits: Mapping[str, Parameters],
    on_progress: OnProgress,
) -> Choice:
    """Chooses each voice's parameters, and how much each voice counts.

    Args:
        matrix: Of all interactions.
        examples: Of all interactions.
        held_out: A split of the matrix; None where there is none, and everything is as untold.
        limits: Names of the voices wanted to what settings say of them.
        on_progress: Told the part that is done, 0 to 1. May raise, which ends the search.

    Raises:
        ValueError: A fit diverged.
    """
    rest = examples if held_out is None else examples.rest_of(matrix, held_out)
    judge: Judge | None = None
    some: HeldOut | None = None
    histories: Sequence[History]
    looking = 0.0
    if held_out is None:
        histories = _any_histories(examples)
        began = time.perf_counter()
    else:
        some, others = _divide(held_out, matrix.user_keys[held_out.user_indexes], examples.seed)
        juries = [Jury(examples.histories(part), part.relevant) for part in (some, others)]
        began = time.perf_counter()
        plain = fit_plain(rest, limits, lambda: on_progress(0.0))
        fitted = time.perf_counter()
        recency = choose_recency(plain, juries[0], examples.threads, lambda: on_progress(0.0))
        looking = time.perf_counter() - fitted
        juries = [with_recency(jury, recency) for jury in juries]
        judge, histories = Judge(juries[0], juries[1], examples.threads), juries[0].histories
    voices: dict[str, Voice] = {}
    parameters: dict[str, Parameters] = {}
    share = _shares_of_effort([*limits, "blend"])
    for name in sorted(limits):
        found = known_voices()[name].choose(rest, judge, limits[name], share(name, on_progress))
        if found is not None:
            voices[name], parameters[name] = found
    fit_seconds = time.perf_counter() - began - looking - (judge.seconds if judge else 0.0)
    if not voices:
        raise ValueError(f"no voice of {', '.join(sorted(limits))} suits data of this size")
    blend = learn_blend(
        voices,
        histories,
        some.relevant if some is not None else None,
        rest.counts > 0,
        seed=examples.seed,
        threads=examples.threads,
        on_progress=share("blend", on_progress),
    )
    judging_seconds = time.perf_counter() - began - fit_seconds
    heard = blend.heard() if held_out is not None else np.ones(len(voices), dtype=bool)
    # A voice that is not listened to would only cost: a second fit, memory, and time in each request.
    kept = [name for name, is_heard in zip(voices, heard.tolist(), strict=True) if is_heard or _stays(name)]
    blend = blend.of([place for place, name in enumerate(voices) if name in kept])
    return Choice(
        {name: voices[name] for name in kept},
        {name: parameters[name] for name in kept},
        blend,
        some,
        fit_seconds,
        judging_seconds,
        left_out=[name for name in voices if name not in kept],
    )


def _divide(held_out: HeldOut, keys: NDArray[np.int32], seed: int) -> tuple[HeldOut, HeldOut]:
    """Those that judge every voice and that the blend is learned by, and those that judge the best."""
    shuffled = np.argsort(chances(seed, Purpose.JUDGES, keys))
    some, others = np.sort(shuffled[:_SOME_USERS]), np.sort(shuffled[_SOME_USERS:])
    return held_out.of(some), held_out.of(others)


def _stays(name: str) -> bool:
    """Whether a voice has a use beside its weight: features, candidates, and what is popular."""
    return name in {LightFMHybrid.name, Popularity.name} or issubclass(known_voices()[name], RelatedVoice)


def fit(
    matrix: InteractionMatrix,
    examples: Examples,
    parameters: Mapping[str, Parameters],
    blend: Blend,
    on_progress: OnProgress,
) -> Model:
    """Fits every voice to all examples.

    Args:
        matrix: Of all interactions.
        examples: Of all interactions.
        parameters: Of each voice, as `choose` found them.
        blend: As `choose` found it.
        on_progress: Told the part that is done, 0 to 1. May raise, which ends the fit.

    Raises:
        ValueError: A fit diverged.
    """
    share = _shares_of_effort(list(parameters))
    voices = {
        name: known_voices()[name].fit(examples, of_voice, share(name, on_progress))
        for name, of_voice in sorted(parameters.items())
    }
    return assemble(matrix, examples, voices, blend)


def assemble(
    matrix: InteractionMatrix, examples: Examples, voices: Mapping[str, Voice], blend: Blend
) -> Model:
    """Puts fitted voices, as they are served, and their blend together.

    Args:
        matrix: Whose items the voices know.
        examples: What the voices were fitted to.
        voices: In the order of their names.
        blend: Their weights.
    """
    return Model(
        item_keys=matrix.item_keys,
        likes=examples.counts.astype(np.int32),
        item_feature_keys=examples.item_features.feature_keys,
        user_feature_keys=examples.user_features.feature_keys,
        voices={name: voice.served() for name, voice in voices.items()},
        blend=blend,
    )


def describe(matrix: InteractionMatrix, examples: Examples, choice: Choice) -> dict[str, Any] | None:
    """How well each voice, the blend and popularity foretell what was held out.

    Args:
        matrix: Of all interactions.
        examples: Of all interactions.
        choice: As `choose` found it.

    Returns:
        Means over users, those of the blend on top, ranked as a web process ranks; None where nothing was
        held out.
    """
    held_out = choice.held_out
    if held_out is None:
        return None
    rest = examples.rest_of(matrix, held_out)
    histories = examples.histories(held_out)
    model = assemble(matrix, rest, choice.voices, choice.blend)
    every = np.ones(len(model), dtype=bool)
    lists = np.full((len(histories), K), -1, np.intp)
    for row, history in enumerate(histories):
        selection = Selection(every, None, history.indexes)
        listed, _ = model.recommend(history, K, selection)
        lists[row, : len(listed)] = listed
    popular = np.broadcast_to(np.log1p(rest.counts, dtype=np.float32), (1, len(model)))

    def popular_to_all(some: Sequence[History]) -> NDArray[np.float32]:
        return np.repeat(popular, len(some), axis=0)

    scorers = {name: voice.score_all for name, voice in choice.voices.items()} | {
        "popularity": popular_to_all
    }
    asked = [model.with_recency(history) for history in histories]
    told = {
        name: _means(rank_all(score_all, asked, K, examples.threads), held_out)
        for name, score_all in scorers.items()
    }
    return {
        "held_out_users": len(histories),
        "fit_seconds": round(choice.fit_seconds, 3),
        "judging_seconds": round(choice.judging_seconds, 3),
        **_means(lists, held_out),
        "recency": choice.blend.recency,
        "popularity": told.pop("popularity"),
        "voices": told,
        "left_out": choice.left_out,
    }


def _means(lists: NDArray[np.intp], held_out: HeldOut) -> dict[str, float]:
    found = evaluate_lists(lists, held_out.relevant, [10, 20])
    return {
        name: round(float(found[name].mean()), 5) for name in ("recall_at_20", "ndcg_at_10", "ndcg_at_20")
    }


def _any_histories(examples: Examples) -> list[History]:
    """Users' histories that scores can be brought to one scale on, where nothing is held out."""
    strengths = examples.strengths
    users = np.flatnonzero(examples.lengths)[:_SOME_USERS].tolist()
    rows = [slice(strengths.indptr[user], strengths.indptr[user + 1]) for user in users]
    return [History(strengths.indices[row].astype(np.intp), strengths.data[row]) for row in rows]


def _shares_of_effort(names: Sequence[str]) -> Callable[[str, OnProgress], OnProgress]:
    ordered = sorted(names, key=lambda name: (name == "blend", name))
    efforts = np.cumsum([0.0, *(_EFFORT.get(name, 1.0) for name in ordered)])
    bounds: NDArray[Any] = efforts / efforts[-1]

    def share(name: str, on_progress: OnProgress) -> OnProgress:
        place = ordered.index(name)
        begin, end = float(bounds[place]), float(bounds[place + 1])
        return lambda done: on_progress(begin + done * (end - begin))

    return share
