"""Unbound extension objects; `factory` binds them to an application."""

from __future__ import annotations

from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy
from flask_sqlalchemy.session import Session
from sqlalchemy import MetaData
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import DeclarativeBase


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
migrate = Migrate(db=db)
