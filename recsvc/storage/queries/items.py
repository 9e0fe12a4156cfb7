"""The catalogue's items by the shop's own ids."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, and_, bindparam, func, or_, select, update

from recsvc.extensions import db
from recsvc.storage.database import chunks, contains
from recsvc.storage.models import CatalogueState, Feature, Item, ItemFeature, ItemFigures, now
from recsvc.storage.queries.features import CATEGORY

_ROWS_A_FETCH = 20_000

_items = Item.__table__
_TITLES = select(_items.c.item_key, _items.c.item_id, _items.c.title).where(
    _items.c.item_key.in_(bindparam("item_keys", expanding=True))
)


class ListedRow(NamedTuple):
    """An item, as serving needs it."""

    item_key: int
    is_recommendable: bool
    group: str | None
    published_at: datetime


def find(item_id: str) -> Item | None:
    """The item of that id as the database has it now, if there is one that is not deleted."""
    statement = select(Item).where(Item.item_id == item_id, Item.deleted_at.is_(None))
    return db.session.scalar(statement.execution_options(populate_existing=True))


def replace_contents(rows: Sequence[dict[str, Any]]) -> None:
    """Replaces all that is said of items; a deleted one is back.

    Args:
        rows: Values of the columns, `item_key` among them, a dictionary a row, all with the same names.
    """
    written = {"updated_at": now(), "deleted_at": None, "revision": next_revision()}
    # Always in one order, so that two transactions that write the same items cannot wait for each other.
    ordered = sorted(rows, key=lambda row: row["item_key"])
    db.session.execute(update(Item), [{**row, **written} for row in ordered])


def change(item_key: int, values: dict[str, Any]) -> None:
    """Writes to one item."""
    db.session.execute(
        update(Item)
        .where(Item.item_key == item_key)
        .values(**values, updated_at=now(), revision=next_revision())
        .execution_options(synchronize_session=False)
    )


def titles(item_keys: Collection[int]) -> dict[int, tuple[str, str | None]]:
    """Item keys to id and title."""
    found: dict[int, tuple[str, str | None]] = {}
    for chunk in chunks(item_keys):
        rows = db.session.execute(_TITLES, {"item_keys": chunk})
        found.update((item_key, (item_id, title)) for item_key, item_id, title in rows)
    return found


def page(
    *,
    after: int,
    limit: int,
    text: str | None,
    category: str | None,
    hidden: bool | None,
    never_shown: bool = False,
) -> Sequence[Item]:
    """Items in the order in which they were made.

    Args:
        after: Key of the last item of the page before; 0 for the first page.
        limit: How many at the most.
        text: Found within the id or the title, whatever the case.
        category: Only items in it.
        hidden: Only items that are hidden, or only such that are not.
        never_shown: Only items that could be recommended, and were not when that was counted last.
    """
    statement = select(Item).where(Item.item_key > after, Item.deleted_at.is_(None))
    if text:
        statement = statement.where(or_(contains(Item.title, text), contains(Item.item_id, text)))
    if category is not None:
        statement = statement.where(
            Item.item_key.in_(
                select(ItemFeature.item_key)
                .join(Feature, Feature.feature_key == ItemFeature.feature_key)
                .where(Feature.name == CATEGORY, Feature.value == category)
            )
        )
    if hidden is not None:
        statement = statement.where(Item.hidden.is_(hidden))
    if never_shown:
        was_shown = select(1).where(ItemFigures.item_key == Item.item_key).exists()
        statement = statement.where(_is_recommendable(), ~was_shown)
    return db.session.scalars(statement.order_by(Item.item_key).limit(limit)).all()


def changed_since(revision: int, most: int) -> list[ListedRow]:
    """What serving needs to know of the items that were changed after a revision, ascending.

    Args:
        revision: Of the catalogue.
        most: How many at the most.
    """
    rows = db.session.execute(
        select(
            Item.item_key, _is_recommendable(), Item.group, func.coalesce(Item.published_at, Item.created_at)
        )
        .where(Item.revision > revision)
        # In the index's order: in that of the keys SQLite would look at all items.
        .order_by(Item.revision)
        .limit(most)
    )
    return sorted(ListedRow(*row) for row in rows)


def _is_recommendable() -> ColumnElement[bool]:
    return and_(Item.deleted_at.is_(None), Item.hidden.is_(False), Item.available.is_(True))


def groups() -> Iterator[tuple[int, str]]:
    """Item keys and groups, of those that have one, in the order of the keys."""
    statement = select(Item.item_key, Item.group).where(Item.group.is_not(None)).order_by(Item.item_key)
    # PostgreSQL gives out rows bit by bit within a transaction only, which a session need not have.
    with db.engine.connect() as connection:
        rows = connection.execute(statement.execution_options(yield_per=_ROWS_A_FETCH))
        yield from ((item_key, str(group)) for item_key, group in rows)


def catalogue_revision() -> int:
    """A number that grows with every change of the catalogue."""
    return db.session.scalars(select(CatalogueState.revision)).one()


def next_revision() -> int:
    """Raises the catalogue's revision; other transactions that change the catalogue wait for this one.

    Called before the first write to items, by whoever writes to them: two that did so in another order could
    wait for each other.
    """
    raised = update(CatalogueState).values(revision=CatalogueState.revision + 1)
    return db.session.execute(raised.returning(CatalogueState.revision)).scalar_one()
