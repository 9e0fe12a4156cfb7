"""Users and items looked at, and why their lists are what they are."""

from __future__ import annotations

import re

from sqlalchemy import func, select

from recsvc.extensions import db
from recsvc.services import (
    catalogue,
    serving,
)
from recsvc.services.catalogue import ItemContent
from recsvc.storage.models import Interaction
from recsvc.storage.queries import interactions
from recsvc.storage.queries.interactions import UserHistory


def test_a_users_list_stands_beside_their_history_with_reasons(operator, trained):
    said = operator.say("explorer/user?user_id=crime-reader-1")

    assert "Personal: trained on their history" in said
    assert "because of Crime-" in said
    assert "History, the newest first" in said


def test_a_new_visitor_gets_what_is_popular(operator, trained):
    said = operator.say("explorer/user?user_id=somebody-new")

    assert "Popular: nothing is known of them" in said
    assert "This user is not known" in said


def test_an_item_in_the_basket_changes_the_list_and_nothing_is_saved(app, operator, trained):
    def listed(page: str) -> list[str]:
        after = page[page.index("<ol") :]
        return re.findall(r'item\?item_id=([\w-]+)">', after)

    before = listed(operator.look("explorer/user?user_id=somebody-new"))
    with app.app_context():
        stored = db.session.scalar(select(func.count()).select_from(Interaction))
        waiting = app.extensions["recsvc.recorder"].write()

    page = operator.look("explorer/user?user_id=somebody-new&basket=poetry-1")
    after = [item_id for item_id in listed(page) if item_id]

    assert "because of" in operator.words(page)
    assert before != after
    assert "poetry-1" not in after[:1]
    assert waiting == 0
    with app.app_context():
        assert app.extensions["recsvc.recorder"].write() == 0
        assert db.session.scalar(select(func.count()).select_from(Interaction)) == stored
        assert interactions.history("somebody-new") == (None, UserHistory())


def test_an_items_neighbours_come_with_what_they_have_in_common(operator, trained):
    said = operator.say("explorer/item?item_id=crime-1")

    assert "Known by who liked it" in said
    assert "In common: category:crime mood:crime" in said
    assert "% who likes both" in said.replace("\xa0", " ")


def test_a_cold_item_is_told_to_be_cold(app, operator, trained):
    with app.app_context():
        catalogue.put_items([("new", ItemContent(title="New", features={"mood": ["poetry"]}))])
        serving.serving().refresh()

    said = operator.say("explorer/item?item_id=new")

    assert "Cold" in said
    assert "In common: mood:poetry" in said
