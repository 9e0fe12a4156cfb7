"""User tokens, what was shown, the revision of each item's last change."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from recsvc.storage import types

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade():
    op.create_table(
        "token_keys",
        sa.Column("key_id", sa.String(length=16), nullable=False),
        sa.Column("secret", sa.String(length=64), nullable=False),
        sa.Column("created_at", types.UtcDateTime(), nullable=False),
        sa.Column("retired_at", types.UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("key_id", name=op.f("pk_token_keys")),
    )
    op.create_table(
        "shown_recommendations",
        sa.Column("recommendation_id", sa.String(length=32), nullable=False),
        sa.Column("user_hash", types.BigKey, nullable=True),
        sa.Column("model_version", sa.String(length=64), nullable=True),
        sa.Column("strategy", sa.String(length=16), nullable=False),
        sa.Column("experiment", sa.String(length=160), nullable=True),
        sa.Column("item_keys", JSON, nullable=False),
        sa.Column("shown_at", types.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("recommendation_id", name=op.f("pk_shown_recommendations")),
    )
    op.create_table(
        "erased_users",
        sa.Column("user_hash", types.BigKey, autoincrement=False, nullable=False),
        sa.Column("erased_at", types.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("user_hash", name=op.f("pk_erased_users")),
    )
    op.create_index("ix_shown_recommendations_shown_at", "shown_recommendations", ["shown_at"])
    op.create_index("ix_shown_recommendations_user_hash", "shown_recommendations", ["user_hash"])
    op.create_index(
        "ix_interactions_recommendation_id",
        "interactions",
        ["recommendation_id"],
        postgresql_where=sa.text("recommendation_id IS NOT NULL"),
        sqlite_where=sa.text("recommendation_id IS NOT NULL"),
    )
    op.add_column("items", sa.Column("revision", types.BigKey, nullable=False, server_default="0"))
    op.create_index("ix_items_revision", "items", ["revision"])


def downgrade():
    op.drop_index("ix_items_revision", "items")
    op.drop_column("items", "revision")
    op.drop_index("ix_interactions_recommendation_id", "interactions")
    op.drop_table("erased_users")
    op.drop_table("shown_recommendations")
    op.drop_table("token_keys")
