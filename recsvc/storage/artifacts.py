"""A model version on disk: an immutable directory of files, with a manifest that names and checks each."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recsvc.errors import DamagedVersionError

MANIFEST = "manifest.json"
FORMAT = 1

Arrays = dict[str, NDArray[Any]]
Stamp = frozenset[tuple[str, int, int, int]]


def write_version(
    folder: Path, *, arrays: Mapping[str, NDArray[Any]], files: Mapping[str, bytes], manifest: dict[str, Any]
) -> dict[str, Any]:
    """Writes a version so that it is there whole, or not at all.

    Everything goes into a temporary folder beside the final one, is synced to disk, and is then renamed.

    Args:
        folder: The version's folder; must not exist.
        arrays: Names to arrays, each saved as `NAME.npy`.
        files: File names to contents.
        manifest: What to say of the version; the files' sizes and SHA-256 sums are added.

    Returns:
        The manifest as written.

    Raises:
        OSError: The disk is full, or the folder cannot be written; nothing is left behind.
    """
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    try:
        # One run is under way at a time: what lies there unfinished is that of a worker that was killed.
        for abandoned in folder.parent.glob(".*.tmp/"):
            shutil.rmtree(abandoned, ignore_errors=True)
        temporary.mkdir(parents=True)
        for name, array in arrays.items():
            _save(temporary / f"{name}.npy", np.ascontiguousarray(array))
        for name, content in files.items():
            (temporary / name).write_bytes(content)
        complete = {"format": FORMAT, **manifest, "files": _describe_files(temporary)}
        (temporary / MANIFEST).write_text(json.dumps(complete, indent=2, sort_keys=True), encoding="utf-8")
        for path in temporary.iterdir():
            sync(path)
        sync(temporary)
        temporary.rename(folder)
        sync(folder.parent)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    return complete


def open_version(folder: Path) -> tuple[dict[str, Any], Arrays]:
    """Checks a version's files against its manifest and maps its arrays into memory, read-only.

    Args:
        folder: The version's folder.

    Returns:
        The manifest, and names to memory-mapped arrays.

    Raises:
        DamagedVersionError: A file is missing, cut short, altered or unreadable; the message names it.
    """
    manifest = read_manifest(folder)
    arrays: Arrays = {}
    for name, described in manifest["files"].items():
        path = folder / name
        try:
            if path.stat().st_size != described["bytes"] or _sha256(path) != described["sha256"]:
                raise DamagedVersionError(f"{folder.name}: {name} is not the file that was published.")
            if path.suffix == ".npy":
                # As a plain array: every slice of a np.memmap costs some microseconds more.
                arrays[path.stem] = np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
        except (OSError, ValueError) as error:
            raise DamagedVersionError(f"{folder.name}: {name} cannot be read: {error}") from error
    return manifest, arrays


def read_manifest(folder: Path) -> dict[str, Any]:
    """Reads a version's manifest.

    Raises:
        DamagedVersionError: It is missing, not JSON, of another format, or lacks what every manifest has.
    """
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DamagedVersionError(f"{folder.name}: {MANIFEST} cannot be read: {error}") from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise DamagedVersionError(f"{folder.name}: {MANIFEST} is not of format {FORMAT}.")
    if manifest.get("version") != folder.name:
        raise DamagedVersionError(f"{folder.name}: {MANIFEST} is that of {manifest.get('version')}.")
    files = manifest.get("files")
    well_formed = isinstance(files, dict) and all(
        isinstance(described, dict) and {"bytes", "sha256"} <= described.keys()
        for described in files.values()
    )
    if not well_formed:
        raise DamagedVersionError(f"{folder.name}: {MANIFEST} does not describe its files.")
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
