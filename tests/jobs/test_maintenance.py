"""Jobs that keep things in order, in an application of their own."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select

from jobs import context, maintenance
from recsvc.extensions import db
from recsvc.services import attribution, ingestion
from recsvc.services.ingestion import NewInteraction
from recsvc.services.recommending import Filters, for_user
from recsvc.storage.models import Interaction, ShownRecommendation


@pytest.fixture
def app(make_app, database_url, monkeypatch):
    made = make_app(database_url, interaction_retention_days=10, attribution_days=1)
    monkeypatch.setattr(context, "application", lambda: made)
    return made


def test_what_is_older_than_settings_keep_it_is_deleted(app, monkeypatch):
    def count(table: type) -> int:
        return db.session.scalar(select(func.count()).select_from(table)) or 0

    with app.app_context():
        for days in (1, 9, 11, 400):
            occurred = datetime.now(UTC) - timedelta(days=days)
            ingestion.record(NewInteraction("u", f"b{days}", "view", occurred_at=occurred))
        monkeypatch.setattr(attribution, "now", lambda: datetime.now(UTC) - timedelta(days=2))
        for_user("u", Filters(k=1))
        monkeypatch.undo()
        for_user("u", Filters(k=1))
        attribution.flush()
        monkeypatch.setattr(context, "application", lambda: app)

    maintenance.delete_old_data()

    with app.app_context():
        assert (count(Interaction), count(ShownRecommendation)) == (2, 1)
