"""The main job on real films: what nobody rated reaches somebody through its genres."""

from __future__ import annotations

import pytest

from recsvc.services import importing, recommending, training
from recsvc.services.importing import Request
from recsvc.services.recommending import Filters
from recsvc.services.serving import serving
from recsvc.storage.queries import interactions, items, users


@pytest.mark.realdata
def test_a_film_without_any_interaction_is_recommended_to_somebody_through_its_genres(
    make_app, sqlite_url, shared_data
):
    # The one voice that reads features, and one that outdoes it where there are likes.
    voices = frozenset({"lightfm", "neighbours", "popularity"})
    app = make_app(sqlite_url, model_components=32, model_epochs=12, voices=voices)
    with app.app_context():
        outcome = importing.import_path(Request("movielens", str(shared_data / "ml-latest-small")))
        run, _ = training.request("manual", requested_by="test")
        training.run(run.run_id)
        assert training.get(run.run_id).status == "succeeded", training.get(run.run_id).error
        serving().refresh()

        everybody = users.page(after=0, limit=1000)
        rated = {key for user in everybody for key in interactions.history(user.user_id)[1].item_keys}
        unrated = {
            item.item_id
            for item in items.page(after=0, limit=10_000, text=None, category=None, hidden=None)
            if item.item_key not in rated
        }

        assert outcome.rejected == 0
        assert (len(everybody), len(unrated)) == (610, 18)
        assert any(
            item.item_id in unrated
            for user in everybody
            for item in recommending.for_user(user.user_id, Filters(k=200)).items
        )
