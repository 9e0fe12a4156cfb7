"""Model versions in a row: how good each was, and what changed in the data from one to the next."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from recsvc.config import current_config
from recsvc.errors import QueueUnavailableError
from recsvc.services import attribution, registry, stock
from recsvc.services.attribution import Comparison
from recsvc.storage.models import ModelVersion

METRICS = ("ndcg_at_10", "recall_at_20")
_COUNTED = ("interactions", "users", "items")


@dataclass(frozen=True)
class VersionLine:
    """A version beside what it had to win against.

    Attributes:
        version: As it is recorded.
        own: Its figures by metric; empty where there was too little to measure by.
        popularity: Those of what is popular, among the same users.
        active: Those of the version that was active then, and `candidate` its own among the same users; None
            where they were not compared.
        data: How many interactions, users and items it learned from.
        more: How many more these are than in the version before; empty for the first.
    """

    version: ModelVersion
    own: dict[str, float]
    popularity: dict[str, float]
    active: dict[str, Any] | None
    data: dict[str, int]
    more: dict[str, int]


def experiment() -> Comparison | None:
    """The experiment of the settings as it was counted last; None where there is none, or no count yet."""
    if current_config().experiment is None:
        return None
    try:
        taken = stock.at_hand()
    except QueueUnavailableError:
        return None
    return attribution.compared(taken.arms) if taken else None


def newest(most: int) -> list[VersionLine]:
    """Versions, the newest first.

    Args:
        most: How many at the most.
    """
    rows = registry.everything(most + 1)
    lines = [_line(row, before) for row, before in zip_longest(rows, rows[1:])]
    return lines[:most]


def _line(row: ModelVersion, before: ModelVersion | None) -> VersionLine:
    gate = row.manifest.get("gate") or {}
    data = _data(row)
    earlier = _data(before) if before else {}
    return VersionLine(
        version=row,
        own=_figures(gate.get("candidate")),
        popularity=_figures(gate.get("popularity")),
        active=gate.get("active"),
        data=data,
        more={name: data[name] - earlier[name] for name in data if name in earlier},
    )


def _figures(told: dict[str, Any] | None) -> dict[str, float]:
    return {name: told[name] for name in METRICS if told and name in told}


def _data(row: ModelVersion) -> dict[str, int]:
    told = row.manifest.get("data") or {}
    return {name: told[name] for name in _COUNTED if name in told}
