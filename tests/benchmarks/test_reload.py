"""What the benchmark of hot reloads makes of the requests that it saw."""

from __future__ import annotations

import numpy as np

from benchmarks.reload import figures


def test_requests_are_told_apart_by_whether_a_reload_was_under_way():
    # Reloads at 10 s and at 20 s count for two seconds each; a request that touches one counts for it.
    requests = np.array(
        [
            [9.0, 9.010, 200],  # before
            [9.9, 10.000, 200],  # into the first
            [11.0, 11.040, 200],  # amid it
            [12.0, 12.060, 200],  # out of it
            [12.1, 12.130, 503],  # after it, and failed
            [21.0, 21.200, 0],  # amid the second, without an answer
        ]
    )

    told = figures(requests, [10.0, 20.0])

    assert told["failed"] == 2
    assert (told["without"]["requests"], told["during_reload"]["requests"]) == (2, 4)
    assert told["without"]["p50_ms"] == 20.0
    assert told["during_reload"]["p50_ms"] == 80.0
    assert told["p50_ratio"] == 4.0
