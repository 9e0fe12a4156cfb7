"""Model versions: which there are, which is active, and making another one so."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Mapping, Sequence
from typing import Any

import structlog
from numpy.typing import NDArray

from recsvc.config import current_config
from recsvc.errors import ConflictError, DamagedVersionError, NotFoundError
from recsvc.recommender.model import Model
from recsvc.storage import artifacts
from recsvc.storage.artifacts import Arrays
from recsvc.storage.database import write_transaction
from recsvc.storage.model_store import DirectoryStore, ModelStore, Pointer
from recsvc.storage.models import ModelVersion
from recsvc.storage.queries import model_versions

logger = structlog.get_logger(__name__)

_LIBRARIES = ("implicit", "lightfm-next", "numpy", "scipy")


def model_store() -> ModelStore:
    """The model store of the settings."""
    return DirectoryStore(current_config().models_dir)


def publish(
    version: str,
    run_id: str,
    *,
    arrays: Mapping[str, NDArray[Any]],
    files: Mapping[str, bytes],
    manifest: dict[str, Any],
) -> None:
    """Writes a version into the model store, whole or not at all, and records it as a candidate.

    Raises:
        OSError: The disk is full, or the store cannot be written; nothing is left behind.
    """
    libraries = {name: importlib.metadata.version(name) for name in _LIBRARIES}
    complete = artifacts.write_version(
        model_store().folder(version),
        arrays=arrays,
        files=files,
        manifest={
            "version": version,
            "run_id": run_id,
            **manifest,
            "libraries": {"python": platform.python_version(), **libraries},
        },
    )
    with write_transaction():
        model_versions.insert(version, run_id, complete)


def open_version(version: str) -> tuple[dict[str, Any], Arrays]:
    """Checks a published version's files, and maps its arrays.

    Raises:
        DamagedVersionError: A file is not what was published; the message names it.
    """
    return artifacts.open_version(model_store().folder(version))


def discard(version: str) -> None:
    """Takes a version back that no run stands for any more; one that is active stays."""
    pointer = _pointer()
    if pointer is not None and version in {pointer.version, pointer.previous}:
        return
    with write_transaction():
        model_versions.delete(version)
    model_store().delete(version)
    logger.info("model_version_discarded", version=version)


def activate(version: str) -> ModelVersion:
    """Makes a version the one that every web process serves within seconds.

    Raises:
        NotFoundError: There is no such version.
        ConflictError: Its files are damaged, so that it must not be served.
    """
    get(version)
    try:
        _, arrays = open_version(version)
        Model.from_arrays(arrays)
    except DamagedVersionError as error:
        raise ConflictError(f"Version {version} cannot be activated. {error.detail}") from error
    except ValueError as error:
        raise ConflictError(f"Version {version} cannot be activated: {error}.") from error
    model_store().activate(version)
    with write_transaction():
        model_versions.make_active(version)
    logger.info("model_version_activated", version=version)
    return get(version)


def get(version: str) -> ModelVersion:
    """A version by its name.

    Raises:
        NotFoundError: There is no such version.
    """
    found = model_versions.find(version)
    if found is None:
        raise NotFoundError("model version", version)
    return found


def everything() -> Sequence[ModelVersion]:
    """All versions, the newest first."""
    return model_versions.newest_first()


def has_model() -> bool:
    """Whether the model store has an active version; a damaged pointer names none."""
    return _pointer() is not None


def reconcile() -> None:
    """Makes the database say what the store's pointer says.

    The pointer decides what is served. A process that dies right after replacing it leaves the database
    behind by one step. A damaged pointer says nothing; the next activation mends it.
    """
    pointer = _pointer()
    if pointer is None:
        return
    version = model_versions.find(pointer.version)
    if version is not None and version.status != "active":
        with write_transaction():
            model_versions.make_active(pointer.version)
        logger.warning("model_version_reconciled", version=pointer.version)


def _pointer() -> Pointer | None:
    try:
        return model_store().pointer()
    except DamagedVersionError as error:
        logger.error("model_store_pointer_damaged", why=error.detail)
        return None
