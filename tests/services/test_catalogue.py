"""Items and users: what the shop says of them is kept and given back."""

from __future__ import annotations

import threading
from datetime import UTC, datetime

import pytest

from recsvc.errors import InvalidInputError, NotFoundError
from recsvc.services import catalogue, ingestion
from recsvc.services.catalogue import ItemContent
from recsvc.services.ingestion import NewInteraction
from recsvc.storage.queries import items

FULL = ItemContent(
    title="Dom Casmurro",
    categories=["Fiction", "Classics"],
    features={"author": ["Machado de Assis"], "genre": ["Novel", "Realism"]},
    available=False,
    hidden=True,
    group="dom-casmurro",
    published_at=datetime(1899, 12, 1, tzinfo=UTC),
    attributes={"pages": 256, "nested": {"ümlaut": [1, None, True]}},
)


def same(item, content: ItemContent) -> bool:
    names = ("title", "available", "hidden", "group", "published_at", "attributes", "features")
    return all(getattr(item, name) == getattr(content, name) for name in names) and set(
        item.categories
    ) == set(content.categories)


def test_an_item_is_given_back_as_it_was_put(context):
    item, is_new = catalogue.put_item("b1", FULL)

    assert is_new
    assert same(item, FULL)
    assert same(catalogue.get_item("b1"), FULL)


def test_putting_again_replaces_all_that_was_said(context):
    before, _ = catalogue.put_item("b1", FULL)

    item, is_new = catalogue.put_item("b1", ItemContent(title="Other"))

    assert not is_new
    assert same(item, ItemContent(title="Other"))
    assert item.created_at == before.created_at
    assert item.updated_at > before.updated_at
    assert item.item_key == before.item_key


def test_of_two_with_one_id_in_a_batch_the_later_holds(context):
    catalogue.put_items([("b1", ItemContent(title="first")), ("b1", ItemContent(title="second"))])

    assert catalogue.get_item("b1").title == "second"


def test_a_patch_leaves_what_it_does_not_name(context):
    catalogue.put_item("b1", FULL)

    assert catalogue.patch_item("b1", {"title": None}).categories == ["Classics", "Fiction"]
    assert catalogue.patch_item("b1", {"categories": ["Poetry"]}).features == FULL.features
    item = catalogue.patch_item("b1", {"features": {"author": ["Anon"]}})

    assert item.title is None
    assert item.categories == ["Poetry"]
    assert item.features == {"author": ["Anon"]}
    assert item.attributes == FULL.attributes


def test_the_answer_to_a_patch_shows_what_was_patched(context):
    catalogue.put_item("b1", FULL)

    item = catalogue.patch_item("b1", {"hidden": False, "title": "Other", "attributes": {}})

    assert (item.hidden, item.title, item.attributes) == (False, "Other", {})
    assert item == catalogue.get_item("b1")


def test_a_patch_of_nothing_changes_nothing(context):
    catalogue.put_item("b1", FULL)

    assert same(catalogue.patch_item("b1", {}), FULL)


@pytest.mark.parametrize("name", ["patch", "get", "delete"])
def test_what_does_not_exist_is_not_found(context, name):
    act = {
        "patch": lambda: catalogue.patch_item("nope", {"title": "x"}),
        "get": lambda: catalogue.get_item("nope"),
        "delete": lambda: catalogue.delete_item("nope"),
    }[name]

    with pytest.raises(NotFoundError) as refused:
        act()
    assert refused.value.code == "item_not_found"


def test_categories_have_a_field_of_their_own(context):
    content = ItemContent(features={"category": ["Fiction"]})

    with pytest.raises(InvalidInputError, match="field categories"):
        catalogue.put_item("b1", content)
    catalogue.put_item("b1", ItemContent())
    with pytest.raises(InvalidInputError, match="field categories"):
        catalogue.patch_item("b1", {"features": content.features})

    assert catalogue.get_item("b1").categories == []


def test_a_deleted_item_keeps_its_interactions_and_comes_back_by_put(context):
    first, _ = catalogue.put_item("b1", FULL)
    ingestion.record(NewInteraction("u", "b1", "view"))

    catalogue.delete_item("b1")
    with pytest.raises(NotFoundError):
        catalogue.get_item("b1")
    assert catalogue.list_items(after=0, limit=10) == []
    assert len(ingestion.history_page("u", before=None, limit=10, event=None)) == 1

    item, is_new = catalogue.put_item("b1", ItemContent(title="Back"))
    assert (item.title, is_new, item.item_key) == ("Back", True, first.item_key)


def test_every_change_is_told_to_those_who_watch_the_catalogue(context):
    changes = [
        lambda: catalogue.put_item("b1", FULL),
        lambda: catalogue.patch_item("b1", {"hidden": False}),
        lambda: catalogue.delete_item("b1"),
        lambda: catalogue.put_item("b1", FULL),
        lambda: ingestion.record(NewInteraction("u", "never heard of", "view")),
    ]
    for change in changes:
        before = items.catalogue_revision()
        change()
        assert items.catalogue_revision() > before

    before = items.catalogue_revision()
    ingestion.record(NewInteraction("u", "b1", "view"))
    assert items.catalogue_revision() == before


def test_a_list_can_be_narrowed(context):
    catalogue.put_items(
        [
            ("b1", ItemContent(title="100% Wolf", categories=["crime"])),
            ("b2", ItemContent(title="Snow_White", hidden=True)),
            ("WOLF-3", ItemContent(categories=["crime"], features={"mood": ["x"]})),
        ]
    )

    def listed(**filters) -> list[str]:
        return [item.item_id for item in catalogue.list_items(after=0, limit=10, **filters)]

    assert sorted(listed()) == ["WOLF-3", "b1", "b2"]
    assert sorted(listed(text="wolf")) == ["WOLF-3", "b1"]
    assert listed(text="100%") == ["b1"]
    assert listed(text="%") == ["b1"]
    assert listed(text="_") == ["b2"]
    assert listed(text="\\") == []
    assert sorted(listed(category="crime")) == ["WOLF-3", "b1"]
    assert listed(category="x") == []
    assert listed(hidden=True) == ["b2"]
    assert listed(hidden=False, text="b") == ["b1"]


def test_many_items_are_written_at_once(context):
    contents = [(f"b{number}", ItemContent(features={"n": [str(number % 7)]})) for number in range(1_000)]

    assert catalogue.put_items(contents) == 1_000
    assert catalogue.get_item("b700").features == {"n": ["0"]}


def test_a_user_is_made_replaced_and_patched(context):
    user, is_new = catalogue.put_user("u1", {"language": ["pt", "en"]})
    assert (is_new, user.features) == (True, {"language": ["en", "pt"]})

    assert catalogue.put_user("u1", {}) == (catalogue.get_user("u1"), False)
    assert catalogue.patch_user("u1", {"features": {"age": ["30s"]}}).features == {"age": ["30s"]}
    assert catalogue.patch_user("u1", {}).features == {"age": ["30s"]}
    with pytest.raises(NotFoundError) as refused:
        catalogue.patch_user("u2", {})
    assert refused.value.code == "user_not_found"


def race(app, *acts) -> list[BaseException]:
    failures: list[BaseException] = []
    start = threading.Barrier(len(acts))

    def run(act) -> None:
        try:
            start.wait(10)
            with app.app_context():
                act()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return failures


def test_two_patches_of_one_item_at_once_both_hold(app):
    with app.app_context():
        catalogue.put_item("b1", FULL)
    for number in range(15):
        failures = race(
            app,
            lambda: catalogue.patch_item("b1", {"categories": [f"c{number}"]}),  # noqa: B023
            lambda: catalogue.patch_item("b1", {"features": {"f": [f"{number}"]}}),  # noqa: B023
        )
        with app.app_context():
            item = catalogue.get_item("b1")
        assert failures == []
        assert (item.categories, item.features) == ([f"c{number}"], {"f": [f"{number}"]})


def test_two_puts_of_one_user_at_once_leave_one_of_them(app):
    with app.app_context():
        catalogue.put_user("u1", {})
    for _ in range(15):
        failures = race(
            app, *(lambda name=name: catalogue.put_user("u1", {name: ["x"]}) for name in ("a", "b", "c"))
        )
        with app.app_context():
            assert len(catalogue.get_user("u1").features) == 1
        assert failures == []


def test_batches_that_name_the_same_items_in_another_order_both_get_through(app):
    batch = [(f"b{number}", FULL) for number in range(120)]
    for _ in range(5):
        acts = (lambda: catalogue.put_items(batch), lambda: catalogue.put_items(batch[::-1]))
        assert race(app, *acts) == []


def test_writing_items_again_uses_up_no_keys(context):
    for _ in range(5):
        catalogue.put_items((f"b{number}", ItemContent(title="again")) for number in range(10))
    catalogue.put_items([("new", ItemContent())])

    assert items.find("new").item_key == 11
