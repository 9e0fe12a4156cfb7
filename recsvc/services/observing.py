"""How things stand, for Prometheus: what the database and Redis know is looked up when it is asked for."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import structlog
from flask import current_app
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy.exc import SQLAlchemyError

from recsvc import queues
from recsvc.errors import QueueUnavailableError
from recsvc.extensions import db
from recsvc.instruments import VERSION
from recsvc.services import gate
from recsvc.storage.models import RUN_STATUSES, UNDER_WAY, now
from recsvc.storage.punctuality import answers_within
from recsvc.storage.queries import model_versions, training_runs

logger = structlog.get_logger(__name__)

_KEPT_FOR = 5.0  # seconds: however many ask, the database and Redis are asked no more often
_PATIENCE = 2.0  # seconds for an answer of the database; Prometheus waits for ten by default

_DATABASE, _REDIS = "database", "redis"


class Observer(Collector):
    """Looks at the database and at Redis. Where one does not answer, the rest is told."""

    def __init__(self) -> None:
        self._seen: list[Metric] = []
        self._seen_at = float("-inf")
        self._looking = threading.Lock()

    def collect(self) -> Iterator[Metric]:
        """How things stood when somebody looked last, no longer ago than a few seconds."""
        with self._looking:
            if time.monotonic() - self._seen_at > _KEPT_FOR:
                self._seen = _look()
                self._seen_at = time.monotonic()
            yield from self._seen


def observer() -> Observer:
    """The observer of this process."""
    found: Observer = current_app.extensions["recsvc.observer"]
    return found


def _look() -> list[Metric]:
    up = GaugeMetricFamily(
        "recsvc_dependency_up", "Whether what is needed answered in time: 1 or 0.", labels=["dependency"]
    )
    found: list[Metric] = [up]
    try:
        with answers_within(_PATIENCE):
            found += [*_of_runs(), *_of_versions()]
        up.add_metric([_DATABASE], 1)
    except SQLAlchemyError as error:
        db.session.rollback()
        logger.warning("not_observed", what=_DATABASE, error=str(error.__cause__ or error))
        up.add_metric([_DATABASE], 0)
    try:
        found += _of_queues(queues.look())
        up.add_metric([_REDIS], 1)
    except QueueUnavailableError as error:
        logger.warning("not_observed", what=_REDIS, error=error.detail)
        up.add_metric([_REDIS], 0)
    return found


def _of_runs() -> Iterator[Metric]:
    by_status, by_decision = training_runs.counts_by_status(), training_runs.counts_by_decision()
    ended = {status: by_status.get(status, 0) for status in RUN_STATUSES if status not in UNDER_WAY}
    yield _counter("recsvc_training_runs", "Training runs that have ended, by how.", "status", ended)
    under_way = {status: by_status.get(status, 0) for status in UNDER_WAY}
    yield _gauge(
        "recsvc_training_runs_under_way", "Training runs that are queued or running.", "status", under_way
    )
    decisions = {one: by_decision.get(one, 0) for one in (gate.PASSED, gate.REJECTED, gate.FORCED)}
    yield _counter(
        "recsvc_gate_decisions", "Candidates that the gate judged, by verdict.", "decision", decisions
    )
    last = training_runs.last_ended()
    if last is None or last.finished_at is None:
        return
    statuses = {status: int(status == last.status) for status in ended}
    yield _gauge("recsvc_last_training_run", "1 for how the last run ended.", "status", statuses)
    yield GaugeMetricFamily(
        "recsvc_last_training_finished_timestamp_seconds",
        "When the run that ended last did, in seconds since 1970.",
        last.finished_at.timestamp(),
    )
    yield _gauge(
        "recsvc_last_training_stage_seconds",
        "What each stage of the run that ended last took.",
        "stage",
        last.seconds,
    )


def _of_versions() -> Iterator[Metric]:
    active = model_versions.active()
    if active is None:
        return
    told = {active.version: active.created_at.timestamp()}
    yield _gauge(
        "recsvc_active_model_created_timestamp_seconds",
        "When the active version was made, in seconds since 1970.",
        VERSION,
        told,
    )


def _of_queues(state: queues.QueueState) -> Iterator[Metric]:
    moment = now()
    jobs = {name: waiting.jobs for name, waiting in state.waiting.items()}
    yield _gauge("recsvc_queue_jobs", "Jobs that no worker has taken yet.", "queue", jobs)
    ages = {
        name: (moment - waiting.since).total_seconds() if waiting.since else 0.0
        for name, waiting in state.waiting.items()
    }
    yield _gauge(
        "recsvc_queue_oldest_job_age_seconds", "How long the first of these has been waiting.", "queue", ages
    )
    yield GaugeMetricFamily("recsvc_workers", "Worker processes that give signs of life.", state.workers)
    if state.scheduler_seen_at is not None:
        yield GaugeMetricFamily(
            "recsvc_scheduler_seen_timestamp_seconds",
            "When the scheduler gave its last sign of life, in seconds since 1970.",
            state.scheduler_seen_at.timestamp(),
        )


def _counter(name: str, meaning: str, label: str, values: dict[str, int]) -> Metric:
    return _filled(CounterMetricFamily(name, meaning, labels=[label]), values)


def _gauge(name: str, meaning: str, label: str, values: dict[str, int] | dict[str, float]) -> Metric:
    return _filled(GaugeMetricFamily(name, meaning, labels=[label]), values)


def _filled(
    family: CounterMetricFamily | GaugeMetricFamily, values: dict[str, int] | dict[str, float]
) -> Metric:
    for value_of_label, value in values.items():
        family.add_metric([value_of_label], value)
    return family
