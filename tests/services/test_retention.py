"""Which versions are kept: enough to go back to, never too few, and no more than settings say."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from recsvc.config import Config, Experiment, current_config
from recsvc.errors import ConflictError, ModelStoreUnavailableError
from recsvc.services import registry, retention, training
from recsvc.storage.database import write_transaction
from recsvc.storage.models import now
from recsvc.storage.queries import model_versions, training_runs

STORES = ["directory", "database"]


@pytest.fixture(params=STORES)
def app(request, make_app, sqlite_url):
    return make_app(sqlite_url, model_store=request.param, secret_key="a secret of this test", model_keep=3)


@pytest.fixture
def first(shop, train) -> str:
    return train().model_version


@pytest.fixture
def five(first, publish_again) -> list[str]:
    """The versions a, b, c, d, e, which were made active one after another."""
    made = [publish_again(f"2099010{number}T000000Z-{name}", first) for number, name in enumerate("abcde", 1)]
    registry.model_store().delete(first)
    with write_transaction():
        model_versions.mark_pruned(first, now())
    return made


def published() -> list[str]:
    return [version[-1] for version in registry.model_store().versions()]


def test_the_newest_versions_are_kept(five):
    assert [version[-1] for version in retention.prune()] == ["a", "b"]

    assert published() == ["c", "d", "e"]
    assert retention.prune() == []


def test_what_is_known_of_a_version_outlasts_its_files(five):
    oldest = registry.get(five[0])
    assert oldest.files_kept

    retention.prune()

    oldest = registry.get(five[0])
    assert (oldest.files_kept, oldest.status) == (False, "retired")
    assert oldest.manifest["parameters"]
    with pytest.raises(ConflictError, match=r"files were deleted at .* MODEL_KEEP"):
        registry.activate(oldest.version)
    assert registry.model_store().pointer().version == five[-1]


def test_the_active_version_and_the_one_before_it_never_go(five):
    registry.activate(five[1])
    registry.activate(five[0])

    retention.prune()

    assert published() == ["a", "b", "e"]
    assert registry.activate(five[1]).status == "active"


def test_versions_of_an_experiment_never_go(five, app, monkeypatch):
    experiment = Experiment(five[0], five[-1], 0.5)
    monkeypatch.setitem(app.extensions, "recsvc.config", replace(current_config(), experiment=experiment))

    retention.prune()

    assert published() == ["a", "d", "e"]


def test_versions_that_were_never_active_go_first(five, first, publish_again):
    later = [publish_again(f"2099020{number}T000000Z-{number}", five[0], activate=False) for number in (1, 2)]

    retention.prune()

    assert published() == ["c", "d", "e"]
    assert [registry.get(version).files_kept for version in later] == [False, False]


def test_what_a_training_under_way_has_published_stays(five, publish_again):
    run, _ = training.request("manual", requested_by="test")
    _, arrays = registry.open_version(five[-1])
    registry.publish("20990301T000000Z-z", run.run_id, arrays=arrays, files={}, manifest={"data": {}})

    retention.prune()

    assert published() == ["d", "e", "z"]
    with write_transaction():
        training_runs.change(run.run_id, status="cancelled")
    registry.activate(five[3])
    retention.prune()
    assert published() == ["d", "e", "z"]


def test_a_dry_run_only_tells(five):
    assert [version[-1] for version in retention.prune(dry_run=True)] == ["a", "b"]

    assert published() == ["a", "b", "c", "d", "e"]
    assert registry.get(five[0]).files_kept


def test_a_version_made_active_while_it_was_about_to_go_stays(five, monkeypatch):
    store = registry.model_store()

    class Meanwhile:
        looks = 0

        def __getattr__(self, name):
            return getattr(store, name)

        def pointer(self):
            self.looks += 1
            if self.looks == 2:  # after the oldest was marked, and before its files go
                store.activate(five[0])
            return store.pointer()

    meanwhile = Meanwhile()
    monkeypatch.setattr(registry, "model_store", lambda: meanwhile)

    assert retention.prune() == [five[1]]
    assert registry.get(five[0]).files_kept
    assert registry.open_version(five[0])


def test_a_version_that_went_while_it_was_made_active_is_not_served(five, monkeypatch):
    open_version = registry.open_version

    def mark_after_opening(version):
        opened = open_version(version)
        with write_transaction():
            model_versions.mark_pruned(version, now())
        return opened

    monkeypatch.setattr(registry, "open_version", mark_after_opening)

    with pytest.raises(ConflictError, match="files were deleted"):
        registry.activate(five[0])
    assert registry.model_store().pointer().version == five[-1]


def test_a_training_prunes_after_it(five, train):
    version = train().model_version

    assert len(registry.model_store().versions()) == 3
    assert registry.model_store().pointer().version == version


def test_a_training_succeeds_where_nothing_can_be_pruned(first, train, monkeypatch):
    def unavailable():
        raise ModelStoreUnavailableError("away")

    monkeypatch.setattr(retention, "prune", unavailable)

    assert train().status == "succeeded"


def test_when_a_version_goes_is_told(five):
    retention.prune()
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)

    told = [retention.kept_until(registry.get(version)) for version in five]

    # Of three that are kept the oldest goes with the next training, the active one with the third from now.
    assert [one.trainings for one in told] == [0, 0, 1, 2, 3]
    assert told[0].at == registry.get(five[0]).pruned_at
    assert [one.at for one in told[2:]] == [midnight + timedelta(days=days) for days in (1, 2, 3)]


def test_it_goes_when_it_was_told(five, publish_again):
    retention.prune()
    remaining = {version: retention.kept_until(registry.get(version)).trainings for version in five[2:]}

    for count in (1, 2, 3):
        publish_again(f"2099050{count}T000000Z-new{count}", five[-1])
        retention.prune()
        kept = {version for version in five[2:] if registry.get(version).files_kept}
        assert kept == {version for version, trainings in remaining.items() if trainings > count}


def test_fewer_than_two_cannot_be_asked_for():
    # With one there would be none to go back to.
    assert Config.from_environment({"MODEL_KEEP": "2"}).model_keep == 2
