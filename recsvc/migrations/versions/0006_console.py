"""What the console shows without counting it anew, and the files that are uploaded there."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from recsvc.storage import types

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade():
    op.create_table(
        "figures",
        sa.Column("figures_key", sa.Integer(), nullable=False),
        sa.Column("content", JSON, nullable=False),
        sa.Column("counted_at", types.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("figures_key", name=op.f("pk_figures")),
    )
    op.create_table(
        "item_figures",
        sa.Column("item_key", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("shown", sa.Integer(), nullable=False),
        sa.Column("taken", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("item_key", name=op.f("pk_item_figures")),
    )
    op.create_index("ix_item_figures_shown", "item_figures", ["shown"])
    op.create_table(
        "data_imports",
        sa.Column("import_id", sa.String(length=32), nullable=False),
        sa.Column("file_name", sa.String(length=255), nullable=False),
        sa.Column("format", sa.String(length=16), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("event", sa.String(length=32), nullable=False),
        sa.Column("size", types.BigKey, nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("progress", sa.Float(), nullable=False),
        sa.Column("outcome", JSON, nullable=True),
        sa.Column("error", sa.String(length=4000), nullable=True),
        sa.Column("requested_by", sa.String(length=255), nullable=False),
        sa.Column("created_at", types.UtcDateTime(), nullable=False),
        sa.Column("changed_at", types.UtcDateTime(), nullable=False),
        sa.CheckConstraint("status IN ('checking', 'checked', 'storing', 'stored', 'failed')", name="status"),
        sa.PrimaryKeyConstraint("import_id", name=op.f("pk_data_imports")),
    )
    op.create_index("ix_data_imports_created_at", "data_imports", ["created_at"])
    op.create_table(
        "data_import_chunks",
        sa.Column("import_id", sa.String(length=32), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("import_id", "number", name=op.f("pk_data_import_chunks")),
    )


def downgrade():
    op.drop_table("data_import_chunks")
    op.drop_index("ix_data_imports_created_at", "data_imports")
    op.drop_table("data_imports")
    op.drop_index("ix_item_figures_shown", "item_figures")
    op.drop_table("item_figures")
    op.drop_table("figures")
