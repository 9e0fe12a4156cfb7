"""The search for limits of voices that a shop's own data bears out, and how a set of them is tried.

The users that something was held out of are cut in three: voices and blend are chosen with some, trials are
compared on others, and the best of them is judged by the rest. So nobody judges what was chosen with them: of
many trials that are no better, the one that some users like best was lucky with these users.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recsvc.recommender.blend import learn_blend
from recsvc.recommender.draws import Purpose, chances
from recsvc.recommender.examples import Examples
from recsvc.recommender.fitting import assemble
from recsvc.recommender.interactions import InteractionMatrix
from recsvc.recommender.judging import Jury, K
from recsvc.recommender.metrics import evaluate_lists
from recsvc.recommender.model import Model
from recsvc.recommender.recency import choose_recency, fit_plain, with_recency
from recsvc.recommender.selection import Selection
from recsvc.recommender.split import HeldOut
from recsvc.recommender.voice import Parameters, Voice
from recsvc.recommender.voices import voices as known_voices

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import Trial

HALF_LIFE = "half_life_days"
_MOST_USERS = 1_000  # that every trial is ranked for


@dataclass(frozen=True)
class Dimension:
    """Something to search over.

    Attributes:
        name: Of the limit. `half_life_days` is none: the matrix is built with it.
        turn: Dimensions of one turn are tried together, the others as they are best so far.
        voices: Those that are given the limit.
        choices: What to choose from; none where there is a range.
        low: The range's lower end; its logarithm is searched.
        high: The upper one.
    """

    name: str
    turn: str
    voices: tuple[str, ...] = ()
    choices: tuple[float, ...] = ()
    low: float = 0.0
    high: float = 0.0

    def holds(self, value: Any) -> bool:
        """Whether a value is one of this dimension's."""
        if not isinstance(value, int | float):
            return False
        return value in self.choices if self.choices else self.low <= value <= self.high

    def distribution(self) -> BaseDistribution:
        """The dimension as Optuna has it."""
        from optuna.distributions import CategoricalDistribution, FloatDistribution

        if self.choices:
            return CategoricalDistribution(self.choices)
        return FloatDistribution(self.low, self.high, log=True)


# What is quick to try comes first. A turn has as many trials as it has dimensions, then it is the next one's.
SPACE = (
    Dimension("confidence", "als", ("als",), low=1.0, high=100.0),
    Dimension("penalty", "als", ("als",), low=1.0, high=300.0),
    Dimension("neighbours", "neighbours", ("item_weights", "neighbours"), (50, 100, 200, 400, 800)),
    Dimension("alpha", "lightfm", ("lightfm",), low=1e-6, high=1e-3),
    Dimension("learning_rate", "lightfm", ("lightfm",), low=0.01, high=0.2),
    Dimension("components", "lightfm", ("lightfm",), (32, 64, 128, 256)),
    Dimension("max_sampled", "lightfm", ("lightfm",), (10, 30, 100)),
    Dimension(HALF_LIFE, "half_life", (), (0.0, 30.0, 90.0, 365.0, 1000.0)),
)


def overlay(
    limits: Mapping[str, Parameters], parameters: Mapping[str, Any], space: Sequence[Dimension] = SPACE
) -> dict[str, Parameters]:
    """Puts parameters over the limits of the voices that read them.

    Args:
        limits: Names of voices to what settings say of them.
        parameters: Names of dimensions to values.
        space: The dimensions meant.
    """
    return {
        voice: of_voice
        | {
            entry.name: parameters[entry.name]
            for entry in space
            if entry.name in parameters and voice in entry.voices
        }
        for voice, of_voice in limits.items()
    }


class Sampler:
    """Says what to try next: Optuna's tree-structured Parzen estimator (Bergstra et al. 2011).

    Args:
        space: What to search over.
        seed: Of what is tried.
        earlier: The values that earlier trials tried, and what each gained.
    """

    def __init__(
        self, space: Sequence[Dimension], seed: int, earlier: Iterable[tuple[Mapping[str, Any], float]]
    ) -> None:
        import optuna

        # It logs by a handler of its own, and each trial: ours are told by whoever runs them.
        optuna.logging.disable_default_handler()
        optuna.logging.enable_propagation()
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._distributions = {entry.name: entry.distribution() for entry in space}
        self._names = {
            turn: [entry.name for entry in space if entry.turn == turn]
            for turn in {entry.turn for entry in space}
        }
        self._study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed))
        for tried, gain in earlier:
            known = {entry.name: tried[entry.name] for entry in space if entry.name in tried}
            self._study.add_trial(
                optuna.trial.create_trial(params=known, distributions=self._of(known), value=gain)
            )
        self._trial: Trial | None = None

    def ask(self, turn: str) -> dict[str, Any]:
        """Values for the dimensions of a turn, of three figures each, so that people can read them."""
        self._trial = self._study.ask(fixed_distributions=self._of(self._names[turn]))
        return {
            name: float(f"{value:.3g}") if isinstance(value, float) else value
            for name, value in self._trial.params.items()
        }

    def tell(self, gain: float | None) -> None:
        """What the values asked for last have gained; None where they cannot be fitted with."""
        from optuna.trial import TrialState

        assert self._trial is not None
        self._study.tell(self._trial, gain, state=TrialState.FAIL if gain is None else TrialState.COMPLETE)

    def _of(self, names: Iterable[str]) -> dict[str, BaseDistribution]:
        return {name: self._distributions[name] for name in names}


@dataclass(frozen=True)
class Ground:
    """What trials of one half-life are run on.

    Attributes:
        matrix: Of all interactions.
        examples: Of all interactions.
        shown: Held out of users that voices and blend are chosen with.
        compared: Held out of users that trials are compared on.
        judged: Held out of users that nothing is chosen with: they judge what the others have chosen.
    """

    matrix: InteractionMatrix
    examples: Examples
    shown: HeldOut
    compared: HeldOut
    judged: HeldOut


def lay_out(matrix: InteractionMatrix, examples: Examples, held_out: HeldOut) -> Ground:
    """Cuts the users in three at random, and alike from one tuning to the next.

    Who compared trials must not judge in a later tuning, which goes on from what was best among them. So
    users are in an order that says nothing of them and that others who come or go leave as it is, and between
    those who compare and those who judge are those shown.

    Args:
        matrix: Of all interactions.
        examples: Of all interactions.
        held_out: A split of the matrix, of three users at least.
    """
    keys = matrix.user_keys[held_out.user_indexes]
    users = min(len(keys) // 3, _MOST_USERS)
    parts = np.split(np.argsort(chances(examples.seed, Purpose.TRIALS, keys)), [users, 2 * users])
    compared, shown, judged = (held_out.of(np.sort(some)) for some in parts)
    return Ground(matrix, examples, shown, compared, judged)


def lay_out_alike(matrix: InteractionMatrix, examples: Examples, like: Ground) -> Ground:
    """The same users and the same held-out items, for a matrix built with another half-life.

    What may be learned is what both matrices have. Histories hold the same items, each as strong as the
    half-life leaves it: a version is served with the half-life that it was trained with.

    Args:
        matrix: Of the same interactions as that of `like`.
        examples: Of the same interactions.
        like: A ground.
    """
    known = like.shown.strengths.copy()
    known.data = np.ones_like(known.data)
    rest = matrix.strengths.multiply(known).tocsr()
    rest.sort_indices()
    parts = (
        HeldOut(rest, part.user_indexes, part.relevant, _histories_by(matrix, part), part.cold_items)
        for part in (like.shown, like.compared, like.judged)
    )
    return Ground(matrix, examples, *parts)


def _histories_by(matrix: InteractionMatrix, part: HeldOut) -> sparse.csr_array[Any]:
    """Histories as another matrix of the same interactions has them, in the order in which they were."""
    histories = part.histories.copy()
    owners = np.repeat(part.user_indexes, np.diff(histories.indptr))
    histories.data = matrix.strengths[owners, histories.indices]
    histories.eliminate_zeros()
    return histories


@dataclass(frozen=True)
class Tried:
    """A trial that came to its end.

    Attributes:
        parameters: What lies over the settings.
        limits: Of each voice, these parameters among them.
        ground: What it was run on.
        voices: As fitted; None for one that does not suit the data.
        recency: How much more the newest of a history counts; chosen in the first trial, and kept in others.
        model: Of these voices and their blend.
        ndcg: NDCG@20 of each user that trials are compared on, ranked as a web process ranks.
    """

    parameters: Parameters
    limits: dict[str, Parameters]
    ground: Ground
    voices: dict[str, Voice | None]
    recency: float
    model: Model
    ndcg: NDArray[np.float64]

    @property
    def quality(self) -> float:
        """What trials are compared by."""
        return float(self.ndcg.mean())


def try_out(
    ground: Ground,
    parameters: Parameters,
    limits: dict[str, Parameters],
    like: Tried | None,
    on_progress: Callable[[], None],
) -> Tried:
    """Chooses voices and blend within limits, and looks how good the lists are that they give.

    Args:
        ground: What to run on.
        parameters: What lies over the settings.
        limits: Of each voice, these parameters among them.
        like: A trial whose voices are taken where their limits are the same on the same ground.
        on_progress: Called often. May raise, which ends the trial.

    Raises:
        ValueError: A fit diverged.
    """
    voices: dict[str, Voice | None] = {}
    if like is not None and like.ground is ground:
        voices = {name: voice for name, voice in like.voices.items() if limits[name] == like.limits[name]}
    rest = ground.examples.rest_of(ground.matrix, ground.shown)
    jury = Jury(ground.examples.histories(ground.shown), ground.shown.relevant)
    threads = ground.examples.threads
    if like is not None:
        recency = like.recency
    else:
        recency = choose_recency(fit_plain(rest, limits, on_progress), jury, threads, on_progress)
    jury = with_recency(jury, recency)

    def judge(voice: Voice) -> float:
        on_progress()
        return float(jury.ndcg(voice, threads).mean())

    for name in sorted(limits.keys() - voices.keys()):
        found = known_voices()[name].choose(rest, judge, limits[name], lambda done: on_progress())
        voices[name] = found[0] if found is not None else None
    speaking = {name: voice for name, voice in sorted(voices.items()) if voice is not None}
    blend = learn_blend(
        speaking,
        jury.histories,
        jury.relevant,
        rest.counts > 0,
        seed=ground.examples.seed,
        threads=threads,
        on_progress=lambda done: on_progress(),
    )
    model = assemble(ground.matrix, rest, speaking, blend)
    ndcg = _ndcg(model, ground.examples, ground.compared)
    return Tried(parameters, limits, ground, voices, recency, model, ndcg)


def judge(tried: Tried) -> NDArray[np.float64]:
    """NDCG@20 of each user that nothing was chosen with, ranked as a web process ranks.

    Args:
        tried: What they judge. Each look at what they say of one more trial is a chance more to be taken in.
    """
    return _ndcg(tried.model, tried.ground.examples, tried.ground.judged)


def _ndcg(model: Model, examples: Examples, part: HeldOut) -> NDArray[np.float64]:
    histories = examples.histories(part)
    every = np.ones(len(model), dtype=bool)
    lists = np.full((len(histories), K), -1, np.intp)
    for row, history in enumerate(histories):
        listed, _ = model.recommend(history, K, Selection(every, None, history.indexes))
        lists[row, : len(listed)] = listed
    return evaluate_lists(lists, part.relevant, [K])[f"ndcg_at_{K}"]
