"""The tables."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    Boolean,
    CheckConstraint,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    String,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from recsvc.extensions import Base
from recsvc.storage.types import BigKey, UtcDateTime

Json = JSON().with_variant(JSONB, "postgresql")

UNDER_WAY = ("queued", "running")
RUN_STATUSES = (*UNDER_WAY, "succeeded", "rejected", "failed", "cancelled")


def now() -> datetime:
    """The present moment in UTC."""
    return datetime.now(UTC)


class User(Base):
    """Someone the shop recommends to; `user_id` is the shop's own string."""

    __tablename__ = "users"
    # The key of somebody erased is never another's: a version may have been trained with it.
    __table_args__ = ({"sqlite_autoincrement": True},)

    user_key: Mapped[int] = mapped_column(Integer, primary_key=True)
    user_id: Mapped[str] = mapped_column(String(255), unique=True)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)


class Item(Base):
    """Something the shop sells. Deleted ones stay as rows, so that their interactions still teach."""

    __tablename__ = "items"
    __table_args__ = (Index("ix_items_revision", "revision"),)

    item_key: Mapped[int] = mapped_column(Integer, primary_key=True)
    item_id: Mapped[str] = mapped_column(String(255), unique=True)
    title: Mapped[str | None] = mapped_column(String(1000))
    available: Mapped[bool] = mapped_column(Boolean, default=True)
    hidden: Mapped[bool] = mapped_column(Boolean, default=False)
    group: Mapped[str | None] = mapped_column("item_group", String(255))
    published_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    attributes: Mapped[dict[str, Any]] = mapped_column(Json, default=dict)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now, onupdate=now)
    deleted_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    revision: Mapped[int] = mapped_column(BigKey, server_default="0")


class CatalogueState(Base):
    """One row: its revision grows with every change of the catalogue, and web processes watch it.

    An item has the revision of its last change. Whoever writes to items raises this one first, and so holds
    it to the end of the transaction: all of a revision is there once it can be seen.
    """

    __tablename__ = "catalogue_state"

    catalogue_state_key: Mapped[int] = mapped_column(Integer, primary_key=True)
    revision: Mapped[int] = mapped_column(BigKey, default=0)


class Feature(Base):
    """A label such as `author:Machado de Assis`. An item's categories are features named `category`."""

    __tablename__ = "features"
    # The key of one that is gone is never another's: a version may have learned what it says.
    __table_args__ = (UniqueConstraint("name", "value"), {"sqlite_autoincrement": True})

    feature_key: Mapped[int] = mapped_column(Integer, primary_key=True)
    name: Mapped[str] = mapped_column(String(64))
    value: Mapped[str] = mapped_column(String(255))


class ItemFeature(Base):
    """An item has a feature."""

    __tablename__ = "item_features"
    __table_args__ = (Index("ix_item_features_feature_key", "feature_key"),)

    item_key: Mapped[int] = mapped_column(ForeignKey("items.item_key", ondelete="CASCADE"), primary_key=True)
    feature_key: Mapped[int] = mapped_column(ForeignKey("features.feature_key"), primary_key=True)


class UserFeature(Base):
    """A user has a feature."""

    __tablename__ = "user_features"
    __table_args__ = (Index("ix_user_features_feature_key", "feature_key"),)

    user_key: Mapped[int] = mapped_column(ForeignKey("users.user_key", ondelete="CASCADE"), primary_key=True)
    feature_key: Mapped[int] = mapped_column(ForeignKey("features.feature_key"), primary_key=True)


class Event(Base):
    """The number that stands for an event's name in `interactions`; given once, never reused."""

    __tablename__ = "events"

    event_code: Mapped[int] = mapped_column(SmallInteger().with_variant(Integer, "sqlite"), primary_key=True)
    name: Mapped[str] = mapped_column(String(32), unique=True)


class Interaction(Base):
    """One user–item event. The bulk read goes by primary key, the other hot queries by the two indexes.

    `user_hash` stands for the user where a list is named, which must have been shown to them; nothing stands
    for one whose interactions were imported.
    """

    __tablename__ = "interactions"
    __table_args__ = (
        # It holds all that a history tells, so that none is put together from rows all over the table.
        Index(
            "ix_interactions_history",
            *("user_key", "occurred_at", "interaction_key", "item_key", "event_code", "value"),
        ),
        # Among a user's: whoever writes for one must not keep what another does from being stored. Were the
        # user first, PostgreSQL would look for histories in here, and sort them.
        Index("uq_interactions_event_user", "event_id", "user_key", unique=True),
        # Few interactions name a recommendation; the others cost this index nothing.
        Index(
            "ix_interactions_recommendation_id",
            "recommendation_id",
            postgresql_where=text("recommendation_id IS NOT NULL"),
            sqlite_where=text("recommendation_id IS NOT NULL"),
        ),
        # What was received after a version's watermark has a greater key, whatever was deleted since.
        {"sqlite_autoincrement": True},
    )

    interaction_key: Mapped[int] = mapped_column(BigKey, primary_key=True)
    user_key: Mapped[int] = mapped_column(ForeignKey("users.user_key"))
    item_key: Mapped[int] = mapped_column(ForeignKey("items.item_key"))
    event_code: Mapped[int] = mapped_column(SmallInteger, ForeignKey("events.event_code"))
    value: Mapped[float | None] = mapped_column(Float)
    occurred_at: Mapped[datetime] = mapped_column(UtcDateTime)
    received_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    event_id: Mapped[str | None] = mapped_column(String(64))
    recommendation_id: Mapped[str | None] = mapped_column(String(64))
    user_hash: Mapped[int | None] = mapped_column(BigKey)


class TrainingRun(Base):
    """One attempt to make a model version."""

    __tablename__ = "training_runs"
    __table_args__ = (
        CheckConstraint(
            "status IN ('queued', 'running', 'succeeded', 'rejected', 'failed', 'cancelled')", name="status"
        ),
        # At most one run is under way, whatever asks at the same moment: the database says so.
        Index(
            "uq_training_runs_under_way",
            text("(1)"),
            unique=True,
            postgresql_where=text("status IN ('queued', 'running')"),
            sqlite_where=text("status IN ('queued', 'running')"),
        ),
        Index("ix_training_runs_queued_at", "queued_at"),
    )

    run_id: Mapped[str] = mapped_column(String(32), primary_key=True)
    trigger: Mapped[str] = mapped_column(String(16))
    scheduled_for: Mapped[datetime | None] = mapped_column(UtcDateTime, unique=True)
    status: Mapped[str] = mapped_column(String(16))
    stage: Mapped[str | None] = mapped_column(String(16))
    progress: Mapped[float] = mapped_column(Float, default=0.0)
    epoch: Mapped[int | None] = mapped_column(Integer)
    rows_read: Mapped[int | None] = mapped_column(BigKey)
    attempt: Mapped[int] = mapped_column(Integer, default=0)
    requested_by: Mapped[str] = mapped_column(String(255))
    reason: Mapped[str | None] = mapped_column(String(1000))
    force: Mapped[bool] = mapped_column(Boolean, default=False)
    queued_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    started_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    heartbeat_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    seconds: Mapped[dict[str, float]] = mapped_column(Json, default=dict)
    data: Mapped[dict[str, Any] | None] = mapped_column(Json)
    parameters: Mapped[dict[str, Any] | None] = mapped_column(Json)
    metrics: Mapped[dict[str, Any] | None] = mapped_column(Json)
    gate: Mapped[dict[str, Any] | None] = mapped_column(Json)
    model_version: Mapped[str | None] = mapped_column(String(64))
    error: Mapped[str | None] = mapped_column(String(4000))


class ModelVersion(Base):
    """What a run produced, and what became of it. The row outlasts the files."""

    __tablename__ = "model_versions"
    __table_args__ = (
        CheckConstraint("status IN ('candidate', 'active', 'retired', 'rejected')", name="status"),
        Index(
            "uq_model_versions_active",
            text("(1)"),
            unique=True,
            postgresql_where=text("status = 'active'"),
            sqlite_where=text("status = 'active'"),
        ),
    )

    version: Mapped[str] = mapped_column(String(64), primary_key=True)
    run_id: Mapped[str | None] = mapped_column(ForeignKey("training_runs.run_id"))
    status: Mapped[str] = mapped_column(String(16))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    activated_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    pruned_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    manifest: Mapped[dict[str, Any]] = mapped_column(Json)

    @property
    def files_kept(self) -> bool:
        """Whether its files are still in the model store, so that it can be made active again."""
        return self.pruned_at is None


class ModelFileChunk(Base):
    """A piece of a version's file, where the database is the model store. The manifest's is written last."""

    __tablename__ = "model_file_chunks"

    version: Mapped[str] = mapped_column(String(64), primary_key=True)
    name: Mapped[str] = mapped_column(String(128), primary_key=True)
    number: Mapped[int] = mapped_column(Integer, primary_key=True)
    content: Mapped[bytes] = mapped_column(LargeBinary)


class ModelPointer(Base):
    """One row: which version is active, and which was before it, where the database is the model store."""

    __tablename__ = "model_pointer"

    model_pointer_key: Mapped[int] = mapped_column(Integer, primary_key=True)
    version: Mapped[str | None] = mapped_column(String(64))
    previous: Mapped[str | None] = mapped_column(String(64))


class ApiKey(Base):
    """A credential. Only the SHA-256 of its secret is kept."""

    __tablename__ = "api_keys"
    __table_args__ = (CheckConstraint("role IN ('admin', 'service', 'read')", name="role"),)

    key_id: Mapped[str] = mapped_column(String(16), primary_key=True)
    secret_hash: Mapped[str] = mapped_column(String(64))
    role: Mapped[str] = mapped_column(String(16))
    name: Mapped[str] = mapped_column(String(255))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    last_used_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    revoked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class TokenKey(Base):
    """What user tokens made here are signed with. A retired key keeps no secret."""

    __tablename__ = "token_keys"

    key_id: Mapped[str] = mapped_column(String(16), primary_key=True)
    secret: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    retired_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class ShownRecommendation(Base):
    """A list that was shown, so that interactions which name it are attributed. Sampled; kept for some days.

    `user_hash` stands for the user, known or not: it is counted by, and erased by.
    """

    __tablename__ = "shown_recommendations"
    __table_args__ = (
        Index("ix_shown_recommendations_shown_at", "shown_at"),
        Index("ix_shown_recommendations_user_hash", "user_hash"),
    )

    recommendation_id: Mapped[str] = mapped_column(String(32), primary_key=True)
    user_hash: Mapped[int | None] = mapped_column(BigKey)
    model_version: Mapped[str | None] = mapped_column(String(64))
    strategy: Mapped[str] = mapped_column(String(16))
    experiment: Mapped[str | None] = mapped_column(String(160))
    item_keys: Mapped[list[int]] = mapped_column(Json)
    shown_at: Mapped[datetime] = mapped_column(UtcDateTime)


class ErasedUser(Base):
    """A user erased within the last day: web processes may still hold what they were shown, unwritten."""

    __tablename__ = "erased_users"

    user_hash: Mapped[int] = mapped_column(BigKey, primary_key=True, autoincrement=False)
    erased_at: Mapped[datetime] = mapped_column(UtcDateTime)


class TuningTrial(Base):
    """One set of parameters that tuning tried, and what it gained over the settings; nothing where it failed.

    Gains are of the data as it was. A later tuning goes on from all of them.
    """

    __tablename__ = "tuning_trials"

    trial_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    turn: Mapped[str] = mapped_column(String(16))
    parameters: Mapped[dict[str, Any]] = mapped_column(Json)
    gain: Mapped[float | None] = mapped_column(Float)
    seconds: Mapped[float] = mapped_column(Float)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)


class TunedParameters(Base):
    """A set that was better than the settings for sure. The newest that is not retired is in force."""

    __tablename__ = "tuned_parameters"

    tuned_parameters_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    parameters: Mapped[dict[str, Any]] = mapped_column(Json)
    ndcg: Mapped[float] = mapped_column(Float)
    default_ndcg: Mapped[float] = mapped_column(Float)
    gain_low: Mapped[float] = mapped_column(Float)
    gain_high: Mapped[float] = mapped_column(Float)
    users: Mapped[int] = mapped_column(Integer)
    found_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    retired_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class Figures(Base):
    """One row: what pages of the console would otherwise count at every look."""

    __tablename__ = "figures"

    figures_key: Mapped[int] = mapped_column(Integer, primary_key=True)
    content: Mapped[dict[str, Any]] = mapped_column(Json)
    counted_at: Mapped[datetime] = mapped_column(UtcDateTime)


class ItemFigures(Base):
    """How often an item was shown of late, and taken from a list; no row where it never was."""

    __tablename__ = "item_figures"
    __table_args__ = (Index("ix_item_figures_shown", "shown"),)

    item_key: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    shown: Mapped[int] = mapped_column(Integer)
    taken: Mapped[int] = mapped_column(Integer)


class DataImport(Base):
    """A file that was uploaded, and what became of it: checked first, stored when somebody says so."""

    __tablename__ = "data_imports"
    __table_args__ = (
        CheckConstraint("status IN ('checking', 'checked', 'storing', 'stored', 'failed')", name="status"),
        Index("ix_data_imports_created_at", "created_at"),
    )

    import_id: Mapped[str] = mapped_column(String(32), primary_key=True)
    file_name: Mapped[str] = mapped_column(String(255))
    format: Mapped[str] = mapped_column(String(16))
    kind: Mapped[str] = mapped_column(String(16))
    event: Mapped[str] = mapped_column(String(32))
    size: Mapped[int] = mapped_column(BigKey)
    status: Mapped[str] = mapped_column(String(16))
    progress: Mapped[float] = mapped_column(Float, default=0.0)
    outcome: Mapped[dict[str, Any] | None] = mapped_column(Json)
    error: Mapped[str | None] = mapped_column(String(4000))
    requested_by: Mapped[str] = mapped_column(String(255))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    changed_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)


class DataImportChunk(Base):
    """A piece of an uploaded file: web and worker may share no disk. Gone once it is stored or failed."""

    __tablename__ = "data_import_chunks"

    import_id: Mapped[str] = mapped_column(String(32), primary_key=True)
    number: Mapped[int] = mapped_column(Integer, primary_key=True)
    content: Mapped[bytes] = mapped_column(LargeBinary)
