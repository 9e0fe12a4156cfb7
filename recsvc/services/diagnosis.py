"""What is wrong, what would help most, and what to do about either."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from recsvc.config import current_config
from recsvc.queues import QueueState
from recsvc.sentences import Sentence
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
    what: Sentence
    advice: Sentence


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
        is_compiled: Whether what a request waits for is compiled here.
    """

    totals: Totals
    stock: Stock | None
    recent: Recent
    active: ModelVersion | None
    refused: str | None
    last_run: TrainingRun | None
    queue: QueueState | None
    is_compiled: bool


def problems(look: Look) -> list[Finding]:
    """What is wrong, the worst first."""
    return [
        *_of_serving(look),
        *_of_processes(look.queue, look.last_run),
        *_of_training(look),
        *_of_ingestion(look.totals),
        *_of_installation(look),
    ]


def improvements(look: Look) -> list[Finding]:
    """What would help, that which concerns the largest share of the shop first."""
    found = sorted([*_of_items(look), *_of_users(look), *_of_events(look.recent)], key=lambda pair: -pair[0])
    return [finding for _, finding in found]


def _of_serving(look: Look) -> Iterator[Finding]:
    if look.refused:
        yield Finding(
            "model_refused",
            Sentence(look.refused),
            Sentence(
                "Go back to a version that is well (recsvc models verify, recsvc models activate VERSION), or"
                " train anew: recsvc train --wait."
            ),
        )
    if not look.totals.interactions:
        yield Finding(
            "no_interactions",
            Sentence("There are no interactions yet, so nobody can be recommended anything."),
            Sentence(
                "Import what you have (recsvc import csv FILE), or send what happens: POST"
                " /api/v1/interactions."
            ),
        )
    elif look.active is None:
        yield Finding(
            "no_model",
            Sentence("No training has succeeded yet: everybody gets what is popular."),
            Sentence("Train: recsvc train --wait. The scheduler does so by itself when TRAIN_SCHEDULE says."),
        )
    if look.totals.items and not look.totals.recommendable_items:
        yield Finding(
            "nothing_recommendable",
            Sentence("All items are hidden or unavailable: every list is empty."),
            Sentence(
                "Set available to true and hidden to false where that is wrong: PATCH"
                " /api/v1/items/{item_id}."
            ),
        )


def _of_processes(queue: QueueState | None, last_run: TrainingRun | None) -> Iterator[Finding]:
    if queue is None:
        yield Finding(
            "redis_away",
            Sentence("Redis does not answer: nothing can be trained; lists and interactions go on."),
            Sentence("Is the server that REDIS_URL names up, and reachable from here?"),
        )
        return
    if not queue.workers:
        yield Finding(
            "no_worker",
            Sentence("No worker gives a sign of life: nothing will be trained."),
            Sentence("Start one: python worker.py."),
        )
    waiting = [waits.since for waits in queue.waiting.values() if waits.since is not None]
    is_training = last_run is not None and last_run.status == "running"
    if queue.workers and waiting and now() - min(waiting) > _STUCK and not is_training:
        yield Finding(
            "queue_stuck",
            Sentence(
                "Jobs have been waiting for %(span)s, though a worker lives and no training runs.",
                span=now() - min(waiting),
            ),
            Sentence("Look at the worker's log, and start it anew."),
        )
    seen = queue.scheduler_seen_at
    if seen is None or now() - seen > _SILENT:
        yield Finding(
            "scheduler_silent",
            Sentence("The scheduler has never given a sign of life: nothing is trained by the schedule.")
            if seen is None
            else Sentence(
                "The scheduler has been silent for %(span)s: nothing is trained by the schedule.",
                span=now() - seen,
            ),
            Sentence("Start it: python scheduler.py. It makes up for what it missed."),
        )


def _of_training(look: Look) -> Iterator[Finding]:
    run = look.last_run
    if run is not None and run.status == "failed":
        error = run.error or ""
        yield Finding(
            "last_run_failed",
            Sentence("The last training failed: %(why)s", why=Sentence(error)),
            Sentence("Mend that, then train: recsvc train --wait. The model from before is served on."),
        )
    if look.active is not None and now() - look.active.created_at > _OLD:
        reason = (run.gate or {}).get("reason", "") if run is not None else ""
        yield Finding(
            "model_old",
            Sentence("The model is %(span)s old.", span=now() - look.active.created_at),
            Sentence(
                "The gate rejected the last new one. %(why)s Look for a change in the data; --force"
                " overrides.",
                why=Sentence(reason),
            )
            if run is not None and run.status == "rejected"
            else Sentence(
                "Train: recsvc train --wait. Is the scheduler up, and TRAIN_SCHEDULE as you want it?"
            ),
        )


def _of_ingestion(totals: Totals) -> Iterator[Finding]:
    newest = totals.newest_interaction_at
    if newest is not None and now() - newest > _QUIET:
        yield Finding(
            "nothing_comes_in",
            Sentence("No interaction has come in for %(span)s.", span=now() - newest),
            Sentence(
                "Does the shop still send them? Its log would show refusals of POST /api/v1/interactions."
            ),
        )


def _of_installation(look: Look) -> Iterator[Finding]:
    if not look.is_compiled:
        yield Finding(
            "not_compiled",
            Sentence("Lists take longer than they need: what a request waits for is not compiled here."),
            Sentence(
                "Where there is a C compiler: python setup.py build_ext --inplace, then start the web"
                " processes anew."
            ),
        )


def _of_items(look: Look) -> Iterator[tuple[float, Finding]]:
    if look.stock is None or not look.totals.items:
        return
    items, known = look.totals.items, look.stock.items
    share = known.without_feature / items
    if share >= _WORTH_A_WORD:
        yield (
            share,
            Finding(
                "items_without_features",
                Sentence(
                    "%(share)s of the items have no feature; of %(items)s nothing is known at all.",
                    share=share,
                    items=known.unknown,
                )
                if known.unknown
                else Sentence("%(share)s of the items have no feature.", share=share),
                Sentence(
                    "Send authors, genres, brands and the like with PUT /api/v1/items/{item_id}, or recsvc"
                    " import csv FILE --kind items: by these new items are recommended before anybody has"
                    " found them."
                ),
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
                Sentence(
                    "%(share)s of the users have fewer than %(enough)s interactions.",
                    share=share,
                    enough=ENOUGH_OF_USER,
                ),
                Sentence(
                    "Send more of what they do: views too, and what they did before they signed in (POST"
                    " /api/v1/users/{guest_id}/merge)."
                ),
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
                    Sentence(
                        "Of the last %(number)s interactions all are of one event: %(event)s.",
                        number=counted,
                        event=event,
                    ),
                    Sentence(
                        "Send %(others)s as well: each tells something else.", others=tuple(sorted(others))
                    ),
                ),
            )
    if not recent.naming_a_list:
        yield (
            0.05,
            Finding(
                "nothing_attributed",
                Sentence(
                    "None of the last %(number)s interactions says which list it came from.", number=counted
                ),
                Sentence(
                    "Send the recommendation_id of the list with it: then you see here what lists bring."
                ),
            ),
        )


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
