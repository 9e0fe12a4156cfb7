"""API keys."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import or_, select, update

from recsvc.extensions import db
from recsvc.storage.models import ApiKey, now

_USE_RECORDED_EVERY = timedelta(minutes=1)


def find(key_id: str) -> ApiKey | None:
    """The key of that id, revoked or not."""
    return db.session.get(ApiKey, key_id)


def insert(key: ApiKey) -> None:
    """Stores a new key."""
    db.session.add(key)


def everything() -> Sequence[ApiKey]:
    """All keys, oldest first."""
    return db.session.scalars(select(ApiKey).order_by(ApiKey.created_at, ApiKey.key_id)).all()


def is_use_worth_recording(key: ApiKey) -> bool:
    """Whether the last recorded use is so long ago that another write earns its cost."""
    return key.last_used_at is None or now() - key.last_used_at > _USE_RECORDED_EVERY


def record_use(key_id: str) -> None:
    """Records that the key was used now."""
    moment = now()
    db.session.execute(
        update(ApiKey)
        .where(
            ApiKey.key_id == key_id,
            or_(ApiKey.last_used_at.is_(None), ApiKey.last_used_at < moment - _USE_RECORDED_EVERY),
        )
        .values(last_used_at=moment)
        .execution_options(synchronize_session=False)
    )
