"""What is wrong, what would help most, and what to do about either."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from recsvc.config import current_config
from recsvc.queues import QueueState
from recsvc.services.events import PURCHASE
from recsvc.services.stock import ENOUGH_OF_USER, Stock
from recsvc.storage.models import ModelVersion, TrainingRun, now
from recsvc.storage.queries.totals import Recent, Totals

# What Amazon Personalize asks for at the least: a rule of thumb that shops may know.
ENOUGH_INTERACTIONS = 1_000
ENOUGH_USERS = 25

_OLD = timedelta(hours=36)  # a daily training, and half a day for it to fail and be mended
_SILENT = timedelta(minutes=15)  # SCHEDULER_INTERVAL is five minutes at the most
_STUCK = timedelta(minutes=15)
_QUIET = timedelta(days=2)
_WORTH_A_WORD = 0.1  # share of the items or users
_FEW = 100  # interactions, of which nothing can be said in general


@dataclass(frozen=True)
class Finding:
    """Something that is wrong, or could be better.

    Attributes:
        code: Stable slug.
        what: In words and numbers.
        advice: What to do.
    """

    code: str
    what: str
    advice: str


@dataclass(frozen=True)
class Look:
    """All that a diagnosis is made from.

    Attributes:
        totals: Numbers of rows.
        stock: What was counted row by row; None where it is not known.
        recent: The interactions received last.
        active: The active version.
        refused: Why this process does not serve it, where it does not.
        last_run: The run asked for last.
        queue: What Redis knows; None where it does not answer.
    """

    totals: Totals
    stock: Stock | None
    recent: Recent
    active: ModelVersion | None
    refused: str | None
    last_run: TrainingRun | None
    queue: QueueState | None


def problems(look: Look) -> list[Finding]:
    """What is wrong, the worst first."""
    return [
        *_of_serving(look),
        *_of_processes(look.queue, look.last_run),
        *_of_training(look),
        *_of_ingestion(look.totals),
    ]


def improvements(look: Look) -> list[Finding]:
    """What would help, that which concerns the largest share of the shop first."""
    found = sorted([*_of_items(look), *_of_users(look), *_of_events(look.recent)], key=lambda pair: -pair[0])
    return [finding for _, finding in found]


def _of_serving(look: Look) -> Iterator[Finding]:
    if look.refused:
        yield Finding(
            "model_refused",
            look.refused,
            "Go back to a version that is well (recsvc models verify, recsvc models activate VERSION), or"
            " train anew: recsvc train --wait.",
        )
    if not look.totals.interactions:
        yield Finding(
            "no_interactions",
            "There are no interactions yet, so nobody can be recommended anything.",
            "Import what you have (recsvc import csv FILE), or send what happens: POST /api/v1/interactions.",
        )
    elif look.active is None:
        yield Finding(
            "no_model",
            "No training has succeeded yet: everybody gets what is popular.",
            "Train: recsvc train --wait. The scheduler does so by itself when TRAIN_SCHEDULE says.",
        )
    if look.totals.items and not look.totals.recommendable_items:
        yield Finding(
            "nothing_recommendable",
            "All items are hidden or unavailable: every list is empty.",
            "Set available to true and hidden to false where that is wrong: PATCH /api/v1/items/{item_id}.",
        )


def _of_processes(queue: QueueState | None, last_run: TrainingRun | None) -> Iterator[Finding]:
    if queue is None:
        yield Finding(
            "redis_away",
            "Redis does not answer: nothing can be trained; lists and interactions go on.",
            "Is the server that REDIS_URL names up, and reachable from here?",
        )
        return
    if not queue.workers:
        yield Finding(
            "no_worker",
            "No worker gives a sign of life: nothing will be trained.",
            "Start one: python worker.py.",
        )
    waiting = [waits.since for waits in queue.waiting.values() if waits.since is not None]
    is_training = last_run is not None and last_run.status == "running"
    if queue.workers and waiting and now() - min(waiting) > _STUCK and not is_training:
        yield Finding(
            "queue_stuck",
            f"Jobs have been waiting for {in_words(now() - min(waiting))}, though a worker lives and no"
            " training runs.",
            "Look at the worker's log, and start it anew.",
        )
    seen = queue.scheduler_seen_at
    if seen is None or now() - seen > _SILENT:
        silent = (
            "has never given a sign of life"
            if seen is None
            else f"has been silent for {in_words(now() - seen)}"
        )
        yield Finding(
            "scheduler_silent",
            f"The scheduler {silent}: nothing is trained by the schedule.",
            "Start it: python scheduler.py. It makes up for what it missed.",
        )


def _of_training(look: Look) -> Iterator[Finding]:
    run = look.last_run
    if run is not None and run.status == "failed":
        yield Finding(
            "last_run_failed",
            f"The last training failed: {run.error}",
            "Mend that, then train: recsvc train --wait. The model from before is served on.",
        )
    if look.active is not None and now() - look.active.created_at > _OLD:
        age = now() - look.active.created_at
        if run is not None and run.status == "rejected":
            why = (run.gate or {}).get("reason", "")
            advice = (
                f"The gate rejected the last new one. {why} Look for a change in the data; --force overrides."
            )
        else:
            advice = "Train: recsvc train --wait. Is the scheduler up, and TRAIN_SCHEDULE as you want it?"
        yield Finding("model_old", f"The model is {in_words(age)} old.", advice)


def _of_ingestion(totals: Totals) -> Iterator[Finding]:
    newest = totals.newest_interaction_at
    if newest is not None and now() - newest > _QUIET:
        yield Finding(
            "nothing_comes_in",
            f"No interaction has come in for {in_words(now() - newest)}.",
            "Does the shop still send them? Its log would show refusals of POST /api/v1/interactions.",
        )


def _of_items(look: Look) -> Iterator[tuple[float, Finding]]:
    if look.stock is None or not look.totals.items:
        return
    items, known = look.totals.items, look.stock.items
    share = known.without_feature / items
    if share >= _WORTH_A_WORD:
        unknown = f"; of {known.unknown:,} nothing is known at all" if known.unknown else ""
        yield (
            share,
            Finding(
                "items_without_features",
                f"{share:.0%} of the items have no feature{unknown}.",
                "Send authors, genres, brands and the like with PUT /api/v1/items/{item_id}, or recsvc import"
                " csv FILE --kind items: by these new items are recommended before anybody has found them.",
            ),
        )


def _of_users(look: Look) -> Iterator[tuple[float, Finding]]:
    if look.stock is None or look.totals.interactions < _FEW:
        return
    fewer = max(0, look.totals.users - look.stock.users_with_enough)
    share = fewer / max(1, look.totals.users)
    if share > 0.5:
        yield (
            share,
            Finding(
                "users_with_little",
                f"{share:.0%} of the users have fewer than {ENOUGH_OF_USER} interactions.",
                "Send more of what they do: views too, and what they did before they signed in (POST"
                " /api/v1/users/{guest_id}/merge).",
            ),
        )


def _of_events(recent: Recent) -> Iterator[tuple[float, Finding]]:
    counted = sum(recent.events.values())
    if counted < _FEW:
        return
    if len(recent.events) == 1:
        (event,) = recent.events
        others = {"view", "cart", PURCHASE} & current_config().event_weights.keys() - {event}
        if others:
            yield (
                0.5,
                Finding(
                    "one_event",
                    f"Of the last {counted:,} interactions all are of one event: {event}.",
                    f"Send {' and '.join(sorted(others))} as well: each tells something else.",
                ),
            )
    if not recent.naming_a_list:
        yield (
            0.05,
            Finding(
                "nothing_attributed",
                f"None of the last {counted:,} interactions says which list it came from.",
                "Send the recommendation_id of the list with it: then you see here what lists bring.",
            ),
        )


def in_words(span: timedelta) -> str:
    """A span of time in the largest unit that fits it, such as `3 days`."""
    seconds = span.total_seconds()
    for unit, length in (("day", 86_400), ("hour", 3600), ("minute", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}s"
    return f"{seconds:.0f} seconds"


def verdict_on(totals: Totals, users_with_enough: int | None) -> tuple[str, str]:
    """`none`, `little` or `enough`, and what that means."""
    if not totals.interactions:
        return "none", "There are no interactions yet: write or import some, then train."
    users = totals.users if users_with_enough is None else users_with_enough
    if totals.interactions < ENOUGH_INTERACTIONS or users < ENOUGH_USERS:
        return (
            "little",
            f"Below {ENOUGH_INTERACTIONS:,} interactions, or {ENOUGH_USERS} users with {ENOUGH_OF_USER} each,"
            " lists are mostly what is popular; they become personal as interactions come in.",
        )
    return "enough", "There is enough to learn from."
