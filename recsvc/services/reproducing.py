"""Whether a version can be fitted again: up to its watermark, with its own settings, parameters and blend."""

from __future__ import annotations

import importlib.metadata
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from recsvc.config import Config, current_config
from recsvc.errors import ConflictError, DamagedVersionError
from recsvc.extensions import db
from recsvc.recommender import comparison, fitting
from recsvc.recommender.comparison import Comparison
from recsvc.recommender.examples import Examples
from recsvc.recommender.interactions import InteractionColumns, InteractionMatrix
from recsvc.recommender.model import Model
from recsvc.recommender.voice import OnProgress
from recsvc.sentences import Sentence
from recsvc.services import gate, registry
from recsvc.services.learning import Rows, build, fingerprints, read_rows

_NOUNS = {
    "interactions": "interactions up to its watermark",
    "item_features": "item features",
    "user_features": "user features",
}


@dataclass(frozen=True)
class Reproduction:
    """What became of fitting a version again.

    Attributes:
        version: Which.
        threads: That it was fitted with, and was again. Only one repeats a fit byte for byte.
        interactions: How many it was fitted to again.
        same: Names of the arrays that are the same, byte for byte.
        different: Names of those that are not, or that only one of both has.
        changed: What is no longer as it was when the version was fitted, in words.
        quality: The new fit beside the version, on likes that came after its watermark; None where they are
            the same, or too few users came to like anything since.
        seconds: Spent.
    """

    version: str
    threads: int
    interactions: int
    same: list[str]
    different: list[str]
    changed: list[str]
    quality: Comparison | None
    seconds: float


def reproduce(version: str, on_progress: Callable[[str, float], None]) -> Reproduction:
    """Fits a version again, and compares. Changes nothing.

    Fits with as many threads as the version was: this process must not fork afterwards.

    Args:
        version: Its name.
        on_progress: Told the stage and the part of it that is done, 0 to 1. May raise, which ends everything.

    Raises:
        NotFoundError: There is no such version.
        ConflictError: Its files are damaged, or do not say how it was made, or nothing is left to fit to.
        TrainingError: There are no interactions left.
    """
    began = time.monotonic()
    registry.get(version)
    try:
        manifest, arrays = registry.open_version(version)
        published = Model.from_arrays(arrays)
    except (DamagedVersionError, ValueError) as error:
        raise ConflictError(
            "Version %(version)s cannot be read: %(why)s", version=version, why=Sentence(str(error))
        ) from error
    if "settings" not in manifest:
        raise ConflictError(
            "Version %(version)s does not say which settings it was made with: it is too old.",
            version=version,
        )
    config = _as_it_was(manifest)
    data = manifest["data"]
    rows = read_rows(
        config,
        lambda read, total: on_progress("read", read / max(total, 1)),
        watermark=data["watermark"],
    )
    known = replace(
        rows,
        interactions=_first(rows.interactions, len(rows.interactions) - rows.unseen),
        catalogue={"item_key": published.item_keys},
    )
    half_life = data["half_life_days"] or None
    matrix, examples = build(config, known, half_life)
    db.session.rollback()  # no transaction stays open during the fit
    # One thread of the linear algebra, as in a training.
    with threadpool_limits(limits=1, user_api="blas"):
        try:
            model = fitting.fit(
                matrix,
                examples,
                manifest["parameters"],
                published.blend,
                lambda done: on_progress("fit", done),
            )
        except ValueError as error:
            raise ConflictError(
                "Version %(version)s cannot be fitted again: %(why)s.", version=version, why=str(error)
            ) from error
        same, different = _compared(arrays, model.arrays())
        quality = None
        if different:
            everything = build(config, rows, half_life)
            quality = _quality(
                (model, published), rows, *everything, lambda done: on_progress("compare", done)
            )
    return Reproduction(
        version=version,
        threads=config.train_threads,
        interactions=len(known.interactions),
        same=same,
        different=different,
        changed=_changed(manifest, known.interactions, examples),
        quality=quality,
        seconds=time.monotonic() - began,
    )


def _as_it_was(manifest: Mapping[str, Any]) -> Config:
    settings = manifest["settings"]
    return replace(
        current_config(),
        train_seed=settings["seed"],
        train_threads=settings["threads"],
        event_weights=settings["event_weights"],
        rating_neutral=settings["rating_neutral"],
        rating_best=settings["rating_best"],
        seen_events=frozenset(),  # it says nothing of a fit, and may name events that there were not
    )


def _first(interactions: InteractionColumns, rows: int) -> InteractionColumns:
    return InteractionColumns(**{name: column[:rows] for name, column in vars(interactions).items()})


def _compared(
    published: Mapping[str, NDArray[Any]], fitted: Mapping[str, NDArray[Any]]
) -> tuple[list[str], list[str]]:
    names = sorted(published.keys() | fitted.keys())
    same = [
        name
        for name in names
        if name in published
        and name in fitted
        and published[name].dtype == fitted[name].dtype
        and published[name].shape == fitted[name].shape
        and published[name].tobytes() == fitted[name].tobytes()
    ]
    return same, [name for name in names if name not in same]


def _changed(manifest: Mapping[str, Any], known: InteractionColumns, examples: Examples) -> list[str]:
    then, now = manifest["data"], fingerprints(known, examples)
    changes = []
    for noun, meaning in _NOUNS.items():
        if then["sha256"][noun] != now[noun]:
            counts = f": {then[noun]:,} then, {len(known):,} now" if noun == "interactions" else ""
            changes.append(f"{meaning}{counts}")
    for name, before in manifest["libraries"].items():
        present = _present_version(name)
        if present != before:
            changes.append(f"{name}: {before} then, {present} now")
    return changes


def _present_version(name: str) -> str:
    if name == "python":
        return platform.python_version()
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "none"


def _quality(
    models: tuple[Model, Model],
    rows: Rows,
    matrix: InteractionMatrix,
    examples: Examples,
    on_progress: OnProgress,
) -> Comparison | None:
    ground = comparison.lay_out(
        matrix,
        rows.interactions,
        since=len(rows.interactions) - rows.unseen,
        fewest_users=gate.FEWEST_USERS,
        seed=examples.seed,
    )
    if ground is None or ground.is_new.sum() < gate.FEWEST_USERS:
        return None
    users = np.flatnonzero(ground.is_new)
    ours, theirs = (
        comparison.evaluate(model, matrix, examples, ground.held_out, users, on_progress=on_progress)
        for model in models
    )
    return comparison.compare(ours, theirs, examples.seed)
