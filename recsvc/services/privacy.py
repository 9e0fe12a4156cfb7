"""What a person may ask of the data held of them."""

from __future__ import annotations

from dataclasses import dataclass

from recsvc.errors import NotFoundError
from recsvc.storage.database import write_transaction
from recsvc.storage.queries import interactions, model_versions, users


@dataclass(frozen=True)
class ErasureReceipt:
    """What was erased, and what was learned from it.

    Attributes:
        user_id: Whose data it was.
        interactions: How many interactions were erased.
        features: How many features were erased.
        model_versions: Versions whose training read an interaction of this user: their pickled estimator
            still holds an embedding for a number that means nobody any more.
    """

    user_id: str
    interactions: int
    features: int
    model_versions: list[str]


def erase_user(user_id: str) -> ErasureReceipt:
    """Erases a user and all that is held of them, at once.

    Raises:
        NotFoundError: There is no such user.
    """
    user = users.find(user_id)
    if user is None:
        raise NotFoundError("user", user_id)
    with write_transaction():
        first = interactions.first_key(user.user_key)
        versions = [
            version.version
            for version in model_versions.newest_first()
            if first is not None and version.manifest["data"]["watermark"] >= first
        ]
        counts = users.erase(user.user_key)
    return ErasureReceipt(user_id, counts["interactions"], counts["features"], versions)
