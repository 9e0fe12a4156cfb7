"""A model version on disk: an immutable directory of files, with a signed manifest that names each."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import threading
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recsvc.errors import DamagedVersionError
from recsvc.storage.signing import Signer

MANIFEST = "manifest.json"
FORMAT = 4

Arrays = dict[str, NDArray[Any]]
Manifest = dict[str, Any]
Stamp = frozenset[tuple[str, int, int, int]]

_LARGEST_MANIFEST = 16_000_000  # bytes
# NumPy reads them by `ast`, which counts its depth for all threads together and fails where two meet there:
# python/cpython#106905.
_one_header_at_a_time = threading.Lock()
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}")


@contextmanager
def temporary_folder(beside: Path) -> Iterator[Path]:
    """A folder to build a version in, or a pointer; what is left of it at the end of the block goes.

    Its maker holds a lock on it. Where a maker was killed, the next one finds the lock free, and sweeps.

    Args:
        beside: Where what is built is to be; need not exist.

    Raises:
        OSError: The folder cannot be written.
    """
    beside.parent.mkdir(parents=True, exist_ok=True)
    _sweep(beside.parent)
    folder, lock = _locked_folder(beside)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def write_files(
    folder: Path,
    *,
    arrays: Mapping[str, NDArray[Any]],
    files: Mapping[str, bytes],
    manifest: Manifest,
    signer: Signer,
) -> Manifest:
    """Fills a folder with a version, and makes it survive a loss of power.

    Args:
        folder: Exists, and is empty.
        arrays: Names to arrays, each saved as `NAME.npy`.
        files: File names to contents.
        manifest: What to say of the version; the files' sizes and SHA-256 sums and the signature are added.
        signer: Signs the manifest.

    Returns:
        The manifest as written.

    Raises:
        OSError: The disk is full, or the folder cannot be written.
    """
    for name, array in arrays.items():
        _save(folder / f"{name}.npy", np.ascontiguousarray(array))
    for name, content in files.items():
        (folder / name).write_bytes(content)
    complete = {"format": FORMAT, **manifest, "files": _describe_files(folder)}
    complete["signature"] = signer.sign(_encode(complete))
    (folder / MANIFEST).write_bytes(_encode(complete))
    for path in folder.iterdir():
        sync(path)
    sync(folder)
    return complete


def open_version(folder: Path, signer: Signer) -> tuple[Manifest, Arrays]:
    """Checks a version's signature and files, and maps its arrays into memory, read-only.

    Args:
        folder: The version's folder.
        signer: Tells whether the manifest is to be believed.

    Returns:
        The manifest, and names to memory-mapped arrays.

    Raises:
        DamagedVersionError: A file is missing, cut short, altered or unreadable; the message names it.
    """
    manifest = read_manifest(folder, signer)
    arrays: Arrays = {}
    for name, described in manifest["files"].items():
        path = folder / name
        try:
            if path.stat().st_size != described["bytes"] or _sha256(path) != described["sha256"]:
                raise not_as_published(folder.name, name)
            if path.suffix == ".npy":
                with _one_header_at_a_time:
                    mapped = np.load(path, mmap_mode="r", allow_pickle=False)
                # As a plain array: every slice of a np.memmap costs some microseconds more.
                arrays[path.stem] = np.asarray(mapped)
        except (OSError, ValueError) as error:
            raise unreadable(folder.name, name, error) from error
    return manifest, arrays


def read_file(folder: Path, name: str, signer: Signer) -> bytes | None:
    """Checks a whole version and reads one of its files; None where it has no such file.

    Raises:
        DamagedVersionError: Any of its files is not what was published; the message names it.
    """
    manifest, _ = open_version(folder, signer)
    if name not in manifest["files"]:
        return None
    content = (folder / name).read_bytes()
    # These bytes, rather than those that were on disk a moment ago.
    if hashlib.sha256(content).hexdigest() != manifest["files"][name]["sha256"]:
        raise not_as_published(folder.name, name)
    return content


def not_as_published(version: str, file: str) -> DamagedVersionError:
    """A file of a version was altered, or cut short."""
    return DamagedVersionError(
        "%(version)s: %(file)s is not the file that was published.", version=version, file=file
    )


def unreadable(version: str, file: str, error: Exception) -> DamagedVersionError:
    """A file of a version is missing, or is not what its name says."""
    return DamagedVersionError(
        "%(version)s: %(file)s cannot be read: %(why)s", version=version, file=file, why=str(error)
    )


def read_manifest(folder: Path, signer: Signer) -> Manifest:
    """Reads a version's manifest.

    Raises:
        DamagedVersionError: It is missing, or `check_manifest` refuses it.
    """
    path = folder / MANIFEST
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST_MANIFEST + 1)
    except OSError as error:
        raise unreadable(folder.name, MANIFEST, error) from error
    return check_manifest(folder.name, content, signer)


def check_manifest(version: str, content: bytes, signer: Signer) -> Manifest:
    """Takes a manifest from its bytes.

    Args:
        version: Whose it ought to be.
        content: The file's bytes.
        signer: Tells whether it is to be believed.

    Raises:
        DamagedVersionError: It is not JSON, of another format, not signed with this secret, altered by a
            single byte, or another version's.
    """
    if len(content) > _LARGEST_MANIFEST:
        raise DamagedVersionError(
            "%(version)s: %(file)s is larger than %(most)s bytes.",
            version=version,
            file=MANIFEST,
            most=str(_LARGEST_MANIFEST),
        )
    try:
        manifest = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise unreadable(version, MANIFEST, error) from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise DamagedVersionError(
            "%(version)s: %(file)s is not of format %(format)s. Train again.",
            version=version,
            file=MANIFEST,
            format=FORMAT,
        )
    unsigned = {name: value for name, value in manifest.items() if name != "signature"}
    # What was signed is what the file says; a byte that changes nothing of that is refused as well.
    is_as_written = _encode(manifest) == content
    if not is_as_written or not signer.has_signed(_encode(unsigned), str(manifest.get("signature"))):
        raise DamagedVersionError(
            "%(version)s: %(file)s was altered, or signed with another SECRET_KEY. Train again, or add the"
            " SECRET_KEY that it was made with to SECRET_KEY_FALLBACKS.",
            version=version,
            file=MANIFEST,
        )
    if manifest.get("version") != version:
        raise DamagedVersionError(
            "%(version)s: %(file)s is that of %(other)s.",
            version=version,
            file=MANIFEST,
            other=str(manifest.get("version")),
        )
    files = manifest.get("files")
    well_formed = isinstance(files, dict) and all(
        _PLAIN_NAME.fullmatch(name)
        and isinstance(described, dict)
        and {"bytes", "sha256"} <= described.keys()
        for name, described in files.items()
    )
    if not well_formed:
        raise DamagedVersionError(
            "%(version)s: %(file)s does not describe its files.", version=version, file=MANIFEST
        )
    return manifest


def stamp(folder: Path) -> Stamp:
    """Tells cheaply whether a folder's files are those of an earlier look; empty where there is no folder."""
    try:
        states = {path.name: path.stat() for path in folder.iterdir()}
    except OSError:
        return frozenset()
    return frozenset((name, state.st_ino, state.st_size, state.st_mtime_ns) for name, state in states.items())


def sync(path: Path) -> None:
    """Makes a file, or the names in a folder, survive a loss of power."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _encode(manifest: Manifest) -> bytes:
    return json.dumps(manifest, indent=2, sort_keys=True).encode()


def _save(path: Path, array: NDArray[Any]) -> None:
    # Where the disk is full, np.save tells how many numbers it has written, but not why it wrote no more.
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(array))
        file.write(array.reshape(-1).view(np.uint8).data)


def _describe_files(folder: Path) -> dict[str, dict[str, Any]]:
    return {
        path.name: {"bytes": path.stat().st_size, "sha256": _sha256(path)}
        for path in sorted(folder.iterdir())
    }


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _locked_folder(beside: Path) -> tuple[Path, int]:
    while True:
        folder = beside.with_name(f".{beside.name}.{uuid.uuid4().hex[:8]}.tmp")
        folder.mkdir()
        with suppress(FileNotFoundError):  # swept before it was locked
            lock = os.open(folder, os.O_RDONLY)
            fcntl.flock(lock, fcntl.LOCK_EX)
            if folder.is_dir():
                return folder, lock
            os.close(lock)


def _sweep(root: Path) -> None:
    for abandoned in root.glob(".*.tmp/"):
        with suppress(OSError):
            lock = os.open(abandoned, os.O_RDONLY)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(abandoned, ignore_errors=True)
            finally:
                os.close(lock)
