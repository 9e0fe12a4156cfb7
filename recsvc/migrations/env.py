"""Alembic's environment: migrates the database of the settings."""

from alembic import context

from recsvc.extensions import Base, db
from recsvc.storage import models  # noqa: F401 — fills the metadata

options = {
    # SQLite changes a table by making it anew: what refers to it must not mind that it is gone for a moment.
    "sqlite_foreign_keys": "OFF",
    # It lets nobody who has read wait for somebody who writes, as a process that starts beside this one may.
    "sqlite_begin": "IMMEDIATE",
}
with db.engine.connect().execution_options(**options) as connection:
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        compare_type=True,
        render_as_batch=connection.dialect.name == "sqlite",
        user_module_prefix="types.",
    )
    with context.begin_transaction():
        context.run_migrations()
