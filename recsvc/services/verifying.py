"""Whether what is published is still what was published."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from recsvc.errors import DamagedVersionError
from recsvc.services import registry
from recsvc.storage.mirror import copy_version
from recsvc.storage.queries import model_versions


@dataclass(frozen=True)
class Verdict:
    """What was found of a version.

    Attributes:
        version: Its name.
        bytes: How many were read; None where it is not well.
        problem: What is wrong; None where it is well.
    """

    version: str
    bytes: int | None
    problem: str | None


def verify(
    versions: Sequence[str] = (), *, on_progress: Callable[[str, float], None] = lambda version, done: None
) -> list[Verdict]:
    """Reads versions from the model store, and checks the signature and every byte.

    Args:
        versions: Which; without any, all that are published or recorded as kept.
        on_progress: Told the version that is looked at, and the share of versions done.

    Raises:
        NotFoundError: There is no such version.
        ModelStoreUnavailableError: The model store does not answer.
    """
    for version in versions:
        registry.get(version)
    kept = (one.version for one in model_versions.newest_first() if one.files_kept)
    chosen = versions or sorted({*registry.model_store().versions(), *kept})
    verdicts = []
    for number, version in enumerate(chosen):
        on_progress(version, number / len(chosen))
        verdicts.append(_verdict(version))
    return verdicts


def _verdict(version: str) -> Verdict:
    try:
        manifest = copy_version(registry.model_store(), version, registry.signer())
    except DamagedVersionError as error:
        return Verdict(version, None, error.detail)
    return Verdict(version, sum(described["bytes"] for described in manifest["files"].values()), None)
