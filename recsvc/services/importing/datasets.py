"""Published data sets in the form in which they are published."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from recsvc.errors import UnreadableFileError
from recsvc.services.importing.checks import check_item
from recsvc.services.importing.files import STANDARD_INPUT
from recsvc.services.importing.rows import RowError
from recsvc.services.importing.tables import Body, Table, split_labels

NO_GENRES = "(no genres listed)"

MOVIE_COLUMNS = ("movieId", "title", "genres")
MOVIE_RATING_COLUMNS = {
    "user_id": "userId",
    "item_id": "movieId",
    "value": "rating",
    "occurred_at": "timestamp",
}
BOOK_COLUMNS = ("book_id", "title", "authors", "language_code", "original_publication_year")
BOOK_RATING_COLUMNS = {"user_id": "user_id", "item_id": "book_id", "value": "rating"}

# The last year of a series that ran for some is not the year it belongs to.
_YEAR = re.compile(r"\((\d{4})(?:[-–]\d{0,4})?\)$")


def movie(row: Mapping[str, str]) -> Body:
    """A line of MovieLens' movies.csv as an item."""
    title = row["title"].strip()
    year = _YEAR.search(title)
    genres = [] if row["genres"] == NO_GENRES else split_labels(row["genres"])
    return _item(row["movieId"], title, genre=genres, decade=_decade(int(year[1])) if year else [])


def book(row: Mapping[str, str]) -> Body:
    """A line of goodbooks' books.csv as an item."""
    return _item(
        row["book_id"],
        row["title"].strip(),
        author=split_labels(row["authors"], ", "),
        language=split_labels(row["language_code"]),
        decade=_decade(_year(row["original_publication_year"])),
    )


def folder_of(path: str, files: tuple[str, ...]) -> Path:
    """The folder of a data set, which may be given by one of its files.

    Raises:
        UnreadableFileError: There is no such folder.
    """
    given = Path(path)
    folder = given.parent if given.is_file() and given.name in files else given
    if path == STANDARD_INPUT or not folder.is_dir():
        raise UnreadableFileError(
            "%(path)s is not a folder with %(files)s.", path=str(path), files=tuple(files)
        )
    return folder


def open_items(
    path: Path, columns: tuple[str, ...], body_of: Callable[[Mapping[str, str]], Body], open_until: ExitStack
) -> tuple[Table, Any]:
    """A data set's catalogue as a table and its checked items.

    Raises:
        UnreadableFileError: It is not the file it should be.
    """
    table = open_table(path, columns, open_until)
    return table, table.bodies(body_of, check_item)


def open_table(path: Path, columns: tuple[str, ...], open_until: ExitStack) -> Table:
    """One of a data set's files.

    Raises:
        UnreadableFileError: It is not the file it should be.
    """
    table = Table(path, open_until)
    missing = [name for name in columns if name not in table.columns]
    if missing:
        raise UnreadableFileError(
            "%(file)s has no column %(missing)s; it has %(columns)s.",
            file=str(path),
            missing=", ".join(missing),
            columns=", ".join(table.columns),
        )
    return table


def _item(item_id: str, title: str, **features: list[str]) -> Body:
    named = {name: labels for name, labels in features.items() if labels}
    return {"item_id": item_id, "title": title or None, "features": named}


def _year(text: str) -> int:
    try:
        return int(float(text)) if text else 0
    except (ValueError, OverflowError):
        raise RowError("original_publication_year is not a number") from None


def _decade(year: int) -> list[str]:
    """The decade's label; none before the year 1, where decades have no names."""
    return [f"{year // 10 * 10}s"] if year > 0 else []
