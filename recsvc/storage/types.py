"""Column types that behave alike on SQLite and PostgreSQL."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import BigInteger, DateTime, Dialect, Integer
from sqlalchemy.types import TypeDecorator, TypeEngine

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# SQLite numbers rows by itself only in a column that is called INTEGER.
BigKey = BigInteger().with_variant(Integer, "sqlite")


def to_microseconds(moment: datetime) -> int:
    """Microseconds since 1970-01-01T00:00:00Z of an aware datetime."""
    return (moment - EPOCH) // timedelta(microseconds=1)


def from_microseconds(microseconds: int) -> datetime:
    """The UTC datetime that many microseconds after 1970-01-01T00:00:00Z."""
    return EPOCH + timedelta(microseconds=microseconds)


class UtcDateTime(TypeDecorator[datetime]):
    """An aware datetime, stored and returned in UTC.

    PostgreSQL keeps a `timestamptz`. SQLite has no such type and its texts lose the zone, so there it is
    microseconds since 1970 as an integer: eight bytes, ordered, and read in bulk without parsing.
    """

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Picks the column's type for the database."""
        if dialect.name == "sqlite":
            return dialect.type_descriptor(BigInteger())
        return dialect.type_descriptor(DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        """Turns an aware datetime into what the database stores; a naive one is a bug."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value!r} has no time zone")
        return to_microseconds(value) if dialect.name == "sqlite" else value.astimezone(UTC)

    def result_processor(self, dialect: Dialect, _coltype: object) -> Any:
        """Turns what SQLite stores into a UTC datetime.

        PostgreSQL's driver makes one by itself, as our connections are set to UTC: a call for each that comes
        would be felt in every history.
        """
        return _from_stored if dialect.name == "sqlite" else None


def _from_stored(microseconds: int | None) -> datetime | None:
    return None if microseconds is None else from_microseconds(microseconds)
