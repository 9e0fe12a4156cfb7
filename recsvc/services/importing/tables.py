"""CSV files: a header, and a row a line."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from operator import itemgetter
from pathlib import Path
from typing import Any

from recsvc.errors import UnreadableFileError
from recsvc.sentences import Sentence
from recsvc.services.importing.checks import (
    INTERACTION_FIELDS,
    ITEM_FIELDS,
    USER_FIELDS,
    InteractionCheck,
    check_item,
    check_user,
)
from recsvc.services.importing.files import SourceFile, csv_records
from recsvc.services.importing.rows import BadRow, InteractionRow, ItemRow, RowError, UserRow

FEATURE = "feature."

_REQUIRED = {"interactions": ("user_id", "item_id"), "items": ("item_id",), "users": ("user_id",)}
_OPTIONAL = {
    "interactions": INTERACTION_FIELDS,
    "items": tuple(name for name in ITEM_FIELDS if name not in {"features", "attributes"}),
    "users": tuple(name for name in USER_FIELDS if name != "features"),
}
_TRUTH = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}

Body = dict[str, Any]


class Table:
    """A CSV file whose header has been read.

    Args:
        path: The file.
        open_until: Closes it.
        name: What messages call it, where not by its path.

    Raises:
        UnreadableFileError: It cannot be opened, is empty, or its header makes no sense.
    """

    def __init__(self, path: str | Path, open_until: ExitStack, *, name: str | None = None) -> None:
        self.file = SourceFile(path, open_until, newline="", name=name)
        self._records = csv_records(self.file)
        header = next(self._records, None)
        if header is None:
            raise UnreadableFileError(
                "%(file)s is empty; its first line must name the columns.", file=self.file.name
            )
        if isinstance(header, BadRow):
            raise UnreadableFileError(
                "%(file)s has no readable header: %(why)s.", file=self.file.name, why=Sentence(header.reason)
            )
        self.columns = [name.strip() for name in header[1]]
        if not all(name.isprintable() for name in self.columns):
            raise UnreadableFileError("%(file)s is not UTF-8 text.", file=self.file.name)
        if len(set(self.columns)) < len(self.columns):
            raise UnreadableFileError(
                "%(file)s names a column twice: %(columns)s.",
                file=self.file.name,
                columns=", ".join(self.columns),
            )

    def require(self, columns: Mapping[str, str]) -> None:
        """Makes sure of columns.

        Args:
            columns: Fields to the columns that hold them.

        Raises:
            UnreadableFileError: Some are not there.
        """
        missing = {field: column for field, column in columns.items() if column not in self.columns}
        if missing:
            field = next(iter(missing))
            raise UnreadableFileError(
                "%(file)s has no column %(missing)s; it has %(columns)s. Name the column that holds"
                " %(field)s with --map %(field)s=COLUMN.",
                file=self.file.name,
                missing=", ".join(missing.values()),
                columns=", ".join(self.columns),
                field=field,
            )

    def rows(self) -> Iterator[tuple[int, list[str]] | BadRow]:
        """The rows below the header, each with its line and one empty field more than there are columns."""
        width = len(self.columns)
        for record in self._records:
            if isinstance(record, BadRow):
                yield record
                continue
            line, fields = record
            if len(fields) != width:
                if fields:
                    error = (
                        RowError("fewer columns than the header")
                        if len(fields) < width
                        else RowError("more columns than the header")
                    )
                    yield self.bad_row(line, error, [*fields, ""])
                continue
            fields.append("")
            yield line, fields

    def bad_row(self, line: int, error: RowError, fields: list[str]) -> BadRow:
        """Describes a row that is refused."""
        return self.file.bad_row(line, error, fields)

    def bodies(
        self, body_of: Callable[[Mapping[str, str]], Body], check: Callable[[Body], Any]
    ) -> Iterator[Any]:
        """Rows as checked items or users.

        Args:
            body_of: Makes a body in the API's form of a row by its columns.
            check: Checks it.
        """
        for row in self.rows():
            if isinstance(row, BadRow):
                yield row
                continue
            line, fields = row
            try:
                yield check(body_of(dict(zip(self.columns, fields, strict=False))))
            except RowError as error:
                yield self.bad_row(line, error, fields)


def columns_of(table: Table, kind: str, mapping: Mapping[str, str]) -> dict[str, str]:
    """Which column holds which field.

    Args:
        table: The file.
        kind: `interactions`, `items` or `users`.
        mapping: Fields to columns, where the names differ.

    Raises:
        UnreadableFileError: A column that is needed or mapped is not there, or a field is not known.
    """
    check_mapping(kind, mapping)
    table.require({name: mapping.get(name, name) for name in _REQUIRED[kind]} | dict(mapping))
    own = {name: name for name in table.columns if name in _OPTIONAL[kind] or _is_feature(kind, name)}
    return own | dict(mapping)


def check_mapping(kind: str, mapping: Mapping[str, str]) -> None:
    """Makes sure that the fields of a mapping are known.

    Raises:
        UnreadableFileError: One is not.
    """
    for name in mapping:
        if name not in _OPTIONAL[kind] and not _is_feature(kind, name):
            known = [*_OPTIONAL[kind], *([] if kind == "interactions" else [f"{FEATURE}NAME"])]
            raise UnreadableFileError(
                "%(kind)s have no field %(field)s; --map takes %(known)s.",
                kind=kind,
                field=name,
                known=", ".join(known),
            )


def interaction_rows(
    table: Table, columns: Mapping[str, str], check: InteractionCheck
) -> Iterator[InteractionRow | BadRow]:
    """A table's rows as interactions.

    Args:
        table: The file.
        columns: Fields to the columns that hold them.
        check: The rules.
    """
    absent = len(table.columns)
    pick = itemgetter(
        *(table.columns.index(columns[name]) if name in columns else absent for name in INTERACTION_FIELDS)
    )
    for row in table.rows():
        if isinstance(row, BadRow):
            yield row
            continue
        line, fields = row
        try:
            yield (*check(pick(fields)), line, fields)
        except RowError as error:
            yield table.bad_row(line, error, fields)


def item_rows(table: Table, columns: Mapping[str, str]) -> Iterator[ItemRow | BadRow]:
    """A table's rows as items; see `interaction_rows`."""
    return table.bodies(lambda row: _item_body(row, columns), check_item)


def user_rows(table: Table, columns: Mapping[str, str]) -> Iterator[UserRow | BadRow]:
    """A table's rows as users; see `interaction_rows`."""
    return table.bodies(
        lambda row: {"user_id": row[columns["user_id"]], "features": _features(row, columns)}, check_user
    )


def split_labels(text: str, separator: str = "|") -> list[str]:
    """The labels in one field, each once."""
    return list(dict.fromkeys(label for part in text.split(separator) if (label := " ".join(part.split()))))


def _item_body(row: Mapping[str, str], columns: Mapping[str, str]) -> Body:
    given = {name: row[column] for name, column in columns.items() if not name.startswith(FEATURE)}
    body: Body = {name: text for name, text in given.items() if text or name == "item_id"}
    if "categories" in body:
        body["categories"] = split_labels(body["categories"])
    for name in ("available", "hidden"):
        if name in body:
            body[name] = _TRUTH.get(body[name].lower())
    return body | {"features": _features(row, columns)}


def _features(row: Mapping[str, str], columns: Mapping[str, str]) -> dict[str, list[str]]:
    named = {
        name.removeprefix(FEATURE): split_labels(row[column])
        for name, column in columns.items()
        if name.startswith(FEATURE)
    }
    return {name: labels for name, labels in named.items() if labels}


def _is_feature(kind: str, name: str) -> bool:
    return kind != "interactions" and name.startswith(FEATURE) and name != FEATURE
