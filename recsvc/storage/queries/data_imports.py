"""Uploaded files, in pieces, and what became of each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import delete, insert, select, update

from recsvc.extensions import db
from recsvc.storage.models import DataImport, DataImportChunk, now


def find(import_id: str) -> DataImport | None:
    """The import of that id, as the database has it now."""
    return db.session.get(DataImport, import_id, populate_existing=True)


def newest(most: int) -> Sequence[DataImport]:
    """Imports, newest first."""
    statement = select(DataImport).order_by(DataImport.created_at.desc(), DataImport.import_id)
    return db.session.scalars(statement.limit(most)).all()


def under_way() -> Sequence[DataImport]:
    """Imports that a worker is at, or should be."""
    return db.session.scalars(select(DataImport).where(DataImport.status.in_(("checking", "storing")))).all()


def insert_one(values: dict[str, Any]) -> None:
    """Records an upload."""
    db.session.execute(insert(DataImport), [values])


def insert_chunk(import_id: str, number: int, content: bytes) -> None:
    """Keeps a piece of its file."""
    row = {"import_id": import_id, "number": number, "content": content}
    db.session.execute(insert(DataImportChunk), [row])


def chunks(import_id: str) -> Iterator[bytes]:
    """The pieces of a file in their order, a query a piece."""
    number = 0
    while True:
        statement = select(DataImportChunk.content).where(
            DataImportChunk.import_id == import_id, DataImportChunk.number == number
        )
        content = db.session.scalar(statement)
        if content is None:
            return
        yield content
        number += 1


def change(import_id: str, *, if_status: Sequence[str], **values: Any) -> bool:
    """Writes to an import that has one of some statuses; returns whether it had."""
    changed = db.session.execute(
        update(DataImport)
        .where(DataImport.import_id == import_id, DataImport.status.in_(if_status))
        .values(**values, changed_at=now())
        .returning(DataImport.import_id)
        .execution_options(synchronize_session=False)
    )
    return changed.first() is not None


def outcomes() -> dict[str, dict[str, Any]]:
    """What became of imports, by their ids."""
    rows = db.session.execute(select(DataImport.import_id, DataImport.outcome))
    return {import_id: outcome for import_id, outcome in rows if outcome is not None}


def write_outcome(import_id: str, outcome: dict[str, Any]) -> None:
    """Writes anew what became of an import."""
    db.session.execute(
        update(DataImport)
        .where(DataImport.import_id == import_id)
        .values(outcome=outcome)
        .execution_options(synchronize_session=False)
    )


def delete_chunks(import_id: str) -> None:
    """Forgets an upload's file."""
    db.session.execute(delete(DataImportChunk).where(DataImportChunk.import_id == import_id))


def ids_before(moment: datetime) -> list[str]:
    """Ids of the imports that were uploaded before a moment."""
    return list(db.session.scalars(select(DataImport.import_id).where(DataImport.created_at < moment)))


def delete_one(import_id: str) -> None:
    """Forgets an upload, the rows that were refused among it."""
    delete_chunks(import_id)
    db.session.execute(delete(DataImport).where(DataImport.import_id == import_id))
