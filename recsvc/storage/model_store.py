"""Where model versions are published, and which of them is active."""

from __future__ import annotations

import json
import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from recsvc.errors import DamagedVersionError, NotFoundError
from recsvc.storage.artifacts import MANIFEST, sync

POINTER = "active.json"


@dataclass(frozen=True)
class Pointer:
    """Which version is active, and which was before it.

    Attributes:
        version: The active version's name.
        previous: The one to go back to where the active one turns out to be damaged.
    """

    version: str
    previous: str | None = None


class ModelStore(Protocol):
    """What every model store does."""

    def folder(self, version: str) -> Path:
        """The version's folder in the versioned directory of this machine."""

    def versions(self) -> list[str]:
        """Names of the versions that are published, oldest first."""

    def delete(self, version: str) -> None:
        """Takes a version away, where there is one."""

    def pointer(self) -> Pointer | None:
        """Which version is active; None before the first is."""

    def activate(self, version: str) -> None:
        """Makes a published version the active one."""


class DirectoryStore:
    """Versions as folders of one directory that every process sees, the pointer a small file among them."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def folder(self, version: str) -> Path:
        """The version's folder, whether it exists or not."""
        return self.root / version

    def versions(self) -> list[str]:
        """Names of the versions that are there whole, oldest first."""
        return sorted(path.parent.name for path in self.root.glob(f"[!.]*/{MANIFEST}"))

    def delete(self, version: str) -> None:
        """Takes a version away, first its manifest, so that it is none any more."""
        (self.folder(version) / MANIFEST).unlink(missing_ok=True)
        shutil.rmtree(self.folder(version), ignore_errors=True)

    def pointer(self) -> Pointer | None:
        """Which version is active.

        Raises:
            DamagedVersionError: The pointer cannot be read.
        """
        try:
            content = json.loads((self.root / POINTER).read_text(encoding="utf-8"))
            return Pointer(version=str(content["version"]), previous=content["previous"])
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DamagedVersionError(f"The pointer {self.root / POINTER} cannot be read: {error}") from error

    def activate(self, version: str) -> None:
        """Replaces the pointer in one step.

        Raises:
            NotFoundError: No such version is published.
        """
        if version not in self.versions():
            raise NotFoundError("model version", version)
        try:
            before = self.pointer()
        except DamagedVersionError:
            before = None  # activating is how a damaged pointer is mended
        if before is not None and before.version == version:
            return
        content = {"version": version, "previous": before.version if before else None}
        temporary = self.root / f".{POINTER}.{uuid.uuid4().hex}.tmp"
        try:
            temporary.write_text(json.dumps(content), encoding="utf-8")
            sync(temporary)
            temporary.replace(self.root / POINTER)
        finally:
            temporary.unlink(missing_ok=True)
        sync(self.root)
