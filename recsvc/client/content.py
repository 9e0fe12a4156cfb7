"""What a shop sends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Required, TypedDict
from uuid import uuid4

Features = Mapping[str, Sequence[str]]


class ItemContent(TypedDict, total=False):
    """What a shop says of an item; what is left out is empty, or, in a change, stays."""

    title: str | None
    categories: Sequence[str]
    features: Features
    available: bool
    hidden: bool
    group: str | None
    published_at: datetime | None
    attributes: Mapping[str, Any]


class ItemOfBatch(ItemContent):
    """An item with its id."""

    item_id: Required[str]


class UserOfBatch(TypedDict, total=False):
    """A user with their id."""

    user_id: Required[str]
    features: Features


@dataclass(frozen=True)
class Interaction:
    """One user–item event. It has an id from the start, so that it is stored once however often it is sent.

    Attributes:
        user_id: Whose; None with a user token.
        item_id: Of which item.
        event: `view`, `cart`, `purchase` or another that the service is set to take.
        value: The rating, where the event is one.
        occurred_at: When, with its time zone; None for the moment of its arrival.
        event_id: At most 64 characters; one of your own where you have one, such as that of an order's line.
        recommendation_id: Of the list that it came from.
    """

    user_id: str | None
    item_id: str
    event: str
    value: float | None = None
    occurred_at: datetime | None = None
    event_id: str = field(default_factory=lambda: uuid4().hex)
    recommendation_id: str | None = None


def as_json(value: Any) -> Any:
    """What is sent of a value: moments as text, fields that say nothing left out of an interaction.

    Raises:
        ValueError: A moment lacks its time zone.
    """
    if isinstance(value, Interaction):
        return {name: as_json(part) for name, part in asdict(value).items() if part is not None}
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError(f"{value!r} lacks its time zone; say for instance datetime.now(timezone.utc)")
        return value.isoformat()
    if isinstance(value, Mapping):
        return {name: as_json(part) for name, part in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [as_json(part) for part in value]
    return value
