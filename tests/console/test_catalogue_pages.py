"""The catalogue: searched, hidden, edited; and what is not there."""

from __future__ import annotations

import html
import re

import pytest

from recsvc.services import (
    catalogue,
    figures,
    ingestion,
    recommending,
)
from recsvc.services.catalogue import ItemContent
from recsvc.services.ingestion import NewInteraction
from recsvc.services.recommending import Filters


def test_items_that_are_never_recommended_are_found(app, operator, shop, trained):
    with app.app_context():
        listed = {i.item_id for i in recommending.for_user("crime-reader-1", Filters(k=3)).items}
        app.extensions["recsvc.recorder"].write()
        catalogue.patch_item("poetry-7", {"hidden": True})
        figures.count()
        never = figures.latest().items_never_shown

    page = operator.look("catalogue/?only=never")

    found = set(operator.ids_on(page))
    everything = {item_id for item_ids in shop.values() for item_id in item_ids}
    assert found == everything - listed - {"poetry-7"}
    assert never == len(found)


def test_what_is_not_there_is_told_as_a_page(operator):
    for path in ("explorer/item?item_id=none", "training/none", "import/none", "catalogue/item?item_id=none"):
        assert "There is no" in operator.say(path, 404)
    assert "There is no such page" in operator.say("nowhere/at/all", 404)


def test_the_catalogue_is_searched_by_title_whatever_the_case(operator, shop):
    found = operator.ids_on(operator.look("catalogue/?q=CRIME-3"))

    assert found == ["crime-3"]
    assert "Nothing is like that" in operator.say("catalogue/?q=none")


def test_the_catalogue_is_paged(app, operator):
    with app.app_context():
        catalogue.put_items((f"item-{number:03}", ItemContent()) for number in range(70))
    first = operator.look("catalogue/")
    onward = html.unescape(re.search(r'href="/console/(catalogue/\?[^"]*after=\d+[^"]*)"', first)[1])
    second = operator.look(onward)

    pages = [operator.ids_on(page) for page in (first, second)]
    assert [len(page) for page in pages] == [50, 20]
    assert sorted(pages[0] + pages[1]) == [f"item-{number:03}" for number in range(70)]


def test_an_item_is_hidden_and_shown_again(app, operator, shop):
    def is_hidden() -> bool:
        with app.app_context():
            return catalogue.get_item("crime-1").hidden

    answer = operator.send("catalogue/", "catalogue/hide", item_id="crime-1", hidden="yes", q="crime")
    assert is_hidden()
    assert answer.location == "/console/catalogue/?q=crime"
    assert re.findall(r'<code class="text-quiet">([^<]*)', operator.look("catalogue/?only=hidden")) == [
        "crime-1"
    ]

    operator.send("catalogue/", "catalogue/hide", item_id="crime-1", hidden="")
    assert not is_hidden()


def test_an_item_is_edited_and_what_is_not_in_the_form_stays(app, operator, shop):
    with app.app_context():
        catalogue.patch_item("crime-1", {"attributes": {"year": 1934}})
    operator.send(
        "catalogue/item?item_id=crime-1",
        "catalogue/item",
        item_id="crime-1",
        title="Murder on a Train",
        categories="crime\r\nClassics",
        features="author: Agatha Christie\r\nmood: crime\r\nmood: dark",
        group="murder",
        available="yes",
    )

    with app.app_context():
        item = catalogue.get_item("crime-1")
        assert (item.title, item.group, item.available, item.hidden) == (
            "Murder on a Train",
            "murder",
            True,
            False,
        )
        assert sorted(item.categories) == ["Classics", "crime"]
        assert item.features == {"author": ["Agatha Christie"], "mood": ["crime", "dark"]}
        assert item.attributes == {"year": 1934}


@pytest.mark.parametrize("features", ["no colon", "name:", ": value", "category: x", f"{'n' * 65}: x"])
def test_an_edit_that_cannot_be_kept_is_told_and_loses_nothing(app, operator, shop, features):
    answer = operator.send(
        "catalogue/item?item_id=crime-1", "catalogue/item", item_id="crime-1", title="New", features=features
    )

    assert answer.status_code == 422
    assert html.escape(features) in answer.get_data(as_text=True)
    with app.app_context():
        assert catalogue.get_item("crime-1").title == "Crime-1"


def test_what_the_shop_sends_is_shown_as_text(app, operator, shop):
    evil = "<script>alert(1)</script>"
    with app.app_context():
        catalogue.put_items([("evil", ItemContent(title=evil, categories=[evil], features={"mood": [evil]}))])
        ingestion.record(NewInteraction("<b>user</b>", "evil", "view"))
    for path in (
        "catalogue/",
        "explorer/",
        "explorer/user?user_id=<b>user</b>",
        "explorer/item?item_id=evil",
    ):
        page = operator.look(path)
        assert evil not in page
        assert "<b>user" not in page
