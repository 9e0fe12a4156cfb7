"""Jobs about training."""

from __future__ import annotations

from typing import Any

from rq.exceptions import AbandonedJobError
from rq.job import Job

from jobs.context import in_application
from recsvc.services import training


@in_application
def train(run_id: str) -> None:
    """Works on a training run."""
    training.run(run_id)


@in_application
def request_scheduled() -> None:
    """What the schedule runs: asks for a training run, and is done at once."""
    training.request_scheduled()


@in_application
def record_failure(
    job: Job, _connection: Any, kind: type[BaseException], error: BaseException, _: Any
) -> None:
    """Ends the run of a job that died for good, so that none says `running` for ever."""
    if job.retries_left:
        return
    reason = "The worker died twice." if issubclass(kind, AbandonedJobError) else str(error)
    training.fail(job.args[0], f"{kind.__name__}: {reason}")
