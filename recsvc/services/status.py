"""What a shop wants to know first: is there enough data, what is served and why, when is the next run."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from recsvc.config import current_config
from recsvc.services import attribution, training
from recsvc.services.attribution import Attributed, Comparison
from recsvc.services.serving import serving
from recsvc.storage.models import TrainingRun, now
from recsvc.storage.queries import model_versions, totals
from recsvc.storage.queries.totals import Totals

# What Amazon Personalize asks for at the least: a rule of thumb that shops may know.
_ENOUGH_INTERACTIONS = 1_000
_ENOUGH_USERS = 25


@dataclass(frozen=True)
class Data:
    """How much data there is.

    Attributes:
        totals: Numbers of rows.
        verdict: `none`, `little` or `enough`.
        advice: What that means, and what to do.
    """

    totals: Totals
    verdict: str
    advice: str


@dataclass(frozen=True)
class Served:
    """What this process serves.

    Attributes:
        model_version: None where there is no model yet.
        since: When it was made the active one.
        why: How that came about, in words.
        problem: What is wrong with the active version, where it cannot be served.
    """

    model_version: str | None
    since: datetime | None
    why: str
    problem: str | None


@dataclass(frozen=True)
class Status:
    """The state of the service.

    Attributes:
        data: How much there is, and whether it suffices.
        serving: What is served.
        next_training_at: When the schedule asks for the next run.
        last_run: The run asked for last.
        attribution_days: How many days `attribution` is about.
        attribution: What came of what was shown, by model version and strategy.
        experiment: The experiment of the settings.
    """

    data: Data
    serving: Served
    next_training_at: datetime
    last_run: TrainingRun | None
    attribution_days: int
    attribution: list[Attributed]
    experiment: Comparison | None


def status() -> Status:
    """Looks at everything."""
    config = current_config()
    newest = training.page(before=None, limit=1, status=None)
    return Status(
        data=_data(totals.count()),
        serving=_served(),
        next_training_at=training.next_due(config.train_schedule, now()),
        last_run=newest[0] if newest else None,
        attribution_days=config.attribution_days,
        attribution=attribution.told(),
        experiment=attribution.compared(),
    )


def _data(counted: Totals) -> Data:
    if not counted.interactions:
        return Data(counted, "none", "There are no interactions yet: write or import some, then train.")
    if counted.interactions < _ENOUGH_INTERACTIONS or counted.users < _ENOUGH_USERS:
        return Data(
            counted,
            "little",
            f"Below {_ENOUGH_INTERACTIONS} interactions of {_ENOUGH_USERS} users lists are mostly what is"
            " popular; they become personal as interactions come in.",
        )
    return Data(counted, "enough", "There is enough to learn from.")


def _served() -> Served:
    state = serving()
    version = state.view().version
    if version is None:
        why = "There is no model yet: popular items are served until a training has succeeded."
        return Served(None, None, why, state.problem)
    row = model_versions.find(version)
    run = training.find(row.run_id) if row and row.run_id else None
    why = "It is what the model store names as the active version."
    if run is not None:
        reason = (run.gate or {}).get("reason")
        why = f"Run {run.run_id} ({run.trigger}) made it" + (f": {reason}" if reason else ".")
    return Served(version, row.activated_at if row else None, why, state.problem)
