"""The arrays that a request is answered from: a version's and the catalogue's, brought together."""

from __future__ import annotations

import threading
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recsvc.recommender.kernels import find
from recsvc.recommender.keys import locate
from recsvc.recommender.model import Model
from recsvc.recommender.newcomers import Newcomers
from recsvc.services.catalogue_arrays import CatalogueArrays
from recsvc.services.trends import RecentLikes
from recsvc.storage.queries import features, items

Names = dict[int, tuple[str, str | None]]

_NAMES_AT_HAND = 50_000  # of the items that are popular, before they are listed
_MOST_NAMES = 60_000
_LISTED_WHILE_AWAY = 1_000  # items

# Held while a model is asked, and never while the database is: see docs/adr/0022.
one_at_a_time = threading.Lock()


@dataclass(frozen=True)
class ServedVersion:
    """A model version as it is mapped."""

    version: str
    manifest: dict[str, Any]
    model: Model

    @cached_property
    def half_life(self) -> float | None:
        """Days after which an interaction counted half; None where its age did not matter."""
        days: float | None = self.manifest["data"].get("half_life_days")
        return days or None

    @cached_property
    def until(self) -> datetime:
        """When the newest of all interactions occurred that it was fitted to."""
        return datetime.fromisoformat(self.manifest["data"]["until"])


@dataclass(frozen=True)
class ServingView:
    """Everything that a request needs beside the user. n rows: the model's items, then those it lacks.

    Attributes:
        served: The mapped version; None where there is none yet.
        catalogue: What the shop says of the items.
        item_keys: int32, shape (n,).
        recommendable: bool, shape (n,): neither deleted nor hidden, and available.
        groups: int64, shape (n,): stands for the item's group, 0 for none; None where nothing has a group.
        foretold: float32, shape (items beside the model, d + 1): what their features foretell.
        newcomers: Items that nobody liked when the model was fitted; None where there is no model.
        recent: What was liked of late.
        names: Ids and titles by item key: of what is popular, and of what was listed.
    """

    served: ServedVersion | None
    catalogue: CatalogueArrays
    item_keys: NDArray[np.int32]
    recommendable: NDArray[np.bool_]
    groups: NDArray[np.int64] | None
    foretold: NDArray[np.float32]
    newcomers: Newcomers | None
    recent: RecentLikes
    names: Names = field(default_factory=dict)

    @property
    def version(self) -> str | None:
        """Name of the served version."""
        return self.served.version if self.served else None

    @property
    def beside(self) -> NDArray[np.int32]:
        """Keys of the items that the model lacks, ascending."""
        return self.item_keys[self._of_model :]

    @property
    def _of_model(self) -> int:
        return len(self.served.model.item_keys) if self.served else 0

    @cached_property
    def popularity(self) -> NDArray[np.float32]:
        """How many users like each item of late, shape (n,): what is popular while there is no model."""
        return self.recent.counts_of(self.item_keys)

    @cached_property
    def trending(self) -> NDArray[np.float32]:
        """How much more each item is liked of late than is usual for it, shape (n,)."""
        popularity = np.zeros(len(self.item_keys), np.float32)
        likes = np.zeros(len(self.item_keys))
        if self.served is not None:
            popularity[: self._of_model] = self.served.model.popularity
            likes[: self._of_model] = self.served.model.likes
        return self.recent.trend(self.item_keys, likes, popularity)

    @cached_property
    def published(self) -> NDArray[np.float64]:
        """When each item was published, in seconds since 1970, shape (n,)."""
        places = locate(self.catalogue.item_keys, self.item_keys)
        seconds: NDArray[np.float64] = self.catalogue.published[places] / 1e6
        return seconds

    @cached_property
    def _most_popular(self) -> list[int]:
        """Keys of the items that lists are made of as a rule, the most popular first."""
        popularity = self.popularity if self.served is None else self.served.model.popularity
        listed = np.flatnonzero(self.recommendable[: len(popularity)])
        order = np.argsort(-popularity[listed], kind="stable")[:_NAMES_AT_HAND]
        keys: list[int] = self.item_keys[listed[order]].tolist()
        return keys

    @cached_property
    def names_of_popular(self) -> Names:
        """Keys to ids and titles of the most popular items: enough for a list while the database is away."""
        return self.names_of(self._most_popular[:_LISTED_WHILE_AWAY])

    @cached_property
    def _members(self) -> dict[str, NDArray[np.intp]]:
        return {}

    def members(self, category: str) -> NDArray[np.intp]:
        """Ascending indexes of the items in a category; found once, when they are first asked for."""
        found = self._members.get(category)
        if found is None:
            keys = self.catalogue.categories.get(category)
            found = np.empty(0, np.intp) if keys is None else np.sort(self.indexes_of(keys))
            if keys is not None:
                self._members[category] = found
        return found

    def indexes_of(self, item_keys: NDArray[np.integer]) -> NDArray[np.intp]:
        """Item indexes of item keys, those left out that are in neither the model nor the catalogue.

        Args:
            item_keys: Shape (m,).
        """
        return find(self.item_keys[: self._of_model], self.beside, item_keys.astype(np.int64, copy=False))

    @cached_property
    def _by_group(self) -> tuple[NDArray[np.int64], NDArray[np.intp]]:
        assert self.groups is not None
        grouped = np.flatnonzero(self.groups)
        ordered = grouped[np.argsort(self.groups[grouped], kind="stable")]
        return self.groups[ordered], ordered

    def hot_among(self, indexes: NDArray[np.intp]) -> int:
        """How many of some items anybody liked when the model was fitted."""
        if self.served is None:
            return 0
        return len(indexes) - len(self.served.model.cold_among(indexes))

    def with_editions(self, indexes: NDArray[np.intp]) -> NDArray[np.intp]:
        """Item indexes, and those of all items in the same groups."""
        if self.groups is None or not len(indexes):
            return indexes
        codes, ordered = self._by_group
        wanted = np.unique(self.groups[indexes])
        begins, ends = np.searchsorted(codes, wanted), np.searchsorted(codes, wanted, "right")
        ranges = [ordered[begin:end] for begin, end in zip(begins.tolist(), ends.tolist(), strict=True)]
        return np.concatenate([indexes, *ranges])

    def names_of(self, item_keys: Collection[int]) -> Names:
        """Ids and titles by item key; those that are not at hand are read."""
        found = {key: name for key in item_keys if (name := self.names.get(key)) is not None}
        if len(found) < len(item_keys):
            read = items.titles([key for key in item_keys if key not in found])
            if len(self.names) < _MOST_NAMES:
                self.names.update(read)
            found |= read
        return found

    def warm(self) -> None:
        """Works out what the first request would otherwise wait for."""
        self._have_names_at_hand()
        _ = self.trending, self.published, self.names_of_popular
        if self.groups is not None:
            _ = self._by_group

    def _have_names_at_hand(self) -> None:
        if len(self.names) >= _MOST_NAMES:
            for key in self.names.keys() - set(self._most_popular):
                del self.names[key]
        self.names_of(self._most_popular)


def build_view(
    served: ServedVersion | None,
    catalogue: CatalogueArrays,
    recent: RecentLikes,
    present: ServingView | None,
    changed: NDArray[np.int32] | None,
) -> ServingView:
    """Brings a version and the catalogue together.

    Args:
        served: The version.
        catalogue: As it is now.
        recent: What was liked of late.
        present: The view before, if there is one: what it knows of unchanged items is kept.
        changed: Keys of the items that changed since; None for any.
    """
    of_model = served.model.item_keys if served else np.empty(0, np.int32)
    listed = catalogue.item_keys[catalogue.recommendable]
    beside = np.setdiff1d(listed, of_model, assume_unique=True)
    item_keys = np.concatenate([of_model, beside])
    places = locate(catalogue.item_keys, item_keys)
    groups = np.where(places >= 0, catalogue.groups[places], 0) if len(catalogue.item_keys) else None
    foretold, newcomers = np.empty((len(beside), 1), np.float32), None
    if served is not None:
        if present is None or changed is None or present.served is not served:
            foretold = _foretell(served.model, beside)
        else:
            foretold = _foretell_changed(served.model, beside, present, changed)
        newcomers = served.model.introduce(foretold)
    view = ServingView(
        served=served,
        catalogue=catalogue,
        item_keys=item_keys,
        recommendable=locate(listed, item_keys) >= 0,
        groups=groups if groups is not None and groups.any() else None,
        foretold=foretold,
        newcomers=newcomers,
        recent=recent,
        names=_unchanged(present.names, changed) if present and changed is not None else {},
    )
    view.warm()
    return view


def _unchanged(names: Names, changed: NDArray[np.int32]) -> Names:
    kept = names.copy()  # at once: requests go on adding to it
    for key in changed.tolist():
        kept.pop(key, None)
    return kept


def _foretell(model: Model, beside: NDArray[np.int32]) -> NDArray[np.float32]:
    features_of = features.keys_of_owners("item", beside.tolist())
    return model.foretell([features_of.get(key, []) for key in beside.tolist()])


def _foretell_changed(
    model: Model, beside: NDArray[np.int32], present: ServingView, changed: NDArray[np.int32]
) -> NDArray[np.float32]:
    places = locate(present.beside, beside)
    is_known = (places >= 0) & (locate(changed, beside) < 0)
    foretold = np.empty((len(beside), present.foretold.shape[1]), np.float32)
    foretold[is_known] = present.foretold[places[is_known]]
    foretold[~is_known] = _foretell(model, beside[~is_known])
    return foretold
