"""The first tables."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from recsvc.storage import types

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade():
    op.create_table(
        "api_keys",
        sa.Column("key_id", sa.String(length=16), nullable=False),
        sa.Column("secret_hash", sa.String(length=64), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("created_at", types.UtcDateTime(), nullable=False),
        sa.Column("last_used_at", types.UtcDateTime(), nullable=True),
        sa.Column("revoked_at", types.UtcDateTime(), nullable=True),
        sa.CheckConstraint("role IN ('admin', 'service', 'read')", name="role"),
        sa.PrimaryKeyConstraint("key_id", name=op.f("pk_api_keys")),
    )
    op.create_table(
        "catalogue_state",
        sa.Column("catalogue_state_key", sa.Integer(), nullable=False),
        sa.Column("revision", types.BigKey, nullable=False),
        sa.PrimaryKeyConstraint("catalogue_state_key", name=op.f("pk_catalogue_state")),
    )
    op.create_table(
        "events",
        sa.Column("event_code", sa.SmallInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("event_code", name=op.f("pk_events")),
        sa.UniqueConstraint("name", name=op.f("uq_events_name")),
    )
    op.create_table(
        "features",
        sa.Column("feature_key", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("value", sa.String(length=255), nullable=False),
        sa.PrimaryKeyConstraint("feature_key", name=op.f("pk_features")),
        sa.UniqueConstraint("name", "value", name=op.f("uq_features_name_value")),
    )
    op.create_table(
        "items",
        sa.Column("item_key", sa.Integer(), nullable=False),
        sa.Column("item_id", sa.String(length=255), nullable=False),
        sa.Column("title", sa.String(length=1000), nullable=True),
        sa.Column("available", sa.Boolean(), nullable=False),
        sa.Column("hidden", sa.Boolean(), nullable=False),
        sa.Column("item_group", sa.String(length=255), nullable=True),
        sa.Column("published_at", types.UtcDateTime(), nullable=True),
        sa.Column("attributes", JSON, nullable=False),
        sa.Column("created_at", types.UtcDateTime(), nullable=False),
        sa.Column("updated_at", types.UtcDateTime(), nullable=False),
        sa.Column("deleted_at", types.UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("item_key", name=op.f("pk_items")),
        sa.UniqueConstraint("item_id", name=op.f("uq_items_item_id")),
    )
    op.create_table(
        "training_runs",
        sa.Column("run_id", sa.String(length=32), nullable=False),
        sa.Column("trigger", sa.String(length=16), nullable=False),
        sa.Column("scheduled_for", types.UtcDateTime(), nullable=True),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("stage", sa.String(length=16), nullable=True),
        sa.Column("progress", sa.Float(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("requested_by", sa.String(length=255), nullable=False),
        sa.Column("reason", sa.String(length=1000), nullable=True),
        sa.Column("force", sa.Boolean(), nullable=False),
        sa.Column("queued_at", types.UtcDateTime(), nullable=False),
        sa.Column("started_at", types.UtcDateTime(), nullable=True),
        sa.Column("heartbeat_at", types.UtcDateTime(), nullable=True),
        sa.Column("finished_at", types.UtcDateTime(), nullable=True),
        sa.Column("seconds", JSON, nullable=False),
        sa.Column("data", JSON, nullable=True),
        sa.Column("parameters", JSON, nullable=True),
        sa.Column("metrics", JSON, nullable=True),
        sa.Column("gate", JSON, nullable=True),
        sa.Column("model_version", sa.String(length=64), nullable=True),
        sa.Column("error", sa.String(length=4000), nullable=True),
        sa.CheckConstraint(
            "status IN ('queued', 'running', 'succeeded', 'rejected', 'failed', 'cancelled')", name="status"
        ),
        sa.PrimaryKeyConstraint("run_id", name=op.f("pk_training_runs")),
        sa.UniqueConstraint("scheduled_for", name=op.f("uq_training_runs_scheduled_for")),
    )
    op.create_index("ix_training_runs_queued_at", "training_runs", ["queued_at"], unique=False)

    op.create_table(
        "users",
        sa.Column("user_key", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.String(length=255), nullable=False),
        sa.Column("created_at", types.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("user_key", name=op.f("pk_users")),
        sa.UniqueConstraint("user_id", name=op.f("uq_users_user_id")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "interactions",
        sa.Column("interaction_key", types.BigKey, nullable=False),
        sa.Column("user_key", sa.Integer(), nullable=False),
        sa.Column("item_key", sa.Integer(), nullable=False),
        sa.Column("event_code", sa.SmallInteger(), nullable=False),
        sa.Column("value", sa.Float(), nullable=True),
        sa.Column("occurred_at", types.UtcDateTime(), nullable=False),
        sa.Column("received_at", types.UtcDateTime(), nullable=False),
        sa.Column("event_id", sa.String(length=64), nullable=True),
        sa.Column("recommendation_id", sa.String(length=64), nullable=True),
        sa.ForeignKeyConstraint(
            ["event_code"], ["events.event_code"], name=op.f("fk_interactions_event_code")
        ),
        sa.ForeignKeyConstraint(["item_key"], ["items.item_key"], name=op.f("fk_interactions_item_key")),
        sa.ForeignKeyConstraint(["user_key"], ["users.user_key"], name=op.f("fk_interactions_user_key")),
        sa.PrimaryKeyConstraint("interaction_key", name=op.f("pk_interactions")),
        sa.UniqueConstraint("event_id", name=op.f("uq_interactions_event_id")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_interactions_user_newest",
        "interactions",
        ["user_key", "occurred_at", "interaction_key"],
        unique=False,
    )

    op.create_table(
        "item_features",
        sa.Column("item_key", sa.Integer(), nullable=False),
        sa.Column("feature_key", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["feature_key"], ["features.feature_key"], name=op.f("fk_item_features_feature_key")
        ),
        sa.ForeignKeyConstraint(
            ["item_key"], ["items.item_key"], name=op.f("fk_item_features_item_key"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("item_key", "feature_key", name=op.f("pk_item_features")),
    )
    op.create_index("ix_item_features_feature_key", "item_features", ["feature_key"], unique=False)

    op.create_table(
        "model_versions",
        sa.Column("version", sa.String(length=64), nullable=False),
        sa.Column("run_id", sa.String(length=32), nullable=True),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("created_at", types.UtcDateTime(), nullable=False),
        sa.Column("activated_at", types.UtcDateTime(), nullable=True),
        sa.Column("manifest", JSON, nullable=False),
        sa.CheckConstraint("status IN ('candidate', 'active', 'retired', 'rejected')", name="status"),
        sa.ForeignKeyConstraint(["run_id"], ["training_runs.run_id"], name=op.f("fk_model_versions_run_id")),
        sa.PrimaryKeyConstraint("version", name=op.f("pk_model_versions")),
    )
    op.create_table(
        "user_features",
        sa.Column("user_key", sa.Integer(), nullable=False),
        sa.Column("feature_key", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["feature_key"], ["features.feature_key"], name=op.f("fk_user_features_feature_key")
        ),
        sa.ForeignKeyConstraint(
            ["user_key"], ["users.user_key"], name=op.f("fk_user_features_user_key"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("user_key", "feature_key", name=op.f("pk_user_features")),
    )
    op.create_index(
        "uq_training_runs_under_way",
        "training_runs",
        [sa.text("(1)")],
        unique=True,
        postgresql_where=sa.text("status IN ('queued', 'running')"),
        sqlite_where=sa.text("status IN ('queued', 'running')"),
    )
    op.create_index(
        "uq_model_versions_active",
        "model_versions",
        [sa.text("(1)")],
        unique=True,
        postgresql_where=sa.text("status = 'active'"),
        sqlite_where=sa.text("status = 'active'"),
    )
    op.execute("INSERT INTO catalogue_state (catalogue_state_key, revision) VALUES (1, 0)")


def downgrade():
    for table in (
        "user_features",
        "item_features",
        "features",
        "model_versions",
        "training_runs",
        "interactions",
        "events",
        "users",
        "items",
        "catalogue_state",
        "api_keys",
    ):
        op.drop_table(table)
