"""What the benchmarks of serving make of what they saw."""

from __future__ import annotations

import pytest

from benchmarks import soak
from benchmarks.load import Measured, told


def test_a_route_is_compared_with_the_no_op_of_its_own_round():
    # Requests a second: 100, 50 and 40, against 200, 200 and 100 of the same rounds.
    rounds = [Measured(200, 2, 5, 30, 0), Measured(100, 2, 6, 40, 1), Measured(80, 2, 7, 50, 2)]
    noop = [Measured(400, 2, 1, 10, 0), Measured(400, 2, 1, 10, 0), Measured(200, 2, 1, 10, 0)]

    found = told(rounds, noop)

    assert (found["requests"], found["failed"]) == (380, 3)
    assert (found["requests_per_second"], found["p50_ms"], found["p99_ms"]) == (50, 6, 40)
    assert found["throughput_ratio"] == pytest.approx(0.4)  # the median of 0.5, 0.25 and 0.4
    assert found["p99_ratio"] == 4


def test_memory_of_the_last_third_is_compared_with_that_of_the_second():
    samples = [
        (0.0, 500.0),
        (10.0, 100.0),
        (15.0, 100.0),
        (19.9, 900.0),
        (20.0, 103.0),
        (29.0, 103.0),
        (30.1, 103.0),
    ]

    assert soak._memory(samples, 30.0) == {
        "memory_second_third_mb": 100.0,
        "memory_last_third_mb": 103.0,
        "growth": 0.03,
    }
