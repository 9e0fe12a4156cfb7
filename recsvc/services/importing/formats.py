"""The formats: which files each reads, and as what."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from recsvc.errors import InvalidInputError
from recsvc.services.events import RATING, EventBook
from recsvc.services.importing.checks import InteractionCheck
from recsvc.services.importing.datasets import (
    BOOK_COLUMNS,
    BOOK_RATING_COLUMNS,
    MOVIE_COLUMNS,
    MOVIE_RATING_COLUMNS,
    book,
    folder_of,
    movie,
    open_items,
    open_table,
)
from recsvc.services.importing.files import SourceFile
from recsvc.services.importing.objects import object_rows
from recsvc.services.importing.rows import BadRow, InteractionRow, RowError
from recsvc.services.importing.tables import (
    Table,
    check_mapping,
    columns_of,
    interaction_rows,
    item_rows,
    user_rows,
)
from recsvc.services.limits import MAX_ID, is_id

KINDS = ("interactions", "items", "users")


@dataclass(frozen=True)
class Request:
    """What to import.

    Attributes:
        format: One of `FORMATS`.
        path: File or folder; `-` for standard input.
        kind: What the rows of a CSV or JSON Lines file are, one of `KINDS`.
        mapping: Fields to columns, where the names differ.
        event: The event of interactions that name none.
        name: What messages call the file, where not by its path.
    """

    format: str
    path: str
    kind: str = "interactions"
    mapping: Mapping[str, str] = field(default_factory=dict)
    event: str = "view"
    name: str | None = None


@dataclass(frozen=True)
class Stream:
    """Rows of one kind, from one file."""

    kind: str
    file: SourceFile
    rows: Iterator[Any]


@dataclass(frozen=True)
class _Opening:
    request: Request
    book: EventBook
    moment: datetime
    open_until: ExitStack

    def check(self, event: str) -> InteractionCheck:
        return InteractionCheck(self.book, event, self.moment)

    def ratings(self, table: Table, columns: Mapping[str, str]) -> Stream:
        return Stream("interactions", table.file, interaction_rows(table, columns, self.check(RATING)))


def open_streams(request: Request, book: EventBook, moment: datetime, open_until: ExitStack) -> list[Stream]:
    """Opens a request's files and reads their headers, before anything is stored.

    Args:
        request: What to import.
        book: The configured events.
        moment: The present.
        open_until: Closes the files.

    Returns:
        Streams in the order in which to store them.

    Raises:
        UnreadableFileError: A file is missing, or is not what it should be.
        InvalidInputError: The event is not configured, or cannot be meant.
    """
    return FORMATS[request.format](_Opening(request, book, moment, open_until))


def _csv(opening: _Opening) -> list[Stream]:
    request = opening.request
    check = opening.check(request.event)
    table = Table(request.path, opening.open_until, name=request.name)
    columns = columns_of(table, request.kind, request.mapping)
    rows: Iterator[Any]
    if request.kind == "interactions":
        rows = interaction_rows(table, columns, check)
    else:
        rows = {"items": item_rows, "users": user_rows}[request.kind](table, columns)
    return [Stream(request.kind, table.file, rows)]


def _jsonl(opening: _Opening) -> list[Stream]:
    request = opening.request
    check = opening.check(request.event)
    check_mapping(request.kind, request.mapping)
    file = SourceFile(request.path, opening.open_until, name=request.name)
    return [Stream(request.kind, file, object_rows(file, request.kind, request.mapping, check))]


def _movielens(opening: _Opening) -> list[Stream]:
    folder = folder_of(opening.request.path, ("movies.csv", "ratings.csv"))
    movies, items = open_items(folder / "movies.csv", MOVIE_COLUMNS, movie, opening.open_until)
    ratings = open_table(folder / "ratings.csv", tuple(MOVIE_RATING_COLUMNS.values()), opening.open_until)
    return [Stream("items", movies.file, items), opening.ratings(ratings, MOVIE_RATING_COLUMNS)]


def _goodbooks(opening: _Opening) -> list[Stream]:
    folder = folder_of(opening.request.path, ("books.csv",))
    books, items = open_items(folder / "books.csv", BOOK_COLUMNS, book, opening.open_until)
    streams = [Stream("items", books.file, items)]
    if (folder / "ratings.csv").is_file():
        columns = tuple(BOOK_RATING_COLUMNS.values())
        ratings = open_table(folder / "ratings.csv", columns, opening.open_until)
        streams.append(opening.ratings(ratings, BOOK_RATING_COLUMNS))
    return streams


def _pairs(opening: _Opening) -> list[Stream]:
    event = opening.request.event
    if event == RATING:
        raise InvalidInputError("A rating needs a value, and pairs have none; choose another --event.")
    file = SourceFile(opening.request.path, opening.open_until)
    return [Stream("interactions", file, _pair_rows(file, opening.book.code_of(event)))]


def _pair_rows(file: SourceFile, code: int) -> Iterator[InteractionRow | BadRow]:
    for number, line in enumerate(file.lines(), 1):
        user_id, *item_ids = line.split() or [""]
        if not item_ids or not is_id(user_id):
            if user_id:
                error = (
                    RowError("user_id is not 1 to 255 printable characters")
                    if item_ids
                    else RowError("a user without items")
                )
                yield file.bad_row(number, error, line)
            continue
        for item_id in item_ids:
            # Checked here rather than by a call: a large file has nothing but these.
            if len(item_id) <= MAX_ID and item_id.isprintable():
                yield user_id, item_id, code, None, None, None, None, number, ""
            else:
                error = RowError("item_id is not 1 to 255 printable characters")
                yield file.bad_row(number, error, f"{user_id} {item_id}")


FORMATS: Mapping[str, Callable[[_Opening], list[Stream]]] = {
    "csv": _csv,
    "jsonl": _jsonl,
    "movielens": _movielens,
    "goodbooks": _goodbooks,
    "pairs": _pairs,
}
