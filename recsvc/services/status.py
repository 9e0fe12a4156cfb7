"""What a shop wants to know first: what is wrong, is there enough data, what is served to whom and why."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from recsvc import queues
from recsvc.config import current_config
from recsvc.errors import DamagedVersionError, ModelStoreUnavailableError, QueueUnavailableError
from recsvc.queues import QueueState
from recsvc.recommender import kernels
from recsvc.services import attribution, diagnosis, registry, stock, training
from recsvc.services.attribution import Attributed, Comparison
from recsvc.services.diagnosis import Finding, Look
from recsvc.services.serving import serving
from recsvc.services.stock import Audience, Stock
from recsvc.storage.models import ModelVersion, TrainingRun, now
from recsvc.storage.queries import model_versions, totals
from recsvc.storage.queries.totals import Totals

_RECENT = 1_000  # interactions


@dataclass(frozen=True)
class Data:
    """How much data there is.

    Attributes:
        totals: Numbers of rows.
        verdict: `none`, `little` or `enough`.
        advice: What that means, and what to do.
        counted_at: When the rest was counted: now, or by a worker in a large shop; None where none has yet.
        users_with_enough: Users with so many interactions that something can be learned from them.
        items_with_enough: Items of the same kind.
        items_untouched: Items without any interaction.
        items_without_feature: Items without any feature.
    """

    totals: Totals
    verdict: str
    advice: str
    counted_at: datetime | None
    users_with_enough: int | None
    items_with_enough: int | None
    items_untouched: int | None
    items_without_feature: int | None


@dataclass(frozen=True)
class Served:
    """What is served.

    Attributes:
        model_version: None where there is no model yet.
        since: When it was made the active one.
        why: How that came about, in words.
        problem: What is wrong with the active version, where it cannot be served.
        users: Who is served what; None where that was not counted yet.
    """

    model_version: str | None
    since: datetime | None
    why: str
    problem: str | None
    users: Audience | None


@dataclass(frozen=True)
class Status:
    """The state of the service.

    Attributes:
        problems: What is wrong, the worst first.
        improvements: What would help, the most helpful first.
        data: How much there is, and whether it suffices.
        serving: What is served.
        next_training_at: When the schedule asks for the next run.
        last_run: The run asked for last.
        processes: Workers, scheduler and what waits for them; None where Redis does not answer.
        attribution_days: How many days `attribution` is about.
        attribution: What came of what was shown, by model version and strategy.
        experiment: The experiment of the settings.
    """

    problems: list[Finding]
    improvements: list[Finding]
    data: Data
    serving: Served
    next_training_at: datetime
    last_run: TrainingRun | None
    processes: QueueState | None
    attribution_days: int
    attribution: list[Attributed]
    experiment: Comparison | None


def status() -> Status:
    """Looks at everything, and at no more rows than a moment allows."""
    config = current_config()
    counted, taken, (version, refused) = totals.count(), _stock(), _version()
    active = model_versions.find(version) if version else None
    newest = training.page(before=None, limit=1, status=None)
    last_run = newest[0] if newest else None
    queue = _queue()
    recent = totals.recent(_RECENT)
    look = Look(counted, taken, recent, active, refused, last_run, queue, kernels.IS_COMPILED)
    return Status(
        problems=diagnosis.problems(look),
        improvements=diagnosis.improvements(look),
        data=_data(counted, taken),
        serving=_served(version, active, refused, taken),
        next_training_at=training.next_due(config.train_schedule, now()),
        last_run=last_run,
        processes=queue,
        attribution_days=config.attribution_days,
        attribution=taken.attribution if taken else [],
        experiment=attribution.compared(taken.arms) if taken else None,
    )


def _queue() -> QueueState | None:
    try:
        return queues.look()
    except QueueUnavailableError:
        return None


def _stock() -> Stock | None:
    try:
        return stock.at_hand()
    except QueueUnavailableError:
        return None


def _version() -> tuple[str | None, str | None]:
    """What this process serves, or would if it served, and what is wrong with what it should."""
    state = serving()
    if state.is_serving:
        return state.view().version, state.problem
    try:
        pointer = registry.model_store().pointer()
    except (DamagedVersionError, ModelStoreUnavailableError) as error:
        return None, error.detail
    return pointer.version if pointer else None, None


def _data(counted: Totals, taken: Stock | None) -> Data:
    enough = taken.users_with_enough if taken else None
    verdict, advice = diagnosis.verdict_on(counted, enough)
    return Data(
        totals=counted,
        verdict=verdict,
        advice=advice,
        counted_at=taken.counted_at if taken else None,
        users_with_enough=enough,
        items_with_enough=taken.items.with_enough if taken else None,
        items_untouched=taken.items.untouched if taken else None,
        items_without_feature=taken.items.without_feature if taken else None,
    )


def _served(
    version: str | None, active: ModelVersion | None, refused: str | None, taken: Stock | None
) -> Served:
    users = taken.audience if taken else None
    if version is None:
        why = "There is no model yet: popular items are served until a training has succeeded."
        return Served(None, None, why, refused, users)
    run = training.find(active.run_id) if active and active.run_id else None
    why = "It is what the model store names as the active version."
    if run is not None:
        reason = (run.gate or {}).get("reason")
        why = f"Run {run.run_id} ({run.trigger}) made it" + (f": {reason}" if reason else ".")
    return Served(version, active.activated_at if active else None, why, refused, users)
