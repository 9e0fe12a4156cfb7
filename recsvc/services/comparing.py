"""What changed between two model versions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from recsvc.errors import DamagedVersionError
from recsvc.services import registry
from recsvc.storage.database import chunks
from recsvc.storage.models import ModelVersion
from recsvc.storage.queries import items


@dataclass(frozen=True)
class Change:
    """A value that is not the same in both.

    Attributes:
        before: None where the first version has no such value.
        after: None where the second has none.
    """

    before: Any
    after: Any


@dataclass(frozen=True)
class Difference:
    """What is not the same in two versions.

    Attributes:
        before: The first version's name.
        after: The second's.
        data: Of what was learned from, by name.
        parameters: By `voice.name`.
        metrics: By `voice.name`, as each training measured them on the data of its day.
        items_added: Ids of items that only the second knows; None where files of either are gone or damaged.
        items_removed: Ids of items that only the first knows; None likewise.
    """

    before: str
    after: str
    data: dict[str, Change]
    parameters: dict[str, Change]
    metrics: dict[str, Change]
    items_added: list[str] | None
    items_removed: list[str] | None

    def as_json(self) -> dict[str, Any]:
        """As the command line prints it."""
        return asdict(self)


def difference(before: str, after: str) -> Difference:
    """Compares two versions.

    Raises:
        NotFoundError: There is no such version.
        ModelStoreUnavailableError: The model store does not answer.
    """
    first, second = registry.get(before), registry.get(after)

    def changes(part: str) -> dict[str, Change]:
        one, other = dict(_flat(first.manifest.get(part))), dict(_flat(second.manifest.get(part)))
        names = [*one, *(name for name in other if name not in one)]
        return {
            name: Change(one.get(name), other.get(name)) for name in names if one.get(name) != other.get(name)
        }

    added, removed = _items(first, second)
    return Difference(
        before, after, changes("data"), changes("parameters"), changes("metrics"), added, removed
    )


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _flat(inner, f"{name}.{key}" if name else str(key))
    elif value is not None:
        yield name, value


def _items(first: ModelVersion, second: ModelVersion) -> tuple[list[str] | None, list[str] | None]:
    if not (first.files_kept and second.files_kept):
        return None, None
    try:
        one, other = (registry.open_version(version.version)[1]["item_keys"] for version in (first, second))
    except DamagedVersionError:
        return None, None
    return _ids(np.setdiff1d(other, one)), _ids(np.setdiff1d(one, other))


def _ids(item_keys: Any) -> list[str]:
    return sorted(
        item_id for some in chunks(item_keys.tolist()) for item_id, _ in items.titles(some).values()
    )
