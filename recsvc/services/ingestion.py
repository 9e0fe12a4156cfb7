"""Taking interactions in: each is stored once, whatever the shop retries. No training starts here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy.exc import IntegrityError

from recsvc.config import current_config
from recsvc.errors import InvalidInputError, NotFoundError, UnknownItemError
from recsvc.extensions import db
from recsvc.sentences import Sentence
from recsvc.services.attribution import recorder
from recsvc.services.events import RATING, EventBook, event_book
from recsvc.services.experiments import user_hash
from recsvc.services.limits import CLOCK_TOLERANCE
from recsvc.storage.database import again_after_deadlock, write_transaction
from recsvc.storage.models import Interaction, now
from recsvc.storage.queries import interactions, shop_ids, users


@dataclass(frozen=True)
class NewInteraction:
    """An interaction as it came in, its fields' types checked."""

    user_id: str
    item_id: str
    event: str
    value: float | None = None
    occurred_at: datetime | None = None
    event_id: str | None = None
    recommendation_id: str | None = None


@dataclass(frozen=True)
class Rejection:
    """Why one interaction of a batch was not stored."""

    index: int
    error: InvalidInputError


@dataclass(frozen=True)
class BatchOutcome:
    """What became of a batch."""

    accepted: int = 0
    duplicates: int = 0
    rejected: list[Rejection] = field(default_factory=list)


def record(interaction: NewInteraction) -> tuple[int, bool]:
    """Stores one interaction.

    Returns:
        Its key, and whether its user had it stored before under the same `event_id`.

    Raises:
        InvalidInputError: The event is not configured, a rating lacks its value, the time is in the future.
        UnknownItemError: The item is unknown, and settings refuse such.
    """
    book, moment = event_book(), now()
    _check(interaction, book, moment)
    key = _record_of_known(interaction, book, moment)
    if key is not None:
        _note([interaction], [key])
        return key, False
    with write_transaction():
        item_keys = _item_keys([interaction])
        if interaction.item_id not in item_keys:
            raise _unknown_item(interaction)
        keys = interactions.insert_new(_rows([interaction], item_keys, book))
        if not keys:
            stored = interactions.key_of_event(interaction.user_id, str(interaction.event_id))
            db.session.rollback()  # no item is made for what is not stored
            return stored, True
    _note([interaction], keys)
    return keys[0], False


def _record_of_known(interaction: NewInteraction, book: EventBook, moment: datetime) -> int | None:
    """Stores an interaction in one statement, as most can be; None where more has to be looked at."""
    try:
        with write_transaction():
            return interactions.insert_of_known(
                interaction.user_id, interaction.item_id, _values(interaction, book, moment)
            )
    except IntegrityError:
        return None  # the user was erased at this very moment, and is made again


def record_batch(batch: Iterable[tuple[int, NewInteraction]]) -> BatchOutcome:
    """Stores what is good in a batch, whatever the rest is.

    Args:
        batch: Interactions, each with its index in the caller's list.

    Returns:
        Counts, and a rejection for each interaction that was not stored.
    """
    book, moment = event_book(), now()
    good, rejected = [], []
    for index, interaction in batch:
        try:
            _check(interaction, book, moment)
            good.append((index, interaction))
        except InvalidInputError as error:
            rejected.append(Rejection(index, error))
    if not good:
        return BatchOutcome(rejected=rejected)
    item_keys, inserted = again_after_deadlock(lambda: _store([one for _, one in good], book))
    _note([interaction for _, interaction in good], inserted)
    rejected += [
        Rejection(index, _unknown_item(interaction))
        for index, interaction in good
        if interaction.item_id not in item_keys
    ]
    rejected.sort(key=lambda rejection: rejection.index)
    known = sum(interaction.item_id in item_keys for _, interaction in good)
    return BatchOutcome(len(inserted), known - len(inserted), rejected)


def _store(batch: Sequence[NewInteraction], book: EventBook) -> tuple[dict[str, int], list[int]]:
    """Stores those whose items may be; gives these items' keys, and the keys of the new interactions."""
    with write_transaction():
        item_keys = _item_keys(batch)
        known = [interaction for interaction in batch if interaction.item_id in item_keys]
        inserted = interactions.insert_new(_rows(known, item_keys, book)) if known else []
    return item_keys, inserted


def _note(batch: Sequence[NewInteraction], interaction_keys: Sequence[int]) -> None:
    if any(interaction.recommendation_id is not None for interaction in batch):
        recorder().note(interaction_keys)


def history_page(
    user_id: str, *, before: tuple[datetime, int] | None, limit: int, event: str | None
) -> Sequence[tuple[Interaction, str, str]]:
    """A user's interactions, newest first, each with its item's id and its event's name.

    Raises:
        NotFoundError: There is no such user.
        InvalidInputError: The event is not configured.
    """
    if event is not None:
        event_book().code_of(event)
    user = users.find(user_id)
    if user is None:
        raise NotFoundError("user", user_id)
    return interactions.page(user.user_key, before=before, limit=limit, event=event)


def told(row: Interaction, item_id: str, event: str) -> dict[str, Any]:
    """An interaction of a page in the words of those who ask."""
    return {
        "id": row.interaction_key,
        "item_id": item_id,
        "event": event,
        "value": row.value,
        "occurred_at": row.occurred_at,
        "received_at": row.received_at,
        "event_id": row.event_id,
        "recommendation_id": row.recommendation_id,
    }


def delete(interaction_key: int, *, user_id: str | None = None) -> None:
    """Deletes one interaction.

    Args:
        interaction_key: Which.
        user_id: Whose it must be; None for anybody's.

    Raises:
        NotFoundError: There is none of that key.
    """
    with write_transaction():
        if not interactions.delete_one(interaction_key, user_id):
            raise NotFoundError("interaction", interaction_key)


def _check(interaction: NewInteraction, book: EventBook, moment: datetime) -> None:
    book.code_of(interaction.event)
    if interaction.event == RATING and interaction.value is None:
        message = Sentence("A rating needs a value.")
        raise InvalidInputError(message, errors={"value": [str(message)]})
    if interaction.occurred_at is not None and interaction.occurred_at > moment + CLOCK_TOLERANCE:
        message = Sentence(
            "%(moment)s is more than 5 minutes in the future.", moment=interaction.occurred_at.isoformat()
        )
        raise InvalidInputError(message, errors={"occurred_at": [str(message)]})


def _item_keys(batch: Sequence[NewInteraction]) -> dict[str, int]:
    item_ids = {interaction.item_id for interaction in batch}
    if current_config().unknown_items == "reject":
        return shop_ids.keys_of("listed item", item_ids)
    return shop_ids.ensure_keys("item", item_ids)


def _unknown_item(interaction: NewInteraction) -> UnknownItemError:
    message = Sentence(
        "There is no item %(item_id)s; put it into the catalogue first.", item_id=interaction.item_id
    )
    return UnknownItemError(message, errors={"item_id": [str(message)]})


def _rows(
    batch: Sequence[NewInteraction], item_keys: dict[str, int], book: EventBook
) -> list[dict[str, object]]:
    user_keys = shop_ids.ensure_keys("user", {interaction.user_id for interaction in batch})
    moment = now()
    return [
        {
            "user_key": user_keys[interaction.user_id],
            "item_key": item_keys[interaction.item_id],
            **_values(interaction, book, moment),
        }
        for interaction in batch
    ]


def _values(interaction: NewInteraction, book: EventBook, moment: datetime) -> dict[str, object]:
    return {
        "event_code": book.codes[interaction.event],
        "value": interaction.value,
        "occurred_at": interaction.occurred_at or moment,
        "received_at": moment,
        "event_id": interaction.event_id,
        "recommendation_id": interaction.recommendation_id,
        "user_hash": None if interaction.recommendation_id is None else user_hash(interaction.user_id),
    }
