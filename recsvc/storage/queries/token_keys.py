"""The secrets that user tokens are signed with."""

from __future__ import annotations

from sqlalchemy import select, update

from recsvc.extensions import db
from recsvc.storage.models import TokenKey, now


def find(key_id: str) -> TokenKey | None:
    """The key of that id, if it is not retired."""
    statement = select(TokenKey).where(TokenKey.key_id == key_id, TokenKey.retired_at.is_(None))
    return db.session.scalar(statement.execution_options(populate_existing=True))


def newest() -> TokenKey | None:
    """The key to sign with, if there is one."""
    statement = select(TokenKey).where(TokenKey.retired_at.is_(None))
    return db.session.scalar(statement.order_by(TokenKey.created_at.desc(), TokenKey.key_id).limit(1))


def insert(key: TokenKey) -> None:
    """Stores a new key."""
    db.session.add(key)


def retire_all() -> None:
    """Ends all keys there are, and forgets their secrets."""
    db.session.execute(
        update(TokenKey)
        .where(TokenKey.retired_at.is_(None))
        .values(retired_at=now(), secret="")
        .execution_options(synchronize_session=False)
    )
