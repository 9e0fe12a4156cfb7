"""How a setting's text becomes a value, and a value the text that would produce it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from crontab import CronTab
from limits import parse_many
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from recsvc.recommender.voices import voices

EMBEDDED_REDIS = "embedded"
DIRECTORY, DATABASE = "directory", "database"

_VERSION = re.compile("[A-Za-z0-9._-]{1,64}")


@dataclass(frozen=True)
class Experiment:
    """Two kept model versions, and the share of the users who are served the second."""

    control: str
    treatment: str
    share: float

    @property
    def name(self) -> str:
        """Stands for it wherever something is counted."""
        return f"{self.control},{self.treatment}"

    @property
    def versions(self) -> tuple[str, str]:
        """Both of them."""
        return self.control, self.treatment


@dataclass(frozen=True)
class SettingType:
    """How a setting's text becomes a value.

    Attributes:
        takes: What is accepted, in words, for error messages and documents.
        parse: Turns the text into a value; raises ValueError where the text is not accepted.
        show: Turns a value back into the text that would produce it.
    """

    takes: str
    parse: Callable[[str], Any]
    show: Callable[[Any], str] = str


def _boolean(text: str) -> bool:
    values = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
    if text.lower() not in values:
        raise ValueError(text)
    return values[text.lower()]


def _in_range(number: Callable[[str], Any], low: float, high: float) -> Callable[[str], Any]:
    def parse(text: str) -> Any:
        value = number(text)
        if not low <= value <= high:
            raise ValueError(text)
        return value

    return parse


def integer(low: int, high: int) -> SettingType:
    """Whole numbers in a range, both ends of it among them."""
    return SettingType(f"a whole number from {low} to {high}", _in_range(int, low, high))


def decimal(low: float, high: float) -> SettingType:
    """Numbers in a range, both ends of it among them."""
    return SettingType(f"a number from {low:g} to {high:g}", _in_range(float, low, high))


def zero_or(number: SettingType) -> SettingType:
    """0, which stands for none, beside the numbers that another type takes."""

    def parse(text: str) -> float:
        return number.parse(text) if float(text) else 0.0

    return SettingType(f"0 or {number.takes}", parse)


def one_of(*choices: str) -> SettingType:
    """One of these words."""

    def parse(text: str) -> str:
        if text not in choices:
            raise ValueError(text)
        return text

    return SettingType("one of " + ", ".join(choices), parse)


def _cron(text: str) -> str:
    if len(text.split()) != 5:
        raise ValueError(text)
    # A date that never comes, such as 30 February, would end the scheduler instead of this line.
    if CronTab(text).next(default_utc=True) is None:
        raise ValueError(text)
    return text


def _database_url(text: str) -> str:
    scheme, separator, rest = text.partition("://")
    if not separator:
        raise ValueError(text)
    # Heroku hands out postgres://, which SQLAlchemy no longer knows; psycopg 3 is the driver installed.
    dialects = {"postgres": "postgresql+psycopg", "postgresql": "postgresql+psycopg"}
    scheme = dialects.get(scheme, scheme)
    if scheme not in {"sqlite", "postgresql+psycopg"}:
        raise ValueError(text)
    if scheme == "sqlite" and rest.lstrip("/") in {"", ":memory:"}:
        raise ValueError(text)
    try:
        make_url(f"{scheme}://{rest}")
    except ArgumentError as error:
        raise ValueError(text) from error
    return f"{scheme}://{rest}"


def _redis_url(text: str) -> str:
    parts = urlsplit(text)
    if text != EMBEDDED_REDIS and parts.scheme not in {"redis", "rediss", "unix"}:
        raise ValueError(text)
    _ = parts.port  # raises ValueError where it is no number
    return text


def _event_weights(text: str) -> dict[str, float]:
    weights = {}
    for part in text.split(","):
        event, separator, weight = part.strip().partition("=")
        if not separator or not event or len(event) > 32 or not event.isidentifier():
            raise ValueError(text)
        weights[event] = _in_range(float, -1000, 1000)(weight)
    if not any(weight > 0 for weight in weights.values()):
        raise ValueError(text)
    return weights


def _names(text: str) -> frozenset[str]:
    return frozenset(name.strip() for name in text.split(",") if name.strip())


def _voices(text: str) -> frozenset[str]:
    names = _names(text)
    if not names or not names <= voices().keys():
        raise ValueError(text)
    return names


def _secret(text: str) -> str:
    if len(text) < 16 or not text.isascii() or not text.isprintable():
        raise ValueError(text)
    return text


def _jwt_secret(text: str) -> str:
    # RFC 7518, 3.2: a key shorter than the hash is weaker than the hash.
    if len(text.encode()) < 32:
        raise ValueError(text)
    return text


def _http_url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError(text)
    return text


def _experiment(text: str) -> Experiment:
    control, treatment, *rest = (part.strip() for part in text.split(","))
    if len(rest) > 1 or control == treatment or not all(_VERSION.fullmatch(v) for v in (control, treatment)):
        raise ValueError(text)
    return Experiment(control, treatment, _in_range(float, 0, 1)(rest[0]) if rest else 0.5)


def _show_experiment(value: Experiment | None) -> str:
    return f"{value.control},{value.treatment},{value.share:g}" if value else ""


def _rate_limits(text: str) -> dict[str, str]:
    result = {}
    for part in text.split(","):
        role, separator, rate = part.strip().partition("=")
        if not separator or role not in {"admin", "service", "read", "user"}:
            raise ValueError(text)
        parse_many(rate)
        result[role] = rate
    return result


def _secrets(text: str) -> tuple[str, ...]:
    return tuple(_secret(part.strip()) for part in text.split(",") if part.strip())


def _model_store(text: str) -> str:
    if text in {DIRECTORY, DATABASE}:
        return text
    parts = urlsplit(text)
    if parts.scheme != "s3" or not parts.netloc or parts.query or parts.fragment:
        raise ValueError(text)
    return text.rstrip("/")


PATH = SettingType("a folder's path", Path)
BOOLEAN = SettingType("true or false", _boolean, lambda value: str(value).lower())
CRON = SettingType("a cron line of five fields, in UTC, such as 0 0 * * *", _cron)
DATABASE_URL = SettingType("sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME", _database_url)
REDIS_URL = SettingType("redis://…, rediss://…, unix://… or embedded", _redis_url)
EVENT_WEIGHTS = SettingType(
    "event=weight pairs with commas between, at least one weight above 0, such as view=1,purchase=5",
    _event_weights,
    lambda value: ",".join(f"{event}={weight:g}" for event, weight in value.items()),
)
VOICES = SettingType(
    f"some of {', '.join(voices())}, with commas between",
    _voices,
    lambda value: ",".join(sorted(value)),
)
EVENTS = SettingType(
    "events with commas between, such as purchase,like", _names, lambda value: ",".join(sorted(value))
)
JWT_SECRET = SettingType("at least 32 bytes", _jwt_secret)
TEXT = SettingType("any text", str)
HTTP_URL = SettingType("https://…", _http_url)
EXPERIMENT = SettingType(
    "two model versions with a comma between, and a share from 0 to 1 for the second if it is not 0.5,"
    " such as 20261123T000007Z-1f0c9a77,20261124T000007Z-52b7e1d0,0.1",
    _experiment,
    _show_experiment,
)
RATE_LIMITS = SettingType(
    "role=limit pairs with commas between, such as user=300/minute,read=20/second",
    _rate_limits,
    lambda value: ",".join(f"{role}={rate}" for role, rate in value.items()),
)
SECRET = SettingType("at least 16 printable ASCII characters", _secret)
SECRETS = SettingType("secrets as of SECRET_KEY, with commas between", _secrets, ",".join)
MODEL_STORE = SettingType("directory, database or s3://BUCKET/PREFIX", _model_store)
