"""Files that come in through the console: kept in the database, checked by a worker, stored when told so.

Web and worker may share no disk, so a file travels as rows of a table, gone once it is stored or failed.
"""

from __future__ import annotations

import json
import re
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, BinaryIO

import structlog

from recsvc import queues
from recsvc.errors import ConflictError, InvalidInputError, NotFoundError, RecsvcError
from recsvc.sentences import Sentence
from recsvc.services.events import event_book
from recsvc.services.importing.formats import KINDS, Request
from recsvc.services.importing.loading import Outcome
from recsvc.services.importing.rows import BadRow
from recsvc.services.importing.use_case import import_path
from recsvc.storage.database import write_transaction
from recsvc.storage.models import DataImport, now
from recsvc.storage.queries import data_imports

logger = structlog.get_logger(__name__)

REFUSED_KEPT = 500
MAX_BYTES = 200_000_000  # what is larger comes in by `recsvc import`

_CHUNK_BYTES = 1_000_000
_TOLD_EVERY = 0.5  # seconds
_FORGOTTEN_AFTER = timedelta(days=7)
_LOST_AFTER = timedelta(minutes=2)
_MOST_OF_A_ROW = 300  # characters kept of a row that was refused
CHECKING, CHECKED, STORING, STORED, FAILED = "checking", "checked", "storing", "stored", "failed"
UNDER_WAY = (CHECKING, STORING)


def upload(name: str, content: BinaryIO, *, kind: str, event: str, requested_by: str) -> DataImport:
    """Keeps a file, and asks a worker to check it. Nothing of it is stored yet.

    Args:
        name: The file's own, which tells its format.
        content: What it holds.
        kind: `interactions`, `items` or `users`.
        event: Of interactions that name none.
        requested_by: Who uploads it.

    Raises:
        InvalidInputError: It is no file that can be imported.
        QueueUnavailableError: Redis does not answer; nothing was kept.
    """
    format_ = _format_of(name)
    if kind not in KINDS:
        raise InvalidInputError("%(kind)s is none of %(kinds)s.", kind=repr(kind), kinds=", ".join(KINDS))
    event_book().code_of(event)
    queues.ping()
    import_id, moment = uuid.uuid4().hex, now()
    values = {
        "import_id": import_id,
        "file_name": name[-255:],
        "format": format_,
        "kind": kind,
        "event": event,
        "size": 0,
        "status": FAILED,
        "error": str(Sentence("The upload broke off.")),
        "progress": 0.0,
        "requested_by": requested_by,
        "created_at": moment,
        "changed_at": moment,
    }
    try:
        with write_transaction():
            data_imports.insert_one(values)
        size = _keep(import_id, content)
        if not size:
            raise InvalidInputError("The file is empty.")
        with write_transaction():
            data_imports.change(import_id, if_status=[FAILED], status=CHECKING, error=None, size=size)
        queues.enqueue_import(import_id, CHECKING)
    except BaseException:
        with write_transaction():
            data_imports.delete_one(import_id)
        raise
    return get(import_id)


def confirm(import_id: str) -> DataImport:
    """Asks a worker to store a file that was checked.

    Raises:
        NotFoundError: There is no such import.
        ConflictError: It is not checked, or stored already.
        QueueUnavailableError: Redis does not answer; nothing was changed.
    """
    get(import_id)
    queues.ping()
    with write_transaction():
        is_due = data_imports.change(import_id, if_status=[CHECKED], status=STORING, progress=0.0)
    if not is_due:
        raise ConflictError("This file is not waiting to be stored.")
    queues.enqueue_import(import_id, STORING)
    return get(import_id)


def discard(import_id: str) -> None:
    """Forgets an upload that is not under way.

    Raises:
        NotFoundError: There is no such import.
        ConflictError: A worker is at it.
    """
    if get(import_id).status in UNDER_WAY:
        raise ConflictError("A worker is at this file.")
    with write_transaction():
        data_imports.delete_one(import_id)


def get(import_id: str) -> DataImport:
    """An import by its id.

    Raises:
        NotFoundError: There is no such import.
    """
    found = data_imports.find(import_id)
    if found is None:
        raise NotFoundError("import", import_id)
    return found


def newest(most: int = 10) -> Sequence[DataImport]:
    """The imports of late, newest first."""
    return data_imports.newest(most)


def work_on(import_id: str) -> None:
    """Checks or stores a file, whichever is due. Called by the worker alone; done twice, it does no harm.

    Raises:
        Exception: What made it fail, after the import says so.
    """
    present = data_imports.find(import_id)
    if present is None or present.status not in UNDER_WAY:
        return
    is_check = present.status == CHECKING
    refused: list[dict[str, Any]] = []

    def keep(row: BadRow) -> None:
        if len(refused) < REFUSED_KEPT:
            text = row.row.encode("utf-8", "backslashreplace").decode()[:_MOST_OF_A_ROW]
            refused.append(
                {
                    "line": row.line,
                    "reason": row.kind,
                    "detail": row.reason.removeprefix(row.kind),
                    "row": text.replace("\0", "�"),
                }
            )

    try:
        with _on_disk(present) as path:
            request = Request(
                present.format, str(path), present.kind, event=present.event, name=present.file_name
            )
            outcome = import_path(request, on_bad_row=keep, progress=_Teller(present), is_check=is_check)
    except RecsvcError as error:
        _end(present, status=FAILED, error=error.detail)
        return
    except Exception as error:
        _end(present, status=FAILED, error=f"{type(error).__name__}: {error}"[:4000])
        raise
    _end(present, status=CHECKED if is_check else STORED, outcome=_told(outcome, refused), progress=1.0)
    logger.info("import_worked_on", import_id=import_id, status="checked" if is_check else "stored")


def forget_rows_of(user_id: str) -> None:
    """Forgets rows that were refused and in which a user's id stands. Called within a transaction."""
    written = {user_id, json.dumps(user_id)[1:-1]}  # JSON lines may have it escaped
    names_them = re.compile(rf"(?<!\w)({'|'.join(map(re.escape, written))})(?!\w)").search
    for import_id, outcome in data_imports.outcomes().items():
        refused = [row for row in outcome["refused"] if not names_them(row["row"] + row["detail"])]
        if len(refused) < len(outcome["refused"]):
            data_imports.write_outcome(import_id, outcome | {"refused": refused})


def sweep() -> None:
    """Queues anew what a dead worker or an emptied Redis left, and forgets what is old."""
    for lost in data_imports.under_way():
        if now() - lost.changed_at > _LOST_AFTER and not queues.import_job_is_alive(
            lost.import_id, lost.status
        ):
            logger.warning("import_queued_again", import_id=lost.import_id)
            queues.enqueue_import(lost.import_id, lost.status)
    for import_id in data_imports.ids_before(now() - _FORGOTTEN_AFTER):
        with write_transaction():
            data_imports.delete_one(import_id)


def _keep(import_id: str, content: BinaryIO) -> int:
    """Writes a file in pieces, each a transaction: SQLite lets nobody else write in the meantime."""
    size = 0
    while piece := content.read(_CHUNK_BYTES):
        with write_transaction():
            data_imports.insert_chunk(import_id, size // _CHUNK_BYTES, piece)
        size += len(piece)
    return size


class _Teller:
    """Writes how far a worker is, a few times a second at the most."""

    def __init__(self, present: DataImport) -> None:
        self._import_id, self._status, self._told_at = present.import_id, present.status, 0.0

    def __call__(self, done: int, total: int) -> None:
        if time.monotonic() - self._told_at < _TOLD_EVERY:
            return
        with write_transaction():
            data_imports.change(
                self._import_id, if_status=[self._status], progress=round(min(done / max(total, 1), 1.0), 4)
            )
        self._told_at = time.monotonic()


@contextmanager
def _on_disk(present: DataImport) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="recsvc-import-") as folder:
        suffix = ".gz" if present.file_name.lower().endswith(".gz") else ""
        path = Path(folder) / f"upload.{present.format}{suffix}"
        with path.open("wb") as file:
            for piece in data_imports.chunks(present.import_id):
                file.write(piece)
        yield path


def _end(present: DataImport, *, status: str, **values: Any) -> None:
    with write_transaction():
        has_ended = data_imports.change(
            present.import_id, if_status=[present.status], status=status, **values
        )
        if has_ended and status != CHECKED:
            data_imports.delete_chunks(present.import_id)


def _told(outcome: Outcome, refused: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "read": outcome.read,
        "stored": outcome.stored,
        "replaced": outcome.replaced,
        "duplicates": outcome.duplicates,
        "rejected": outcome.rejected,
        "reasons": dict(outcome.reasons.most_common()),
        "refused": refused,
        "seconds": round(outcome.seconds, 3),
    }


def _format_of(name: str) -> str:
    plain = name.lower().removesuffix(".gz")
    for format_, suffixes in {"csv": (".csv",), "jsonl": (".jsonl", ".ndjson")}.items():
        if plain.endswith(suffixes):
            return format_
    raise InvalidInputError("The file's name must end in .csv or .jsonl, with or without .gz.")
