"""The database as a model store, and versions whose files are gone."""

import sqlalchemy as sa
from alembic import op

from recsvc.storage import types

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade():
    op.create_table(
        "model_file_chunks",
        sa.Column("version", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("version", "name", "number", name=op.f("pk_model_file_chunks")),
    )
    if op.get_bind().dialect.name == "postgresql":
        # Factors hardly shrink, and PostgreSQL would take seconds of a core to find that out.
        op.execute("ALTER TABLE model_file_chunks ALTER COLUMN content SET STORAGE EXTERNAL")
    op.create_table(
        "model_pointer",
        sa.Column("model_pointer_key", sa.Integer(), nullable=False),
        sa.Column("version", sa.String(length=64), nullable=True),
        sa.Column("previous", sa.String(length=64), nullable=True),
        sa.PrimaryKeyConstraint("model_pointer_key", name=op.f("pk_model_pointer")),
    )
    op.execute("INSERT INTO model_pointer (model_pointer_key) VALUES (1)")
    op.add_column("model_versions", sa.Column("pruned_at", types.UtcDateTime(), nullable=True))


def downgrade():
    op.drop_column("model_versions", "pruned_at")
    op.drop_table("model_pointer")
    op.drop_table("model_file_chunks")
