"""Whatever dies amid a training, or at its end, costs nothing but time. `benchmarks.faults` does it often."""

from __future__ import annotations

import pytest

from benchmarks.faults import FAULTS, together, try_out

pytestmark = pytest.mark.processes

SEED = 20261123

# RQ takes a minute to miss a worker: test_abandoned_runs.py waits for that. Of the stages of a training those
# in which something is written are tried each by itself, the others at any moment.
ON_ONE_SYSTEM = sorted(
    FAULTS.keys()
    - {"worker_killed_at_any_moment", "store_away_amid_a_training"}
    - {f"child_killed_in_{stage}" for stage in ("read", "build", "evaluate", "gate", "fit")}
)


@pytest.mark.parametrize("names", [ON_ONE_SYSTEM, ["store_away_amid_a_training"]], ids=["all", "store"])
def test_nothing_is_lost_and_no_list_is_refused_whatever_dies(names):
    # As busy as those of the benchmark they would be what most of the tests' time goes to.
    result = together([try_out(names, SEED, pause=0.1)])

    assert result["wrong"] == {}
    assert result["refusals"] == {}
    assert result["answers"]["200"] > 100
    assert result["written"] > 50
