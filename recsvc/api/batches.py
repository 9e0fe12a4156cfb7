"""Batches: each entry is checked by itself, and a bad one never stops the rest."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from marshmallow import Schema, ValidationError

from recsvc.errors import InvalidInputError

Rejection = dict[str, Any]


def check_each(schema: Schema, entries: Iterable[Any]) -> tuple[list[tuple[int, Any]], list[Rejection]]:
    """Loads the entries of a batch.

    Args:
        schema: Of one entry.
        entries: As they came in.

    Returns:
        The good ones with their indexes, and a rejection for each bad one.
    """
    good: list[tuple[int, Any]] = []
    rejected: list[Rejection] = []
    for index, entry in enumerate(entries):
        try:
            good.append((index, schema.load(entry)))
        except ValidationError as error:
            rejected.append({"index": index, "code": "invalid", "errors": error.messages_dict})
    return good, rejected


def rejection(index: int, error: InvalidInputError) -> Rejection:
    """Why an entry was not taken."""
    return {"index": index, "code": error.code, "errors": error.errors}


def in_order(*rejections: Sequence[Rejection]) -> list[Rejection]:
    """Joins rejections in the order of the batch."""
    return sorted((one for some in rejections for one in some), key=lambda rejection: rejection["index"])
