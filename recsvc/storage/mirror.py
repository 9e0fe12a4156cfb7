"""The versioned directory as a copy of what a model store elsewhere serves from."""

from __future__ import annotations

import fcntl
import hashlib
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from itertools import islice
from pathlib import Path

import structlog

from recsvc.errors import DamagedVersionError, ModelStoreUnavailableError
from recsvc.sentences import Sentence
from recsvc.storage.artifacts import (
    MANIFEST,
    Arrays,
    Manifest,
    check_manifest,
    not_as_published,
    open_version,
    temporary_folder,
    unreadable,
)
from recsvc.storage.model_stores import ModelStore, Pointer
from recsvc.storage.model_stores.directory import DirectoryStore
from recsvc.storage.signing import Signer

logger = structlog.get_logger(__name__)

_LOCK = ".lock"
_TRY_AGAIN_AFTER = 60.0  # seconds: what the store has may have been put right, and is large


class Mirror:
    """Keeps a versioned directory in line with a store. Processes that share the directory share the work.

    Args:
        store: Where versions are published.
        local: The versioned directory.
        signer: Tells whether a manifest is to be believed.
        beside: Versions to have beside the active one and the one before it.
        try_again_after: Seconds before something that could not be had is asked for again.

    Attributes:
        problem: Why the store's active version is not the directory's; None while all is well.
    """

    def __init__(
        self,
        store: ModelStore,
        local: DirectoryStore,
        signer: Signer,
        *,
        beside: Sequence[str] = (),
        try_again_after: float = _TRY_AGAIN_AFTER,
    ) -> None:
        self.problem: str | None = None
        self._store = store
        self._local = local
        self._signer = signer
        self._beside = beside
        self._try_again_after = try_again_after
        self._tried: dict[str, float] = {}

    def update(self, *, is_suspect: bool = False) -> None:
        """Looks which version is active, and brings it where the directory has another.

        The directory's pointer is changed once the version is there whole: until then, and where it cannot be
        had, the one that it has goes on being served.

        Args:
            is_suspect: Whether something is wrong with the version that the directory's pointer names.
        """
        try:
            pointer = self._store.pointer()
            present = self._pointer()
            if pointer is None:
                if present is not None:
                    raise DamagedVersionError("The pointer to the active version is gone.")
            elif pointer != present or is_suspect:
                with self._locked():
                    self._follow(is_suspect=is_suspect)
            self._bring_beside()
            if self.problem is not None:
                logger.info("model_versions_well_again", was=self.problem)
            self.problem = None
        except (DamagedVersionError, ModelStoreUnavailableError) as error:
            self._complain(error.words)
        except OSError as error:
            self._complain(
                Sentence(
                    "The model version cannot be copied into %(folder)s: %(why)s",
                    folder=str(self._local.root),
                    why=str(error),
                )
            )

    def open(self, version: str) -> tuple[Manifest, Arrays]:
        """Opens a version, brought first where the directory has it not, or not whole.

        Raises:
            DamagedVersionError: What the store has is damaged too, or nothing.
            ModelStoreUnavailableError: The store does not answer.
        """
        with self._locked():
            return self._open(version)

    def _follow(self, *, is_suspect: bool) -> None:
        pointer = self._store.pointer()  # another process may have waited for the lock for long
        if pointer is None:
            return
        present = self._pointer()
        refused: Exception | None = None
        for version in filter(None, (pointer.version, None if present else pointer.previous)):
            if self._is_too_soon(version):
                continue
            try:
                self._open(version)
            except ModelStoreUnavailableError:
                raise
            except (DamagedVersionError, OSError) as error:
                self._tried[version] = time.monotonic()
                refused = error
                continue
            if is_suspect:
                self._tried[version] = time.monotonic()
            reached = pointer if version == pointer.version else Pointer(version)
            if reached != present:
                self._local.point(reached)
            break
        if refused is not None:
            raise refused
        if self._is_too_soon(pointer.version) and self.problem is not None:
            raise DamagedVersionError(self.problem)
        self._tidy(pointer)

    def _bring_beside(self) -> None:
        for version in self._beside:
            if self._local.folder(version).exists() or self._is_too_soon(version):
                continue
            self._tried[version] = time.monotonic()
            with self._locked():
                self._open(version)

    def _open(self, version: str) -> tuple[Manifest, Arrays]:
        folder = self._local.folder(version)
        with suppress(DamagedVersionError):
            return open_version(folder, self._signer)
        with temporary_folder(folder) as temporary:
            copy_version(self._store, version, self._signer, temporary)
            self._local.delete(version)
            self._local.publish(version, temporary)
        logger.info("model_version_copied", version=version)
        return open_version(folder, self._signer)

    def _is_too_soon(self, version: str) -> bool:
        tried = self._tried.get(version)
        return tried is not None and time.monotonic() - tried < self._try_again_after

    def _pointer(self) -> Pointer | None:
        try:
            return self._local.pointer()
        except DamagedVersionError:
            return None

    def _tidy(self, pointer: Pointer) -> None:
        for folder in self._local.root.glob("[!.]*/"):
            if folder.name not in {pointer.version, pointer.previous, *self._beside}:
                self._local.delete(folder.name)

    def _complain(self, why: Sentence) -> None:
        problem = str(why)
        if self.problem != problem:
            logger.error("model_version_refused", why=problem)
        self.problem = problem

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self._local.root.mkdir(parents=True, exist_ok=True)
        with (self._local.root / _LOCK).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def copy_version(store: ModelStore, version: str, signer: Signer, into: Path | None = None) -> Manifest:
    """Reads a version from a store, and checks its signature and every byte on the way.

    Args:
        store: Where it is published.
        version: Its name.
        signer: Tells whether the manifest is to be believed.
        into: An empty folder to write it to; None where it is only to be checked.

    Raises:
        DamagedVersionError: A file is missing, cut short or altered; the message names it.
        ModelStoreUnavailableError: The store does not answer.
        OSError: The folder cannot be written.
    """
    content = b"".join(islice(_chunks(store, version, MANIFEST), 3))  # no manifest is larger
    manifest = check_manifest(version, content, signer)
    for name, described in manifest["files"].items():
        digest, size = hashlib.sha256(), 0
        with (into / name).open("wb") if into else nullcontext() as file:
            for chunk in _chunks(store, version, name):
                digest.update(chunk)
                size += len(chunk)
                if size > described["bytes"]:
                    break
                if file is not None:
                    file.write(chunk)
        if (size, digest.hexdigest()) != (described["bytes"], described["sha256"]):
            raise not_as_published(version, name)
    if into:
        (into / MANIFEST).write_bytes(content)
    return manifest


def _chunks(store: ModelStore, version: str, name: str) -> Iterator[bytes]:
    try:
        yield from store.read(version, name)
    except FileNotFoundError as error:
        raise unreadable(version, name, error) from error
