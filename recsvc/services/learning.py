"""From the rows of the database to an active model version: what a training run is for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from recsvc.config import Config, current_config
from recsvc.errors import TrainingError
from recsvc.recommender import fitting
from recsvc.recommender.examples import Examples
from recsvc.recommender.features import build_features
from recsvc.recommender.interactions import InteractionColumns, InteractionMatrix, build_matrix
from recsvc.services import registry, retention, tuned
from recsvc.services.events import event_book
from recsvc.services.progress import Progress
from recsvc.storage import columns
from recsvc.storage.models import now
from recsvc.storage.types import from_microseconds


@dataclass(frozen=True)
class Rows:
    """What the database has to learn from.

    Attributes:
        interactions: All of them.
        catalogue: Keys of the items that are not deleted.
        of_items: Which features items have.
        of_users: Which features users have.
        described: How many interactions, and up to when.
    """

    interactions: InteractionColumns
    catalogue: columns.Columns
    of_items: columns.Columns
    of_users: columns.Columns
    described: dict[str, Any]


def learn(run_id: str, progress: Progress) -> str:
    """Learns from ALL interactions: read, build, evaluate, fit, publish, activate.

    Args:
        run_id: The training run.
        progress: Told of each stage.

    Returns:
        The version that is active now.

    Raises:
        TrainingError: The data cannot end in a model, or the version cannot be written.
        RunEndedError: The run was cancelled, or another worker has taken it over.
    """
    config = current_config()
    with progress.stage("read"):
        rows = read_rows(config, progress.fraction)
    with progress.stage("build"):
        limits, half_life = tuned.in_force(config, limits_of(config))
        matrix, examples = build(config, rows, half_life)
        interactions = rows.interactions
        data = rows.described | {
            "users": len(matrix.user_keys),
            "items": len(matrix.item_keys),
            "pairs": int(matrix.strengths.nnz),
            "half_life_days": half_life or 0.0,
        }
        del rows
        progress.write(data=data)
    try:
        with progress.stage("evaluate"):
            held_out = fitting.hold_out(matrix, interactions, config.train_seed)
            del interactions
            choice = fitting.choose(matrix, examples, held_out, limits, progress.fraction)
            metrics = fitting.describe(matrix, examples, choice)
            progress.write(metrics=metrics, parameters=choice.parameters)
        with progress.stage("fit"):
            model = fitting.fit(matrix, examples, choice.parameters, choice.blend, progress.fraction)
    except ValueError as error:
        raise TrainingError(f"The model cannot be fitted: {error}") from error
    version = f"{now():%Y%m%dT%H%M%SZ}-{run_id[:8]}"
    with progress.stage("publish"):
        try:
            registry.publish(
                version,
                run_id,
                arrays=model.arrays(),
                files={"lightfm.pickle": model.hybrid.estimator} if model.hybrid else {},
                manifest={
                    "created_at": now().isoformat(),
                    "data": data,
                    "parameters": choice.parameters,
                    "metrics": metrics,
                },
            )
        except OSError as error:
            raise TrainingError(f"The model version cannot be written: {error}") from error
    with progress.stage("activate"):
        registry.activate(version)
        retention.prune_after_activation()
    return version


def read_rows(config: Config, on_progress: Callable[[float], None]) -> Rows:
    """Reads all that there is to learn from.

    Args:
        config: The settings.
        on_progress: Told the part that is done, 0 to 1. May raise, which ends the reading.

    Raises:
        TrainingError: There are no interactions.
    """
    read = columns.read_interactions(
        config.database_url, lambda done, total: on_progress(done / max(total, 1))
    )
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
        _describe_rows(read),
    )


def build(config: Config, rows: Rows, half_life: float | None) -> tuple[InteractionMatrix, Examples]:
    """Builds what fitting takes.

    Args:
        config: The settings.
        rows: As they were read.
        half_life: Days after which an interaction counts half; None where its age does not matter.

    Raises:
        TrainingError: No interaction speaks for any item.
    """
    matrix = build_matrix(rows.interactions, event_book().scale, rows.catalogue["item_key"], half_life)
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


def _describe_rows(read: columns.Columns) -> dict[str, Any]:
    return {
        "interactions": len(read["interaction_key"]),
        "until": from_microseconds(int(read["occurred_at"].max())).isoformat(),
        "watermark": int(read["interaction_key"].max()),
    }
