"""Whether requests can be served, and what is wrong where they cannot."""

from __future__ import annotations

from collections.abc import Callable

import structlog
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from recsvc import queues
from recsvc.errors import QueueUnavailableError
from recsvc.extensions import db
from recsvc.services import registry
from recsvc.services.serving import serving
from recsvc.storage.migrating import migrate
from recsvc.storage.punctuality import answers_within
from recsvc.storage.queries import items

logger = structlog.get_logger(__name__)

OK = "ok"
_PATIENCE = 2.0  # seconds: a load balancer asks often, and must be told soon
_NEEDED = ("database", "migrations")


def check() -> tuple[bool, dict[str, str]]:
    """Looks at everything a request may need.

    Redis is not needed to serve: without it interactions are written and lists are made, and only training
    must wait. Neither is a model: without one the popular items are served.

    Returns:
        Whether requests can be served, and for each thing looked at `ok` or what is wrong.
    """
    checks: dict[str, Callable[[], str]] = {
        "database": _database,
        "migrations": _migrations,
        "redis": _redis,
        "model": _model,
    }
    states: dict[str, str] = {}
    for name, look in checks.items():
        if name in {"migrations", "model"} and not all(states.get(needed, OK) == OK for needed in _NEEDED):
            states[name] = "Not looked at, since the database is not ready."
            continue
        try:
            with answers_within(_PATIENCE):
                states[name] = look()
        except SQLAlchemyError as error:
            db.session.rollback()
            logger.warning("not_ready", check=name, error=str(error.__cause__ or error))
            states[name] = "The database does not answer."
    return all(states[name] == OK for name in _NEEDED), states


def _database() -> str:
    db.session.execute(text("SELECT 1"))
    return OK


def _migrations() -> str:
    script = ScriptDirectory.from_config(migrate.get_config())
    present = MigrationContext.configure(db.session.connection()).get_current_revision()
    if present != script.get_current_head():
        return "The database is not up to date: run recsvc db upgrade."
    return OK


def _redis() -> str:
    try:
        queues.ping()
    except QueueUnavailableError as error:
        return error.detail
    return OK


def _model() -> str:
    state = serving()
    items.catalogue_revision()
    mirror = registry.mirror()
    problem = state.problem or (mirror.problem if mirror else None)
    if problem:
        return problem
    if state.view().version is None:
        return "There is no model yet: popular items are served until a training has succeeded."
    return OK
