"""Versions as rows of the database: for platforms where no two processes share a disk.

It has connections of its own: its transactions are none of the session's, and may outlast a request's.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from sqlalchemy import Connection, Engine, bindparam, delete, func, insert, select, update

from recsvc.errors import NotFoundError
from recsvc.storage.artifacts import MANIFEST
from recsvc.storage.model_stores import CHUNK_BYTES, Pointer
from recsvc.storage.models import ModelFileChunk, ModelPointer

_chunk = ModelFileChunk
_IS_MANIFEST = (_chunk.name == MANIFEST, _chunk.number == 0)
# Made once: a version is dozens of files, and making this for each took as long as asking.
_CONTENT = select(_chunk.content).where(
    _chunk.version == bindparam("version"),
    _chunk.name == bindparam("name"),
    _chunk.number == bindparam("number"),
)


class DatabaseStore:
    """A model store in the database, the pointer a row."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def publish(self, version: str, folder: Path) -> None:
        """Writes files in chunks, each a transaction: SQLite lets nobody else write in the meantime."""
        if version in self.versions():
            raise FileExistsError(f"Version {version} is published already.")
        self._sweep()
        sizes = {}
        for path in sorted(folder.iterdir()):
            if path.name != MANIFEST:
                sizes[path.name] = self._write(version, path)
        with self._writing() as connection:
            written = connection.execute(
                select(_chunk.name, func.sum(func.length(_chunk.content)))
                .where(_chunk.version == version)
                .group_by(_chunk.name)
            )
            if {name: int(size) for name, size in written} != sizes:
                raise FileNotFoundError(f"Another publication has swept files of {version} away.")
            content = (folder / MANIFEST).read_bytes()
            connection.execute(
                insert(_chunk), {"version": version, "name": MANIFEST, "number": 0, "content": content}
            )

    def versions(self) -> list[str]:
        """Names of the versions whose manifest is there, oldest first."""
        with self._engine.connect() as connection:
            return sorted(connection.scalars(select(_chunk.version).where(*_IS_MANIFEST)))

    def read(self, version: str, name: str) -> Iterator[bytes]:
        """One file of a version, a query a chunk."""
        number = 0
        while (content := self._chunk(version, name, number)) is not None:
            yield content
            number += 1
        if number == 0:
            raise FileNotFoundError(f"The database has no {version}/{name}.")

    def delete(self, version: str) -> None:
        """Takes a version away, a file at a time."""
        with self._writing() as connection:
            connection.execute(delete(_chunk).where(_chunk.version == version, *_IS_MANIFEST))
        self._delete_files(version)

    def pointer(self) -> Pointer | None:
        """Which version is active."""
        with self._engine.connect() as connection:
            return _pointer(connection)

    def activate(self, version: str) -> None:
        """Changes the row, in a transaction that sees the version published."""
        with self._writing() as connection:
            # Two that make different versions active take turns.
            connection.execute(select(ModelPointer.version).with_for_update())
            found = connection.scalar(select(_chunk.version).where(_chunk.version == version, *_IS_MANIFEST))
            if found is None:
                raise NotFoundError("model version", version)
            after = Pointer.after(_pointer(connection), version)
            connection.execute(update(ModelPointer).values(version=after.version, previous=after.previous))

    def _write(self, version: str, path: Path) -> int:
        size = 0
        with path.open("rb") as file:
            for number in count():
                content = file.read(CHUNK_BYTES)
                if not content and number:  # a file with nothing in it is one chunk with nothing in it
                    break
                row = {"version": version, "name": path.name, "number": number, "content": content}
                with self._writing() as connection:
                    connection.execute(insert(_chunk), row)
                size += len(content)
        return size

    def _chunk(self, version: str, name: str, number: int) -> bytes | None:
        with self._engine.connect() as connection:
            of_chunk = {"version": version, "name": name, "number": number}
            content: bytes | None = connection.scalar(_CONTENT, of_chunk)
            return content

    def _sweep(self) -> None:
        published = self.versions()
        with self._engine.connect() as connection:
            found = set(connection.scalars(select(_chunk.version).distinct()))
        for version in found.difference(published):
            self._delete_files(version)

    def _delete_files(self, version: str) -> None:
        with self._engine.connect() as connection:
            names = sorted(
                connection.scalars(select(_chunk.name).distinct().where(_chunk.version == version))
            )
        for name in names:
            with self._writing() as connection:
                connection.execute(delete(_chunk).where(_chunk.version == version, _chunk.name == name))

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        with (
            self._engine.connect() as connection,
            connection.execution_options(sqlite_begin="IMMEDIATE").begin(),
        ):
            yield connection


def _pointer(connection: Connection) -> Pointer | None:
    version, previous = connection.execute(select(ModelPointer.version, ModelPointer.previous)).one()
    return None if version is None else Pointer(version, previous)
