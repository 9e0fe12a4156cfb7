"""Features go with the last who had them: users are found by one, and its key is never used again."""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

INDEX = "ix_user_features_feature_key"
# Of people who were erased before, say.
DELETE_WHAT_NOBODY_HAS = (
    "DELETE FROM features WHERE feature_key NOT IN (SELECT feature_key FROM item_features)"
    " AND feature_key NOT IN (SELECT feature_key FROM user_features)"
)


def upgrade():
    if op.get_bind().dialect.name == "postgresql":
        # As in 0007: the service writes on, and what a migration that was broken off left is not valid.
        with op.get_context().autocommit_block():
            op.execute("SET lock_timeout = 0")
            op.drop_index(INDEX, "user_features", if_exists=True, postgresql_concurrently=True)
            op.create_index(INDEX, "user_features", ["feature_key"], postgresql_concurrently=True)
            op.execute("RESET lock_timeout")
    else:
        _remake_features(sqlite_autoincrement=True)
        op.create_index(INDEX, "user_features", ["feature_key"])
    op.execute(DELETE_WHAT_NOBODY_HAS)


def downgrade():
    op.drop_index(INDEX, "user_features")
    if op.get_bind().dialect.name != "postgresql":
        _remake_features(sqlite_autoincrement=False)


def _remake_features(**how):
    with op.batch_alter_table("features", recreate="always", table_kwargs=how):
        pass
