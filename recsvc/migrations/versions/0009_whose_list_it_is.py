"""Whose an interaction is that names a list, by the hash that lists are recorded under."""

import sqlalchemy as sa
from alembic import op

from recsvc.storage import types

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade():
    op.add_column("interactions", sa.Column("user_hash", types.BigKey, nullable=True))


def downgrade():
    op.drop_column("interactions", "user_hash")
