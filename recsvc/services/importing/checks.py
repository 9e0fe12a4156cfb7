"""The rules for rows. They are the API's, by hand: a schema a row would take longer than all the rest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from math import isfinite
from typing import Any

from recsvc.errors import InvalidInputError
from recsvc.services.catalogue import ItemContent, check_features
from recsvc.services.events import RATING, EventBook
from recsvc.services.importing.rows import RowError
from recsvc.services.limits import (
    CLOCK_TOLERANCE,
    MAX_ATTRIBUTES,
    MAX_EVENT_ID,
    MAX_FEATURE_NAME,
    MAX_FEATURES,
    MAX_ID,
    MAX_LABEL,
    MAX_LABELS,
    MAX_TITLE,
    MAX_VALUE,
    is_id,
    is_text,
    size_as_json,
)
from recsvc.storage.types import from_microseconds, to_microseconds

INTERACTION_FIELDS = (
    "user_id",
    "item_id",
    "event",
    "value",
    "occurred_at",
    "event_id",
    "recommendation_id",
)
ITEM_FIELDS = (
    "item_id",
    "title",
    "categories",
    "features",
    "available",
    "hidden",
    "group",
    "published_at",
    "attributes",
)
USER_FIELDS = ("user_id", "features")

_EARLIEST = to_microseconds(datetime.min.replace(tzinfo=UTC))
_LAST = to_microseconds(datetime.max.replace(tzinfo=UTC))

CheckedInteraction = tuple[str, str, int, float | None, int | None, str | None, str | None]


class InteractionCheck:
    """Turns an interaction's fields as they were given into values to store.

    Args:
        book: The configured events.
        event: The event of rows that name none.
        moment: The present.

    Raises:
        InvalidInputError: The event is not configured.
    """

    def __init__(self, book: EventBook, event: str, moment: datetime) -> None:
        self._default = book.code_of(event)
        self._codes = book.codes
        self._rating = book.codes.get(RATING)
        self._latest = to_microseconds(moment + CLOCK_TOLERANCE)

    def __call__(self, given: Iterable[Any]) -> CheckedInteraction:
        """Checks one; an empty text says as much as nothing.

        Args:
            given: The values of `INTERACTION_FIELDS`, in that order.

        Raises:
            RowError: It cannot be stored.
        """
        user_id, item_id, event, value, occurred_at, event_id, recommendation_id = given
        checked_id("user_id", user_id)
        checked_id("item_id", item_id)
        code = self._code(event) if event else self._default
        number = None if value in (None, "") else _number(value)
        if number is None and code == self._rating:
            raise RowError("a rating needs a value")
        return (
            user_id,
            item_id,
            code,
            number,
            None if occurred_at in (None, "") else self._past(occurred_at),
            checked_id("event_id", event_id, MAX_EVENT_ID) if event_id else None,
            checked_id("recommendation_id", recommendation_id, MAX_EVENT_ID) if recommendation_id else None,
        )

    def _code(self, event: Any) -> int:
        try:
            return self._codes[event]
        except (KeyError, TypeError):
            raise RowError("the event is not configured", repr(event)[:50]) from None

    def _past(self, given: Any) -> int:
        microseconds = read_time("occurred_at", given)
        if microseconds > self._latest:
            raise RowError("occurred_at is more than 5 minutes in the future")
        return microseconds


def checked_id(field: str, given: Any, longest: int = MAX_ID) -> str:
    """An id, unchanged.

    Raises:
        RowError: It is none.
    """
    if not is_id(given, longest):
        raise _not_an_id(field, given, longest)
    return given  # type: ignore[no-any-return]


def read_time(field: str, given: Any) -> int:
    """Microseconds since 1970 of a time: RFC 3339, UTC where it has no zone, or seconds since 1970.

    Raises:
        RowError: It is no time.
    """
    try:
        if type(given) is str:
            microseconds = _read_seconds(field, int(given)) if given.isdecimal() else _read_time_text(given)
        elif type(given) in (int, float):
            microseconds = _read_seconds(field, given)
        else:
            raise ValueError(given)
    except (ValueError, OverflowError):
        raise RowError("%(field)s is neither an RFC 3339 time nor seconds since 1970", field=field) from None
    if not _EARLIEST <= microseconds <= _LAST:
        raise RowError("%(field)s is not between the years 1 and 9999", field=field)
    return microseconds


def _read_seconds(field: str, given: float) -> int:
    is_day = 1000_01_01 <= given <= 9999_12_31
    is_year = 1000 <= given <= 9999 and field == "published_at"
    if is_day or is_year:
        raise ValueError(given)  # 20260101 and 1899 do not mean 1970
    return round(given * 1_000_000)


def check_item(body: Mapping[str, Any]) -> tuple[str, ItemContent]:
    """An item in the API's form, as its id and what is said of it.

    Raises:
        RowError: It cannot be stored.
    """
    _refuse_unknown(body, ITEM_FIELDS)
    item_id = checked_id("item_id", body.get("item_id"))
    published_at = body.get("published_at")
    content = ItemContent(
        title=_optional_text("title", body.get("title"), MAX_TITLE),
        categories=_labels("categories", body.get("categories", [])),
        features=_features(body.get("features", {})),
        available=_boolean("available", body.get("available", True)),
        hidden=_boolean("hidden", body.get("hidden", False)),
        group=_optional_text("group", body.get("group"), MAX_LABEL),
        published_at=None
        if published_at is None
        else from_microseconds(read_time("published_at", published_at)),
        attributes=_attributes(body.get("attributes", {})),
    )
    return item_id, content


def checked_item_changes(body: Mapping[str, Any]) -> dict[str, Any]:
    """Some fields of an item in the API's form, as values to write.

    Raises:
        RowError: One cannot be stored.
    """
    _, content = check_item({"item_id": "-", **body})
    return {name: getattr(content, name) for name in body}


def check_user(body: Mapping[str, Any]) -> tuple[str, dict[str, list[str]]]:
    """A user in the API's form, as their id and features.

    Raises:
        RowError: They cannot be stored.
    """
    _refuse_unknown(body, USER_FIELDS)
    return checked_id("user_id", body.get("user_id")), _features(body.get("features", {}))


def check_interaction(body: Mapping[str, Any], check: InteractionCheck) -> CheckedInteraction:
    """An interaction in the API's form.

    Raises:
        RowError: It cannot be stored.
    """
    _refuse_unknown(body, INTERACTION_FIELDS)
    return check(map(body.get, INTERACTION_FIELDS))


def _not_an_id(field: str, given: Any, longest: int) -> RowError:
    if given in (None, ""):
        return RowError("%(field)s is missing", field=field)
    if type(given) is str:
        return RowError(
            "%(field)s is not 1 to %(longest)s printable characters", field=field, longest=longest
        )
    return RowError(
        "%(field)s is not 1 to %(longest)s printable characters, as a text", field=field, longest=longest
    )


def _read_time_text(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return round(float(text) * 1_000_000)
    return to_microseconds(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def _number(given: Any) -> float:
    try:
        if type(given) not in (str, float, int):
            raise ValueError(given)
        number = float(given)
    except (ValueError, OverflowError):
        raise RowError("value is not a number") from None
    if not isfinite(number) or abs(number) > MAX_VALUE:
        raise RowError("value is not between -1e9 and 1e9")
    return number


def _refuse_unknown(body: Mapping[str, Any], known: tuple[str, ...]) -> None:
    for name in body:
        if name not in known:
            raise RowError("unknown field", repr(name)[:80])


def _optional_text(field: str, given: Any, longest: int) -> str | None:
    if given is not None and not is_text(given, longest):
        raise RowError(
            "%(field)s is not 1 to %(longest)s characters without control characters",
            field=field,
            longest=str(longest),
        )
    return given  # type: ignore[no-any-return]


def _boolean(field: str, given: Any) -> bool:
    if type(given) is not bool:
        raise RowError("%(field)s is neither true nor false", field=field)
    return given


def _labels(field: str, given: Any) -> list[str]:
    if type(given) is not list or len(given) > MAX_LABELS:
        raise RowError("%(field)s is not a list of at most %(most)s labels", field=field, most=MAX_LABELS)
    for label in given:
        if not is_text(label, MAX_LABEL):
            raise RowError(
                "%(field)s has a label that is not 1 to %(most)s characters", field=field, most=MAX_LABEL
            )
    return given


def _features(given: Any) -> dict[str, list[str]]:
    if type(given) is not dict or len(given) > MAX_FEATURES:
        raise RowError("features is not an object of at most %(most)s names", most=MAX_FEATURES)
    try:
        check_features(given)
    except InvalidInputError as error:
        raise RowError(error.detail) from None
    for name, labels in given.items():
        if not is_text(name, MAX_FEATURE_NAME):
            raise RowError("features has a name that is not 1 to %(most)s characters", most=MAX_FEATURE_NAME)
        _labels("features", labels)
    return given


def _attributes(given: Any) -> dict[str, Any]:
    if type(given) is not dict:
        raise RowError("attributes is not an object")
    # PostgreSQL keeps neither NUL characters nor half surrogates, nor numbers that JSON does not have.
    parts: list[Any] = [given]
    while parts:
        part = parts.pop()
        if type(part) is dict:
            parts += [*part.keys(), *part.values()]
        elif type(part) is list:
            parts += part
        elif type(part) is float and not isfinite(part):
            raise RowError("attributes has a number that is not finite")
        elif type(part) is str and ("\0" in part or _has_surrogate(part)):
            raise RowError("attributes has a character that cannot be stored")
    for name in given:
        if not is_text(name, MAX_FEATURE_NAME):
            raise RowError(
                "attributes has a name that is not 1 to %(most)s characters", most=MAX_FEATURE_NAME
            )
    if size_as_json(given) > MAX_ATTRIBUTES:
        raise RowError("attributes is longer than %(most)s bytes as JSON", most=MAX_ATTRIBUTES)
    return given


def _has_surrogate(text: str) -> bool:
    return not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text)
