"""What a web process serves from: the active version's arrays and the catalogue beside them.

A request takes one reference and keeps it to its end. A watcher thread puts a new one in its place when the
active version or the catalogue has changed; nobody waits for it.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import structlog
from flask import Flask, current_app
from numpy.typing import NDArray
from sqlalchemy.exc import SQLAlchemyError
from threadpoolctl import threadpool_limits

from recsvc.config import current_config
from recsvc.errors import DamagedVersionError, UnavailableError
from recsvc.extensions import db
from recsvc.recommender.keys import locate
from recsvc.recommender.model import Model, Newcomers
from recsvc.services import registry, training
from recsvc.services.events import event_book
from recsvc.storage import artifacts
from recsvc.storage.database import is_unavailable
from recsvc.storage.mirror import Mirror
from recsvc.storage.queries import features, interactions, items

logger = structlog.get_logger(__name__)

_RECENT_INTERACTIONS = 10_000


@dataclass(frozen=True)
class ServedVersion:
    """A model version as it is mapped."""

    version: str
    manifest: dict[str, Any]
    model: Model


@dataclass(frozen=True)
class ServingView:
    """Everything that a request needs beside the user. n rows: the model's items, then those it lacks.

    Attributes:
        served: The mapped version; None where there is none yet.
        item_keys: int32, shape (n,).
        recommendable: bool, shape (n,): neither deleted nor hidden, and available.
        categories: Categories to the ascending item indexes in them.
        newcomers: Items that nobody liked when the model was fitted; None where there is no model.
        popularity: float32, shape (n,): counted among recent interactions; None where there is a model.
    """

    served: ServedVersion | None
    item_keys: NDArray[np.int32]
    recommendable: NDArray[np.bool_]
    categories: dict[str, NDArray[np.intp]]
    newcomers: Newcomers | None
    popularity: NDArray[np.float32] | None

    @property
    def version(self) -> str | None:
        """Name of the served version."""
        return self.served.version if self.served else None

    def indexes_of(self, item_keys: NDArray[Any]) -> NDArray[np.intp]:
        """Item indexes of item keys, those left out that are in neither the model nor the catalogue.

        Args:
            item_keys: Shape (m,).
        """
        of_model = len(self.served.model.item_keys) if self.served else 0
        indexes = locate(self.item_keys[:of_model], item_keys)
        beside = locate(self.item_keys[of_model:], item_keys)
        indexes = np.where(beside >= 0, beside + of_model, indexes)
        return indexes[indexes >= 0]


class Serving:
    """Keeps the view of one process up to date.

    Attributes:
        problem: What is wrong with the active version, where it cannot be served; None while all is well.
    """

    def __init__(self) -> None:
        self.problem: str | None = None
        self._view: ServingView | None = None
        self._revision: int | None = None
        self._refused: dict[str, artifacts.Stamp] = {}
        self._refreshing = threading.Lock()

    def view(self) -> ServingView:
        """The view to serve one request from."""
        return self._view or self.refresh()

    def refresh(self) -> ServingView:
        """Looks whether the active version or the catalogue has changed, and if so swaps the view."""
        with self._refreshing:
            present = self._view
            served = self._active_version(present.served if present else None)
            revision = items.catalogue_revision()
            if present is None or served is not present.served or revision != self._revision:
                present = _build_view(served)
            if served is None:
                # What is popular is counted among the newest interactions until a model knows better.
                present = replace(present, popularity=_recent_popularity(present))
            self._view, self._revision = present, revision
            db.session.rollback()
            return present

    def _active_version(self, present: ServedVersion | None) -> ServedVersion | None:
        try:
            pointer = registry.versioned_directory().pointer()
        except DamagedVersionError as error:
            self._complain(error)
            return present
        if pointer is None:
            if present is not None:
                self._complain(DamagedVersionError("The pointer to the active version is gone."))
            return present
        if present is not None and present.version == pointer.version:
            self.problem = None
            return present
        for version in filter(None, (pointer.version, None if present else pointer.previous)):
            served = self._open(version)
            if served is not None:
                if version == pointer.version:
                    self.problem = None
                logger.info("model_version_served", version=version)
                return served
        return present

    def _open(self, version: str) -> ServedVersion | None:
        folder = registry.versioned_directory().folder(version)
        stamp = artifacts.stamp(folder)
        # A refused version is looked at again once its files are others: it was put right, or came late.
        if self._refused.get(version) == stamp:
            return None
        try:
            manifest, arrays = artifacts.open_version(folder, registry.signer())
            return ServedVersion(version, manifest, Model.from_arrays(arrays))
        except DamagedVersionError as error:
            self._refused[version] = stamp
            self._complain(error)
        except ValueError as error:
            self._refused[version] = stamp
            self._complain(DamagedVersionError(f"{version}: {error}"))
        return None

    def _complain(self, error: DamagedVersionError) -> None:
        if self.problem != error.detail:
            logger.error("model_version_refused", why=error.detail)
        self.problem = error.detail


def serving() -> Serving:
    """The serving state of this process."""
    state: Serving = current_app.extensions["recsvc.serving"]
    return state


def watch(app: Flask, stopped: threading.Event) -> list[threading.Thread]:
    """Starts the threads that keep a web process's view up to date.

    What comes from a model store elsewhere comes in a thread of its own: the catalogue does not wait for it.

    Args:
        app: The application.
        stopped: Set it to end the threads.
    """
    has_started = False

    def look() -> None:
        nonlocal has_started
        serving().refresh()
        if not has_started:
            training.request_on_startup()
        has_started = True

    def follow(mirror: Mirror) -> None:
        mirror.update(is_suspect=serving().problem is not None)

    with app.app_context():
        mirror = registry.mirror()
    threads = [_repeat(app, stopped, "watch-model-store", look)]
    if mirror is not None:
        threads.append(_repeat(app, stopped, "mirror-model-store", lambda: follow(mirror)))
    return threads


def _repeat(app: Flask, stopped: threading.Event, name: str, task: Callable[[], None]) -> threading.Thread:
    def repeat() -> None:
        with app.app_context():
            interval = current_config().reload_interval
        outage = None
        while True:
            began = time.monotonic()
            try:
                with app.app_context():
                    task()
                outage = None
            except Exception as error:  # whatever it was, the view stays, and the next look may succeed
                away = isinstance(error, UnavailableError) or (
                    isinstance(error, SQLAlchemyError) and is_unavailable(error)
                )
                if not away:
                    logger.exception("refresh_failed", thread=name)
                elif outage is not type(error):
                    logger.warning("refresh_waits", thread=name, error=str(error.__cause__ or error))
                outage = type(error)
            # A large catalogue that changes all the time must not keep a process busy with nothing else.
            if stopped.wait(max(interval, time.monotonic() - began)):
                return

    thread = threading.Thread(target=repeat, name=name, daemon=True)
    thread.start()
    return thread


def start_serving(app: Flask) -> threading.Event:
    """What a web process does once: watches the model store, and asks for a first training if it is empty.

    Returns:
        Set it to end the watching.
    """
    stopped = threading.Event()
    # A process answers many requests side by side: for each to use all cores would slow all of them down.
    threadpool_limits(limits=1, user_api="blas")
    watch(app, stopped)
    return stopped


def _build_view(served: ServedVersion | None) -> ServingView:
    catalogue = np.array(items.recommendable_keys(), np.int32)
    of_model = served.model.item_keys if served else np.empty(0, np.int32)
    beside = np.setdiff1d(catalogue, of_model, assume_unique=True)
    item_keys = np.concatenate([of_model, beside])
    newcomers = None
    if served is not None:
        features_of = features.keys_of_owners("item", beside.tolist())
        newcomers = served.model.introduce([features_of.get(key, []) for key in beside.tolist()])
    view = ServingView(
        served=served,
        item_keys=item_keys,
        recommendable=np.isin(item_keys, catalogue, assume_unique=True),
        categories={},
        newcomers=newcomers,
        popularity=None,
    )
    return replace(view, categories=_categories(view))


def _recent_popularity(view: ServingView) -> NDArray[np.float32]:
    popularity = np.zeros(len(view.item_keys), np.float32)
    scale = event_book().scale
    liking = np.flatnonzero(scale.weights > 0).tolist()
    counted = interactions.recent_item_counts(
        _RECENT_INTERACTIONS, liking, rating_code=scale.rating_code, neutral=scale.neutral
    )
    counts = np.array(counted, np.int64).reshape(-1, 2)
    indexes = locate(view.item_keys, counts[:, 0])
    popularity[indexes[indexes >= 0]] = counts[indexes >= 0, 1]
    return popularity


def _categories(view: ServingView) -> dict[str, NDArray[np.intp]]:
    keys: dict[str, list[int]] = defaultdict(list)
    for category, item_key in features.categories_of_items():
        keys[category].append(item_key)
    return {category: np.sort(view.indexes_of(np.array(members))) for category, members in keys.items()}
