"""Versions as folders of one directory that every process sees."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

from recsvc.errors import DamagedVersionError, NotFoundError
from recsvc.storage.artifacts import MANIFEST, sync, temporary_folder
from recsvc.storage.model_stores import CHUNK_BYTES, POINTER, Pointer


class DirectoryStore:
    """A model store in a directory, the pointer a small file among the versions' folders."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def folder(self, version: str) -> Path:
        """The version's folder, whether it exists or not."""
        return self.root / version

    def publish(self, version: str, folder: Path) -> None:
        """Moves a finished folder in."""
        folder.rename(self.folder(version))
        sync(self.root)

    def versions(self) -> list[str]:
        """Names of the versions that are there whole, oldest first."""
        return sorted(path.parent.name for path in self.root.glob(f"[!.]*/{MANIFEST}"))

    def read(self, version: str, name: str) -> Iterator[bytes]:
        """One file of a version, in chunks."""
        with (self.folder(version) / name).open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                yield chunk

    def delete(self, version: str) -> None:
        """Takes a version away. What a process has mapped of it stays valid."""
        doomed = self.root / f".{version}.{uuid.uuid4().hex[:8]}.tmp"
        try:
            self.folder(version).rename(doomed)
        except FileNotFoundError:
            return
        shutil.rmtree(doomed, ignore_errors=True)  # what is left is swept, as that of a killed process is

    def pointer(self) -> Pointer | None:
        """Which version is active."""
        path = self.root / POINTER
        try:
            return Pointer.parse(path.read_bytes(), str(path))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise DamagedVersionError(
                "The pointer %(source)s cannot be read: %(why)s", source=str(path), why=str(error)
            ) from error

    def activate(self, version: str) -> None:
        """Makes a version that is there the active one."""
        if version not in self.versions():
            raise NotFoundError("model version", version)
        try:
            before = self.pointer()
        except DamagedVersionError:
            before = None  # activating is how a damaged pointer is mended
        after = Pointer.after(before, version)
        if after != before:
            self.point(after)

    def point(self, pointer: Pointer) -> None:
        """Replaces the pointer in one step."""
        path = self.root / POINTER
        with temporary_folder(path) as folder:
            written = folder / POINTER
            written.write_text(pointer.as_json(), encoding="utf-8")
            sync(written)
            written.replace(path)
        sync(self.root)
