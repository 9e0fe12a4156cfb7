"""Opens the bookshop: its books and what its readers did go in by the use cases that the API calls."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from recsvc.demo.readers import Book, generate_interactions, load_catalogue
from recsvc.services import catalogue, ingestion
from recsvc.services.catalogue import ItemContent
from recsvc.services.ingestion import BatchOutcome, NewInteraction
from recsvc.storage.database import chunks

_BATCH = 1_000


def open_shop() -> tuple[int, int]:
    """Puts the catalogue and the readers' interactions into the database; run again, it adds nothing.

    Returns:
        How many books there are, and how many interactions are new.
    """
    books = load_catalogue()
    catalogue.put_items((book.item_id, _content(book)) for book in books)
    new = 0
    for batch in chunks(generate_interactions(books, until=datetime.now(UTC)), _BATCH):
        new += _record(batch).accepted
    return len(books), new


def _record(batch: list[dict[str, Any]]) -> BatchOutcome:
    outcome = ingestion.record_batch(enumerate(NewInteraction(**row) for row in batch))
    if outcome.rejected:
        raise RuntimeError(f"The generator made something unacceptable: {outcome.rejected[0]}")
    return outcome


def _content(book: Book) -> ItemContent:
    return ItemContent(
        title=book.title,
        categories=book.genres,
        features={
            "author": book.authors,
            "language": [book.language],
            "century": [str(book.published // 100 + 1)],
        },
        attributes={"year": book.published},
    )
