"""Alembic's environment: migrates the database of the settings."""

from alembic import context

from recsvc.extensions import Base, db
from recsvc.storage import models  # noqa: F401 — fills the metadata

# SQLite changes a table by making it anew: what refers to it must not mind that it is gone for a moment.
with db.engine.connect().execution_options(sqlite_foreign_keys="OFF") as connection:
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        compare_type=True,
        render_as_batch=connection.dialect.name == "sqlite",
        user_module_prefix="types.",
    )
    with context.begin_transaction():
        context.run_migrations()
