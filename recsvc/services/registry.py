"""Model versions: which there are, which is active, and making another one so."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import structlog
from flask import current_app
from numpy.typing import NDArray

from recsvc.config import DATABASE, DIRECTORY, current_config
from recsvc.errors import ConflictError, DamagedVersionError, ModelStoreUnavailableError, NotFoundError
from recsvc.extensions import db
from recsvc.recommender.model import Model
from recsvc.services.secret import secret_keys
from recsvc.storage import artifacts
from recsvc.storage.artifacts import Arrays, Manifest
from recsvc.storage.database import write_transaction
from recsvc.storage.mirror import Mirror
from recsvc.storage.model_stores import ModelStore
from recsvc.storage.model_stores.database import DatabaseStore
from recsvc.storage.model_stores.directory import DirectoryStore
from recsvc.storage.model_stores.s3 import S3Store
from recsvc.storage.models import ModelVersion
from recsvc.storage.queries import model_versions
from recsvc.storage.signing import Signer

logger = structlog.get_logger(__name__)

ESTIMATOR = "lightfm.pickle"

_LIBRARIES = ("lightfm-next", "numpy", "scipy")


def model_store() -> ModelStore:
    """The model store of the settings."""
    url = current_config().model_store
    if url == DIRECTORY:
        return versioned_directory()
    if url == DATABASE:
        return DatabaseStore(db.engine)
    store: S3Store = current_app.extensions.setdefault("recsvc.s3", S3Store(url))
    return store


def versioned_directory() -> DirectoryStore:
    """What this machine has of model versions, and serves from."""
    return DirectoryStore(current_config().models_dir)


def mirror() -> Mirror | None:
    """Keeps the versioned directory in line with the model store; None where that is the store itself."""
    if current_config().model_store == DIRECTORY:
        return None
    kept: Mirror | None = current_app.extensions.get("recsvc.mirror")
    if kept is None:
        experiment = current_config().experiment
        beside = experiment.versions if experiment else ()
        kept = Mirror(model_store(), versioned_directory(), signer(), beside=beside)
        current_app.extensions["recsvc.mirror"] = kept
    return kept


def signer() -> Signer:
    """Signs versions with the settings' secret, and tells whose signature is good."""
    kept: Signer | None = current_app.extensions.get("recsvc.signer")
    if kept is None:
        kept = Signer(secret_keys(current_config()))
        current_app.extensions["recsvc.signer"] = kept
    return kept


def publish(
    version: str,
    run_id: str,
    *,
    arrays: Mapping[str, NDArray[Any]],
    files: Mapping[str, bytes],
    manifest: Manifest,
) -> None:
    """Writes a version into the model store, whole or not at all, and records it as a candidate.

    Raises:
        OSError: The disk is full, or the store cannot be written; nothing is left behind.
    """
    libraries = {name: importlib.metadata.version(name) for name in _LIBRARIES}
    with artifacts.temporary_folder(versioned_directory().folder(version)) as folder:
        complete = artifacts.write_files(
            folder,
            arrays=arrays,
            files=files,
            manifest={
                "version": version,
                "run_id": run_id,
                **manifest,
                "libraries": {"python": platform.python_version(), **libraries},
            },
            signer=signer(),
        )
        model_store().publish(version, folder)
    with write_transaction():
        model_versions.insert(version, run_id, complete)


def open_version(version: str) -> tuple[Manifest, Arrays]:
    """Checks a published version's signature and files, and maps its arrays, copied here where need be.

    Raises:
        DamagedVersionError: A file is not what was published; the message names it.
        ModelStoreUnavailableError: The model store does not answer.
    """
    copy = mirror()
    if copy is not None:
        return copy.open(version)
    return artifacts.open_version(_folder(version), signer())


def estimator(version: str) -> bytes | None:
    """A version's pickled LightFM estimator; None where it has none. For the worker alone: it may be opened.

    Raises:
        DamagedVersionError: Any of the version's files is not what was published.
        ModelStoreUnavailableError: The model store does not answer.
    """
    open_version(version)
    return artifacts.read_file(_folder(version), ESTIMATOR, signer())


def discard(version: str) -> None:
    """Takes a version back that no run stands for any more; one that is active stays.

    Raises:
        DamagedVersionError: The store's pointer cannot be read, so that nobody knows which version is active.
        ModelStoreUnavailableError: The model store does not answer.
    """
    store = model_store()
    pointer = store.pointer()
    if pointer is not None and version in {pointer.version, pointer.previous}:
        return
    with write_transaction():
        model_versions.delete(version)
    store.delete(version)
    logger.info("model_version_discarded", version=version)


def activate(version: str) -> ModelVersion:
    """Makes a version the one that every web process serves within seconds.

    Raises:
        NotFoundError: There is no such version.
        ConflictError: Its files are gone, or damaged, so that it must not be served.
        ModelStoreUnavailableError: The model store does not answer; nothing was changed.
    """
    _ensure_files_are_kept(get(version))
    try:
        _, arrays = open_version(version)
        Model.from_arrays(arrays)
    except DamagedVersionError as error:
        raise ConflictError(
            "Version %(version)s cannot be activated. %(why)s", version=version, why=error.words
        ) from error
    except ValueError as error:
        raise ConflictError(
            "Version %(version)s cannot be activated: %(why)s.", version=version, why=str(error)
        ) from error
    store = model_store()
    store.activate(version)
    _ensure_was_not_pruned_meanwhile(store, version)
    with write_transaction():
        model_versions.make_active(version)
    copy = mirror()
    if copy is not None:
        copy.update()
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


def everything(most: int | None = None) -> Sequence[ModelVersion]:
    """Versions, the newest first, those among them whose files are gone.

    Args:
        most: How many at the most; None for all.
    """
    return model_versions.newest_first(most)


def has_model() -> bool:
    """Whether the model store has an active version; a damaged pointer names none.

    Raises:
        ModelStoreUnavailableError: The model store does not answer.
    """
    try:
        return model_store().pointer() is not None
    except DamagedVersionError as error:
        logger.error("model_store_pointer_damaged", why=error.detail)
        return False


def reconcile() -> None:
    """Makes the database say what the store's pointer says.

    The pointer decides what is served. A process that dies right after replacing it leaves the database
    behind by one step. A damaged pointer says nothing; the next activation mends it.
    """
    try:
        pointer = model_store().pointer()
    except (DamagedVersionError, ModelStoreUnavailableError) as error:
        logger.error("model_store_pointer_unread", why=error.detail)
        return
    if pointer is None:
        return
    version = model_versions.find(pointer.version)
    if version is not None and version.status != "active":
        with write_transaction():
            model_versions.make_active(pointer.version)
        logger.warning("model_version_reconciled", version=pointer.version)


def _folder(version: str) -> Path:
    return versioned_directory().folder(version)


def _ensure_was_not_pruned_meanwhile(store: ModelStore, version: str) -> None:
    """Takes an activation back where the files went while it was made.

    Who prunes says so first, and then looks at the pointer. So either sees the other.
    """
    try:
        _ensure_files_are_kept(get(version))
    except ConflictError:
        pointer = store.pointer()
        if pointer is not None and pointer.version == version and pointer.previous is not None:
            store.activate(pointer.previous)
        raise


def _ensure_files_are_kept(version: ModelVersion) -> None:
    if version.pruned_at is not None:
        raise ConflictError(
            "Version %(version)s cannot be activated: its files were deleted at %(moment)s UTC. MODEL_KEEP"
            " says how many versions are kept.",
            version=version.version,
            moment=f"{version.pruned_at:%Y-%m-%d %H:%M}",
        )
