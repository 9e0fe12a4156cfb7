"""What tuning tried, and what it found."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from recsvc.storage import types

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade():
    op.create_table(
        "tuning_trials",
        sa.Column("trial_id", sa.Integer(), nullable=False),
        sa.Column("turn", sa.String(length=16), nullable=False),
        sa.Column("parameters", JSON, nullable=False),
        sa.Column("gain", sa.Float(), nullable=True),
        sa.Column("seconds", sa.Float(), nullable=False),
        sa.Column("created_at", types.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("trial_id", name=op.f("pk_tuning_trials")),
    )
    op.create_table(
        "tuned_parameters",
        sa.Column("tuned_parameters_id", sa.Integer(), nullable=False),
        sa.Column("parameters", JSON, nullable=False),
        sa.Column("ndcg", sa.Float(), nullable=False),
        sa.Column("default_ndcg", sa.Float(), nullable=False),
        sa.Column("gain_low", sa.Float(), nullable=False),
        sa.Column("gain_high", sa.Float(), nullable=False),
        sa.Column("users", sa.Integer(), nullable=False),
        sa.Column("found_at", types.UtcDateTime(), nullable=False),
        sa.Column("retired_at", types.UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("tuned_parameters_id", name=op.f("pk_tuned_parameters")),
    )


def downgrade():
    op.drop_table("tuned_parameters")
    op.drop_table("tuning_trials")
