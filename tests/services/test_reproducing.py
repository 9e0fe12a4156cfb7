"""A version fitted again: byte for byte with one thread, and what is said where that cannot be."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
from dataclasses import fields, replace

import pytest
from sqlalchemy import delete

from recsvc.config import Config
from recsvc.demo.shop import open_shop
from recsvc.errors import ConflictError, NotFoundError, TrainingError
from recsvc.extensions import db
from recsvc.recommender import fitting
from recsvc.recommender.voices import voices
from recsvc.services import catalogue, ingestion, privacy, registry, training
from recsvc.services.catalogue import ItemContent
from recsvc.services.ingestion import NewInteraction
from recsvc.services.reproducing import reproduce
from recsvc.storage.database import write_transaction
from recsvc.storage.models import Interaction

SETTINGS = {"model_components": 16, "model_epochs": 8, "model_factors": 64}


def ignore(stage: str, done: float) -> None:
    pass


@pytest.fixture
def elsewhere(sqlite_url, redis_url, tmp_path):
    """Runs Python in a process of its own, with default settings but for where things are."""

    def run(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
        ours = {entry.name.upper(): "" for entry in fields(Config)} | {
            "INSTANCE_DIR": str(tmp_path),
            "DATABASE_URL": sqlite_url,
            "REDIS_URL": redis_url,
            "LOG_LEVEL": "ERROR",
            "MODEL_COMPONENTS": "16",
            "MODEL_EPOCHS": "8",
            **settings,
        }
        return subprocess.run(
            [sys.executable, *arguments],
            env={**os.environ, **ours},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    return run


@pytest.mark.processes
def test_every_voice_fitted_with_one_thread_comes_out_the_same_in_every_byte_in_another_process(
    make_app, sqlite_url, elsewhere, monkeypatch
):
    # Voices without weight are left out; here all are to be fitted.
    monkeypatch.setattr(fitting, "_stays", lambda name: True)
    with make_app(sqlite_url, **SETTINGS).app_context():
        open_shop()
        run, _ = training.request("manual", requested_by="test")
        training.run(run.run_id)
        version = training.get(run.run_id).model_version
        later_on()
        arrays = arrays_of(version)

        told = elsewhere("-m", "recsvc.cli", "models", "reproduce", version)

    assert told.returncode == 0, told.stdout + told.stderr
    assert f"The same in every byte of all {len(arrays)} arrays." in told.stdout
    assert {name.partition(".")[0] for name in arrays if "." in name} == {*voices(), "blend"}


def arrays_of(version: str):
    return registry.open_version(version)[1]


def later_on() -> None:
    """What happens to a shop after a training, and changes nothing that it learned from."""
    catalogue.put_items([("new-book", ItemContent(title="New", features={"author": ["Somebody new"]}))])
    ingestion.record_batch(
        enumerate(
            NewInteraction(f"new-{n}", "new-book" if n % 2 else "saramago-caim", "view") for n in range(9)
        )
    )


def test_with_one_thread_and_the_same_data_nothing_differs_after_the_shop_has_gone_on(shop, train):
    version = train().model_version
    later_on()

    found = reproduce(version, ignore)

    assert (found.different, found.changed, found.quality) == ([], [], None)
    assert (found.threads, found.interactions) == (1, 144)
    assert len(found.same) == len(arrays_of(version))


def test_settings_of_today_do_not_matter(shop, train, context):
    version = train().model_version
    config = context.extensions["recsvc.config"]
    context.extensions["recsvc.config"] = replace(
        config, train_seed=7, train_threads=3, event_weights={"view": 9.0}, half_life_days=2.0
    )

    found = reproduce(version, ignore)

    assert (found.different, found.threads) == ([], 1)


def test_what_was_erased_since_is_said(shop, train):
    version = train().model_version
    privacy.erase_user("crime-reader-3")

    found = reproduce(version, ignore)

    assert found.changed == ["interactions up to its watermark: 144 then, 138 now"]
    assert "likes" in found.different


def test_features_that_are_others_since_are_said(shop, train):
    version = train().model_version
    catalogue.put_items([("crime-1", ItemContent(title="Crime", features={"mood": ["calm"]}))])

    assert reproduce(version, ignore).changed == ["item features"]


def test_a_library_that_is_another_since_is_said(shop, train, monkeypatch):
    version = train().model_version
    monkeypatch.setattr("recsvc.services.reproducing.importlib.metadata.version", lambda name: "0.0")

    changed = reproduce(version, ignore).changed

    assert [change.partition(":")[0] for change in changed] == ["lightfm-next", "numpy", "scipy"]


def test_a_library_that_is_not_used_any_more_is_said(shop, train, monkeypatch):
    version, before = train().model_version, importlib.metadata.version

    def scipy_is_not_there(name: str) -> str:
        if name == "scipy":
            raise importlib.metadata.PackageNotFoundError(name)
        return before(name)

    monkeypatch.setattr("recsvc.services.reproducing.importlib.metadata.version", scipy_is_not_there)

    assert reproduce(version, ignore).changed == [f"scipy: {before('scipy')} then, none now"]


def test_what_cannot_be_fitted_again_is_refused_in_words(shop, train):
    version = train().model_version

    with pytest.raises(NotFoundError):
        reproduce("nope", ignore)
    with write_transaction():
        db.session.execute(delete(Interaction).where(Interaction.interaction_key > 0))
    with pytest.raises(TrainingError, match="no interactions"):
        reproduce(version, ignore)


def test_a_version_that_does_not_say_how_it_was_made_is_refused(shop, train):
    run = train()
    manifest, arrays = registry.open_version(run.model_version)
    old = {name: manifest[name] for name in ("created_at", "data", "parameters")}
    registry.publish("20200101T000000Z-0", run.run_id, arrays=arrays, files={}, manifest=old)

    with pytest.raises(ConflictError, match="too old"):
        reproduce("20200101T000000Z-0", ignore)


# A training in a process of its own: one that forks after a fit with threads hangs.
TRAIN = """
import sys
from recsvc import create_app
from recsvc.services import training

with create_app().app_context():
    run, _ = training.request("manual", requested_by="test")
    training.run(run.run_id)
    print(training.get(run.run_id).model_version)
"""


@pytest.mark.processes
def test_with_several_threads_it_is_said_that_it_is_only_comparable_and_the_quality_is_compared(
    make_app, sqlite_url, elsewhere, readers, write
):
    before, after = readers
    with make_app(sqlite_url).app_context():
        write(before)
        trained = elsewhere("-c", TRAIN, TRAIN_THREADS="3")
        assert trained.returncode == 0, trained.stderr
        write(after)

        told = elsewhere("-m", "recsvc.cli", "models", "reproduce", trained.stdout.strip())

    assert told.returncode == 0, told.stdout + told.stderr
    assert "with 3 threads" in told.stdout
    assert "it is only comparable" in told.stdout
    assert "NDCG@10 on what" in told.stdout
