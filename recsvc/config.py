"""Every setting of the service: name, type, default, meaning; read from the environment once."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from crontab import CronTab
from dotenv import dotenv_values
from flask import current_app
from limits import parse_many
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from recsvc.recommender.voices import voices

DEFAULT_EVENT_WEIGHTS = {
    "view": 1.0,
    "cart": 3.0,
    "purchase": 5.0,
    "rating": 4.0,
    "like": 4.0,
    "dislike": -4.0,
    "wishlist": 2.0,
    "remove_from_cart": -1.0,
}

EMBEDDED_REDIS = "embedded"
DIRECTORY, DATABASE = "directory", "database"


class InvalidSettingError(Exception):
    """Settings are wrong; the message names each, what it got and what it takes."""


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


def _integer(low: int, high: int) -> SettingType:
    return SettingType(f"a whole number from {low} to {high}", _in_range(int, low, high))


def _decimal(low: float, high: float) -> SettingType:
    return SettingType(f"a number from {low:g} to {high:g}", _in_range(float, low, high))


def _one_of(*choices: str) -> SettingType:
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


_VERSION = re.compile("[A-Za-z0-9._-]{1,64}")


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


def _setting(default: Any, takes: SettingType, meaning: str, *, secret: bool = False) -> Any:
    metadata = {"takes": takes, "meaning": meaning, "secret": secret}
    if callable(default):
        return field(default_factory=default, metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, kw_only=True)
class Config:
    """The settings in force in one process. A field `train_seed` is the setting `TRAIN_SEED`."""

    instance_dir: Path = _setting(
        Path("instance"), PATH, "Folder of the SQLite database, the embedded Valkey and the model versions."
    )
    database_url: str = _setting(
        "",
        DATABASE_URL,
        "Where users, items and interactions are kept. Default: SQLite in INSTANCE_DIR.",
        secret=True,
    )
    database_timeout: float = _setting(
        5.0, _decimal(0.1, 60), "Seconds to wait for a connection or a lock before a request gets 503."
    )
    database_statement_timeout: float = _setting(
        15.0,
        _decimal(0.1, 600),
        "Seconds that a web process lets the database work on one statement before the request gets 503.",
    )
    redis_url: str = _setting(
        EMBEDDED_REDIS,
        REDIS_URL,
        "Where training is queued. `embedded` starts a bundled Valkey.",
        secret=True,
    )
    redis_tls_verify: bool = _setting(
        lambda: "DYNO" not in os.environ,
        BOOLEAN,
        "Whether the certificate of a `rediss://` server must be one to trust. Default: true, but false on"
        " Heroku, whose Redis signs its own.",
    )
    secret_key: str = _setting(
        "",
        SECRET,
        "Signs model versions; the same for web, worker and scheduler. Default: made once, in INSTANCE_DIR.",
        secret=True,
    )
    secret_key_fallbacks: tuple[str, ...] = _setting(
        (), SECRETS, "Earlier SECRET_KEYs, whose model versions are still served.", secret=True
    )
    model_store: str = _setting(
        DIRECTORY,
        MODEL_STORE,
        "Where model versions are published. `directory` is INSTANCE_DIR/models, which web and worker must"
        " share; with the others each keeps a copy there.",
    )
    model_keep: int = _setting(
        5,
        _integer(2, 1000),
        "How many model versions are kept, the active one and the one before among them.",
    )
    recsvc_admin_key: str = _setting(
        "", SECRET, "An API key of role admin, for a first sign-in; empty for none.", secret=True
    )
    jwt_jwks_url: str = _setting(
        "", HTTP_URL, "Where your identity provider publishes the keys that its user tokens are checked with."
    )
    jwt_secret: str = _setting(
        "", JWT_SECRET, "The secret that your user tokens are signed with (HS256), instead.", secret=True
    )
    jwt_issuer: str = _setting("", TEXT, "What your user tokens must name as `iss`; empty for anything.")
    jwt_audience: str = _setting("", TEXT, "What your user tokens must name as `aud`; empty for anything.")
    rate_limits: Mapping[str, str] = _setting(
        dict, RATE_LIMITS, "How often a credential of a role may call; kept in Redis. Empty for no limit."
    )
    auto_train_on_startup: bool = _setting(
        False, BOOLEAN, "Train when a web process starts and the store has no model."
    )
    train_schedule: str = _setting("0 0 * * *", CRON, "When to train, in UTC.")
    tune_schedule: str = _setting(
        "", CRON, "When to tune, in UTC, such as `0 3 * * 0` for once a week; empty for never."
    )
    tune_minutes: int = _setting(
        30, _integer(1, 1440), "Minutes that a scheduled tuning takes; it gives way to a training."
    )
    train_timeout: int = _setting(3600, _integer(1, 86_400), "Seconds after which a training run fails.")
    gate_tolerance: float = _setting(
        0.05,
        _decimal(0, 1),
        "By what share of the active version's NDCG@10 or Recall@20 a new one may be worse and still pass.",
    )
    train_threads: int = _setting(
        os.cpu_count, _integer(1, 256), "Threads to fit with. 1 makes a fit repeatable bit for bit."
    )
    train_seed: int = _setting(42, _integer(0, 2**31 - 1), "Seed of everything random in a training.")
    event_weights: Mapping[str, float] = _setting(
        lambda: dict(DEFAULT_EVENT_WEIGHTS),
        EVENT_WEIGHTS,
        "The events taken, and how much each says that a user likes an item. Negative counts against.",
    )
    rating_neutral: float = _setting(
        2.5, _decimal(-1000, 1000), "A rating of this value says nothing; a lower one counts against."
    )
    rating_best: float = _setting(
        5.0, _decimal(-1000, 1000), "A rating of this value has the event's weight."
    )
    seen_events: frozenset[str] = _setting(
        lambda: frozenset(DEFAULT_EVENT_WEIGHTS) - {"remove_from_cart"},
        EVENTS,
        "Events after which an item is left out of the user's lists unless include_seen asks for it."
        " Purchased and disliked items never come back.",
    )
    unknown_items: str = _setting(
        "create", _one_of("create", "reject"), "What happens to an interaction with an item never heard of."
    )
    half_life_days: float = _setting(
        0.0, _decimal(0, 100_000), "Days after which an interaction counts half; 0 for never."
    )
    interaction_retention_days: int = _setting(
        0,
        _integer(0, 36_500),
        "Days after which interactions are deleted, by a job that runs daily; 0 for never.",
    )
    attribution_sample: float = _setting(
        1.0, _decimal(0, 1), "Share of the users of whom it is recorded what they were shown; 0 for none."
    )
    attribution_days: int = _setting(
        30, _integer(1, 365), "Days for which what was shown is kept, and which the status tells about."
    )
    experiment: Experiment | None = _setting(
        None, EXPERIMENT, "Two kept model versions to split users between; empty to serve all the active one."
    )
    voices: frozenset[str] = _setting(
        lambda: frozenset(voices()), VOICES, "The ways of scoring items that lists are blended from."
    )
    model_neighbours: int = _setting(
        200, _integer(1, 10_000), "How many related items are kept of each item."
    )
    model_factors: int = _setting(
        512, _integer(1, 4096), "Length of a linear factor at the most; a training finds out what is best."
    )
    model_components: int = _setting(
        128,
        _integer(1, 1024),
        "Length of a LightFM embedding at the most; small data gets a shorter one.",
    )
    model_epochs: int = _setting(
        30,
        _integer(1, 1000),
        "Passes over the interactions at the most; a training finds out how many are best.",
    )
    model_learning_rate: float = _setting(0.05, _decimal(1e-6, 10), "LightFM's initial learning rate.")
    model_alpha: float = _setting(5e-5, _decimal(0, 1), "LightFM's L2 penalty on users and items.")
    model_max_sampled: int = _setting(
        30, _integer(1, 1000), "How many items WARP samples in search of one ranked too high."
    )
    reload_interval: float = _setting(
        1.0, _decimal(0.05, 5), "Seconds between a web process's looks for a new active version."
    )
    maintenance_interval: int = _setting(
        30, _integer(1, 3600), "Seconds between a worker's looks for jobs whose worker died."
    )
    scheduler_interval: int = _setting(10, _integer(1, 300), "Seconds between the scheduler's looks.")
    max_body_bytes: int = _setting(5_000_000, _integer(1000, 10**9), "Largest request body taken.")
    log_level: str = _setting(
        "INFO", _one_of("DEBUG", "INFO", "WARNING", "ERROR"), "Least severe line logged."
    )
    log_format: str = _setting(
        "json", _one_of("json", "console"), "One JSON object a line, or text for people."
    )

    def __post_init__(self) -> None:
        object.__setattr__(self, "instance_dir", Path(self.instance_dir).resolve())
        if not self.database_url:
            object.__setattr__(self, "database_url", f"sqlite:///{self.instance_dir / 'recsvc.db'}")
        url = make_url(self.database_url)
        if url.get_backend_name() == "sqlite" and url.database and not url.database.startswith("file:"):
            # Whoever opens it must open the same file, wherever each was started.
            absolute = url.set(database=str(self.instance_dir / url.database))
            object.__setattr__(self, "database_url", absolute.render_as_string(hide_password=False))
        if self.model_store != DIRECTORY and not self.secret_key:
            raise InvalidSettingError(
                f"SECRET_KEY got nothing; with MODEL_STORE={self.model_store} it takes {SECRET.takes},"
                " the same for web, worker and scheduler. To make one: openssl rand -hex 32"
            )
        unknown = self.seen_events - set(self.event_weights) - set(DEFAULT_EVENT_WEIGHTS)
        if unknown:
            raise InvalidSettingError(
                f"SEEN_EVENTS names {', '.join(sorted(unknown))}, which EVENT_WEIGHTS does not"
            )
        if self.jwt_jwks_url and self.jwt_secret:
            raise InvalidSettingError("JWT_JWKS_URL and JWT_SECRET exclude each other; set one of them")
        if self.rating_best <= self.rating_neutral:
            raise InvalidSettingError(
                f"RATING_BEST={self.rating_best:g} must be above RATING_NEUTRAL={self.rating_neutral:g}"
            )

    @property
    def half_life(self) -> float | None:
        """Days after which an interaction counts half; None where its age does not matter."""
        return self.half_life_days or None

    @property
    def models_dir(self) -> Path:
        """The versioned directory that web processes map: the model store, or a copy of what it serves."""
        return self.instance_dir / "models"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Config:
        """Reads the settings from the environment, and from `.env` where the environment has none.

        Args:
            environment: Names to texts; the process's own environment over `.env` where not given.

        Returns:
            The settings, every one checked.

        Raises:
            InvalidSettingError: Settings are wrong; the message has a line for each.
        """
        if environment is None:
            dotenv = {name: text for name, text in dotenv_values(".env").items() if text is not None}
            environment = {**dotenv, **os.environ}
            # Those of an S3 store are read by its client, which knows the environment alone.
            for name in dotenv.keys() - os.environ.keys():
                if name.startswith("AWS_"):
                    os.environ[name] = dotenv[name]
        values, problems = {}, []
        for entry in fields(cls):
            text = environment.get(entry.name.upper(), "").strip()
            if not text:
                continue
            takes: SettingType = entry.metadata["takes"]
            try:
                values[entry.name] = takes.parse(text)
            except (ValueError, KeyError):
                got = "a secret that is not shown" if entry.metadata["secret"] else repr(text)
                problems.append(f"{entry.name.upper()} got {got}; it takes {takes.takes}")
        if problems:
            raise InvalidSettingError("\n".join(problems))
        return cls(**values)

    def describe(self) -> list[dict[str, str]]:
        """Lists every setting with its value in force, secrets masked.

        Returns:
            A dictionary a setting: name, value, takes, meaning.
        """
        return [
            {
                "name": entry.name.upper(),
                "value": self._shown(entry.name, entry.metadata["takes"], secret=entry.metadata["secret"]),
                "takes": entry.metadata["takes"].takes,
                "meaning": entry.metadata["meaning"],
            }
            for entry in fields(self)
        ]

    def _shown(self, name: str, takes: SettingType, *, secret: bool) -> str:
        text = takes.show(getattr(self, name))
        if takes in {DATABASE_URL, REDIS_URL}:
            return _without_password(text)
        return "••••••••" if secret and text not in {"", EMBEDDED_REDIS} else text


def _without_password(url: str) -> str:
    # No parser: a password with # or [ in it, which the drivers take, would mislead one.
    masked = re.sub(r"(?<=://)([^:@/]*):.*@", r"\1:••••••••@", url)
    return re.sub(r"(?i)([?&][^=&]*pass[^=&]*=)[^&]*", r"\1••••••••", masked)


def current_config() -> Config:
    """The settings of the application whose context is pushed."""
    config: Config = current_app.extensions["recsvc.config"]
    return config
