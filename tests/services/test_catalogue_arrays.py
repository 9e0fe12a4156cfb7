"""Arrays that are kept fresh are those that would be read anew."""

from __future__ import annotations

import random
from dataclasses import fields

import numpy as np
import pytest
from sqlalchemy import event

from recsvc.extensions import db
from recsvc.services import catalogue_arrays
from recsvc.services.catalogue import ItemContent, delete_item, patch_item, put_item, put_items, put_user
from recsvc.services.recommending import Filters, for_user
from recsvc.services.serving import Serving, serving


def assert_same(kept, anew) -> None:
    assert kept.categories.keys() == anew.categories.keys()
    for category, members in anew.categories.items():
        assert kept.categories[category].tolist() == members.tolist(), category
    for entry in fields(anew):
        if entry.name != "categories":
            assert np.array_equal(getattr(kept, entry.name), getattr(anew, entry.name)), entry.name


def change_at_random(chance: random.Random) -> None:
    name = f"b{chance.randrange(30)}"
    content = ItemContent(
        categories=chance.sample(["x", "y", "z"], chance.randrange(3)),
        hidden=chance.random() < 0.3,
        available=chance.random() < 0.8,
        group=chance.choice([None, "g", "h"]),
    )
    what = chance.randrange(4)
    if what == 0:
        put_items((f"b{chance.randrange(30)}", content) for _ in range(5))
    elif what == 1:
        put_item(name, content)
    elif what == 2:
        put_item(name, content)
        patch_item(name, {"categories": ["y"], "group": "h"})
    else:
        put_item(name, content)
        delete_item(name)


@pytest.mark.parametrize("seed", range(3))
def test_after_any_changes_they_are_as_if_read_anew(context, seed):
    chance = random.Random(seed)
    put_items((f"b{number}", ItemContent(categories=["x"])) for number in range(10))
    kept = catalogue_arrays.read()
    for _ in range(25):
        change_at_random(chance)
        kept, changed = catalogue_arrays.refresh(kept)
        assert changed is not None
        assert_same(kept, catalogue_arrays.read())


def test_where_nothing_changed_nothing_is_made_anew(context):
    put_item("b", ItemContent())
    kept = catalogue_arrays.read()
    put_user("u", {"likes": ["x"]})

    again, changed = catalogue_arrays.refresh(kept)

    assert again is kept
    assert len(changed) == 0


def test_only_what_changed_is_read(context):
    put_items((f"b{number}", ItemContent(categories=["x"])) for number in range(200))
    kept = catalogue_arrays.read()
    put_item("b7", ItemContent(hidden=True))
    plans = []
    event.listen(db.engine, "after_cursor_execute", lambda *a: plans.append(a[2]))

    again, changed = catalogue_arrays.refresh(kept)

    assert len(changed) == 1
    assert again.recommendable.sum() == 199
    assert len(plans) <= 3
    assert all("WHERE" in plan for plan in plans if "items" in plan)


def test_where_very_much_changed_all_is_read_in_bulk(context, monkeypatch):
    put_items((f"b{number}", ItemContent()) for number in range(10))
    kept = catalogue_arrays.read()
    put_items((f"b{number}", ItemContent(hidden=True, group="g")) for number in range(10))
    monkeypatch.setattr(catalogue_arrays, "_READ_ONE_BY_ONE", 5)

    again, changed = catalogue_arrays.refresh(kept)

    assert changed is None
    assert_same(again, catalogue_arrays.read())
    assert not again.recommendable.any()


def test_a_view_that_is_kept_fresh_serves_what_a_new_one_would(trained, do):
    do("ana", "crime-1", "crime-2")
    for step in (
        lambda: put_item("new-1", ItemContent(categories=["crime"], features={"mood": ["crime"]})),
        lambda: put_item("new-2", ItemContent(categories=["poetry"], features={"mood": ["poetry"]})),
        lambda: patch_item("new-1", {"features": {"mood": ["poetry"]}}),
        lambda: patch_item("crime-3", {"hidden": True}),
        lambda: delete_item("new-2"),
        lambda: patch_item("crime-4", {"group": "g"}),
        lambda: patch_item("new-1", {"group": "g"}),
    ):
        step()
        kept = serving().refresh()
        anew = Serving().refresh()
        assert np.array_equal(kept.item_keys, anew.item_keys)
        assert np.array_equal(kept.foretold, anew.foretold)
        assert np.array_equal(kept.recommendable, anew.recommendable)
        assert [kept.members(name).tolist() for name in ("crime", "poetry", "none")] == [
            anew.members(name).tolist() for name in ("crime", "poetry", "none")
        ]
    assert len(for_user("ana", Filters(k=20)).items) > 10
