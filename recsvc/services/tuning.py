"""Tuning: parameters are tried for some minutes, and kept where they surely beat the settings."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from itertools import cycle, islice
from typing import Any

import structlog
from sqlalchemy.exc import SQLAlchemyError
from threadpoolctl import threadpool_limits

from recsvc.config import Config, current_config
from recsvc.errors import ConflictError
from recsvc.extensions import db
from recsvc.recommender import fitting
from recsvc.recommender.examples import Examples
from recsvc.recommender.features import build_features
from recsvc.recommender.interactions import InteractionColumns, build_matrix
from recsvc.recommender.metrics import difference_interval
from recsvc.recommender.search import (
    HALF_LIFE,
    Ground,
    Sampler,
    Tried,
    judge,
    lay_out,
    lay_out_alike,
    overlay,
    try_out,
)
from recsvc.sentences import Sentence
from recsvc.services import tuned
from recsvc.services.events import event_book
from recsvc.services.learning import limits_of
from recsvc.storage import columns
from recsvc.storage.database import is_unavailable, write_transaction
from recsvc.storage.models import now
from recsvc.storage.queries import training_runs
from recsvc.storage.queries import tuning as queries

logger = structlog.get_logger(__name__)

DEFAULTS, AGAIN = "defaults", "again"
_FEWEST_USERS = 60  # that something can be held out of; a third of them judge, and fewer than 20 say nothing
_MOST_EARLIER = 500
_REPEATS = 20  # suggestions in a row that were tried already, and nothing is left to try
_LOOK_EVERY = 5.0  # seconds


@dataclass(frozen=True)
class Status:
    """How far a tuning is.

    Attributes:
        trials: How many came to their end.
        turn: What is tried now.
        gain: Of the best so far over the settings, in NDCG@20, among users that chose it: it flatters.
    """

    trials: int
    turn: str
    gain: float


@dataclass(frozen=True)
class Outcome:
    """What a tuning found.

    Attributes:
        default_ndcg: NDCG@20 with the settings alone.
        ndcg: With the best parameters found, among the same users, whom nothing was chosen with.
        gain: Their difference.
        low: Lower end of its 95 % interval.
        high: Upper end.
        users: How many users these are of.
        trials: Of this tuning, that with the settings alone among them.
        earlier: Trials of earlier tunings that it went on from.
        changed: What the best differ in: names to the settings' value, None for a training's own choice, and
            the value found.
        kept: Whether the best are in force now.
        in_force: What trainings take beside the settings, from whichever tuning.
        seconds: Spent.
    """

    default_ndcg: float
    ndcg: float
    gain: float
    low: float
    high: float
    users: int
    trials: int
    earlier: int
    changed: dict[str, tuple[float | None, float]]
    kept: bool
    in_force: dict[str, Any]
    seconds: float

    def as_json(self) -> dict[str, Any]:
        """The same as JSON has it."""
        return asdict(self)


class _EndedError(Exception):
    """The search is to end; the trial under way is lost."""


def tune(
    minutes: float,
    *,
    max_trials: int | None = None,
    on_progress: Callable[[Status], None] = lambda status: None,
    stop: Callable[[], bool] = lambda: False,
) -> Outcome:
    """Searches, goes on from what earlier tunings tried, and puts in force what is better for sure.

    Every trial is kept as it ends: whatever kills the process costs the one under way. Ctrl-C ends the search
    as the end of its time does. Fits with threads: this process must not fork afterwards.

    Args:
        minutes: For which to search.
        max_trials: After so many it ends as well, that with the settings alone among them.
        on_progress: Told how far it is, often. May raise, which ends the tuning.
        stop: Asked now and then whether to end the search.

    Raises:
        ConflictError: There is too little data to judge by, or no time for a single trial.
    """
    study = _Study(current_config(), minutes, on_progress, stop)
    # LightFM has threads of its own; those of the linear algebra beside them would be in their way.
    with threadpool_limits(limits=1, user_api="blas"):
        try:
            study.measure_defaults()
        except _EndedError:
            raise ConflictError(
                "Nothing was tried: a training went first, or a trial with the settings as they are takes"
                " longer than %(minutes)s minutes.",
                minutes=f"{minutes:g}",
            ) from None
        except ValueError as error:
            raise ConflictError(
                "The settings as they are cannot be fitted with: %(why)s.", why=str(error)
            ) from error
        try:
            study.search(max_trials)
        except (_EndedError, KeyboardInterrupt):
            logger.info("tuning_search_ended", trials=study.trials)
        return study.conclude()


def training_waits() -> bool:
    """Whether a training run is queued."""
    run = training_runs.under_way()
    db.session.rollback()  # a transaction left open would go on seeing what it saw
    return run is not None and run.status == "queued"


def reset() -> None:
    """Forgets every trial and every set that was found: trainings take the settings alone."""
    with write_transaction():
        queries.forget()


class _Data:
    """All interactions, as they were when the tuning began."""

    def __init__(self, config: Config) -> None:
        self._config = config
        read = columns.read_interactions(config.database_url)
        self._columns = InteractionColumns(
            read["user_key"], read["item_key"], read["event_code"], read["value"], read["occurred_at"]
        )
        self._catalogue = columns.read_items(config.database_url)["item_key"]
        self._of_items = columns.read_features(config.database_url, "item")
        self._of_users = columns.read_features(config.database_url, "user")
        self._scale = event_book().scale

    def ground(self, half_life: float | None, like: Ground | None = None) -> Ground:
        """What trials of a half-life are run on: the same users and items as those of `like`.

        Raises:
            ConflictError: There is too little data to judge by.
        """
        matrix = build_matrix(self._columns, self._scale, self._catalogue, half_life)
        examples = Examples(
            strengths=matrix.strengths,
            ages=matrix.ages,
            item_features=build_features(
                matrix.item_keys, self._of_items["item_key"], self._of_items["feature_key"]
            ),
            user_features=build_features(
                matrix.user_keys, self._of_users["user_key"], self._of_users["feature_key"]
            ),
            seed=self._config.train_seed,
            threads=self._config.train_threads,
        )
        if like is not None:
            return lay_out_alike(matrix, examples, like)
        held_out = fitting.hold_out(matrix, self._columns, self._config.train_seed)
        users = len(held_out.user_indexes) if held_out is not None else 0
        if held_out is None or users < _FEWEST_USERS:
            raise ConflictError(
                "There is too little data to tune with: of %(users)s users something can be held out to"
                " judge by, and it takes %(fewest)s.",
                users=users or Sentence("too few"),
                fewest=_FEWEST_USERS,
            )
        return lay_out(matrix, examples, held_out)


class _Study:
    """One tuning: what was read, the trials, and the best so far."""

    def __init__(
        self,
        config: Config,
        minutes: float,
        on_progress: Callable[[Status], None],
        stop: Callable[[], bool],
    ) -> None:
        self.trials = 0
        self._began = time.monotonic()
        self._deadline = self._began + 60 * minutes
        self._next_look = self._began + _LOOK_EVERY
        self._config = config
        self._on_progress = on_progress
        self._stop = stop
        self._turn = DEFAULTS
        self._space = tuned.open_space(config)
        self._settings = limits_of(config)
        self._data = _Data(config)
        self._ground = self._data.ground(config.half_life)
        found = queries.in_force()
        self._in_force = tuned.still_open(config, found.parameters) if found is not None else {}
        self._earlier = [
            (trial.turn, tuned.still_open(config, trial.parameters), trial.gain)
            for trial in queries.complete_trials(_MOST_EARLIER)
            if trial.gain is not None and trial.turn != DEFAULTS
        ]
        # Counted apart: those that are remembered are no more than so many.
        self._turns_taken = queries.count_trials({entry.turn for entry in self._space})
        db.session.rollback()  # no transaction stays open while others fit
        self._gains: dict[frozenset[tuple[str, Any]], float | None] = {}

    def measure_defaults(self) -> None:
        """Tries the settings alone, which everything else is compared with.

        Raises:
            ValueError: A fit diverged.
            _EndedError: There is no time for it.
        """
        began = time.monotonic()
        self._defaults = self._best = self._try({}, None)
        self._tried_in_force = self._defaults
        self._keep({}, 0.0, time.monotonic() - began)

    def search(self, max_trials: int | None) -> None:
        """Tries what was best in earlier tunings again, then goes round the turns.

        Raises:
            _EndedError: There is time for no more.
        """
        most = max_trials if max_trials is not None else float("inf")
        self._turn = AGAIN
        best = max(self._earlier, key=lambda trial: trial[2], default=("", {}, 0.0))[1]
        for parameters in (self._in_force, best):
            if self.trials < most and self._changed(parameters) not in self._gains:
                tried = self._advance(parameters)
                if parameters is self._in_force and tried is not None:
                    self._tried_in_force = tried
        if not self._space:
            return
        sampler = Sampler(self._space, self._config.train_seed + self._turns_taken, self._varied_earlier())
        repeats = 0
        # Where the last tuning was cut off, this one goes on.
        for turn in islice(cycle([entry.turn for entry in self._space]), self._turns_taken, None):
            if self.trials >= most or repeats == _REPEATS:
                return
            self._turn = turn
            parameters = self._best.parameters | sampler.ask(turn)
            known = self._changed(parameters)
            repeats = repeats + 1 if known in self._gains else 0
            if not repeats:
                self._advance(parameters)
            sampler.tell(self._gains[known])

    def conclude(self) -> Outcome:
        """Tells what was gained, and puts it in force where it was gained for sure.

        By users that chose nothing: the best of many trials was lucky with those it was the best among. Where
        nothing was gained, what is in force stays, unless it is now worse than the settings. Not for sure:
        what came by luck would stay for good, and with a tuning a week luck comes in the end.
        """
        base, ndcg = judge(self._defaults), judge(self._best)
        low, high = difference_interval(ndcg, base, self._config.train_seed)
        kept = low > 0
        if kept:
            self._in_force = self._best.parameters
            with write_transaction():
                queries.put_in_force(
                    {
                        "parameters": self._in_force,
                        "ndcg": float(ndcg.mean()),
                        "default_ndcg": float(base.mean()),
                        "gain_low": low,
                        "gain_high": high,
                        "users": len(ndcg),
                        "found_at": now(),
                    }
                )
        elif judge(self._tried_in_force).mean() < base.mean():
            self._in_force = {}
            with write_transaction():
                queries.retire()
        return Outcome(
            default_ndcg=round(float(base.mean()), 5),
            ndcg=round(float(ndcg.mean()), 5),
            gain=round(float((ndcg - base).mean()), 5),
            low=round(low, 5),
            high=round(high, 5),
            users=len(ndcg),
            trials=self.trials,
            earlier=len(self._earlier),
            changed={
                name: (self._default_of(name), value)
                for name, value in sorted(self._changed(self._best.parameters))
            },
            kept=kept,
            in_force=self._in_force,
            seconds=round(time.monotonic() - self._began, 1),
        )

    def _changed(self, parameters: Mapping[str, Any]) -> frozenset[tuple[str, Any]]:
        """What settings say otherwise: sets that are alike in this are the same."""
        return frozenset(item for item in parameters.items() if item[1] != self._default_of(item[0]))

    def _default_of(self, name: str) -> float | None:
        if name == HALF_LIFE:
            return self._config.half_life_days
        limit: float | None = next(iter(self._settings.values())).get(name)
        return limit

    def _varied_earlier(self) -> list[tuple[dict[str, Any], float]]:
        """Only what was varied: the rest was as it was best, and says nothing of other values."""
        turns = {entry.name: entry.turn for entry in self._space}
        varied = [
            ({name: value for name, value in values.items() if turns[name] == turn}, gain)
            for turn, values, gain in self._earlier
        ]
        return [(values, gain) for values, gain in varied if values]

    def _advance(self, parameters: dict[str, Any]) -> Tried | None:
        """Tries, keeps the trial, and takes it for the best where it is; None where it cannot be fitted."""
        began = time.monotonic()
        try:
            tried = self._try(parameters, self._best)
        except ValueError as error:
            logger.info("tuning_trial_failed", parameters=parameters, why=str(error))
            self._keep(parameters, None, time.monotonic() - began)
            return None
        if tried.quality > self._best.quality:
            self._best = tried
        self._keep(parameters, tried.quality - self._defaults.quality, time.monotonic() - began)
        return tried

    def _try(self, parameters: dict[str, Any], like: Tried | None) -> Tried:
        self._go_on()
        ground = self._ground
        half_life = tuned.half_life(self._config, parameters)
        if like is not None and half_life == tuned.half_life(self._config, like.parameters):
            ground = like.ground
        elif half_life != self._config.half_life:
            ground = self._data.ground(half_life, self._ground)
        limits = overlay(self._settings, parameters, self._space)
        return try_out(ground, parameters, limits, like, self._go_on)

    def _go_on(self) -> None:
        moment = time.monotonic()
        if moment > self._deadline:
            raise _EndedError
        if moment > self._next_look:
            self._next_look = moment + _LOOK_EVERY
            if self._stop():
                raise _EndedError
        gain = self._best.quality - self._defaults.quality if self.trials else 0.0
        self._on_progress(Status(self.trials, self._turn, gain))

    def _keep(self, parameters: Mapping[str, Any], gain: float | None, seconds: float) -> None:
        self._gains[self._changed(parameters)] = gain
        self.trials += 1
        trial = {
            "turn": self._turn,
            "parameters": dict(parameters),
            "gain": gain,
            "seconds": round(seconds, 3),
            "created_at": now(),
        }
        try:
            with write_transaction():
                queries.insert_trial(trial)
        except SQLAlchemyError as error:
            if not is_unavailable(error):
                raise
            # A later tuning will not know of it; this one need not end.
            logger.warning("tuning_trial_not_kept", error=str(error.__cause__ or error))
