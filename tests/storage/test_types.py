"""Times keep their moment on every database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy import insert, select
from sqlalchemy.exc import StatementError

from recsvc.extensions import db
from recsvc.storage.models import User
from recsvc.storage.types import from_microseconds, to_microseconds

MOMENTS = [
    datetime(2026, 11, 23, 8, 30, 0, 123456, tzinfo=UTC),
    datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
    datetime(2026, 3, 29, 2, 30, tzinfo=timezone(timedelta(hours=-3))),
    datetime(2026, 1, 1, 0, 0, tzinfo=timezone(timedelta(hours=5, minutes=45))),
    datetime(1, 1, 1, tzinfo=UTC),
    datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
]


@pytest.mark.parametrize("moment", MOMENTS, ids=str)
def test_a_time_comes_back_as_the_same_moment_in_utc(context, moment):
    db.session.execute(insert(User).values(user_id="u", created_at=moment))

    stored = db.session.scalar(select(User.created_at))

    assert stored == moment
    assert stored.tzinfo is UTC or stored.utcoffset() == timedelta(0)


def test_times_are_ordered_by_moment_not_by_text(context):
    early = datetime(2026, 1, 1, 1, 0, tzinfo=timezone(timedelta(hours=2)))
    late = datetime(2026, 1, 1, 0, 0, tzinfo=UTC)
    db.session.execute(
        insert(User), [{"user_id": "late", "created_at": late}, {"user_id": "early", "created_at": early}]
    )

    assert list(db.session.scalars(select(User.user_id).order_by(User.created_at))) == ["early", "late"]
    assert list(db.session.scalars(select(User.user_id).where(User.created_at < late))) == ["early"]


def test_a_time_without_a_zone_is_refused(context):
    with pytest.raises(StatementError, match="has no time zone"):
        db.session.execute(
            insert(User).values(user_id="u", created_at=datetime(2026, 1, 1))  # noqa: DTZ001
        )


def test_microseconds_are_counted_from_1970():
    moment = datetime(1970, 1, 2, 0, 0, 0, 7, tzinfo=UTC)

    assert to_microseconds(moment) == 86_400_000_007
    assert from_microseconds(86_400_000_007) == moment
    assert to_microseconds(datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)) == -1
