"""What the registry gives to the worker alone: a pickle, once the whole version is what was published."""

from __future__ import annotations

import pickle

import pytest

from recsvc.errors import ConflictError, DamagedVersionError, ModelStoreUnavailableError
from recsvc.services import registry


@pytest.fixture(params=["directory", "database"])
def app(request, make_app, sqlite_url):
    return make_app(sqlite_url, model_store=request.param, secret_key="a secret of this test")


@pytest.fixture
def version(shop, train):
    return train().model_version


def test_the_estimator_is_read_where_every_file_is_what_was_published(version):
    assert pickle.loads(registry.estimator(version)).no_components == 8


def test_the_estimator_is_not_read_where_any_file_is_damaged(version, make_app, sqlite_url, app):
    if app.extensions["recsvc.config"].model_store == "database":
        pytest.skip("a damaged copy is brought again")
    (registry.versioned_directory().folder(version) / "likes.npy").write_bytes(b"")

    with pytest.raises(DamagedVersionError, match=r"likes\.npy"):
        registry.estimator(version)


def test_a_version_without_lightfm_has_no_estimator(shop, make_app, version, publish_again):
    _, arrays = registry.open_version(version)
    run_id = registry.get(version).run_id
    registry.publish("20990101T000000Z-x", run_id, arrays=arrays, files={}, manifest={})

    assert registry.estimator("20990101T000000Z-x") is None


def test_a_store_that_is_away_changes_nothing(version, monkeypatch):
    def unavailable(_version):
        raise ModelStoreUnavailableError("away")

    before = registry.model_store().pointer()
    monkeypatch.setattr(registry, "open_version", unavailable)

    with pytest.raises(ModelStoreUnavailableError):
        registry.activate(version)
    assert registry.model_store().pointer() == before


def test_a_version_whose_arrays_do_not_fit_together_is_not_made_active(version):
    _, arrays = registry.open_version(version)
    misfit = {name: array for name, array in arrays.items() if name != "likes"}
    run_id = registry.get(version).run_id
    registry.publish("20990101T000000Z-x", run_id, arrays=misfit, files={}, manifest={})

    with pytest.raises(ConflictError, match="20990101T000000Z-x cannot be activated"):
        registry.activate("20990101T000000Z-x")
