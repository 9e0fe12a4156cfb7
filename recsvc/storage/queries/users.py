"""Users by the shop's own ids."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import delete, select, update

from recsvc.extensions import db
from recsvc.storage.database import chunks
from recsvc.storage.models import Interaction, User, UserFeature
from recsvc.storage.queries import features


def find(user_id: str) -> User | None:
    """The user of that id, if there is one."""
    return db.session.scalar(select(User).where(User.user_id == user_id))


def hold(user_keys: Collection[int]) -> None:
    """Lets other transactions that replace what is said of these users wait until this one ends."""
    for chunk in chunks(sorted(user_keys)):
        db.session.execute(
            select(User.user_key)
            .where(User.user_key.in_(chunk))
            .order_by(User.user_key)
            .with_for_update(key_share=True)
        )


def lock(user_key: int) -> None:
    """Lets an interaction that comes in meanwhile wait: it is not left behind without its user."""
    db.session.execute(select(User.user_key).where(User.user_key == user_key).with_for_update())


def known_since(user_key: int, moment: datetime) -> None:
    """Makes a user known since a moment, if they are not known for longer."""
    db.session.execute(
        update(User)
        .where(User.user_key == user_key, User.created_at > moment)
        .values(created_at=moment)
        .execution_options(synchronize_session=False)
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

    lock(user_key)
    feature_keys = features.keys_of_owner("user", user_key)
    counts = {"interactions": rows_deleted(Interaction), "features": rows_deleted(UserFeature)}
    rows_deleted(User)
    features.forget(feature_keys)
    return counts
