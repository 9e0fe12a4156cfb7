"""Files as lines of text: plain, compressed, or standard input."""

from __future__ import annotations

import csv
import gzip
import io
import sys
import zlib
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO, cast

from recsvc.errors import UnreadableFileError
from recsvc.services.importing.rows import BadRow, RowError, bad_row

STANDARD_INPUT = "-"
READ_ERRORS = (OSError, EOFError, zlib.error)


class SourceFile:
    """A file that is being read.

    Bytes that are not UTF-8 come out as lone surrogates, which every check refuses: a row is lost, no more.

    Attributes:
        name: As it was given, or as messages are to call it.
        size: Bytes on disk; 0 where that is not known.
        text: What it says, decoded.
    """

    def __init__(
        self,
        path: str | Path,
        open_until: ExitStack,
        newline: str | None = None,
        name: str | None = None,
    ) -> None:
        self.name = name or str(path)
        try:
            self._binary, self.size = _open(str(path), open_until)
        except OSError as error:
            raise UnreadableFileError(
                "%(file)s cannot be read: %(why)s.", file=self.name, why=str(error.strerror or error)
            ) from error
        plain = (
            cast(BinaryIO, gzip.GzipFile(fileobj=self._binary)) if str(path).endswith(".gz") else self._binary
        )
        self.text = io.TextIOWrapper(plain, encoding="utf-8", errors="surrogateescape", newline=newline)
        open_until.callback(self.text.detach)

    def position(self) -> int:
        """How many of the bytes have been read."""
        return self._binary.tell() if self.size else 0

    def lines(self) -> Iterator[str]:
        """The lines, without a byte order mark before the first."""
        first = self.text.readline()
        if first:
            yield first.removeprefix("\ufeff")
        yield from self.text

    def bad_row(self, line: int, error: RowError, raw: str | list[str]) -> BadRow:
        """Describes a row of this file that is refused."""
        return bad_row(self.name, line, error, raw)


def csv_records(file: SourceFile) -> Iterator[tuple[int, list[str]] | BadRow]:
    """Records of a CSV file, each with the line it begins on.

    A quote that is never closed swallows the lines after it, so where a record cannot be read only its first
    line is given up, and reading goes on with the second.
    """
    source = file.lines()
    again: deque[str] = deque()
    line = 1
    while True:
        taken: list[str] = []
        reader = csv.reader(_feed(again, source, taken), strict=True, skipinitialspace=True)
        try:
            for fields in reader:
                yield line, fields
                line += len(taken)
                taken.clear()
            return
        except csv.Error as error:
            yield file.bad_row(line, RowError("not CSV", str(error)), taken[0])
            line += 1
            again.extendleft(reversed(taken[1:]))


def _feed(again: deque[str], source: Iterator[str], taken: list[str]) -> Iterator[str]:
    while again:
        taken.append(again.popleft())
        yield taken[-1]
    for line in source:
        taken.append(line)
        yield line


def _open(name: str, open_until: ExitStack) -> tuple[BinaryIO, int]:
    if name == STANDARD_INPUT:
        return sys.stdin.buffer, 0
    path = Path(name)
    return open_until.enter_context(path.open("rb")), path.stat().st_size
