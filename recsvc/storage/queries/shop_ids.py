"""Between the shop's own ids of users and items and the database's keys: one statement, however many."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

from sqlalchemy import text

from recsvc.extensions import db
from recsvc.storage.models import now
from recsvc.storage.queries.items import next_revision
from recsvc.storage.types import UtcDateTime

_FIND = {
    "user": "SELECT user_id, user_key FROM users WHERE user_id",
    "item": "SELECT item_id, item_key FROM items WHERE item_id",
    "listed item": "SELECT item_id, item_key FROM items WHERE deleted_at IS NULL AND item_id",
}
_MAKE = {
    "user": "INSERT INTO users (user_id, created_at) SELECT id, :now FROM {ids} ON CONFLICT DO NOTHING",
    "item": (
        "INSERT INTO items (item_id, available, hidden, attributes, created_at, updated_at, revision)"
        " SELECT id, TRUE, FALSE, '{{}}', :now, :now, :revision FROM {ids} ON CONFLICT DO NOTHING"
    ),
}
_IDS = {
    "sqlite": "(SELECT value AS id FROM json_each(:ids) WHERE TRUE) AS ids WHERE TRUE",
    "postgresql": "unnest(CAST(:ids AS text[])) AS id",
}
_AMONG = {
    "sqlite": " IN (SELECT value FROM json_each(:ids))",
    "postgresql": " = ANY(CAST(:ids AS text[]))",
}


def keys_of(noun: str, ids: Collection[str]) -> dict[str, int]:
    """Ids to keys, of those that exist.

    Args:
        noun: `user`, `item` — deleted ones among them — or `listed item`.
        ids: The shop's own ids.
    """
    return _find(noun, ids, lock="")


def ensure_keys(noun: str, ids: Collection[str]) -> dict[str, int]:
    """Ids to keys; users never heard of are made, and items, without any title or feature.

    Args:
        noun: `user` or `item`.
        ids: The shop's own ids.
    """
    # Locked as a foreign key locks: nobody erases these users before this transaction ends, and one who is
    # just being erased is waited for and then not found.
    lock = " FOR KEY SHARE" if _dialect() == "postgresql" else ""
    found = _find(noun, ids, lock=lock)
    # Always in one order, so that two transactions that make the same rows cannot wait for each other.
    while missing := sorted(set(ids) - found.keys()):
        parameters = {"ids": _parameter(missing), "now": _now()}
        if noun == "item":
            parameters["revision"] = next_revision()
        db.session.execute(text(_MAKE[noun].format(ids=_IDS[_dialect()])), parameters)
        found.update(_find(noun, missing, lock=lock))
    return found


def _find(noun: str, ids: Collection[str], *, lock: str) -> dict[str, int]:
    if not ids:
        return {}
    statement = text(_FIND[noun] + _AMONG[_dialect()] + lock)
    rows = db.session.execute(statement, {"ids": _parameter(list(ids))})
    return {shop_id: key for shop_id, key in rows}  # noqa: C416 — dict() takes no Row for a pair


def _parameter(ids: list[str]) -> Any:
    return json.dumps(ids) if _dialect() == "sqlite" else ids


def _now() -> Any:
    return UtcDateTime().process_bind_param(now(), db.session.connection().dialect)


def _dialect() -> str:
    return db.session.connection().dialect.name
