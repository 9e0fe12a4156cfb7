"""How far a training is: its epoch, and the rows it has read."""

import sqlalchemy as sa
from alembic import op

from recsvc.storage import types

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade():
    op.add_column("training_runs", sa.Column("epoch", sa.Integer(), nullable=True))
    op.add_column("training_runs", sa.Column("rows_read", types.BigKey, nullable=True))


def downgrade():
    op.drop_column("training_runs", "rows_read")
    op.drop_column("training_runs", "epoch")
