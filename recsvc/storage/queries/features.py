"""Features of items and users."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from sqlalchemy import delete, exists, select, tuple_

from recsvc.extensions import db
from recsvc.storage.database import chunks, insert_ignoring_conflicts
from recsvc.storage.models import Feature, ItemFeature, UserFeature

CATEGORY = "category"

Label = tuple[str, str]

_LINKS: dict[str, tuple[type[ItemFeature | UserFeature], Any]] = {
    "item": (ItemFeature, ItemFeature.item_key),
    "user": (UserFeature, UserFeature.user_key),
}


def ensure(labels: Iterable[Label]) -> dict[Label, int]:
    """Labels — name and value — to feature keys; those that do not exist yet are made."""
    wanted = set(labels)
    found = _keys_of(wanted)
    while missing := sorted(wanted - found.keys()):
        db.session.execute(
            insert_ignoring_conflicts(Feature), [{"name": name, "value": value} for name, value in missing]
        )
        found.update(_keys_of(missing))
    return found


def forget(feature_keys: Collection[int]) -> None:
    """Deletes those of some features that no item and no user has any more: they may tell of one person.

    Args:
        feature_keys: Which somebody has had until now.
    """
    nobody_has_it = [~exists().where(link.feature_key == Feature.feature_key) for link, _ in _LINKS.values()]
    for chunk in chunks(sorted(feature_keys)):
        among = (
            select(Feature.feature_key).where(Feature.feature_key.in_(chunk)).order_by(Feature.feature_key)
        )
        # Of two users who lose the same one at once the later looks after the earlier has done all this.
        db.session.execute(among.with_for_update(key_share=True))
        # Who is being given one of these at this moment is waited for, and has it when they are deleted.
        free = db.session.scalars(among.where(*nobody_has_it).with_for_update()).all()
        db.session.execute(
            delete(Feature)
            .where(Feature.feature_key.in_(free), *nobody_has_it)
            .execution_options(synchronize_session=False)
        )


def _keys_of(labels: Collection[Label]) -> dict[Label, int]:
    found: dict[Label, int] = {}
    for chunk in chunks(labels, size=200):
        # Locked as a foreign key locks: nobody deletes these before this transaction ends, and one that is
        # just being deleted is waited for and then not found.
        rows = db.session.execute(
            select(Feature.name, Feature.value, Feature.feature_key)
            .where(tuple_(Feature.name, Feature.value).in_(chunk))
            .order_by(Feature.feature_key)
            .with_for_update(read=True, key_share=True)
        )
        found.update(((name, value), feature_key) for name, value, feature_key in rows)
    return found


def replace(noun: str, labels_by_key: Mapping[int, Collection[Label]]) -> None:
    """Gives items or users exactly these features; what was said of a user alone is gone then.

    Args:
        noun: `item` or `user`.
        labels_by_key: Item or user keys to their labels.
    """
    link, key = _LINKS[noun]
    before: set[int] = set()
    for chunk in chunks(labels_by_key):
        before.update(db.session.scalars(delete(link).where(key.in_(chunk)).returning(link.feature_key)))
    feature_keys = ensure(label for labels in labels_by_key.values() for label in labels)
    rows = [
        {key.key: owner, "feature_key": feature_keys[label]}
        for owner, labels in sorted(labels_by_key.items())
        for label in sorted(set(labels))
    ]
    if rows:
        db.session.execute(insert_ignoring_conflicts(link), rows)
    # An item's may come back, and a version knows it by its key.
    if noun == "user":
        forget(before.difference(feature_keys.values()))


def of(noun: str, keys: Collection[int]) -> dict[int, list[Label]]:
    """Labels of items or users, in the order of their names and values.

    Args:
        noun: `item` or `user`.
        keys: Item or user keys.

    Returns:
        Keys to labels; a key without any is left out.
    """
    link, key = _LINKS[noun]
    labels: dict[int, list[Label]] = defaultdict(list)
    for chunk in chunks(keys):
        rows = db.session.execute(
            select(key, Feature.name, Feature.value)
            .join(Feature, Feature.feature_key == link.feature_key)
            .where(key.in_(chunk))
            .order_by(key, Feature.name, Feature.value)
        )
        for owner, name, value in rows:
            labels[owner].append((name, value))
    return labels


def keys_of_owner(noun: str, owner: int) -> list[int]:
    """Feature keys of one item or user."""
    link, key = _LINKS[noun]
    return list(db.session.scalars(select(link.feature_key).where(key == owner)))


def keys_of_owners(noun: str, owners: Collection[int]) -> dict[int, list[int]]:
    """Feature keys of items or users; one without any is left out.

    Args:
        noun: `item` or `user`.
        owners: Item or user keys.
    """
    link, key = _LINKS[noun]
    keys: dict[int, list[int]] = defaultdict(list)
    for chunk in chunks(owners):
        rows = db.session.execute(
            select(key, link.feature_key).where(key.in_(chunk)).order_by(key, link.feature_key)
        )
        for owner, feature_key in rows:
            keys[owner].append(feature_key)
    return keys


def labels_of(feature_keys: Collection[int]) -> dict[int, Label]:
    """Feature keys to labels."""
    labels: dict[int, Label] = {}
    for chunk in chunks(feature_keys):
        rows = db.session.execute(
            select(Feature.feature_key, Feature.name, Feature.value).where(Feature.feature_key.in_(chunk))
        )
        labels.update((feature_key, (name, value)) for feature_key, name, value in rows)
    return labels


def categories() -> dict[int, str]:
    """Feature keys to the categories that they stand for."""
    rows = db.session.execute(select(Feature.feature_key, Feature.value).where(Feature.name == CATEGORY))
    return {feature_key: category for feature_key, category in rows}  # noqa: C416
