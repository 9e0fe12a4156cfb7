"""What readers make of a file: rows that can be stored, and rows that cannot."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass

from recsvc.sentences import Sentence, Value
from recsvc.services.catalogue import Features, ItemContent

# A line, or a CSV record's fields with an empty one after them.
Raw = str | list[str]

# user_id, item_id, event_code, value, occurred_at in microseconds, event_id, recommendation_id, line, raw.
# A plain tuple: a million objects with names would cost more than the reading of the file.
InteractionRow = tuple[str, str, int, float | None, int | None, str | None, str | None, int, Raw]
ItemRow = tuple[str, ItemContent]
UserRow = tuple[str, Features]


class RowError(ValueError):
    """Why a row cannot be stored.

    Args:
        reason: The words of a sentence.
        detail: What in particular; empty where the row itself shows it.
        values: Of the sentence.

    Attributes:
        words: The reason, for whoever tells it in another language.
        reason: One of a few texts, so that rows can be counted by it.
        detail: What in particular; empty where the row itself shows it.
    """

    def __init__(self, reason: str, detail: str = "", **values: Value) -> None:
        self.words = Sentence(reason, **values)
        self.reason = str(self.words)
        self.detail = detail
        super().__init__(f"{self.reason}: {detail}" if detail else self.reason)


@dataclass(frozen=True)
class BadRow:
    """A row that was not stored.

    Attributes:
        file: Name of its file.
        line: Where it begins, counted from 1.
        reason: Why, with what in particular.
        row: The row as it stood in the file.
        kind: The reason alone, to count by.
    """

    file: str
    line: int
    reason: str
    row: str
    kind: str


def bad_row(file: str, line: int, error: RowError, raw: Raw) -> BadRow:
    """Describes a row that is refused."""
    text = as_text(raw)
    if not _is_utf8(text):
        error = RowError("not UTF-8 text")
    return BadRow(file, line, str(error), text, error.reason)


def as_text(raw: Raw) -> str:
    """A row on one line, as it would stand in a file."""
    if isinstance(raw, str):
        return raw.rstrip("\r\n")
    written = io.StringIO()
    csv.writer(written, lineterminator="").writerow(raw[:-1])
    return written.getvalue()


def _is_utf8(text: str) -> bool:
    return not any("\udc80" <= character <= "\udcff" for character in text)
