"""How good lists are that a training would give, told on what it is not shown. Changes nothing."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

from threadpoolctl import threadpool_limits

from recsvc.config import current_config
from recsvc.errors import ConflictError
from recsvc.extensions import db
from recsvc.recommender import trial
from recsvc.recommender.trial import Trial
from recsvc.recommender.voices import voices
from recsvc.services import tuned
from recsvc.services.learning import build, limits_of, read_rows

SPLITS = tuple(trial.SPLITS)
FEWEST_USERS = 20  # fewer say nothing
_DIGITS = 5


@dataclass(frozen=True)
class Evaluation:
    """A trial, and what it was run on.

    Attributes:
        split: Which of `SPLITS`.
        seed: Of everything random.
        catalogue_users: How many users did anything.
        catalogue_items: How many items there are.
        tuned: Whether what a tuning found was in force. Tuning saw what is held out here, so it flatters.
        trial: What was found.
        seconds: Spent.
    """

    split: str
    seed: int
    catalogue_users: int
    catalogue_items: int
    tuned: bool
    trial: Trial
    seconds: float

    def as_json(self) -> dict[str, Any]:
        """The same as JSON has it; null for what cannot be told."""
        of_trial: dict[str, Any] = _rounded(asdict(self.trial))
        models = [
            {name: value for name, value in row.items() if name != "figures"} | row["figures"]
            for row in of_trial["rows"]
        ]
        return {
            "split": self.split,
            "seed": self.seed,
            "catalogue": {"users": self.catalogue_users, "items": self.catalogue_items},
            "learned_from": {"pairs": of_trial["pairs"], "validation_users": of_trial["validation_users"]},
            "held_out": {"users": of_trial["users"], "likes": of_trial["relevant"]},
            "tuned": self.tuned,
            "models": models,
            "difference": {
                "metric": trial.COMPARED_BY,
                "of": trial.BLEND,
                "to": of_trial["best_single"],
                **of_trial["difference"],
            },
            "cold": of_trial["cold"],
            "seconds": round(self.seconds, 1),
        }


def evaluate(
    split: str,
    *,
    users: int,
    seed: int | None = None,
    on_progress: Callable[[str, float], None] = lambda stage, done: None,
) -> Evaluation:
    """Holds interactions out, learns from the rest as a training would, and looks how well they are foretold.

    Fits with threads: this process must not fork afterwards.

    Args:
        split: One of `SPLITS`.
        users: How many to evaluate at the most.
        seed: Of everything random; the settings' where not given.
        on_progress: Told the stage and the part of it that is done, 0 to 1. May raise, which ends everything.

    Raises:
        TrainingError: There is nothing to learn from.
        ConflictError: There is too little to hold out, or the rest cannot be fitted to.
    """
    began = time.monotonic()
    config = current_config()
    seed = config.train_seed if seed is None else seed
    if split == "items" and not any(voices()[name].speaks_of_cold for name in config.voices):
        raise ConflictError(
            "None of the voices in VOICES says anything of cold items: %(voices)s.",
            voices=", ".join(sorted(config.voices)),
        )
    rows = read_rows(config, lambda read, total: on_progress("read", read / max(total, 1)))
    settings = limits_of(config)
    limits, half_life = tuned.in_force(config, settings)
    matrix, examples = build(config, rows, half_life)
    db.session.rollback()  # no transaction stays open during the fits
    interactions = rows.interactions
    del rows
    held_out = trial.SPLITS[split](matrix, interactions, users, seed)
    found = len(held_out.user_indexes)
    if found < FEWEST_USERS:
        raise ConflictError(
            "There is too little data for the split %(split)s: something can be held out of %(found)s"
            " users, and fewer than %(fewest)s say nothing.",
            split=split,
            found=found,
            fewest=FEWEST_USERS,
        )
    # LightFM has threads of its own; those of the linear algebra beside them would be in their way.
    with threadpool_limits(limits=1, user_api="blas"):
        try:
            tried = trial.run(
                matrix,
                interactions,
                replace(examples, seed=seed),
                held_out,
                limits,
                neighbours=config.model_neighbours,
                on_progress=on_progress,
            )
        except ValueError as error:
            raise ConflictError("The model cannot be fitted: %(why)s.", why=str(error)) from error
    return Evaluation(
        split=split,
        seed=seed,
        catalogue_users=len(matrix.user_keys),
        catalogue_items=len(matrix.item_keys),
        tuned=limits != settings or half_life != config.half_life,
        trial=tried,
        seconds=time.monotonic() - began,
    )


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _rounded(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(entry) for entry in value]
    return round(value, _DIGITS) if isinstance(value, float) else value
