"""Users by the shop's own ids."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import delete, select

from recsvc.extensions import db
from recsvc.storage.database import chunks, insert_ignoring_conflicts
from recsvc.storage.models import Interaction, User, UserFeature, now


def find(user_id: str) -> User | None:
    """The user of that id, if there is one."""
    return db.session.scalar(select(User).where(User.user_id == user_id))


def keys_of(user_ids: Collection[str]) -> dict[str, int]:
    """User ids to user keys, of those that exist."""
    found: dict[str, int] = {}
    for chunk in chunks(user_ids):
        rows = db.session.execute(select(User.user_id, User.user_key).where(User.user_id.in_(chunk)))
        found.update((user_id, user_key) for user_id, user_key in rows)
    return found


def ensure(user_ids: Collection[str]) -> dict[str, int]:
    """User ids to user keys; users that do not exist yet are made."""
    found = _kept_keys_of(user_ids)
    # Always in one order, so that two transactions that make the same users cannot wait for each other.
    while missing := sorted(set(user_ids) - found.keys()):
        moment = now()
        db.session.execute(
            insert_ignoring_conflicts(User),
            [{"user_id": user_id, "created_at": moment} for user_id in missing],
        )
        found.update(_kept_keys_of(missing))
    return found


def _kept_keys_of(user_ids: Collection[str]) -> dict[str, int]:
    # Locked as a foreign key locks: nobody erases these users before this transaction ends, and one who is
    # just being erased is waited for and then not found.
    found: dict[str, int] = {}
    for chunk in chunks(user_ids):
        rows = db.session.execute(
            select(User.user_id, User.user_key)
            .where(User.user_id.in_(chunk))
            .with_for_update(read=True, key_share=True)
        )
        found.update((user_id, user_key) for user_id, user_key in rows)
    return found


def hold(user_keys: Collection[int]) -> None:
    """Lets other transactions that replace what is said of these users wait until this one ends."""
    for chunk in chunks(sorted(user_keys)):
        db.session.execute(
            select(User.user_key)
            .where(User.user_key.in_(chunk))
            .order_by(User.user_key)
            .with_for_update(key_share=True)
        )


def page(*, after: int, limit: int) -> Sequence[User]:
    """Users in the order in which they were made.

    Args:
        after: Key of the last user of the page before; 0 for the first page.
        limit: How many at the most.
    """
    return db.session.scalars(
        select(User).where(User.user_key > after).order_by(User.user_key).limit(limit)
    ).all()


def erase(user_key: int) -> dict[str, int]:
    """Deletes a user with all that is held of them.

    Returns:
        How many rows of each kind were deleted.
    """

    def rows_deleted(table: Any) -> int:
        return db.session.execute(delete(table).where(table.user_key == user_key)).rowcount  # type: ignore[attr-defined,no-any-return]

    # An interaction that comes in meanwhile waits, and cannot be left behind without its user.
    db.session.execute(select(User.user_key).where(User.user_key == user_key).with_for_update())
    counts = {"interactions": rows_deleted(Interaction), "features": rows_deleted(UserFeature)}
    rows_deleted(User)
    return counts
