"""Every setting of the service, and how a setting's text becomes a value."""

from recsvc.config.settings import DEFAULT_EVENT_WEIGHTS, Config, InvalidSettingError, current_config
from recsvc.config.types import DATABASE, DATABASE_URL, DIRECTORY, EMBEDDED_REDIS, Experiment

__all__ = [
    "DATABASE",
    "DATABASE_URL",
    "DEFAULT_EVENT_WEIGHTS",
    "DIRECTORY",
    "EMBEDDED_REDIS",
    "Config",
    "Experiment",
    "InvalidSettingError",
    "current_config",
]
