"""Paths and bodies."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest

API = "/api/v1"


@pytest.fixture
def walk() -> Callable[..., list[dict[str, Any]]]:
    """Follows a list's cursors to its end."""

    def follow(caller: Any, path: str, name: str, limit: int) -> list[dict[str, Any]]:
        entries: list[dict[str, Any]] = []
        cursor = None
        for _ in range(100):
            answer = caller.get(path, query_string={"limit": limit} | ({"cursor": cursor} if cursor else {}))
            assert answer.status_code == 200, answer.json
            entries += answer.json[name]
            cursor = answer.json["next_cursor"]
            if cursor is None:
                return entries
        raise AssertionError("the list has no end")

    return follow


@pytest.fixture
def path_of() -> Callable[[str, str], str]:
    """The path of an item or a user, its id percent-encoded whole."""
    return lambda noun, name: f"{API}/{noun}/{quote(name, safe='')}"
