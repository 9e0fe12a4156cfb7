"""Jobs about tuning."""

from __future__ import annotations

import structlog

from jobs.context import in_application
from recsvc import queues
from recsvc.config import current_config
from recsvc.errors import ConflictError
from recsvc.services import tuning

logger = structlog.get_logger(__name__)


@in_application
def tune() -> None:
    """Tunes for TUNE_MINUTES. A training that is queued ends it, and waits no longer than a step of a fit.

    What was found is kept, and the next tuning goes on from there, as it does where this process is killed.
    """
    try:
        outcome = tuning.tune(current_config().tune_minutes, stop=tuning.training_waits)
    except ConflictError as error:
        logger.warning("tuning_not_done", why=error.detail)
        return
    logger.info("tuning_done", **outcome.as_json())


@in_application
def request_scheduled() -> None:
    """What the schedule runs: queues a tuning, unless one is queued or at work."""
    queues.enqueue_tuning()
