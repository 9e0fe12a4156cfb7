"""The catalogue's items by the shop's own ids."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import or_, select, update

from recsvc.extensions import db
from recsvc.storage.models import CatalogueState, Feature, Item, ItemFeature, now
from recsvc.storage.queries.features import CATEGORY


def find(item_id: str) -> Item | None:
    """The item of that id as the database has it now, if there is one that is not deleted."""
    statement = select(Item).where(Item.item_id == item_id, Item.deleted_at.is_(None))
    return db.session.scalar(statement.execution_options(populate_existing=True))


def replace_contents(rows: Sequence[dict[str, Any]]) -> None:
    """Replaces all that is said of items; a deleted one is back.

    Args:
        rows: Values of the columns, `item_key` among them, a dictionary a row, all with the same names.
    """
    moment = now()
    # Always in one order, so that two transactions that write the same items cannot wait for each other.
    ordered = sorted(rows, key=lambda row: row["item_key"])
    db.session.execute(update(Item), [{**row, "updated_at": moment, "deleted_at": None} for row in ordered])
    mark_catalogue_changed()


def change(item_key: int, values: dict[str, Any]) -> None:
    """Writes to one item."""
    db.session.execute(
        update(Item)
        .where(Item.item_key == item_key)
        .values(**values, updated_at=now())
        .execution_options(synchronize_session=False)
    )
    mark_catalogue_changed()


def titles(item_keys: Collection[int]) -> dict[int, tuple[str, str | None]]:
    """Item keys to id and title."""
    rows = db.session.execute(
        select(Item.item_key, Item.item_id, Item.title).where(Item.item_key.in_(item_keys))
    )
    return {item_key: (item_id, title) for item_key, item_id, title in rows}


def page(
    *, after: int, limit: int, text: str | None, category: str | None, hidden: bool | None
) -> Sequence[Item]:
    """Items in the order in which they were made.

    Args:
        after: Key of the last item of the page before; 0 for the first page.
        limit: How many at the most.
        text: Found within the id or the title, whatever the case.
        category: Only items in it.
        hidden: Only items that are hidden, or only such that are not.
    """
    statement = select(Item).where(Item.item_key > after, Item.deleted_at.is_(None))
    if text:
        pattern = "%" + text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
        statement = statement.where(
            or_(Item.title.ilike(pattern, escape="\\"), Item.item_id.ilike(pattern, escape="\\"))
        )
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
    return db.session.scalars(statement.order_by(Item.item_key).limit(limit)).all()


def recommendable_keys() -> list[int]:
    """Keys of the items that may be recommended: not deleted, not hidden, available; ascending."""
    return list(
        db.session.scalars(
            select(Item.item_key)
            .where(Item.deleted_at.is_(None), Item.hidden.is_(False), Item.available.is_(True))
            .order_by(Item.item_key)
        )
    )


def catalogue_revision() -> int:
    """A number that grows with every change of the catalogue."""
    return db.session.scalars(select(CatalogueState.revision)).one()


def mark_catalogue_changed() -> None:
    """Raises the catalogue's revision; other transactions that change the catalogue wait for this one."""
    db.session.execute(update(CatalogueState).values(revision=CatalogueState.revision + 1))
