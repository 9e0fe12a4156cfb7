"""Jobs about training."""

from __future__ import annotations

import time
from typing import Any

from rq.exceptions import AbandonedJobError
from rq.job import Job
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from jobs.context import in_application
from recsvc import queues
from recsvc.errors import QueueUnavailableError
from recsvc.extensions import db
from recsvc.sentences import Sentence
from recsvc.services import training
from recsvc.storage.database import is_unavailable, outlast_outage

_RETRY_EVERY = 2.0  # seconds
_PATIENCE = 300.0  # seconds for a database that is away


@in_application
def train(run_id: str) -> None:
    """Works on a training run."""
    try:
        training.run(run_id)
    except SQLAlchemyError as error:
        if is_unavailable(error):
            # The queue tries once more, and at once: that is of use when the database is there again.
            outlast_outage(lambda: db.session.execute(select(1)), _PATIENCE)
        raise


@in_application
def request_scheduled() -> None:
    """What the schedule runs: asks for a training run. An outage in that minute does not cost the day's."""
    give_up_at = time.monotonic() + queues.DISPATCH_PATIENCE
    while True:
        try:
            training.request_scheduled()
        except (QueueUnavailableError, SQLAlchemyError) as error:
            is_outage = isinstance(error, QueueUnavailableError) or is_unavailable(error)
            if not is_outage or time.monotonic() > give_up_at:
                raise
            db.session.rollback()
            time.sleep(_RETRY_EVERY)
        else:
            return


@in_application
def record_failure(
    job: Job, _connection: Any, kind: type[BaseException], error: BaseException, _: Any
) -> None:
    """Ends the run of a job that died for good, so that none says `running` for ever."""
    if job.retries_left:
        return
    why: Sentence | str = f"{kind.__name__}: {error}"
    if issubclass(kind, AbandonedJobError):
        why = Sentence("%(kind)s: The worker died twice.", kind=kind.__name__)
    training.fail(job.args[0], why)
