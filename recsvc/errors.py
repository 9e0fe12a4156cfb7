"""What can go wrong, in the domain's words, each with a stable code. Nothing here knows HTTP."""

from __future__ import annotations


class RecsvcError(Exception):
    """Base of every error that a caller can do something about.

    Attributes:
        code: Stable slug, part of the API's contract.
        errors: Field names to messages, where the error is about fields.
    """

    code = "error"

    def __init__(self, detail: str, *, errors: dict[str, list[str]] | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.errors = errors or {}


class InvalidInputError(RecsvcError):
    """A value cannot be accepted."""

    code = "invalid"


class UnknownItemError(InvalidInputError):
    """An interaction names an item that is not in the catalogue, and settings refuse such items."""

    code = "unknown_item"


class NotFoundError(RecsvcError):
    """What was asked for does not exist."""

    code = "not_found"

    def __init__(self, noun: str, name: object) -> None:
        super().__init__(f"There is no {noun} {name!s}.")
        self.code = f"{noun.replace(' ', '_')}_not_found"


class ConflictError(RecsvcError):
    """What was asked for cannot be done in the present state."""

    code = "conflict"


class UnavailableError(RecsvcError):
    """Something this service depends on is away; trying again later may succeed.

    Attributes:
        retry_after: Seconds after which a retry makes sense.
    """

    code = "unavailable"
    retry_after = 5


class QueueUnavailableError(UnavailableError):
    """Redis does not answer, so no training can be queued."""

    code = "queue_unavailable"


class DatabaseUnavailableError(UnavailableError):
    """The database does not answer, or stayed locked for too long."""

    code = "database_unavailable"


class IdentityProviderUnavailableError(UnavailableError):
    """The shop's identity provider does not hand out the keys that user tokens are checked with."""

    code = "identity_provider_unavailable"


class ModelStoreUnavailableError(UnavailableError, ConnectionError):
    """The model store does not answer, or refuses the credentials it is given."""

    code = "model_store_unavailable"


class TrainingError(RecsvcError):
    """A training run cannot end in a model, for a reason that the run then tells."""

    code = "training_failed"


class RunEndedError(RecsvcError):
    """A training run was cancelled, or taken over by another attempt, while this process worked on it."""

    code = "run_ended"


class DamagedVersionError(RecsvcError):
    """A model version's files are missing, cut short or altered; it must not be served."""

    code = "model_version_damaged"
