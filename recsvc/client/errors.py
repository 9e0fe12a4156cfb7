"""What a call can end in, other than its result."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class ServiceError(Exception):
    """The service refused a call, or failed at it; base of all errors here.

    Attributes:
        status: HTTP status; 0 where there was no answer.
        code: Stable slug, such as `item_not_found`.
        detail: What is wrong, in words.
        errors: Field names to messages.
        request_id: Under which the service logged the request; empty where it did not answer.
        retry_after: Seconds after which the service wants to be asked again; None where it did not say.
    """

    def __init__(
        self,
        detail: str,
        *,
        status: int = 0,
        code: str = "no_answer",
        errors: Mapping[str, Any] | None = None,
        request_id: str = "",
        retry_after: float | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.status = status
        self.code = code
        self.errors = dict(errors or {})
        self.request_id = request_id
        self.retry_after = retry_after

    def __str__(self) -> str:
        told = f"{self.status} {self.code}: {self.detail}"
        fields = "; ".join(f"{field}: {messages}" for field, messages in self.errors.items())
        of_request = f" (request {self.request_id})" if self.request_id else ""
        return told + (f" {fields}" if fields else "") + of_request


class NoAnswerError(ServiceError):
    """The service was not reached, or its answer broke off or came damaged; its cause is httpx's error."""


class CredentialError(ServiceError):
    """401 or 403: the credential is not valid, or may not do that."""


class NotFoundError(ServiceError):
    """404: there is no such thing."""


class ConflictError(ServiceError):
    """409: not in the present state."""


class InvalidError(ServiceError):
    """400, 413, 415 or 422: the request cannot be accepted as it is; `errors` says which fields."""


class TooManyRequestsError(ServiceError):
    """429: this credential calls too often."""


class UnavailableError(ServiceError):
    """502, 503 or 504: the service, or something it depends on, is away."""


_BY_STATUS: dict[int, type[ServiceError]] = {
    400: InvalidError,
    401: CredentialError,
    403: CredentialError,
    404: NotFoundError,
    409: ConflictError,
    413: InvalidError,
    415: InvalidError,
    422: InvalidError,
    429: TooManyRequestsError,
    502: UnavailableError,
    503: UnavailableError,
    504: UnavailableError,
}


def unreadable(answer: object) -> ServiceError:
    """The error of an answer that cannot be the service's, such as the page of a proxy in between."""
    told = str(answer)[:200] if answer else "nothing"
    return ServiceError(f"This cannot be the service's answer: {told}", status=200, code="unreadable_answer")


def error_of(status: int, body: object, text: str, retry_after: float | None) -> ServiceError:
    """The error that an answer stands for.

    Args:
        status: 300 or above.
        body: The answer's JSON; None where it is none, as of a proxy between.
        text: The answer as it is.
        retry_after: What it says of coming again.
    """
    problem = body if isinstance(body, dict) and "code" in body else {}
    return _BY_STATUS.get(status, ServiceError)(
        str(problem.get("detail") or text[:200] or "no reason was given"),
        status=status,
        code=str(problem.get("code", f"http_{status}")),
        errors=problem.get("errors"),
        request_id=str(problem.get("request_id", "")),
        retry_after=retry_after,
    )
