"""Voices: the ways of scoring items for a history that the blend listens to. A file each.

A new voice is a new file here with one subclass of `Voice`; nothing else has to name it.
"""

from __future__ import annotations

import importlib
import pkgutil

from recsvc.recommender.voice import Voice


def voices() -> dict[str, type[Voice]]:
    """Every voice there is, by name."""
    found = {}
    for module in pkgutil.iter_modules(__path__):
        for value in vars(importlib.import_module(f"{__name__}.{module.name}")).values():
            if isinstance(value, type) and issubclass(value, Voice) and "name" in vars(value):
                found[value.name] = value
    return dict(sorted(found.items()))
