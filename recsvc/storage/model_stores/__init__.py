"""Where model versions are published, and which of them is active."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol, Self

from recsvc.errors import DamagedVersionError

POINTER = "active.json"
CHUNK_BYTES = 8_000_000  # so much of a file is in memory at once

_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True)
class Pointer:
    """Which version is active, and which was before it.

    Attributes:
        version: The active version's name.
        previous: The one to go back to where the active one turns out to be damaged.
    """

    version: str
    previous: str | None = None

    @classmethod
    def parse(cls, content: bytes | str, source: str) -> Self:
        """Takes a pointer from its bytes.

        Args:
            content: As `as_json` gave it.
            source: Where it was, for the message.

        Raises:
            DamagedVersionError: It cannot be read.
        """
        try:
            read = json.loads(content)
            pointer = cls(version=read["version"], previous=read["previous"])
            names = [pointer.version, *([] if pointer.previous is None else [pointer.previous])]
            if not all(_VERSION.fullmatch(name) for name in names):
                raise ValueError("it names no version")
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise DamagedVersionError(
                "The pointer %(source)s cannot be read: %(why)s", source=source, why=str(error)
            ) from error
        return pointer

    def as_json(self) -> str:
        """What `parse` takes."""
        return json.dumps(asdict(self))

    @classmethod
    def after(cls, present: Self | None, version: str) -> Self:
        """The pointer that makes a version the active one."""
        if present is not None and present.version == version:
            return present
        return cls(version, present.version if present else None)


class ModelStore(Protocol):
    """What every model store does. It moves bytes; whether they are to be trusted, its callers look.

    Every method raises ModelStoreUnavailableError, an OSError too, where the store does not answer; where
    that is the database, its driver's error.
    """

    def publish(self, version: str, folder: Path) -> None:
        """Publishes a version, whole or not at all; the manifest comes last.

        What another publication left unfinished goes.

        Args:
            version: Its name; must not be published already.
            folder: Its files. They may be moved away.

        Raises:
            OSError: The store cannot be written, or has such a version.
        """

    def versions(self) -> list[str]:
        """Names of the versions that are published whole, oldest first."""

    def read(self, version: str, name: str) -> Iterator[bytes]:
        """One file of a version, in chunks.

        Raises:
            FileNotFoundError: There is no such file.
        """

    def delete(self, version: str) -> None:
        """Takes a version away, where there is one: first its manifest, so that it is none any more."""

    def pointer(self) -> Pointer | None:
        """Which version is active; None before the first is.

        Raises:
            DamagedVersionError: The pointer cannot be read.
        """

    def activate(self, version: str) -> None:
        """Makes a published version the active one, in one step.

        Raises:
            NotFoundError: No such version is published.
        """
