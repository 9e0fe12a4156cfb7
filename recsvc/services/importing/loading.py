"""Writing rows in chunks, each one transaction: an import that is broken off can be run again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import blake2b
from itertools import islice
from typing import Any

from recsvc.config import current_config
from recsvc.services.catalogue import put_items, put_users
from recsvc.services.importing.files import READ_ERRORS, SourceFile
from recsvc.services.importing.formats import Stream
from recsvc.services.importing.rows import BadRow, InteractionRow, ItemRow, RowError, UserRow
from recsvc.storage import bulk
from recsvc.storage.database import write_transaction
from recsvc.storage.models import now
from recsvc.storage.queries import shop_ids
from recsvc.storage.types import to_microseconds

INTERACTIONS_A_CHUNK = 50_000
CONTENTS_A_CHUNK = 2_000
_SHOWN = 5

OnBadRow = Callable[[BadRow], None]
AfterChunk = Callable[[], None]


@dataclass
class Outcome:
    """What became of an import.

    Attributes:
        read: Rows read: those stored, replaced, duplicate and rejected.
        stored: Interactions, items and users that are new.
        replaced: Items and users that were there already, whose content is now the file's.
        duplicates: Interactions that were stored already, by an earlier run or an equal row.
        rejected: Rows that could not be stored.
        reasons: Why, to how many.
        first_rejected: The first few of them.
        seconds: How long it took.
    """

    read: int = 0
    stored: int = 0
    replaced: int = 0
    duplicates: int = 0
    rejected: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    first_rejected: list[BadRow] = field(default_factory=list)
    seconds: float = 0.0


class Loader:
    """Stores streams.

    Args:
        origin: Name of the format; a part of the ids that interactions without one are given.
        moment: When interactions without a time occurred.
        on_bad_row: Told of every row that is not stored.
        after_chunk: Called whenever a chunk is stored.
    """

    def __init__(self, origin: str, moment: datetime, on_bad_row: OnBadRow, after_chunk: AfterChunk) -> None:
        self.outcome = Outcome()
        self._origin = origin
        self._moment = to_microseconds(moment)
        self._on_bad_row = on_bad_row
        self._after_chunk = after_chunk
        self._creates_items = current_config().unknown_items == "create"
        # Users are looked up again in each chunk, as one may be erased meanwhile; items always stay as rows.
        self._item_keys: dict[str, int] = {}

    def load(self, stream: Stream) -> None:
        """Stores a stream to its end."""
        size = INTERACTIONS_A_CHUNK if stream.kind == "interactions" else CONTENTS_A_CHUNK
        for chunk in _chunks(stream.rows, size):
            good = [row for row in chunk if row.__class__ is not BadRow]
            self.outcome.read += len(chunk)
            if len(good) < len(chunk):
                for row in chunk:
                    if row.__class__ is BadRow:
                        self._reject(row)
            if good:
                self._store(stream, good)
            self._after_chunk()

    def _store(self, stream: Stream, chunk: list[Any]) -> None:
        if stream.kind == "interactions":
            self._store_interactions(stream.file, chunk)
        elif stream.kind == "items":
            self._store_items(chunk)
        else:
            self._store_users(chunk)

    def _store_interactions(self, file: SourceFile, chunk: list[InteractionRow]) -> None:
        with write_transaction(keys_are_known=True):
            self._find_items({row[1] for row in chunk})
            known = chunk if self._creates_items else [row for row in chunk if row[1] in self._item_keys]
            user_keys = shop_ids.ensure_keys("user", {row[0] for row in known})
            stored = bulk.insert_interactions(self._rows(known, user_keys)) if known else 0
        self.outcome.stored += stored
        self.outcome.duplicates += len(known) - stored
        if len(known) < len(chunk):
            self._reject_unknown_items(file, chunk)

    def _reject_unknown_items(self, file: SourceFile, chunk: list[InteractionRow]) -> None:
        error = RowError("there is no such item, and settings refuse unknown ones")
        for user_id, item_id, *_, line, raw in chunk:
            if item_id not in self._item_keys:
                self._reject(file.bad_row(line, error, raw or f"{user_id} {item_id}"))

    def _find_items(self, item_ids: set[str]) -> None:
        unknown = item_ids - self._item_keys.keys()
        if unknown:
            if self._creates_items:
                self._item_keys.update(shop_ids.ensure_keys("item", unknown))
            else:
                self._item_keys.update(shop_ids.keys_of("listed item", unknown))

    def _rows(self, chunk: list[InteractionRow], user_keys: dict[str, int]) -> list[bulk.BulkInteraction]:
        item_keys, origin, moment, received_at = (
            self._item_keys,
            self._origin,
            self._moment,
            to_microseconds(now()),
        )
        # Ids of one user begin alike: a file in the order of its users then writes to few pages of the index.
        prefixes = {user_id: _hash(user_id, 3) for user_id in user_keys}
        return [
            (
                user_keys[user_id],
                item_keys[item_id],
                code,
                value,
                moment if occurred_at is None else occurred_at,
                received_at,
                event_id
                or prefixes[user_id]
                + blake2b(
                    f"{origin}\x1f{user_id}\x1f{item_id}\x1f{code}\x1f{value}\x1f{occurred_at}".encode(),
                    digest_size=9,
                ).hexdigest(),
                recommendation_id,
            )
            for user_id, item_id, code, value, occurred_at, event_id, recommendation_id, _, _ in chunk
        ]

    def _store_items(self, chunk: list[ItemRow]) -> None:
        known = shop_ids.keys_of("item", {item_id for item_id, _ in chunk})
        self._count_contents(len(chunk), put_items(chunk), len(known))

    def _store_users(self, chunk: list[UserRow]) -> None:
        known = shop_ids.keys_of("user", {user_id for user_id, _ in chunk})
        self._count_contents(len(chunk), put_users(chunk), len(known))

    def _count_contents(self, rows: int, written: int, known: int) -> None:
        self.outcome.stored += written - known
        self.outcome.replaced += rows - (written - known)

    def _reject(self, row: BadRow) -> None:
        self.outcome.rejected += 1
        self.outcome.reasons[row.kind] += 1
        if len(self.outcome.first_rejected) < _SHOWN:
            self.outcome.first_rejected.append(row)
        self._on_bad_row(row)


class Checker(Loader):
    """Tells what a `Loader` would store, and stores nothing: good rows count as stored."""

    def _store_interactions(self, file: SourceFile, chunk: list[InteractionRow]) -> None:
        known = chunk
        if not self._creates_items:
            self._find_items({row[1] for row in chunk})
            known = [row for row in chunk if row[1] in self._item_keys]
            self._reject_unknown_items(file, chunk)
        self.outcome.stored += len(known)

    def _store_items(self, chunk: list[ItemRow]) -> None:
        known = shop_ids.keys_of("item", {item_id for item_id, _ in chunk})
        self._count_contents(len(chunk), len({item_id for item_id, _ in chunk}), len(known))

    def _store_users(self, chunk: list[UserRow]) -> None:
        known = shop_ids.keys_of("user", {user_id for user_id, _ in chunk})
        self._count_contents(len(chunk), len({user_id for user_id, _ in chunk}), len(known))


def _hash(text: str, length: int) -> str:
    return blake2b(text.encode(), digest_size=length).hexdigest()


def _chunks(rows: Iterable[Any], size: int) -> Iterator[list[Any]]:
    """Cuts rows into lists; what was read before a file broke off is handed on first."""
    remaining = iter(rows)
    while True:
        chunk: list[Any] = []
        try:
            chunk.extend(islice(remaining, size))
        except READ_ERRORS:
            yield chunk
            raise
        if not chunk:
            return
        yield chunk
