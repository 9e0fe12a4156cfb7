"""Shares with their intervals, and how often lists were taken up."""

from __future__ import annotations

from datetime import date

import pytest

from recsvc.services.experiments import share
from recsvc.services.overview import rates
from recsvc.storage.queries.figures import ShownDay


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [
        (5, 10, 0.2366, 0.7634),  # worked out by hand, z = 1.96
        (0, 10, 0.0, 0.2775),  # z² / (n + z²)
        (10, 10, 0.7225, 1.0),
        (1, 1000, 0.00018, 0.00565),
    ],
)
def test_a_share_has_wilsons_interval(successes, trials, low, high):
    told = share(successes, trials)

    assert told.difference == successes / trials
    assert (told.low, told.high) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))


def test_rates_are_of_the_versions_shown_last():
    def shown(day: int, version: str | None, lists: int, taken: int) -> ShownDay:
        return ShownDay(date(2026, 11, day), version, lists, taken)

    told = rates(
        [
            shown(1, "a", 100, 10),
            shown(2, "a", 20, 4),
            shown(2, "b", 40, 5),
            shown(3, "b", 20, 1),
            shown(4, "c", 19, 9),
        ]
    )

    assert [of_version.model_version for of_version in told] == ["b", "a"]
    by_day = {day.day: value.difference for day, value in told[1].by_day.items()}
    assert by_day == {1: 0.1, 2: 0.2}


def test_of_many_versions_the_four_last_are_told():
    days = [ShownDay(date(2026, 11, 1 + number), f"v{number}", 20, 1) for number in range(7)]

    assert [of_version.model_version for of_version in rates(days)] == ["v6", "v5", "v4", "v3"]
