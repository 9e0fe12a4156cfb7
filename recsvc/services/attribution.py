"""What was shown, and what came of it: interactions that name a recommendation are attributed to it."""

from __future__ import annotations

import atexit
import random
import threading
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from flask import Flask, current_app
from sqlalchemy.exc import SQLAlchemyError

from recsvc.config import current_config
from recsvc.extensions import db
from recsvc.instruments import instruments
from recsvc.services.experiments import Difference, compare, is_sampled, user_hash
from recsvc.storage.database import chunks, is_unavailable, read_by_statement, write_transaction
from recsvc.storage.models import now
from recsvc.storage.punctuality import allow_seconds
from recsvc.storage.queries import shown

logger = structlog.get_logger(__name__)

ATTRIBUTED = ("view", "cart", "purchase")

_WRITTEN_EVERY = 1.0  # seconds
_WAITING_AT_MOST = 20_000  # lists; what comes while the database is away for longer is not recorded
_ROWS_A_TRANSACTION = 1_000
_LOOKED_FOR = 5  # times, after each of which there is a second for a list to be written
_PATIENCE = 10.0  # seconds for an answer of the database
_ERASED_KNOWN_FOR = timedelta(days=1)


class Recorder:
    """Lists that were shown and are not written yet, and interactions that may have come of lists.

    Attributes:
        lost: How many lists were dropped, because the database took none for too long.
    """

    def __init__(self) -> None:
        self.lost = 0
        self._waiting: deque[dict[str, Any]] = deque()
        self._to_attribute: deque[tuple[int, int]] = deque(maxlen=_WAITING_AT_MOST)
        self._writing = threading.Lock()

    def add(self, row: dict[str, Any]) -> None:
        """Takes a list; costs no more than that."""
        if len(self._waiting) < _WAITING_AT_MOST:
            self._waiting.append(row)
        else:
            self.lost += 1

    def write(self) -> int:
        """Writes what waits. What cannot be written waits on.

        Returns:
            How many lists were written.
        """
        with self._writing:
            rows = [self._waiting.popleft() for _ in range(len(self._waiting))]
            written = 0
            try:
                for chunk in chunks(rows, _ROWS_A_TRANSACTION):
                    with write_transaction():
                        shown.insert(chunk)
                    written += len(chunk)
            except BaseException:
                self._waiting.extendleft(reversed(rows[written:]))
                raise
        if self.lost:
            logger.warning("shown_recommendations_lost", lists=self.lost)
            instruments().shown_lost.inc(self.lost)
            self.lost = 0
        return written

    def note(self, interaction_keys: Iterable[int]) -> None:
        """Takes interactions that name a list, to be counted as attributed to it; costs no more than that."""
        self._to_attribute.extend((key, 1) for key in interaction_keys)

    def attribute(self) -> None:
        """Counts what came of which lists.

        The process that showed a list may not have written it yet: what is not found is looked for again.
        """
        noted = [self._to_attribute.popleft() for _ in range(len(self._to_attribute))]
        found = shown.attributed_among([key for key, _ in noted], ATTRIBUTED)
        for _, strategy, version, event in found:
            instruments().attributed(event, strategy, version)
        keys = {key for key, *_ in found}
        self._to_attribute.extend(
            (key, times + 1) for key, times in noted if key not in keys and times < _LOOKED_FOR
        )


@dataclass(frozen=True)
class Attributed:
    """What came of the lists of one model version and strategy.

    Attributes:
        model_version: None for lists that were made without a model.
        strategy: Of the lists.
        recommendations: How many lists were recorded.
        users: How many users they were shown to; visitors are not counted.
        events: `view`, `cart` and `purchase` to how many interactions named one of the lists and an item of
            it.
    """

    model_version: str | None
    strategy: str
    recommendations: int
    users: int
    events: dict[str, int]


@dataclass(frozen=True)
class Arm:
    """One side of an experiment.

    Attributes:
        model_version: What it is served.
        users: To how many users something was shown.
        recommendations: How many lists were.
        users_with: `view`, `cart` and `purchase` to how many of the users did so from a list.
    """

    model_version: str
    users: int
    recommendations: int
    users_with: dict[str, int]


@dataclass(frozen=True)
class Comparison:
    """An experiment.

    Attributes:
        control: The first version.
        treatment: The second.
        share: Of the users who are served the second.
        differences: `view`, `cart` and `purchase` to treatment less control in the share of users who did so;
            None where a side has no users.
    """

    control: Arm
    treatment: Arm
    share: float
    differences: dict[str, Difference | None]


def recorder() -> Recorder:
    """The recorder of this process."""
    found: Recorder = current_app.extensions["recsvc.recorder"]
    return found


def remember(
    recommendation_id: str,
    *,
    user_id: str | None,
    model_version: str | None,
    strategy: str,
    experiment: str | None,
    item_keys: Sequence[int],
) -> None:
    """Notes that a list was shown, if its user is of those of whom that is recorded. Writes nothing yet."""
    share = current_config().attribution_sample
    # All of a user or nothing: users are what an experiment counts.
    if not (random.random() < share if user_id is None else is_sampled(user_id, share)):
        return
    instruments().shown(strategy, model_version)
    recorder().add(
        {
            "recommendation_id": recommendation_id,
            "user_hash": None if user_id is None else user_hash(user_id),
            "model_version": model_version,
            "strategy": strategy,
            "experiment": experiment,
            "item_keys": list(item_keys),
            "shown_at": now(),
        }
    )


def flush() -> None:
    """Writes what this process has in hand, so that whoever asks for a user's data finds all of it."""
    recorder().write()


def start_recording(app: Flask, stopped: threading.Event) -> threading.Thread:
    """Starts the thread that writes down what a web process has shown.

    Args:
        app: The application.
        stopped: Set it to end the thread.
    """

    def write() -> None:
        with app.app_context():
            read_by_statement()
            try:
                recorder().write()
                recorder().attribute()
            except SQLAlchemyError as error:
                db.session.rollback()
                if not is_unavailable(error):
                    logger.exception("shown_recommendations_not_written")

    def go_on() -> None:
        allow_seconds(_PATIENCE)
        while not stopped.wait(_WRITTEN_EVERY):
            write()
        write()

    thread = threading.Thread(target=go_on, name="record-shown", daemon=True)
    thread.start()
    atexit.register(write)
    return thread


def told() -> list[Attributed]:
    """What came of the lists of the last ATTRIBUTION_DAYS, by model version and strategy."""
    since = _since()
    events = shown.attributed(since, ATTRIBUTED)
    return [
        Attributed(
            row.model_version,
            row.strategy,
            row.recommendations,
            row.users,
            {event: events.get((row.model_version, row.strategy, event), 0) for event in ATTRIBUTED},
        )
        for row in shown.counts(since)
    ]


def arms() -> list[Arm]:
    """Control and treatment of the experiment of the settings; neither where there is none."""
    experiment = current_config().experiment
    if experiment is None:
        return []
    since = _since()
    counts = shown.counts_of_experiment(experiment.name, since)
    users_with = shown.users_of_experiment(experiment.name, since, ATTRIBUTED)

    def arm(version: str) -> Arm:
        users, recommendations = counts.get(version, (0, 0))
        return Arm(
            version,
            users,
            recommendations,
            {event: users_with.get((version, event), 0) for event in ATTRIBUTED},
        )

    return [arm(version) for version in experiment.versions]


def compared(sides: Sequence[Arm] | None = None) -> Comparison | None:
    """The experiment of the settings as it stands; None where these are not its sides.

    Args:
        sides: What `arms` counted; counted now where not given.
    """
    experiment = current_config().experiment
    sides = arms() if sides is None else sides
    if experiment is None or tuple(side.model_version for side in sides) != experiment.versions:
        return None
    control, treatment = sides
    differences = {
        event: compare(
            (control.users_with[event], control.users), (treatment.users_with[event], treatment.users)
        )
        for event in ATTRIBUTED
    }
    return Comparison(control, treatment, experiment.share, differences)


def forget() -> int:
    """Deletes what was shown longer ago than it is kept.

    Returns:
        How many lists were forgotten.
    """
    with write_transaction():
        shown.forget_erased_before(now() - _ERASED_KNOWN_FOR)
    forgotten = 0
    while True:
        with write_transaction():
            deleted = shown.delete_before(_since(), most=_ROWS_A_TRANSACTION * 5)
        forgotten += deleted
        if not deleted:
            return forgotten


def _since() -> datetime:
    return now() - timedelta(days=current_config().attribution_days)
