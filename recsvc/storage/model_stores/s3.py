"""Versions as objects of a bucket, of S3 or whatever speaks as it does.

Credentials, region and endpoint are those of the environment, in AWS' own names. The client has threads: a
process that has used it must not fork.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from recsvc.errors import DamagedVersionError, ModelStoreUnavailableError, NotFoundError
from recsvc.sentences import Sentence
from recsvc.storage.artifacts import MANIFEST
from recsvc.storage.model_stores import CHUNK_BYTES, POINTER, Pointer

if TYPE_CHECKING:
    from obstore import PutMode
    from obstore.store import S3Store as Client

_ANSWER_TIMEOUT = timedelta(seconds=5)
_TRANSFER_TIMEOUT = timedelta(minutes=10)
_ATTEMPTS = 20


class S3Store:
    """A model store in a bucket, the pointer a small object that is replaced only as it was read."""

    def __init__(self, url: str) -> None:
        """Takes the bucket's URL; connects when it is first asked.

        Args:
            url: `s3://BUCKET/PREFIX`.
        """
        self.url = url

    def publish(self, version: str, folder: Path) -> None:
        """Uploads every file, in parts where it is large, and looks that all are there; then the manifest."""
        import obstore

        sizes = {path.name: path.stat().st_size for path in folder.iterdir() if path.name != MANIFEST}
        with self._answering():
            objects = self._objects()
            if MANIFEST in objects.get(version, {}):
                raise FileExistsError(f"Version {version} is published already.")
            self._sweep(objects)
            for name in sorted(sizes):
                obstore.put(self._patient, f"{version}/{name}", folder / name)
            if self._objects().get(version, {}) != sizes:
                raise FileNotFoundError(f"Another publication has swept files of {version} away.")
            obstore.put(self._patient, f"{version}/{MANIFEST}", folder / MANIFEST)

    def versions(self) -> list[str]:
        """Names of the versions whose manifest is there, oldest first."""
        with self._answering():
            return sorted(version for version, files in self._objects().items() if MANIFEST in files)

    def read(self, version: str, name: str) -> Iterator[bytes]:
        """One file of a version, as it arrives."""
        import obstore

        with self._answering():
            try:
                found = obstore.get(self._patient, f"{version}/{name}")
            except FileNotFoundError:
                raise FileNotFoundError(f"{self.url} has no {version}/{name}.") from None
            for chunk in found.stream(min_chunk_size=CHUNK_BYTES):
                yield bytes(chunk)

    def delete(self, version: str) -> None:
        """Takes a version away."""
        import obstore

        with self._answering():
            files = self._objects().get(version, {})
            if MANIFEST in files:
                obstore.delete(self._patient, f"{version}/{MANIFEST}")
            self._delete_files(version, files)

    def pointer(self) -> Pointer | None:
        """Which version is active."""
        return self._pointer()[0]

    def activate(self, version: str) -> None:
        """Replaces the pointer, unless another has done so since it was read; then once more."""
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        if version not in self.versions():
            raise NotFoundError("model version", version)
        for _ in range(_ATTEMPTS):
            before, etag = None, None
            try:
                before, etag = self._pointer()
            except DamagedPointerError as damaged:
                etag = damaged.etag  # activating is how a damaged pointer is mended
            after = Pointer.after(before, version)
            if after == before:
                return
            try:
                self._point(after, etag)
            except (AlreadyExistsError, PreconditionError):
                time.sleep(random.uniform(0, 0.2))
            else:
                return
        raise ModelStoreUnavailableError("The pointer in %(url)s changes all the time.", url=self.url)

    def _pointer(self) -> tuple[Pointer | None, str | None]:
        import obstore

        with self._answering():
            try:
                found = obstore.get(self._quick, POINTER)
                content = bytes(found.bytes())
            except FileNotFoundError as error:
                if "NoSuchBucket" in str(error):
                    raise ModelStoreUnavailableError(
                        "There is no bucket for %(url)s.", url=self.url
                    ) from error
                return None, None
        etag = found.meta["e_tag"]
        try:
            return Pointer.parse(content, f"{self.url}/{POINTER}"), etag
        except DamagedVersionError as error:
            raise DamagedPointerError(error.words, etag) from error

    def _point(self, pointer: Pointer, etag: str | None) -> None:
        import obstore

        as_read: PutMode = "create" if etag is None else {"e_tag": etag}
        with self._answering():
            obstore.put(self._quick, POINTER, pointer.as_json().encode(), mode=as_read)

    def _objects(self) -> dict[str, dict[str, int]]:
        """Versions to files' names to sizes in bytes."""
        import obstore

        found: dict[str, dict[str, int]] = {}
        for batch in obstore.list(self._patient):
            for entry in batch:
                version, separator, name = entry["path"].rpartition("/")
                if separator:
                    found.setdefault(version, {})[name] = entry["size"]
        return found

    def _sweep(self, objects: dict[str, dict[str, int]]) -> None:
        for version, files in objects.items():
            if MANIFEST not in files:
                self._delete_files(version, files)

    def _delete_files(self, version: str, files: dict[str, int]) -> None:
        import obstore

        obstore.delete(self._patient, [f"{version}/{name}" for name in files if name != MANIFEST])

    @cached_property
    def _quick(self) -> Client:
        """Gives up soon: who looks for the pointer looks again."""
        return self._client(_ANSWER_TIMEOUT, retries=1)

    @cached_property
    def _patient(self) -> Client:
        """Tries for minutes: what it carries took hours to make."""
        return self._client(_TRANSFER_TIMEOUT, retries=10)

    def _client(self, timeout: timedelta, *, retries: int) -> Client:
        from obstore.store import S3Store as Client

        parts = urlsplit(self.url)
        endpoint = os.environ.get("AWS_ENDPOINT_URL", "")
        return Client(
            parts.netloc,
            prefix=parts.path.strip("/") or None,
            client_options={
                "allow_http": endpoint.startswith("http://"),
                "connect_timeout": _ANSWER_TIMEOUT,
                "timeout": timeout,
            },
            retry_config={"max_retries": retries, "retry_timeout": timeout / 2},
        )

    @contextmanager
    def _answering(self) -> Iterator[None]:
        from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError

        try:
            yield
        except (AlreadyExistsError, PreconditionError):
            raise
        except BaseError as error:
            raise ModelStoreUnavailableError(
                "The model store %(url)s does not do what it is asked to: %(why)s",
                url=self.url,
                why=_first_line(error),
            ) from error


class DamagedPointerError(DamagedVersionError):
    """The pointer cannot be read.

    Attributes:
        etag: Which state of the object it was.
    """

    def __init__(self, words: Sentence, etag: str | None) -> None:
        super().__init__(words)
        self.etag = etag


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]
