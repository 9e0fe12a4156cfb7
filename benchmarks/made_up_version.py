"""A made-up version for a made-up shop: arrays as large as a training's, of random numbers, and active.

What a request costs depends on how many items, components and related items there are, and not on what the
numbers say. A training on five million interactions would take the better part of an hour.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import func, select

from recsvc.config import Config
from recsvc.extensions import db
from recsvc.factory import create_app
from recsvc.recommender.blend import Blend
from recsvc.recommender.model import Model
from recsvc.recommender.relations import Relations
from recsvc.recommender.voice import Voice
from recsvc.recommender.voices.als import AlternatingLeastSquares
from recsvc.recommender.voices.item_weights import ItemWeights
from recsvc.recommender.voices.lightfm import LightFMHybrid
from recsvc.recommender.voices.neighbours import Neighbours
from recsvc.recommender.voices.popularity import Popularity
from recsvc.recommender.voices.svd import TruncatedSVD
from recsvc.services import registry, training
from recsvc.storage.models import Interaction, Item

VERSION = "20260101T000000Z-benchmrk"

_MOST_FOR_ITEM_WEIGHTS = 11_000  # above it a training leaves that voice out
_NEAR = 2_000  # items are related to those so near by their keys
_RECENCY = 0.75  # counting costs something, so that it is counted here


def publish(config: Config, seed: int = 0) -> str:
    """Makes a version of all items of the settings' database, of the longest vectors that settings allow.

    Args:
        config: Where the shop is.
        seed: Of the numbers.

    Returns:
        Its name.
    """
    with create_app(config).app_context():
        counted = select(Interaction.item_key, func.count()).group_by(Interaction.item_key)
        keys = np.array(db.session.scalars(select(Item.item_key).order_by(Item.item_key)).all(), np.int32)
        likes = np.zeros(len(keys), np.int32)
        for key, count in db.session.execute(counted):
            likes[np.searchsorted(keys, key)] = count
        watermark = db.session.scalar(select(func.max(Interaction.interaction_key)))
        run, _ = training.request("manual", requested_by="a benchmark")
        db.session.rollback()
        registry.publish(
            VERSION,
            run.run_id,
            arrays=_model(config, keys, likes, np.random.default_rng(seed)).arrays(),
            files={},
            manifest={"created_at": "2026-01-01T00:00:00+00:00", "data": {"watermark": watermark}}
            | {"parameters": {}, "metrics": {}},
        )
        registry.activate(VERSION)
        training.cancel(run.run_id)
        db.session.remove()
        db.engine.dispose()
    return VERSION


def _model(
    config: Config, keys: NDArray[np.int32], likes: NDArray[np.int32], random: np.random.Generator
) -> Model:
    items = len(keys)

    def embeddings(length: int) -> NDArray[np.float32]:
        return random.standard_normal((items, length), np.float32) / np.float32(np.sqrt(length))

    def related() -> Relations:
        each = min(config.model_neighbours, items - 1)
        near = (
            random.integers(-_NEAR, _NEAR, (items, each), np.int32)
            + np.arange(items, dtype=np.int32)[:, None]
        )
        return Relations(
            bounds=np.arange(items + 1, dtype=np.int64) * each,
            items=np.sort(near % items, axis=1).ravel().astype(np.int32),
            weights=random.random(items * each, np.float32),
            sources=np.ones(items, np.float32),
        )

    length = config.model_components
    hybrid = LightFMHybrid(
        embeddings=embeddings(length),
        biases=random.standard_normal(items, np.float32),
        spectrum=np.full(length, 1 / length, np.float32),
        mean_item=np.zeros(length + 1, np.float32),
        item_features=np.zeros((0, length + 1), np.float32),
        user_features=np.zeros((0, length), np.float32),
        mean_user=np.zeros(length, np.float32),
        estimator=b"",
    )
    ones = np.ones(items, np.float32)
    voices: dict[str, Voice] = {
        Neighbours.name: Neighbours(related()),
        LightFMHybrid.name: hybrid,
        TruncatedSVD.name: TruncatedSVD(embeddings(config.model_factors), ones, ones),
        AlternatingLeastSquares.name: AlternatingLeastSquares(
            embeddings(config.model_factors), np.full(items, 10, np.float32)
        ),
        Popularity.name: Popularity(np.log1p(likes).astype(np.float32)),
    }
    if items <= _MOST_FOR_ITEM_WEIGHTS:
        voices[ItemWeights.name] = ItemWeights(related())
    ordered = dict(sorted(voices.items()))
    alike = np.full((1, len(ordered)), 1 / len(ordered), np.float32)
    # Random scores have nothing to do with each other: of a cold item, LightFM's is all that can be expected.
    slopes = np.array([name == LightFMHybrid.name for name in ordered], np.float32)
    blend = Blend(np.ones(1, np.float32), alike, slopes, np.zeros(len(ordered), np.float32), _RECENCY)
    nothing = np.empty(0, np.int32)
    return Model(keys, likes, nothing, nothing, ordered, blend)
