"""From the rows of the database to an active model version: what a training run is for."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import structlog
from numpy.typing import NDArray

from recsvc.config import Config, current_config
from recsvc.errors import RunEndedError, TrainingError
from recsvc.recommender import fitting
from recsvc.recommender.examples import Examples
from recsvc.recommender.features import FeatureMatrix, build_features
from recsvc.recommender.fitting import Choice
from recsvc.recommender.interactions import InteractionColumns, InteractionMatrix, build_matrix
from recsvc.recommender.model import Model
from recsvc.recommender.trial import without
from recsvc.services import gate, registry, retention, tuned
from recsvc.services.events import scale_of
from recsvc.services.progress import Progress
from recsvc.storage import columns
from recsvc.storage.models import now
from recsvc.storage.types import from_microseconds

logger = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Rows:
    """What the database has to learn from.

    Attributes:
        interactions: All of them, in the order in which they were received.
        catalogue: Keys of the items that are not deleted.
        of_items: Which features items have.
        of_users: Which features users have.
        unseen: How many of the interactions, the last ones, came after a watermark.
        described: How many interactions, and up to when.
    """

    interactions: InteractionColumns
    catalogue: columns.Columns
    of_items: columns.Columns
    of_users: columns.Columns
    unseen: int
    described: dict[str, Any]


def learn(run_id: str, progress: Progress, *, force: bool) -> str | None:
    """Learns from ALL interactions: read, build, evaluate, gate, fit, publish, activate.

    Args:
        run_id: The training run.
        progress: Told of each stage.
        force: Whether the gate is overridden.

    Returns:
        The version that is active now; None where the gate rejected the candidate.

    Raises:
        TrainingError: The data cannot end in a model, or the version cannot be written.
        RunEndedError: The run was cancelled, or another worker has taken it over.
    """
    config = current_config()
    with progress.stage("read"):
        active = gate.incumbent()
        rows = read_rows(config, progress.rows, watermark=active.watermark if active else 0)
    with progress.stage("build"):
        limits, half_life = tuned.in_force(config, limits_of(config))
        matrix, examples = build(config, rows, half_life, progress.epoch)
        interactions, unseen = rows.interactions, rows.unseen
        data = rows.described | {
            "users": len(matrix.user_keys),
            "items": len(matrix.item_keys),
            "pairs": int(matrix.strengths.nnz),
            "half_life_days": half_life or 0.0,
            "sha256": fingerprints(interactions, examples),
        }
        del rows
        progress.write(data=data)
    try:
        with progress.stage("evaluate"):
            ground = gate.lay_out(matrix, interactions, active, unseen, config)
            left, rest = (matrix, examples) if ground is None else without(matrix, examples, ground.held_out)
            held_out = fitting.hold_out(left, interactions, config.train_seed)
            del interactions
            choice = fitting.choose(left, rest, held_out, limits, progress.fraction)
            metrics = fitting.describe(left, rest, choice)
            parameters, blend = choice.parameters, choice.blend
            progress.write(metrics=metrics, parameters=parameters)
        with progress.stage("gate"):
            if ground is None:
                verdict = gate.too_little()
            else:
                candidate = _candidate(left, rest, choice, anew=gate.meets(ground, active), progress=progress)
                verdict = gate.judge(
                    candidate,
                    matrix,
                    examples,
                    ground,
                    active,
                    config=config,
                    force=force,
                    on_progress=lambda done: progress.fraction(0.5 + done / 2),
                )
                del candidate
            progress.write(gate=verdict.as_json())
            logger.info("training_gate", run_id=run_id, decision=verdict.decision, reason=verdict.reason)
            if verdict.decision == gate.REJECTED:
                return None
            del choice, left, rest, ground
        with progress.stage("fit"):
            model = fitting.fit(matrix, examples, parameters, blend, progress.fraction)
    except ValueError as error:
        raise TrainingError("The model cannot be fitted: %(why)s", why=str(error)) from error
    version = f"{now():%Y%m%dT%H%M%SZ}-{run_id[:8]}"
    manifest = {
        "created_at": now().isoformat(),
        "data": data,
        "settings": settings_of(config),
        "parameters": parameters,
        "metrics": metrics,
        "gate": verdict.as_json(),
    }
    try:
        with progress.stage("publish"):
            _publish(version, run_id, model, manifest)
        with progress.stage("activate"):
            registry.activate(version)
            retention.prune_after_activation()
    except RunEndedError:
        registry.discard(version)
        raise
    return version


def read_rows(config: Config, on_progress: Callable[[int, int], None], *, watermark: int = 0) -> Rows:
    """Reads all that there is to learn from.

    Args:
        config: The settings.
        on_progress: Told the rows read, and how many there are. May raise, which ends the reading.
        watermark: A key; interactions with a greater one are counted as unseen.

    Raises:
        TrainingError: There are no interactions.
    """
    read = columns.read_interactions(config.database_url, on_progress)
    if len(read["interaction_key"]) == 0:
        raise TrainingError("There are no interactions to learn from; write some, and train again.")
    # The keys of so many interactions, left behind here, weigh as much as a part of the work that follows.
    return Rows(
        InteractionColumns(
            read["user_key"], read["item_key"], read["event_code"], read["value"], read["occurred_at"]
        ),
        columns.read_items(config.database_url),
        columns.read_features(config.database_url, "item"),
        columns.read_features(config.database_url, "user"),
        unseen=len(read["interaction_key"])
        - int(np.searchsorted(read["interaction_key"], watermark, "right")),
        described={
            "interactions": len(read["interaction_key"]),
            "until": from_microseconds(int(read["occurred_at"].max())).isoformat(),
            "watermark": int(read["interaction_key"].max()),
        },
    )


def build(
    config: Config,
    rows: Rows,
    half_life: float | None,
    on_epoch: Callable[[int], None] = lambda epoch: None,
) -> tuple[InteractionMatrix, Examples]:
    """Builds what fitting takes.

    Args:
        config: The settings.
        rows: As they were read.
        half_life: Days after which an interaction counts half; None where its age does not matter.
        on_epoch: Told each pass over the interactions.

    Raises:
        TrainingError: No interaction speaks for any item.
    """
    matrix = build_matrix(rows.interactions, scale_of(config), rows.catalogue["item_key"], half_life)
    if matrix.strengths.nnz == 0:
        raise TrainingError(
            "No interaction speaks for any item: all are dislikes, low ratings, or events of weight 0."
        )
    of_items, of_users = rows.of_items, rows.of_users
    examples = Examples(
        strengths=matrix.strengths,
        ages=matrix.ages,
        item_features=build_features(matrix.item_keys, of_items["item_key"], of_items["feature_key"]),
        user_features=build_features(matrix.user_keys, of_users["user_key"], of_users["feature_key"]),
        seed=config.train_seed,
        threads=config.train_threads,
        on_epoch=on_epoch,
    )
    return matrix, examples


def limits_of(config: Config) -> dict[str, dict[str, Any]]:
    """What settings say of each voice that they name."""
    limits = {
        "components": config.model_components,
        "epochs": config.model_epochs,
        "learning_rate": config.model_learning_rate,
        "alpha": config.model_alpha,
        "max_sampled": config.model_max_sampled,
        "neighbours": config.model_neighbours,
        "factors": config.model_factors,
    }
    return dict.fromkeys(config.voices, limits)


def settings_of(config: Config) -> dict[str, Any]:
    """What settings say beside the parameters, for whoever wants to fit the same again."""
    return {
        "seed": config.train_seed,
        "threads": config.train_threads,
        "event_weights": dict(config.event_weights),
        "rating_neutral": config.rating_neutral,
        "rating_best": config.rating_best,
    }


def fingerprints(interactions: InteractionColumns, examples: Examples) -> dict[str, str]:
    """SHA-256 of all that a fit reads, so that it can be told later whether it is still the same."""
    return {
        "interactions": _digest(*vars(interactions).values()),
        "item_features": _digest_of_features(examples.item_features),
        "user_features": _digest_of_features(examples.user_features),
    }


def _digest_of_features(features: FeatureMatrix) -> str:
    lengths = np.diff(features.rows.indptr)
    return _digest(features.feature_keys, features.rows.indices, lengths[lengths > 0])


def _digest(*arrays: NDArray[Any]) -> str:
    hashed = hashlib.sha256()
    for array in arrays:
        hashed.update(f"{array.dtype.str} {len(array)}\n".encode())
        hashed.update(np.ascontiguousarray(array).data)
    return hashed.hexdigest()


def _candidate(
    left: InteractionMatrix, rest: Examples, choice: Choice, *, anew: bool, progress: Progress
) -> Model:
    """What is compared: the chosen parameters and blend, fitted to what was not set aside.

    The voices that were chosen with are such a fit, but for what choosing itself held out. What is popular is
    counted without that too; an active version that was fitted to it would have an advantage, so to meet one
    they are fitted anew.

    Args:
        left: What was not set aside.
        rest: The same.
        choice: Made with it.
        anew: Whether the candidate is to meet the active version.
        progress: Told how far it is.
    """
    if anew:
        return fitting.fit(
            left, rest, choice.parameters, choice.blend, lambda done: progress.fraction(done / 2)
        )
    known = rest if choice.held_out is None else rest.rest_of(left, choice.held_out)
    return fitting.assemble(left, known, choice.voices, choice.blend)


def _publish(version: str, run_id: str, model: Model, manifest: dict[str, Any]) -> None:
    try:
        registry.publish(
            version,
            run_id,
            arrays=model.arrays(),
            files={registry.ESTIMATOR: model.hybrid.estimator} if model.hybrid else {},
            manifest=manifest,
        )
    except OSError as error:
        raise TrainingError("The model version cannot be written: %(why)s", why=str(error)) from error
