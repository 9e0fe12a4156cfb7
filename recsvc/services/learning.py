"""From the rows of the database to an active model version: what a training run is for."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

from recsvc.config import Config, current_config
from recsvc.errors import TrainingError
from recsvc.recommender import lightfm_model
from recsvc.recommender.bundle import Bundle
from recsvc.recommender.early_stopping import choose_epochs
from recsvc.recommender.features import build_features
from recsvc.recommender.interactions import InteractionColumns, InteractionMatrix, build_matrix
from recsvc.services import registry
from recsvc.services.events import event_book
from recsvc.services.progress import Progress
from recsvc.storage import columns
from recsvc.storage.models import now
from recsvc.storage.types import from_microseconds

_ROWS_A_COMPONENT = 16  # users, or items where they are fewer
_FEWEST_COMPONENTS = 8


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
        read = columns.read_interactions(
            config.database_url, lambda done, total: progress.fraction(done / max(total, 1))
        )
        if len(read["interaction_key"]) == 0:
            raise TrainingError("There are no interactions to learn from; write some, and train again.")
        catalogue = columns.read_items(config.database_url)["item_key"]
        of_items = columns.read_features(config.database_url, "item")
        of_users = columns.read_features(config.database_url, "user")
    with progress.stage("build"):
        interactions = InteractionColumns(
            read["user_key"], read["item_key"], read["event_code"], read["value"], read["occurred_at"]
        )
        matrix = build_matrix(interactions, event_book().scale, catalogue)
        if matrix.strengths.nnz == 0:
            raise TrainingError(
                "No interaction speaks for any item: all are dislikes, low ratings, or events of weight 0."
            )
        item_features = build_features(matrix.item_keys, of_items["item_key"], of_items["feature_key"])
        user_features = build_features(matrix.user_keys, of_users["user_key"], of_users["feature_key"])
        data = _describe_data(read, matrix)
        parameters = _parameters(config, matrix)
        progress.write(data=data, parameters=asdict(parameters))

    def on_epoch(epoch: int) -> None:
        progress.fraction(epoch / parameters.epochs)

    try:
        with progress.stage("evaluate"):
            choice = choose_epochs(
                matrix=matrix,
                columns=interactions,
                item_features=item_features,
                user_features=user_features,
                parameters=parameters,
                on_epoch=on_epoch,
            )
            parameters = replace(parameters, epochs=choice.epochs)
            progress.write(metrics=choice.metrics, parameters=asdict(parameters))
        with progress.stage("fit"):
            learned = lightfm_model.fit(matrix.strengths, item_features, user_features, parameters, on_epoch)
    except ValueError as error:
        raise TrainingError(f"LightFM cannot fit: {error}") from error
    bundle = Bundle.build(matrix, item_features, user_features, learned)
    version = f"{now():%Y%m%dT%H%M%SZ}-{run_id[:8]}"
    with progress.stage("publish"):
        try:
            registry.publish(
                version,
                run_id,
                arrays=bundle.arrays(),
                files={"lightfm.pickle": learned.estimator},
                manifest={
                    "created_at": now().isoformat(),
                    "data": data,
                    "parameters": asdict(parameters),
                    "metrics": choice.metrics,
                },
            )
        except OSError as error:
            raise TrainingError(f"The model version cannot be written: {error}") from error
    with progress.stage("activate"):
        registry.activate(version)
    return version


def _parameters(config: Config, matrix: InteractionMatrix) -> lightfm_model.LightFMParameters:
    # More components than the data can fill learn it by heart: see docs/adr/0005.
    supported = min(len(matrix.user_keys), len(matrix.item_keys)) // _ROWS_A_COMPONENT
    return lightfm_model.LightFMParameters(
        components=min(config.model_components, max(supported, _FEWEST_COMPONENTS)),
        epochs=config.model_epochs,
        learning_rate=config.model_learning_rate,
        alpha=config.model_alpha,
        max_sampled=config.model_max_sampled,
        seed=config.train_seed,
        threads=config.train_threads,
    )


def _describe_data(read: columns.Columns, matrix: InteractionMatrix) -> dict[str, Any]:
    return {
        "interactions": len(read["interaction_key"]),
        "users": len(matrix.user_keys),
        "items": len(matrix.item_keys),
        "pairs": int(matrix.strengths.nnz),
        "until": from_microseconds(int(read["occurred_at"].max())).isoformat(),
        "watermark": int(read["interaction_key"].max()),
    }
