"""What can go wrong, in the domain's words, each with a stable code. Nothing here knows HTTP."""

from __future__ import annotations

from recsvc.sentences import Sentence, Value


class RecsvcError(Exception):
    """Base of every error that a caller can do something about.

    Args:
        words: What is wrong: those of a sentence, or one that has its values already.
        errors: Field names to messages, where the error is about fields.
        values: Of the sentence.

    Attributes:
        code: Stable slug, part of the API's contract.
        words: What is wrong, for whoever tells it in another language.
        detail: The same as text, in English.
        errors: Field names to messages, where the error is about fields.
    """

    code = "error"

    def __init__(
        self, words: str | Sentence, *, errors: dict[str, list[str]] | None = None, **values: Value
    ) -> None:
        self.words = words if isinstance(words, Sentence) else Sentence(words, **values)
        self.detail = str(self.words)
        self.errors = errors or {}
        super().__init__(self.detail)


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
        super().__init__(Sentence("There is no %(noun)s %(name)s.", noun=Sentence(noun), name=str(name)))
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


class UnreadableFileError(RecsvcError):
    """A file as a whole cannot be imported; the message tells what to do."""

    code = "unreadable_file"


class DamagedVersionError(RecsvcError):
    """A model version's files are missing, cut short or altered; it must not be served."""

    code = "model_version_damaged"
