"""The catalogue as arrays: what may be recommended, and what belongs together; read once, then kept fresh.

Each change of the catalogue raises its revision, and the items changed have it. So a web process reads those
that changed since it looked last, however large the catalogue is.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recsvc.config import current_config
from recsvc.recommender.keys import locate
from recsvc.storage import columns
from recsvc.storage.queries import features, items
from recsvc.storage.queries.features import CATEGORY
from recsvc.storage.queries.items import ListedRow
from recsvc.storage.types import to_microseconds

_READ_ONE_BY_ONE = 5_000  # where more items have changed, all are read in bulk: that is faster then


@dataclass(frozen=True)
class CatalogueArrays:
    """The catalogue, deleted items among it. n items.

    Attributes:
        revision: Of the catalogue that was read; a part of what came later may be in it too.
        item_keys: int32, shape (n,), ascending.
        recommendable: bool, shape (n,): neither deleted nor hidden, and available.
        groups: int64, shape (n,): stands for the item's group; 0 for none.
        published: int64, shape (n,): microseconds since 1970.
        categories: Categories to the keys of the items in them, int32, ascending.
    """

    revision: int
    item_keys: NDArray[np.int32]
    recommendable: NDArray[np.bool_]
    groups: NDArray[np.int64]
    published: NDArray[np.int64]
    categories: dict[str, NDArray[np.int32]]


def read() -> CatalogueArrays:
    """Reads all of it."""
    revision = items.catalogue_revision()
    url = current_config().database_url
    listed = columns.read_listed(url)
    groups = np.zeros(len(listed["item_key"]), np.int64)
    grouped = [(item_key, _group_code(group)) for item_key, group in items.groups()]
    if grouped:
        keys, codes = np.array(grouped, np.int64).T
        places = locate(listed["item_key"], keys)
        groups[places[places >= 0]] = codes[places >= 0]
    links = columns.read_categories(url)
    names = features.categories()
    begins = np.flatnonzero(np.diff(links["feature_key"], prepend=-1))
    of_categories = np.split(links["item_key"], begins[1:]) if len(begins) else []
    return CatalogueArrays(
        revision=revision,
        item_keys=listed["item_key"],
        recommendable=listed["recommendable"].astype(bool),
        groups=groups,
        published=listed["published"],
        categories={
            names[feature_key]: members
            for feature_key, members in zip(links["feature_key"][begins].tolist(), of_categories, strict=True)
            if feature_key in names
        },
    )


def refresh(present: CatalogueArrays) -> tuple[CatalogueArrays, NDArray[np.int32] | None]:
    """Reads what has changed.

    Args:
        present: As it was read before.

    Returns:
        The catalogue, which is `present` itself where nothing has changed; the keys of the items that
        changed, ascending, None where it was read as a whole.
    """
    revision = items.catalogue_revision()
    if revision == present.revision:
        return present, np.empty(0, np.int32)
    rows = items.changed_since(present.revision, _READ_ONE_BY_ONE + 1)
    if revision < present.revision or len(rows) > _READ_ONE_BY_ONE:
        return read(), None
    changed = np.array([row.item_key for row in rows], np.int32)
    labels = features.of("item", changed.tolist())
    categories = {
        key: [value for name, value in of_item if name == CATEGORY] for key, of_item in labels.items()
    }
    return _with_rows(present, revision, rows, changed, categories), changed


def _with_rows(
    present: CatalogueArrays,
    revision: int,
    rows: list[ListedRow],
    changed: NDArray[np.int32],
    categories: dict[int, list[str]],
) -> CatalogueArrays:
    new = changed[locate(present.item_keys, changed) < 0]
    item_keys = np.sort(np.concatenate([present.item_keys, new]), kind="stable")
    kept, written = locate(item_keys, present.item_keys), locate(item_keys, changed)

    def merged(before: NDArray[Any], now: list[Any]) -> NDArray[Any]:
        array = np.zeros(len(item_keys), before.dtype)
        array[kept] = before
        array[written] = now
        return array

    return CatalogueArrays(
        revision=revision,
        item_keys=item_keys,
        recommendable=merged(present.recommendable, [row.is_recommendable for row in rows]),
        groups=merged(present.groups, [_group_code(row.group) for row in rows]),
        published=merged(present.published, [to_microseconds(row.published_at) for row in rows]),
        categories=_with_members(present.categories, changed, categories),
    )


def _with_members(
    present: dict[str, NDArray[np.int32]], changed: NDArray[np.int32], categories: dict[int, list[str]]
) -> dict[str, NDArray[np.int32]]:
    added: dict[str, list[int]] = defaultdict(list)
    for item_key, of_item in categories.items():
        for category in of_item:
            added[category].append(item_key)
    result = {}
    for category in present.keys() | added.keys():
        before = present.get(category, np.empty(0, np.int32))
        places = locate(before, changed)
        gone = places[places >= 0]
        members = np.delete(before, gone) if len(gone) else before
        if category in added:
            members = np.union1d(members, np.array(added[category], np.int32))
        if len(members):
            result[category] = members
    return result


def _group_code(group: str | None) -> int:
    # 63 bits of a hash: no text of half a million groups stays in memory, and no two meet in practice.
    if group is None:
        return 0
    return int.from_bytes(blake2b(group.encode(), digest_size=8).digest(), "big") >> 1 or 1
