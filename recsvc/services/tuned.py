"""What tuning found, put over the settings: what a training takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from recsvc.config import Config
from recsvc.recommender.search import HALF_LIFE, SPACE, Dimension, overlay
from recsvc.storage.queries import tuning

_SETTINGS = {
    "neighbours": "model_neighbours",
    "alpha": "model_alpha",
    "learning_rate": "model_learning_rate",
    "max_sampled": "model_max_sampled",
    HALF_LIFE: "half_life_days",
}


def open_space(config: Config) -> tuple[Dimension, ...]:
    """What settings leave open to tuning: one that differs from its default wins, and a cap is a cap.

    Args:
        config: The settings.
    """
    defaults = {entry.name: entry.default for entry in fields(Config)}
    space = []
    for entry in SPACE:
        setting = _SETTINGS.get(entry.name)
        if setting is not None and getattr(config, setting) != defaults[setting]:
            continue
        if entry.voices and config.voices.isdisjoint(entry.voices):
            continue
        if entry.name == "components":
            entry = replace(  # noqa: PLW2901
                entry, choices=tuple(choice for choice in entry.choices if choice <= config.model_components)
            )
            if not entry.choices:
                continue
        space.append(entry)
    return tuple(space)


def in_force(
    config: Config, limits: Mapping[str, dict[str, Any]]
) -> tuple[dict[str, dict[str, Any]], float | None]:
    """The limits of voices and the half-life to train with.

    Args:
        config: The settings.
        limits: What they say of each voice.

    Returns:
        The limits, and days or None where the age of an interaction does not matter; both as tuning found
        them, where it has found any and settings leave them open.
    """
    found = tuning.in_force()
    parameters = still_open(config, found.parameters) if found is not None else {}
    return overlay(limits, parameters), half_life(config, parameters)


def still_open(config: Config, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Those of some parameters that settings leave open today."""
    return {
        entry.name: parameters[entry.name]
        for entry in open_space(config)
        if entry.name in parameters and entry.holds(parameters[entry.name])
    }


def half_life(config: Config, parameters: Mapping[str, Any]) -> float | None:
    """Days after which an interaction counts half; None where its age does not matter."""
    return parameters.get(HALF_LIFE, config.half_life_days) or None
