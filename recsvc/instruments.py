"""What a web process counts and times while it works; `services.observing` looks the rest up when asked.

Under gunicorn each process writes its numbers to files of one folder (PROMETHEUS_MULTIPROC_DIR, which
`gunicorn.conf.py` makes), and whichever process is asked adds all of them up. No label holds an id of the
shop's, so that there are few of each, but for model versions, of which the newest are told.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from flask import current_app
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

VERSION = "model_version"
NO_VERSION = "none"

_VERSIONS_TOLD = 20
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_PARAMETER = re.compile(r"<(?:[^:<>]+:)?([^<>]+)>")

disable_created_metrics()  # type: ignore[no-untyped-call]


class _OfAllProcesses(MultiProcessCollector):
    """What web processes have written. A file that is only just made, and empty, says nothing yet.

    prometheus_client 0.26 fails where it meets one (`struct.error`), and so would a scrape that comes just as
    a process counts for the first time.
    """

    def collect(self) -> Iterable[Metric]:
        """All that was counted."""
        files = []
        for file in Path(self._path).glob("*.db"):
            with suppress(FileNotFoundError):  # its process ended
                if file.stat().st_size:
                    files.append(str(file))
        return self.merge(files)  # type: ignore[no-untyped-call, no-any-return]


class Instruments(Collector):
    """The instruments of one application. Those of a request are looked up once and kept."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self._requests = Counter(
            "recsvc_http_requests", "Requests answered.", ["method", "route", "status"], registry=registry
        )
        self._durations = Histogram(
            "recsvc_http_request_duration_seconds",
            "Seconds from a request's arrival in the application to its answer.",
            ["method", "route"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._recommendations = Counter(
            "recsvc_recommendations",
            "Lists made: for whom or what, by which strategy, from which model version.",
            ["list", "strategy", VERSION],
            registry=registry,
        )
        self._short = Counter(
            "recsvc_short_recommendations",
            "Lists that were empty, or shorter than was asked for.",
            ["list", "kind"],
            registry=registry,
        )
        self._places = Counter(
            "recsvc_recommended_items",
            "Places of lists made with a model: hot items were in its training data, cold ones were not.",
            ["item"],
            registry=registry,
        )
        self._ingested = Counter(
            "recsvc_interactions",
            "Interactions that came in over HTTP: accepted, duplicate or rejected.",
            ["outcome"],
            registry=registry,
        )
        self._shown = Counter(
            "recsvc_shown_recommendations",
            "Lists of whom it was recorded that they were shown.",
            ["strategy", VERSION],
            registry=registry,
        )
        self.shown_lost = Counter(
            "recsvc_shown_recommendations_lost",
            "Lists that were shown and could not be recorded, because the database was away for too long.",
            registry=registry,
        )
        self._attributed = Counter(
            "recsvc_attributed_interactions",
            "Interactions that named a recorded list and an item on it.",
            ["event", "strategy", VERSION],
            registry=registry,
        )
        self._reloads = Counter(
            "recsvc_model_reloads",
            "Model versions that a web process took up, or refused because they were damaged.",
            ["outcome"],
            registry=registry,
        )
        self._served = Gauge(
            "recsvc_serving_processes",
            "Web processes that serve a model version.",
            [VERSION],
            multiprocess_mode="livesum",
            registry=registry,
        )
        self._kept: dict[tuple[Counter | str, ...], Counter] = {}
        self._timed: dict[tuple[str, str], Histogram] = {}
        self._version_served: str | None = None
        # A rate needs a first value to grow from.
        for outcome in ("accepted", "duplicate", "rejected"):
            self.ingested(outcome, 0)
        for outcome in ("served", "refused"):
            self.reloaded(outcome, 0)
        for item in ("hot", "cold"):
            self._inc(self._places, item, by=0)

    def answered(self, method: str, rule: str | None, status: int, seconds: float) -> None:
        """A request was answered.

        Args:
            method: Of HTTP; one that it does not know is told as `other`.
            rule: Flask's pattern that the path fitted; None where there is none.
            status: Of HTTP.
            seconds: What it took.
        """
        method, route = method if method in _METHODS else "other", _route(rule)
        self._inc(self._requests, method, route, str(status))
        timed = self._timed.get((method, route))
        if timed is None:
            timed = self._timed[method, route] = self._durations.labels(method, route)
        timed.observe(seconds)

    def recommended(
        self, what: str, strategy: str, version: str | None, *, asked: int, hot: int, cold: int
    ) -> None:
        """A list was made.

        Args:
            what: What the list was asked for.
            strategy: Where its items come from.
            version: Of the model; None where there is none.
            asked: How many items were wanted.
            hot: How many there are that were in the model's training data.
            cold: How many there are that were not.
        """
        given = hot + cold
        self._inc(self._recommendations, what, strategy, version or NO_VERSION)
        if version is not None:
            for item, by in (("hot", hot), ("cold", cold)):
                if by:
                    self._inc(self._places, item, by=by)
        if given < asked:
            self._inc(self._short, what, "short" if given else "empty")

    def ingested(self, outcome: str, interactions: int = 1) -> None:
        """Interactions came in: `accepted`, `duplicate` or `rejected`."""
        self._inc(self._ingested, outcome, by=interactions)

    def shown(self, strategy: str, version: str | None) -> None:
        """It was recorded that a list was shown."""
        self._inc(self._shown, strategy, version or NO_VERSION)

    def attributed(self, event: str, strategy: str, version: str | None) -> None:
        """An interaction came of a list."""
        self._inc(self._attributed, event, strategy, version or NO_VERSION)

    def reloaded(self, outcome: str, times: int = 1) -> None:
        """A model version was `served` for the first time in this process, or `refused`."""
        self._inc(self._reloads, outcome, by=times)

    def serves(self, version: str | None) -> None:
        """This process serves a version from now on."""
        if version == self._version_served:
            return
        if self._version_served is not None:
            self._served.labels(self._version_served).set(0)
        if version is not None:
            self._served.labels(version).set(1)
        self._version_served = version

    def _inc(self, counter: Counter, *labels: str, by: int = 1) -> None:
        kept = self._kept.get((counter, *labels))
        if kept is None:
            kept = self._kept[counter, *labels] = counter.labels(*labels)
        kept.inc(by)

    def collect(self) -> Iterator[Metric]:
        """All that was counted, by all web processes of this gunicorn."""
        folder = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
        whole: Collector = _OfAllProcesses(None, folder) if folder else self._registry  # type: ignore[no-untyped-call]
        for metric in whole.collect():
            metric.samples = [sample for sample in metric.samples if not _is_over(metric, sample.value)]
            newest = _newest(sample.labels.get(VERSION) for sample in metric.samples)
            metric.samples = [
                sample for sample in metric.samples if sample.labels.get(VERSION) in {None, *newest}
            ]
            yield metric


def instruments() -> Instruments:
    """The instruments of this process."""
    found: Instruments = current_app.extensions["recsvc.instruments"]
    return found


@functools.cache
def _route(rule: str | None) -> str:
    return "none" if rule is None else _PARAMETER.sub(r"{\1}", rule)


def _is_over(metric: Metric, value: float) -> bool:
    return metric.name == "recsvc_serving_processes" and not value


def _newest(versions: Iterable[str | None]) -> set[str]:
    # A version is named after the moment at which it was made.
    named = {version for version in versions if version is not None} - {NO_VERSION}
    return {NO_VERSION, *sorted(named, reverse=True)[:_VERSIONS_TOLD]}
