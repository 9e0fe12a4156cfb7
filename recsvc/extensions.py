"""Unbound extension objects; `factory` binds them to an application."""

from __future__ import annotations

from typing import Any

from flask_sqlalchemy import SQLAlchemy
from flask_sqlalchemy.session import Session
from sqlalchemy import Connection, Engine, MetaData
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import DeclarativeBase

BY_STATEMENT = "by_statement"  # in a session's `info`: the engine to ask without a transaction


class Base(DeclarativeBase):
    """Declarative base: constraint names are fixed, so that a migration can name what it alters."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class ForgivingSession(Session):
    """A session that ends though its connection is lost: what was not committed is undone either way.

    Else a request whose answer is ready fails where the database goes away just before its end.
    """

    def get_bind(self, *args: Any, **kwargs: Any) -> Engine | Connection:
        """What statements go to: within a transaction, or, as `info` says, each by itself."""
        by_itself: Engine | None = self.info.get(BY_STATEMENT)
        return by_itself or super().get_bind(*args, **kwargs)

    def close(self) -> None:
        """Gives the connection back, or up."""
        try:
            super().close()
        except OperationalError:
            self.invalidate()

    def rollback(self) -> None:
        """Undoes what was not committed."""
        try:
            super().rollback()
        except OperationalError:
            self.invalidate()


db = SQLAlchemy(model_class=Base, session_options={"class_": ForgivingSession, "expire_on_commit": False})
