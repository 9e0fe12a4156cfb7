"""A small shop, and what a test does to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

import pytest
from flask import Flask

from recsvc.demo.readers import generate_interactions, load_catalogue
from recsvc.services import ingestion, registry, training
from recsvc.services.ingestion import NewInteraction
from recsvc.services.recommending import Filters, for_user
from recsvc.services.serving import serving
from recsvc.storage.database import chunks
from recsvc.storage.models import TrainingRun

Row = dict[str, Any]


@pytest.fixture
def do(context: Flask) -> Callable[..., int]:
    """Writes interactions of a user with items; gives the key of the last."""

    def write(user_id: str, *item_ids: str, event: str = "view", **more: Any) -> int:
        keys = [ingestion.record(NewInteraction(user_id, item_id, event, **more))[0] for item_id in item_ids]
        return keys[-1]

    return write


@pytest.fixture
def shop(context: Flask, shop: dict[str, list[str]]) -> dict[str, list[str]]:
    """Two shelves of eight books and their readers, within the application's context."""
    return shop


@pytest.fixture(scope="session")
def readers() -> tuple[list[Row], list[Row]]:
    """What the demonstration's readers did, in the order in which it happened, in two parts."""
    done = sorted(
        generate_interactions(load_catalogue(), until=datetime.now(UTC)), key=lambda row: row["occurred_at"]
    )
    cut = int(0.85 * len(done))
    return done[:cut], done[cut:]


@pytest.fixture
def write() -> Callable[[list[Row]], None]:
    """Writes such rows."""

    def record(rows: list[Row]) -> None:
        for some in chunks(rows, 1_000):
            assert not ingestion.record_batch(enumerate(NewInteraction(**row) for row in some)).rejected

    return record


@pytest.fixture
def train_in() -> Callable[[], TrainingRun]:
    """Asks for a run, works on it at once as a worker would, and serves what came of it; in any context."""

    def request_and_run() -> TrainingRun:
        run, _ = training.request("manual", requested_by="test")
        training.run(run.run_id)
        serving().refresh()
        return training.get(run.run_id)

    return request_and_run


@pytest.fixture
def train(context: Flask, train_in: Callable[[], TrainingRun]) -> Callable[[], TrainingRun]:
    """The same in the application's own context."""
    return train_in


@pytest.fixture
def trained(shop: dict[str, list[str]], train: Callable[[], TrainingRun]) -> dict[str, list[str]]:
    """The shop with a model."""
    assert train().status == "succeeded"
    return shop


@pytest.fixture
def ids_for(context: Flask) -> Callable[..., list[str]]:
    """Ids of the items recommended to a user, the catalogue as it is now."""

    def recommend(user_id: str, k: int = 10, **filters: Any) -> list[str]:
        serving().refresh()
        return [item.item_id for item in for_user(user_id, Filters(k=k, **filters)).items]

    return recommend


@pytest.fixture
def publish_again(context: Flask) -> Callable[..., str]:
    """Publishes what an earlier version holds, but for some arrays, under another name; makes it active."""

    def publish(
        version: str, of: str, *, activate: bool = True, instead: Mapping[str, Any] = MappingProxyType({})
    ) -> str:
        manifest, arrays = registry.open_version(of)
        arrays |= instead
        told = {name: manifest[name] for name in ("created_at", "data", "parameters", "metrics")}
        files = {registry.ESTIMATOR: registry.estimator(of) or b""}
        registry.publish(version, manifest["run_id"], arrays=arrays, files=files, manifest=told)
        if activate:
            registry.activate(version)
        return version

    return publish
