"""An `event_id` is unique among a user's interactions: one user's could keep another's from being stored."""

from contextlib import contextmanager

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

OLD, OLD_COLUMNS = "uq_interactions_event_id", ["event_id"]
NEW, NEW_COLUMNS = "uq_interactions_event_user", ["event_id", "user_key"]
# It stays with the first of those that are no longer to share it.
FORGET_SHARED_IDS = (
    "UPDATE interactions SET event_id = NULL WHERE event_id IS NOT NULL AND interaction_key NOT IN"
    " (SELECT MIN(interaction_key) FROM interactions WHERE event_id IS NOT NULL GROUP BY event_id)"
)


def upgrade():
    if op.get_bind().dialect.name == "postgresql":
        _make_concurrently(NEW, NEW_COLUMNS)
        op.drop_constraint(OLD, "interactions")
        return
    with _remade_interactions() as table:
        table.drop_constraint(OLD)
        table.create_index(NEW, NEW_COLUMNS, unique=True)


def downgrade():
    op.execute(FORGET_SHARED_IDS)
    if op.get_bind().dialect.name == "postgresql":
        _make_concurrently(OLD, OLD_COLUMNS)
        op.execute(f"ALTER TABLE interactions ADD CONSTRAINT {OLD} UNIQUE USING INDEX {OLD}")
        op.drop_index(NEW, "interactions")
        return
    with _remade_interactions() as table:
        table.drop_index(NEW)
        table.create_unique_constraint(OLD, OLD_COLUMNS)


def _make_concurrently(name, columns):
    # As in 0007: the service writes on, and what a migration that was broken off left is not valid.
    with op.get_context().autocommit_block():
        op.execute("SET lock_timeout = 0")
        op.drop_index(name, "interactions", if_exists=True, postgresql_concurrently=True)
        op.create_index(name, "interactions", columns, unique=True, postgresql_concurrently=True)
        op.execute("RESET lock_timeout")


@contextmanager
def _remade_interactions():
    # SQLite drops no constraint: every row is copied, and nobody else writes meanwhile. The copy would go on
    # counting from the last key that is left, and give the key of an interaction that was deleted again.
    last = op.get_bind().scalar(sa.text("SELECT seq FROM sqlite_sequence WHERE name = 'interactions'"))
    how = {"sqlite_autoincrement": True}
    with op.batch_alter_table("interactions", recreate="always", table_kwargs=how) as table:
        yield table
    op.execute("DELETE FROM sqlite_sequence WHERE name = 'interactions'")
    op.execute(f"INSERT INTO sqlite_sequence (name, seq) VALUES ('interactions', {last or 0})")  # noqa: S608
