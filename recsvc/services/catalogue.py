"""Items and users: what the shop says of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any

from recsvc.errors import InvalidInputError, NotFoundError
from recsvc.sentences import Sentence
from recsvc.storage.database import again_after_deadlock, write_transaction
from recsvc.storage.models import Item, User, now
from recsvc.storage.queries import features, items, shop_ids, users
from recsvc.storage.queries.features import CATEGORY, Label

Features = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class ItemContent:
    """All that a shop says of an item."""

    title: str | None = None
    categories: Sequence[str] = ()
    features: Features = field(default_factory=dict)
    available: bool = True
    hidden: bool = False
    group: str | None = None
    published_at: datetime | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class CatalogueItem(ItemContent):
    """An item as it is stored."""

    item_key: int = 0
    item_id: str = ""
    created_at: datetime | None = None
    updated_at: datetime | None = None


@dataclass(frozen=True)
class KnownUser:
    """A user as they are stored."""

    user_key: int
    user_id: str
    features: Features
    created_at: datetime


def put_item(item_id: str, content: ItemContent) -> tuple[CatalogueItem, bool]:
    """Creates an item, or replaces all that is said of it.

    Returns:
        The item, and whether it is new.
    """
    is_new = items.find(item_id) is None
    put_items([(item_id, content)])
    return get_item(item_id), is_new


def put_items(contents: Iterable[tuple[str, ItemContent]]) -> int:
    """Creates or replaces many items in one transaction; of two with one id the later holds.

    Returns:
        How many items were written.

    Raises:
        InvalidInputError: A feature has the name that categories are kept under.
    """
    by_id = dict(contents)
    labels = {item_id: _labels(content.features, content.categories) for item_id, content in by_id.items()}
    if by_id:
        with write_transaction():
            keys = shop_ids.ensure_keys("item", by_id.keys())
            items.replace_contents([_item_row(keys[item_id], content) for item_id, content in by_id.items()])
            features.replace("item", {keys[item_id]: labels[item_id] for item_id in by_id})
    return len(by_id)


def patch_item(item_id: str, changes: Mapping[str, Any]) -> CatalogueItem:
    """Writes some fields of an item and leaves the others.

    Raises:
        NotFoundError: There is no such item.
        InvalidInputError: A feature has the name that categories are kept under.
    """
    check_features(changes.get("features", {}))
    columns = {name: value for name, value in changes.items() if name not in {"features", "categories"}}
    with write_transaction():
        present = items.find(item_id)
        if present is None:
            raise NotFoundError("item", item_id)
        # From here on another change of this item waits; what it has written so far is read below.
        items.change(present.item_key, columns)
        if {"features", "categories"} & changes.keys():
            changed = replace(_as_catalogue_items([present])[0], **changes)
            features.replace("item", {present.item_key: _labels(changed.features, changed.categories)})
    return get_item(item_id)


def get_item(item_id: str) -> CatalogueItem:
    """An item by its id.

    Raises:
        NotFoundError: There is no such item, or it was deleted.
    """
    item = items.find(item_id)
    if item is None:
        raise NotFoundError("item", item_id)
    return _as_catalogue_items([item])[0]


def delete_item(item_id: str) -> None:
    """Takes an item out of the catalogue; its interactions stay, and still teach.

    Raises:
        NotFoundError: There is no such item.
    """
    item = items.find(item_id)
    if item is None:
        raise NotFoundError("item", item_id)
    with write_transaction():
        items.change(item.item_key, {"deleted_at": now()})


def list_items(
    *,
    after: int,
    limit: int,
    text: str | None = None,
    category: str | None = None,
    hidden: bool | None = None,
    never_shown: bool = False,
) -> list[CatalogueItem]:
    """A page of the catalogue, in the order in which items were made."""
    found = items.page(
        after=after, limit=limit, text=text, category=category, hidden=hidden, never_shown=never_shown
    )
    return _as_catalogue_items(found)


def put_user(user_id: str, user_features: Features) -> tuple[KnownUser, bool]:
    """Creates a user, or replaces all that is said of them.

    Returns:
        The user, and whether they are new.
    """
    is_new = users.find(user_id) is None
    put_users([(user_id, user_features)])
    return get_user(user_id), is_new


def put_users(contents: Iterable[tuple[str, Features]]) -> int:
    """Creates or replaces many users in one transaction; of two with one id the later holds.

    Returns:
        How many users were written.
    """
    labels = {user_id: _labels(user_features) for user_id, user_features in contents}
    if labels:
        again_after_deadlock(lambda: _put_users(labels))
    return len(labels)


def _put_users(labels: Mapping[str, set[Label]]) -> None:
    with write_transaction():
        keys = shop_ids.ensure_keys("user", labels.keys())
        users.hold(keys.values())
        features.replace("user", {keys[user_id]: of_user for user_id, of_user in labels.items()})


def patch_user(user_id: str, changes: Mapping[str, Any]) -> KnownUser:
    """Writes what is given of a user and leaves the rest.

    Raises:
        NotFoundError: There is no such user.
    """
    again_after_deadlock(lambda: _patch_user(user_id, changes))
    return get_user(user_id)


def _patch_user(user_id: str, changes: Mapping[str, Any]) -> None:
    with write_transaction():
        user = users.find(user_id)
        if user is None:
            raise NotFoundError("user", user_id)
        users.hold([user.user_key])
        if "features" in changes:
            features.replace("user", {user.user_key: _labels(changes["features"])})


def get_user(user_id: str) -> KnownUser:
    """A user by their id.

    Raises:
        NotFoundError: There is no such user.
    """
    user = find_user(user_id)
    if user is None:
        raise NotFoundError("user", user_id)
    return user


def find_user(user_id: str) -> KnownUser | None:
    """A user by their id, if there is one."""
    user = users.find(user_id)
    return None if user is None else _as_known_users([user])[0]


def list_users(*, after: int, limit: int) -> list[KnownUser]:
    """A page of the users, in the order in which they were made."""
    return _as_known_users(users.page(after=after, limit=limit))


def _item_row(item_key: int, content: ItemContent) -> dict[str, Any]:
    fields = asdict(content)
    return {"item_key": item_key} | {
        name: value for name, value in fields.items() if name not in {"features", "categories"}
    }


def check_features(named: Features) -> None:
    """Refuses what cannot be kept as features.

    Raises:
        InvalidInputError: A feature has the name that categories are kept under.
    """
    if CATEGORY in named:
        message = Sentence("Categories go into the field categories, not into features.")
        raise InvalidInputError(message, errors={"features": [str(message)]})


def _labels(named: Features, categories: Sequence[str] = ()) -> set[Label]:
    check_features(named)
    labels = {(name, value) for name, values in named.items() for value in values}
    return labels | {(CATEGORY, category) for category in categories}


def _as_catalogue_items(rows: Sequence[Item]) -> list[CatalogueItem]:
    labels = features.of("item", [row.item_key for row in rows])
    return [
        CatalogueItem(
            item_key=row.item_key,
            item_id=row.item_id,
            title=row.title,
            categories=[value for name, value in labels.get(row.item_key, []) if name == CATEGORY],
            features=_named(labels.get(row.item_key, [])),
            available=row.available,
            hidden=row.hidden,
            group=row.group,
            published_at=row.published_at,
            attributes=row.attributes,
            created_at=row.created_at,
            updated_at=row.updated_at,
        )
        for row in rows
    ]


def _as_known_users(rows: Sequence[User]) -> list[KnownUser]:
    labels = features.of("user", [row.user_key for row in rows])
    return [
        KnownUser(row.user_key, row.user_id, _named(labels.get(row.user_key, [])), row.created_at)
        for row in rows
    ]


def _named(labels: Sequence[Label]) -> dict[str, list[str]]:
    named: dict[str, list[str]] = {}
    for name, value in labels:
        if name != CATEGORY:
            named.setdefault(name, []).append(value)
    return named
