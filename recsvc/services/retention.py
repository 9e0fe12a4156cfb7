"""Which model versions are kept, which go, and when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog
from crontab import CronTab

from recsvc.config import current_config
from recsvc.errors import RecsvcError
from recsvc.services import registry
from recsvc.storage.database import write_transaction
from recsvc.storage.model_stores import ModelStore, Pointer
from recsvc.storage.models import ModelVersion, now
from recsvc.storage.queries import model_versions, training_runs

logger = structlog.get_logger(__name__)

_LONG_AGO = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class KeptUntil:
    """When a version's files go, as far as can be said.

    Attributes:
        trainings: How many more trainings have to end in an active version; 0 where its files are gone.
        at: When that is if the schedule's do, and none other; when they went, where they are gone.
    """

    trainings: int
    at: datetime


def prune(*, dry_run: bool = False) -> list[str]:
    """Deletes the files of versions beyond MODEL_KEEP; what is known of them stays.

    The active version and the one before it are kept whatever the settings say, and so are those of an
    EXPERIMENT, and what a training under way has published. Of the others the newest are kept: those that
    were active once before those that never were.

    Args:
        dry_run: Only tells which.

    Returns:
        The versions, oldest first.

    Raises:
        ModelStoreUnavailableError: The model store does not answer.
        DamagedVersionError: Its pointer cannot be read, so that nobody knows which version is active.
    """
    store = registry.model_store()
    doomed = sorted(_beyond(store.versions(), store.pointer(), current_config().model_keep))
    return doomed if dry_run else [version for version in doomed if _delete(store, version)]


def prune_after_activation() -> None:
    """Prunes where it can be done; what cannot be deleted now, the next activation deletes."""
    try:
        pruned = prune()
    except (RecsvcError, OSError) as error:
        logger.warning("model_versions_not_pruned", why=str(error))
        return
    if pruned:
        logger.info("model_versions_pruned", versions=pruned)


def kept_until(version: ModelVersion) -> KeptUntil:
    """When the files of a version go.

    Every training that ends in an active version moves the others one place down; the one that comes to stand
    beyond MODEL_KEEP goes. Trainings that are asked for by hand bring that day nearer, those that fail or
    whose version is rejected put it off, and so does making the version active again.
    """
    if version.pruned_at is not None:
        return KeptUntil(0, version.pruned_at)
    kept = [one for one in model_versions.newest_first() if one.pruned_at is None]
    places = [one.version for one in sorted(kept, key=_standing, reverse=True)]
    trainings = max(1, current_config().model_keep - places.index(version.version))
    return KeptUntil(trainings, _scheduled(trainings))


def _beyond(published: Sequence[str], pointer: Pointer | None, keep: int) -> set[str]:
    pinned = {pointer.version, pointer.previous} if pointer else set()
    experiment = current_config().experiment
    if experiment is not None:
        pinned |= set(experiment.versions)
    known = {one.version: one for one in model_versions.newest_first()}
    run = training_runs.under_way()
    if run is not None:
        # It may have published a version that is not recorded yet.
        pinned |= {name for name in published if name not in known or known[name].run_id == run.run_id}
    others = [known.get(name) or ModelVersion(version=name, status="unknown") for name in published]
    others = [one for one in others if one.version not in pinned]
    room = max(0, keep - len(pinned.intersection(published)))
    return {one.version for one in sorted(others, key=_standing, reverse=True)[room:]}


def _standing(version: ModelVersion) -> tuple[bool, bool, datetime]:
    """The greater, the longer a version is kept."""
    return version.status == "active", version.status == "retired", version.created_at or _LONG_AGO


def _delete(store: ModelStore, version: str) -> bool:
    with write_transaction():
        model_versions.mark_pruned(version, now())
    pointer = store.pointer()
    if pointer is not None and version in {pointer.version, pointer.previous}:
        # Somebody has made it active since it was looked at.
        with write_transaction():
            model_versions.mark_pruned(version, None)
        return False
    store.delete(version)
    return True


def _scheduled(times: int) -> datetime:
    schedule, moment = CronTab(current_config().train_schedule), now()
    for _ in range(times):
        naive = moment.astimezone(UTC).replace(tzinfo=None)
        moment += timedelta(seconds=schedule.next(now=naive, default_utc=True))
    return moment.replace(microsecond=0)
