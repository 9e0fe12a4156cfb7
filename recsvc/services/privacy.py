"""What a person may ask of the data held of them, and how long it is held."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy.exc import IntegrityError

from recsvc.config import current_config
from recsvc.errors import InvalidInputError, NotFoundError
from recsvc.sentences import Sentence
from recsvc.services import attribution, ingestion, registry
from recsvc.services.catalogue import Features, find_user
from recsvc.services.experiments import user_hash
from recsvc.services.importing import uploads
from recsvc.services.retention import kept_until
from recsvc.services.training import next_due
from recsvc.storage.database import again_after_deadlock, write_transaction
from recsvc.storage.models import ModelVersion, User, now
from recsvc.storage.queries import (
    features,
    interactions,
    items,
    model_versions,
    shop_ids,
    shown,
    training_runs,
    users,
)

logger = structlog.get_logger(__name__)

_ROWS_A_PAGE = 5_000
_KEYS_A_TRANSACTION = 20_000

STILL_HELD = (
    "Nothing is computed from these versions for an erased user. What they serve from holds items, no users;"
    " the file lightfm.pickle beside it, which nothing reads, holds a vector for each user without id or key."
    " It goes with its version; the next training makes a version without the user."
)


@dataclass(frozen=True)
class ErasureReceipt:
    """What was erased, and what was learned from it.

    Attributes:
        user_id: Whose data it was.
        interactions: How many interactions were erased.
        features: How many features were erased.
        shown_recommendations: How many records of what they were shown were erased.
        model_versions: Versions that are kept, and may hold this user: all that were made since they came.
        still_held: What these hold, in words; None where there are none.
        training_run: A run under way, which may have read the user, so that its version is one of these.
        next_training_at: When the schedule makes a version without the user; None where none has to.
        held_until: When the last of the versions goes, if no trainings but the schedule's are made, and each
            ends in an active version; None where there are none.
        erased_at: When all this was done.
    """

    user_id: str
    interactions: int
    features: int
    shown_recommendations: int
    model_versions: list[str]
    still_held: str | None
    training_run: str | None
    next_training_at: datetime | None
    held_until: datetime | None
    erased_at: datetime


@dataclass(frozen=True)
class Export:
    """Everything held of a person.

    Attributes:
        user_id: Whose it is.
        created_at: Since when they are known; None where they were shown something and did nothing.
        features: What the shop says of them.
        interactions: Newest first, each a dictionary of its fields.
        shown_recommendations: Newest first, each a dictionary of its fields.
        exported_at: When this was read.
    """

    user_id: str
    created_at: datetime | None
    features: Features
    interactions: list[dict[str, Any]]
    shown_recommendations: list[dict[str, Any]]
    exported_at: datetime


def erase_user(user_id: str) -> ErasureReceipt:
    """Erases a user and all that is held of them, at once.

    Raises:
        NotFoundError: Nothing is held of such a user.
    """
    attribution.flush()
    return again_after_deadlock(lambda: _erase(user_id))


def _erase(user_id: str) -> ErasureReceipt:
    user, hashed = users.find(user_id), user_hash(user_id)
    versions: list[str] = []
    counts = {"interactions": 0, "features": 0}
    with write_transaction():
        shown.mark_erased(hashed, now())
        shown_lists = shown.erase(hashed)
        if user is None and not shown_lists:
            raise NotFoundError("user", user_id)
        if user is not None:
            versions = _may_hold(user)
            uploads.forget_rows_of(user_id)
            counts = users.erase(user.user_key)
    under_way = training_runs.under_way()
    is_held = bool(versions or under_way)
    return ErasureReceipt(
        user_id=user_id,
        interactions=counts["interactions"],
        features=counts["features"],
        shown_recommendations=shown_lists,
        model_versions=versions,
        still_held=STILL_HELD if is_held else None,
        training_run=under_way.run_id if under_way else None,
        next_training_at=next_due(current_config().train_schedule, now()) if is_held else None,
        held_until=max((kept_until(registry.get(version)).at for version in versions), default=None),
        erased_at=now(),
    )


def export_user(user_id: str) -> Export:
    """Reads everything held of a user, known or not.

    Raises:
        NotFoundError: Nothing is held of such a user.
    """
    attribution.flush()
    user = find_user(user_id)
    lists = shown.of_user(user_hash(user_id))
    if user is None and not lists:
        raise NotFoundError("user", user_id)
    named = items.titles({key for one in lists for key in one.item_keys})
    return Export(
        user_id=user_id,
        created_at=user.created_at if user else None,
        features=user.features if user else {},
        interactions=_all_interactions(user.user_key) if user else [],
        shown_recommendations=[
            {
                "recommendation_id": one.recommendation_id,
                "shown_at": one.shown_at,
                "model_version": one.model_version,
                "strategy": one.strategy,
                "item_ids": [named[key][0] for key in one.item_keys if key in named],
            }
            for one in lists
        ],
        exported_at=now(),
    )


def merge_user(guest_id: str, into: str) -> int:
    """Moves all that is held of a guest to an account, made if there is none; the guest is gone then.

    What the shop says of the account stays; what it says of the guest is added. An interaction that both
    have under one `event_id` was sent twice: the account's stays.

    Returns:
        How many interactions were moved.

    Raises:
        NotFoundError: Nothing is held of such a guest.
        InvalidInputError: They are one and the same.
    """
    if guest_id == into:
        message = Sentence("A user cannot be merged into themselves.")
        raise InvalidInputError(message, errors={"into": [str(message)]})
    attribution.flush()
    try:
        return again_after_deadlock(lambda: _merge(guest_id, into))
    except IntegrityError:
        # The account sent meanwhile, under its event id, what the guest had sent before.
        return again_after_deadlock(lambda: _merge(guest_id, into))


def delete_old_interactions() -> int:
    """Deletes interactions that are older than settings keep them, a few at a time.

    Returns:
        How many were deleted.
    """
    days = current_config().interaction_retention_days
    if not days:
        return 0
    moment, deleted = now() - timedelta(days=days), 0
    low, high = interactions.key_range()
    for first in range(low, high + 1, _KEYS_A_TRANSACTION):
        with write_transaction():
            last = min(high, first + _KEYS_A_TRANSACTION - 1)
            deleted += interactions.delete_before(moment, (first, last))
    logger.info("old_interactions_deleted", interactions=deleted, days=days)
    return deleted


def _merge(guest_id: str, into: str) -> int:
    with write_transaction():
        guest = users.find(guest_id)
        account_key = shop_ids.ensure_keys("user", [into])[into]
        guest_hash, account_hash = user_hash(guest_id), user_hash(into)
        moved = _move(guest, account_key, account_hash) if guest else 0
        shown.mark_erased(guest_hash, now())
        was_shown = shown.move(guest_hash, account_hash)
        if guest is None and not was_shown:
            raise NotFoundError("user", guest_id)
    return moved


def _move(guest: User, account_key: int, account_hash: int) -> int:
    users.lock(guest.user_key)
    moved = interactions.move(guest.user_key, account_key, account_hash)
    labels = features.of("user", [guest.user_key, account_key])
    joined = {*labels.get(guest.user_key, []), *labels.get(account_key, [])}
    features.replace("user", {account_key: joined})
    users.known_since(account_key, guest.created_at)
    users.erase(guest.user_key)
    return moved


def _may_hold(user: User) -> list[str]:
    """Versions that were made since a user came: what they read of them may have been deleted since."""
    first = interactions.first_key(user.user_key)

    def may_hold(version: ModelVersion) -> bool:
        # Clocks of two machines differ; keys do not, where there are any left.
        has_read = first is not None and version.manifest["data"]["watermark"] >= first
        return version.files_kept and (has_read or version.created_at >= user.created_at)

    return [version.version for version in model_versions.newest_first() if may_hold(version)]


def _all_interactions(user_key: int) -> list[dict[str, Any]]:
    told: list[dict[str, Any]] = []
    before: tuple[datetime, int] | None = None
    while True:
        rows = interactions.page(user_key, before=before, limit=_ROWS_A_PAGE, event=None)
        told += [ingestion.told(*row) for row in rows]
        if len(rows) < _ROWS_A_PAGE:
            return told
        before = (rows[-1][0].occurred_at, rows[-1][0].interaction_key)
