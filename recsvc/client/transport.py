"""One request and its answer, tried again where that is safe."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpx

from recsvc.client.content import as_json
from recsvc.client.errors import NoAnswerError, ServiceError, error_of, unreadable
from recsvc.client.results import Result, entry_of, result_of

_BASE_PATH = "/api/v1"
_PAGE = 200
_FIRST_WAIT = 0.2  # seconds; doubled after each try
_WORTH_ANOTHER_TRY = frozenset({429, 502, 503, 504})


class Transport:
    """Sends requests with one credential. May be used by many threads at once.

    Attributes:
        retries: How often a request is tried again.
    """

    def __init__(
        self,
        url: str,
        credential: str,
        *,
        timeout: float = 5.0,
        retries: int = 3,
        longest_wait: float = 30.0,
        http_client: httpx.Client | None = None,
    ) -> None:
        """Connects to nothing yet.

        Args:
            url: Where the service is, such as `https://recommendations.example.com`.
            credential: An API key or a user token.
            timeout: Seconds that each step of one try may take: connecting, sending, an answer's next byte.
            retries: How often a request is tried again where it got no answer, or 429, 502, 503 or 504.
            longest_wait: Seconds; where the service asks for a longer pause, its error is raised at once.
            http_client: One of your own, with a proxy or certificates say; it is not closed here.
        """
        self._url = url.rstrip("/") + _BASE_PATH
        self._headers = {"Authorization": f"Bearer {credential}", "User-Agent": "recsvc-client"}
        self._timeout = timeout
        self.retries = retries
        self._longest_wait = longest_wait
        self._http = http_client or httpx.Client()
        self._owns_http = http_client is None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections that are kept."""
        if self._owns_http:
            self._http.close()

    def call(self, method: str, path: str, *, query: dict[str, Any] | None = None, body: Any = None) -> Any:
        """Sends a request until it is answered, or no try is left.

        Every request of the service may be sent again: done twice, it leaves what it left once. What may
        differ is the answer, where that to the first try was lost.

        Args:
            method: Of HTTP.
            path: Below `/api/v1`.
            query: Parameters; those that are None are left out.
            body: To be sent as JSON; None for none.

        Returns:
            Parsed JSON; None for an empty answer.

        Raises:
            ServiceError: Refused, failed, or not answered, be it that somebody else answered.
        """
        waits = self._waits()
        may_be_done = False
        while True:
            try:
                return self._try(method, path, query, body)
            except ServiceError as error:
                if method == "DELETE" and may_be_done and error.status == 404:
                    return None  # the try before, whose answer was lost, had deleted it
                wait = max(next(waits, math.inf), error.retry_after or 0.0)
                is_worth_it = error.status in _WORTH_ANOTHER_TRY or isinstance(error, NoAnswerError)
                if not is_worth_it or wait > self._longest_wait:
                    raise
                may_be_done = may_be_done or error.status != 429
            time.sleep(wait)

    def pages(self, kind: type[Result], path: str, name: str, **query: Any) -> Iterator[Result]:
        """Entries of a list, a page at a time, to its end."""
        cursor = None
        while True:
            answer = self.call("GET", path, query={**query, "limit": _PAGE, "cursor": cursor})
            yield from (result_of(kind, told) for told in entry_of(answer, name))
            cursor = entry_of(answer, "next_cursor")
            if cursor is None:
                return

    def _try(self, method: str, path: str, query: dict[str, Any] | None, body: Any) -> Any:
        try:
            response = self._http.request(
                method,
                self._url + path,
                params={name: value for name, value in (query or {}).items() if value is not None},
                json=None if body is None else as_json(body),
                headers=self._headers,
                timeout=self._timeout,
            )
        except httpx.RequestError as error:
            why = str(error) or type(error).__name__
            raise NoAnswerError(f"{method} {path} got no answer: {why}") from error
        if not response.is_success:
            raise _error_of(response)
        try:
            return response.json() if response.content else None
        except ValueError:
            raise unreadable(response.text) from None

    def _waits(self) -> Iterator[float]:
        for number in range(self.retries):
            # Between half and the whole, so that many callers do not come back at one moment.
            yield _FIRST_WAIT * 2**number * random.uniform(0.5, 1.0)


def _error_of(response: httpx.Response) -> ServiceError:
    try:
        body = response.json()
    except ValueError:
        body = None
    return error_of(
        response.status_code, body, response.text, _seconds(response.headers.get("Retry-After", ""))
    )


def _seconds(retry_after: str) -> float | None:
    """A Retry-After of either form that RFC 9110 has: seconds, or a date."""
    if retry_after.isdecimal():
        return float(retry_after)
    try:
        moment = parsedate_to_datetime(retry_after)
    except ValueError:
        return None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (aware - datetime.now(UTC)).total_seconds())


def part(name: str) -> str:
    """An id as a part of a path, percent-encoded whole."""
    # "." and ".." would be taken for places of the path.
    return quote(name, safe="") if name.strip(".") else name.replace(".", "%2E")


def said(**fields: Any) -> dict[str, Any]:
    """The fields that are given."""
    return {name: value for name, value in fields.items() if value is not None}
