"""What a web process serves from: the active version's arrays and the catalogue beside them.

A request takes one reference and keeps it to its end. A watcher thread puts a new one in its place when the
active version or the catalogue has changed; nobody waits for it.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import replace

import structlog
from flask import Flask, current_app
from sqlalchemy.exc import SQLAlchemyError
from threadpoolctl import threadpool_limits

from recsvc.config import current_config
from recsvc.errors import DamagedVersionError, UnavailableError
from recsvc.extensions import db
from recsvc.instruments import instruments
from recsvc.recommender.model import Model
from recsvc.sentences import Sentence
from recsvc.services import catalogue_arrays, registry, training
from recsvc.services.attribution import start_recording
from recsvc.services.experiments import is_treated
from recsvc.services.serving_view import ServedVersion, ServingView, build_view
from recsvc.services.trends import RecentLikes, recent_likes
from recsvc.storage import artifacts
from recsvc.storage.database import is_unavailable, read_by_statement
from recsvc.storage.mirror import Mirror
from recsvc.storage.punctuality import allow_seconds, limit_statements

logger = structlog.get_logger(__name__)

_PATIENCE = 60.0  # seconds for an answer of the database, after which the watcher looks again
_TRENDS_COUNTED_EVERY = 60.0  # seconds


class Serving:
    """Keeps the view of one process up to date.

    Attributes:
        problem: What is wrong with the active version, where it cannot be served; None while all is well.
    """

    def __init__(self) -> None:
        self.problem: str | None = None
        self._view: ServingView | None = None
        self._arms: tuple[ServingView, ServingView] | None = None
        self._recent: RecentLikes | None = None
        self._counted_at = -math.inf
        self._refused: dict[str, artifacts.Stamp] = {}
        self._refreshing = threading.Lock()

    def view(self) -> ServingView:
        """The view to serve one request from."""
        return self._view or self.refresh()

    @property
    def is_serving(self) -> bool:
        """Whether there is a view, which a process makes that serves; others need none to do their work."""
        return self._view is not None

    def view_for(self, user_id: str) -> tuple[ServingView, str | None]:
        """The view to serve a user from, and the experiment that the user takes part in, if there is one."""
        view, arms, experiment = self.view(), self._arms, current_config().experiment
        if experiment is None or arms is None:
            return view, None
        return arms[is_treated(experiment, user_id)], experiment.name

    def refresh(self) -> ServingView:
        """Looks whether a served version or the catalogue has changed, and if so swaps the views."""
        with self._refreshing:
            present, was = self._view, self.problem
            served = self._active_version(present.served if present else None)
            if present is None:
                catalogue, changed = catalogue_arrays.read(), None
            else:
                catalogue, changed = catalogue_arrays.refresh(present.catalogue)
            recent = self._count_recent(has_model=served is not None)

            def renewed(version: ServedVersion | None, before: ServingView | None) -> ServingView:
                if before and before.served is version and before.catalogue is catalogue:
                    return before if before.recent is recent else _recounted(before, recent)
                return build_view(version, catalogue, recent, before, changed)

            view = renewed(served, present)
            arms = self._renew_arms(view, renewed)
            self._view, self._arms = view, arms
            if served is not None and (present is None or present.served is not served):
                logger.info("model_version_served", version=served.version)
            # Only a whole look tells: what is wrong with an experiment's version is seen last.
            if was is not None and self.problem is None:
                logger.info("model_versions_well_again", was=was)
            instruments().serves(view.version)
            db.session.rollback()
            return view

    def _count_recent(self, *, has_model: bool) -> RecentLikes:
        # What is popular is counted among the newest interactions until a model knows better.
        is_due = time.monotonic() - self._counted_at >= _TRENDS_COUNTED_EVERY
        if self._recent is None or not has_model or is_due:
            self._recent = recent_likes(has_model=has_model)
            self._counted_at = time.monotonic() if has_model else -math.inf
        return self._recent

    def _renew_arms(
        self, active: ServingView, renewed: Callable[[ServedVersion | None, ServingView | None], ServingView]
    ) -> tuple[ServingView, ServingView] | None:
        """The views of the experiment's two versions; None, so that all get the active one, if one lacks."""
        experiment = current_config().experiment
        if experiment is None:
            return None
        present = {view.version: view for view in (*(self._arms or ()), active)}
        arms = []
        for version in (experiment.control, experiment.treatment):
            before = present.get(version)
            served = before.served if before else self._open(version)
            if served is None:
                self.problem = str(
                    Sentence(
                        "%(version)s of EXPERIMENT cannot be served: all users get the active version.",
                        version=version,
                    )
                )
                return None
            arms.append(active if before is active else renewed(served, before))
        return arms[0], arms[1]

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
            served = ServedVersion(version, manifest, Model.from_arrays(arrays))
        except DamagedVersionError as error:
            self._complain(error)
        except ValueError as error:
            self._complain(DamagedVersionError("%(version)s: %(why)s", version=version, why=str(error)))
        else:
            instruments().reloaded("served")
            return served
        self._refused[version] = stamp
        instruments().reloaded("refused")
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
        allow_seconds(_PATIENCE)
        outage = None
        while True:
            began = time.monotonic()
            try:
                with app.app_context():
                    read_by_statement()
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
    with app.app_context():
        limit_statements(db.engine, current_config().database_statement_timeout)
    watch(app, stopped)
    start_recording(app, stopped)
    return stopped


def _recounted(view: ServingView, recent: RecentLikes) -> ServingView:
    counted = replace(view, recent=recent)
    counted.warm()
    return counted
