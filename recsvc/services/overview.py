"""The state of the service at a glance, for the console's first page."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from recsvc.services import figures
from recsvc.services.experiments import Difference, share
from recsvc.services.figures import Figures
from recsvc.services.readiness import check
from recsvc.services.status import Status, status
from recsvc.storage.models import UNDER_WAY, TrainingRun, now
from recsvc.storage.queries.figures import ShownDay

_SILENT_AFTER = timedelta(minutes=15)
_VERSIONS_SHOWN = 4
_FEWEST_LISTS = 20  # of a day; the share of fewer says nothing


@dataclass(frozen=True)
class Rates:
    """How often lists of a version were taken up, day by day.

    Attributes:
        model_version: None for lists made without a model.
        by_day: Days to the share of the lists that an interaction named.
    """

    model_version: str | None
    by_day: dict[date, Difference]


@dataclass(frozen=True)
class Overview:
    """What an operator wants to see first.

    Attributes:
        status: Problems first, and what would help.
        under_way: The run that is queued or running.
        checks: What requests need, each `ok` or what is wrong.
        figures: What was counted; None where a large shop waits for its first count.
        rates: Of the versions shown last, the newest first.
    """

    status: Status
    under_way: TrainingRun | None
    checks: dict[str, str]
    figures: Figures | None
    rates: list[Rates]

    @property
    def is_empty(self) -> bool:
        """Whether nothing has come in yet."""
        return not self.status.data.totals.interactions

    @property
    def has_scheduler(self) -> bool:
        """Whether a scheduler gave a sign of life of late."""
        processes = self.status.processes
        seen = processes.scheduler_seen_at if processes else None
        return seen is not None and now() - seen < _SILENT_AFTER


def overview() -> Overview:
    """Looks at everything."""
    looked = status()
    counted = figures.latest()
    run = looked.last_run
    return Overview(
        status=looked,
        under_way=run if run is not None and run.status in UNDER_WAY else None,
        checks=check()[1],
        figures=counted,
        rates=rates(counted.shown_by_day) if counted else [],
    )


def rates(shown: list[ShownDay]) -> list[Rates]:
    """How often lists were taken up, of the versions shown last, on days with enough lists to tell.

    Args:
        shown: Day by day.
    """
    enough = [row for row in shown if row.lists >= _FEWEST_LISTS]
    last_day = {row.model_version: row.day for row in enough}
    newest = sorted(last_day, key=lambda version: (last_day[version], version or ""), reverse=True)
    return [
        Rates(
            version,
            {row.day: share(row.taken, row.lists) for row in enough if row.model_version == version},
        )
        for version in newest[:_VERSIONS_SHOWN]
    ]
