"""A user's history from one index, without a look into the table for each of its interactions."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

OLD, NEW = "ix_interactions_user_newest", "ix_interactions_history"
OLD_COLUMNS = ["user_key", "occurred_at", "interaction_key"]
NEW_COLUMNS = [*OLD_COLUMNS, "item_key", "event_code", "value"]


def upgrade():
    if op.get_bind().dialect.name == "postgresql":
        # Index entries are enough only for pages that a vacuum has seen, and the newest rows are read most.
        op.execute("ALTER TABLE interactions SET (autovacuum_vacuum_insert_scale_factor = 0.02)")
    _replace(OLD, NEW, NEW_COLUMNS)


def downgrade():
    _replace(NEW, OLD, OLD_COLUMNS)
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE interactions RESET (autovacuum_vacuum_insert_scale_factor)")


def _replace(old, new, columns):
    if op.get_bind().dialect.name != "postgresql":
        op.create_index(new, "interactions", columns)
        op.drop_index(old, "interactions")
        return
    # The service that is about to be replaced writes on, and a training that reads may take its time.
    with op.get_context().autocommit_block():
        op.execute("SET lock_timeout = 0")
        # What a migration that was broken off left is not valid.
        op.drop_index(new, "interactions", if_exists=True, postgresql_concurrently=True)
        op.create_index(new, "interactions", columns, postgresql_concurrently=True)
        op.drop_index(old, "interactions", if_exists=True, postgresql_concurrently=True)
        op.execute("RESET lock_timeout")
