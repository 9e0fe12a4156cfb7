"""Every setting of the service: name, type, default, meaning; read from the environment once."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from dotenv import dotenv_values
from flask import current_app
from sqlalchemy import make_url

from recsvc.config.types import (
    BOOLEAN,
    CRON,
    DATABASE_URL,
    DIRECTORY,
    EMBEDDED_REDIS,
    EVENT_WEIGHTS,
    EVENTS,
    EXPERIMENT,
    HTTP_URL,
    JWT_SECRET,
    MODEL_STORE,
    PATH,
    RATE_LIMITS,
    REDIS_URL,
    SECRET,
    SECRETS,
    TEXT,
    VOICES,
    Experiment,
    SettingType,
    decimal,
    integer,
    one_of,
    zero_or,
)
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

ENVIRONMENT, DOTENV, DEFAULT = "environment", ".env", "default"  # where a setting comes from


class InvalidSettingError(Exception):
    """Settings are wrong; the message names each, what it got and what it takes."""


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
        5.0, decimal(0.1, 60), "Seconds to wait for a connection or a lock before a request gets 503."
    )
    database_connections: int = _setting(
        10, integer(2, 100), "Connections to PostgreSQL that one process opens at the most."
    )
    database_statement_timeout: float = _setting(
        15.0,
        decimal(0.1, 600),
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
        "Signs model versions and the console's sessions; the same for web, worker and scheduler. Default:"
        " made once, in INSTANCE_DIR.",
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
        integer(2, 1000),
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
    metrics_token: str = _setting(
        "", SECRET, "What must be sent as a bearer token to read `/metrics`; empty for nothing.", secret=True
    )
    auto_train_on_startup: bool = _setting(
        False, BOOLEAN, "Train when a web process starts and the store has no model."
    )
    train_schedule: str = _setting("0 0 * * *", CRON, "When to train, in UTC.")
    tune_schedule: str = _setting(
        "", CRON, "When to tune, in UTC, such as `0 3 * * 0` for once a week; empty for never."
    )
    tune_minutes: int = _setting(
        30, integer(1, 1440), "Minutes that a scheduled tuning takes; it gives way to a training."
    )
    train_timeout: int = _setting(3600, integer(1, 86_400), "Seconds after which a training run fails.")
    gate_tolerance: float = _setting(
        0.05,
        decimal(0, 1),
        "By what share of the active version's NDCG@10 or Recall@20 a new one may be worse and still pass.",
    )
    train_threads: int = _setting(
        os.cpu_count, integer(1, 256), "Threads to fit with. 1 makes a fit repeatable bit for bit."
    )
    train_seed: int = _setting(42, integer(0, 2**31 - 1), "Seed of everything random in a training.")
    event_weights: Mapping[str, float] = _setting(
        lambda: dict(DEFAULT_EVENT_WEIGHTS),
        EVENT_WEIGHTS,
        "The events taken, and how much each says that a user likes an item. Negative counts against.",
    )
    rating_neutral: float = _setting(
        2.5, decimal(-1000, 1000), "A rating of this value says nothing; a lower one counts against."
    )
    rating_best: float = _setting(5.0, decimal(-1000, 1000), "A rating of this value has the event's weight.")
    seen_events: frozenset[str] = _setting(
        lambda: frozenset(DEFAULT_EVENT_WEIGHTS) - {"remove_from_cart"},
        EVENTS,
        "Events after which an item is left out of the user's lists unless include_seen asks for it."
        " Purchased and disliked items never come back.",
    )
    unknown_items: str = _setting(
        "create", one_of("create", "reject"), "What happens to an interaction with an item never heard of."
    )
    half_life_days: float = _setting(
        0.0, zero_or(decimal(0.05, 100_000)), "Days after which an interaction counts half; 0 for never."
    )
    interaction_retention_days: int = _setting(
        0,
        integer(0, 36_500),
        "Days after which interactions are deleted, by a job that runs daily; 0 for never.",
    )
    attribution_sample: float = _setting(
        1.0, decimal(0, 1), "Share of the users of whom it is recorded what they were shown; 0 for none."
    )
    attribution_days: int = _setting(
        30, integer(1, 365), "Days for which what was shown is kept, and which the status tells about."
    )
    experiment: Experiment | None = _setting(
        None, EXPERIMENT, "Two kept model versions to split users between; empty to serve all the active one."
    )
    voices: frozenset[str] = _setting(
        lambda: frozenset(voices()), VOICES, "The ways of scoring items that lists are blended from."
    )
    model_neighbours: int = _setting(200, integer(1, 10_000), "How many related items are kept of each item.")
    model_factors: int = _setting(
        512, integer(1, 4096), "Length of a linear factor at the most; a training finds out what is best."
    )
    model_components: int = _setting(
        128,
        integer(1, 1024),
        "Length of a LightFM embedding at the most; small data gets a shorter one.",
    )
    model_epochs: int = _setting(
        30,
        integer(1, 1000),
        "Passes over the interactions at the most; a training finds out how many are best.",
    )
    model_learning_rate: float = _setting(0.05, decimal(1e-6, 10), "LightFM's initial learning rate.")
    model_alpha: float = _setting(5e-5, decimal(0, 1), "LightFM's L2 penalty on users and items.")
    model_max_sampled: int = _setting(
        30, integer(1, 1000), "How many items WARP samples in search of one ranked too high."
    )
    reload_interval: float = _setting(
        1.0, decimal(0.05, 4), "Seconds between a web process's looks for a new active version."
    )
    maintenance_interval: int = _setting(
        30, integer(1, 3600), "Seconds between a worker's looks for jobs whose worker died."
    )
    scheduler_interval: int = _setting(10, integer(1, 300), "Seconds between the scheduler's looks.")
    max_body_bytes: int = _setting(5_000_000, integer(1000, 10**9), "Largest request body taken.")
    log_level: str = _setting(
        "INFO", one_of("DEBUG", "INFO", "WARNING", "ERROR"), "Least severe line logged."
    )
    log_format: str = _setting(
        "json", one_of("json", "console"), "One JSON object a line, or text for people."
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
        dotenv: Mapping[str, str] = {}
        if environment is None:
            dotenv = {name: text for name, text in dotenv_values(".env").items() if text is not None}
            environment = {**dotenv, **os.environ}
            # Those of an S3 store are read by its client, which knows the environment alone.
            for name in dotenv.keys() - os.environ.keys():
                if name.startswith("AWS_"):
                    os.environ[name] = dotenv[name]
        values, origins, problems = {}, {}, []
        for entry in fields(cls):
            text = environment.get(entry.name.upper(), "").strip()
            if not text:
                continue
            takes: SettingType = entry.metadata["takes"]
            try:
                values[entry.name] = takes.parse(text)
                is_of_file = entry.name.upper() in dotenv.keys() - os.environ.keys()
                origins[entry.name] = DOTENV if is_of_file else ENVIRONMENT
            except (ValueError, KeyError):
                got = "a secret that is not shown" if entry.metadata["secret"] else repr(text)
                problems.append(f"{entry.name.upper()} got {got}; it takes {takes.takes}")
        if problems:
            raise InvalidSettingError("\n".join(problems))
        config = cls(**values)
        object.__setattr__(config, "_origins", origins)
        return config

    def describe(self) -> list[dict[str, str]]:
        """Lists every setting with its value in force, secrets masked.

        Returns:
            A dictionary a setting: name, value, origin (`environment`, `.env` or `default`), takes, meaning.
        """
        return [
            {
                "name": entry.name.upper(),
                "value": self._shown(entry.name, entry.metadata["takes"], secret=entry.metadata["secret"]),
                "origin": getattr(self, "_origins", {}).get(entry.name, DEFAULT),
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
