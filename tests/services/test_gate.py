"""The gate: what goes live, what does not, and how it is said. The demonstration's readers are the data."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sqlalchemy import select, update

from recsvc.demo.shop import open_shop
from recsvc.errors import ModelStoreUnavailableError, TrainingError
from recsvc.extensions import db
from recsvc.recommender.comparison import Comparison
from recsvc.services import gate, registry, training
from recsvc.storage.database import write_transaction
from recsvc.storage.models import Interaction


def compared(users: int, ours, theirs, *differences) -> Comparison:
    """NDCG@10 and Recall@20 of both, and for each its difference's mean and both ends."""
    names = ("ndcg_at_10", "recall_at_20")
    return Comparison(
        users,
        dict(zip(names, ours, strict=True)),
        dict(zip(names, theirs, strict=True)),
        dict(zip(names, differences, strict=True)),
    )


# The gate judges whatever was trained, and these are trained in half the time of all.
FEW_VOICES = frozenset({"lightfm", "neighbours", "popularity"})
BETTER = compared(500, (0.2, 0.3), (0.1, 0.2), (0.1, 0.05, 0.15), (0.1, 0.05, 0.15))


def decide(popularity=BETTER, active=None, *, tolerance=0.05, version="v1", new_users=0):
    return gate.decide(popularity, active, tolerance=tolerance, version=version, new_users=new_users)


@pytest.mark.parametrize(
    ("users", "low", "high", "decision"),
    [
        (250, 0.001, 0.02, "passed"),
        (250, 0.0, 0.02, "rejected"),
        (250, -0.001, 0.02, "rejected"),
        (249, -0.001, 0.02, "passed"),
        (249, -0.02, 0.0, "passed"),
        (249, -0.02, -0.001, "rejected"),
        (50, -0.02, 0.5, "passed"),
    ],
)
def test_popularity_must_be_beaten_for_sure_where_there_are_users_enough_to_be_sure(
    users, low, high, decision
):
    mean = (low + high) / 2
    against = compared(users, (0.1, 0.2), (0.1 - mean, 0.2), (mean, low, high), (0.0, -0.1, 0.1))

    verdict = decide(against)

    assert verdict.decision == decision
    assert f"{users} users" in verdict.reason
    assert f"{low:+.4f} to {high:+.4f}" in verdict.reason


@pytest.mark.parametrize(
    ("mean", "high", "decision"),
    [
        (-0.0099, -0.001, "passed"),  # surely worse, but by less than is tolerated: 0.01 of 0.2
        (-0.0101, -0.001, "rejected"),
        (-0.0101, 0.001, "passed"),  # by more, but it may be chance
        (0.05, 0.1, "passed"),
    ],
)
@pytest.mark.parametrize("worse", ["ndcg_at_10", "recall_at_20"])
def test_the_active_version_must_not_be_surely_better_by_more_than_is_tolerated(worse, mean, high, decision):
    even = (0.0, -0.01, 0.01)
    differences = [(mean, -0.2, high), even] if worse == "ndcg_at_10" else [even, (mean, -0.2, high)]
    active = compared(300, (0.2, 0.2), (0.2, 0.2), *differences)

    verdict = decide(active=active)

    assert verdict.decision == decision
    assert "v1" in verdict.reason
    assert "300 users" in verdict.reason


def test_the_tolerance_is_a_share_of_what_the_active_version_reaches():
    active = compared(300, (0.19, 0.2), (0.2, 0.2), (-0.015, -0.02, -0.01), (0.0, -0.1, 0.1))

    assert decide(active=active, tolerance=0.1).decision == "passed"
    assert decide(active=active, tolerance=0.05).decision == "rejected"


@pytest.mark.parametrize(
    ("version", "new_users", "said"),
    [
        (None, 0, "There is no active version to compare with."),
        ("v1", 49, "Too little to compare with the active version v1 by: 49 users"),
    ],
)
def test_where_it_cannot_be_compared_with_the_active_version_that_is_said(version, new_users, said):
    verdict = decide(version=version, new_users=new_users)

    assert verdict.decision == "passed"
    assert said in verdict.reason


def test_force_overrides_a_rejection_and_says_so_and_leaves_the_rest_alone():
    rejected = replace(decide(), decision="rejected", reason="It is bad.")

    assert gate.forced(rejected).decision == "forced"
    assert gate.forced(rejected).reason == "Forced, though it would have been rejected: It is bad."
    assert gate.forced(rejected).popularity is rejected.popularity
    assert gate.forced(decide()) == decide()


@pytest.fixture
def empty(make_app, sqlite_url):
    """A shop without anything in it."""
    with make_app(
        sqlite_url, model_components=16, model_epochs=10, voices=FEW_VOICES
    ).app_context() as pushed:
        yield pushed.app


@pytest.fixture
def bookshop(empty):
    """The demonstration's shop."""
    open_shop()
    return empty


def train(**options):
    run, _ = training.request("manual", requested_by="test", **options)
    training.run(run.run_id)
    return training.get(run.run_id)


def shuffle_users(share: float = 1.0) -> None:
    """So many of the interactions become somebody's, whoever did them."""
    random = np.random.default_rng(1)
    rows = db.session.execute(select(Interaction.interaction_key, Interaction.user_key)).all()
    rows = [row for row in rows if random.random() < share]
    keys = random.permutation([user_key for _, user_key in rows]).tolist()
    values = [
        {"interaction_key": row[0], "user_key": user_key} for row, user_key in zip(rows, keys, strict=True)
    ]
    with write_transaction():
        db.session.execute(update(Interaction), values)


def test_a_poisoned_training_set_is_rejected_and_the_same_data_as_it_was_passes(bookshop):
    good = train()
    shuffle_users()
    poisoned = train()

    assert (good.status, good.gate["decision"]) == ("succeeded", "passed"), good.gate
    assert good.gate["popularity"]["difference"]["ndcg_at_10"]["low"] > 0.01
    assert (poisoned.status, poisoned.gate["decision"]) == ("rejected", "rejected"), poisoned.gate
    assert "does not surely beat popularity" in poisoned.gate["reason"]
    assert (poisoned.model_version, poisoned.error) == (None, None)
    assert not {"fit", "publish", "activate"} & poisoned.seconds.keys()
    assert registry.model_store().pointer().version == good.model_version
    assert [version.version for version in registry.everything()] == [good.model_version]

    forced = train(force=True)

    assert (forced.status, forced.gate["decision"], forced.force) == ("succeeded", "forced", True)
    assert forced.gate["reason"].startswith("Forced, though it would have been rejected: It does not surely")
    assert registry.get(forced.model_version).manifest["gate"] == forced.gate
    assert registry.model_store().pointer().version == forced.model_version


def test_a_candidate_meets_the_active_version_on_what_came_after_that_ones_training(empty, readers, write):
    before, after = readers
    write(before)
    first = train()
    write(after)

    second = train()

    assert second.status == "succeeded", second.gate
    active = second.gate["active"]
    assert active["version"] == first.model_version
    came_back = {row["user_id"] for row in before} & {row["user_id"] for row in after}
    assert gate.FEWEST_USERS <= active["users"] <= len(came_back)
    assert active["users"] <= second.gate["candidate"]["users"] == second.gate["popularity"]["users"]
    low, high = (active["difference"]["ndcg_at_10"][end] for end in ("low", "high"))
    assert low <= active["candidate"]["ndcg_at_10"] - active["ndcg_at_10"] <= high
    assert f"not worse than the active version {first.model_version}" in second.gate["reason"]


def test_a_candidate_that_beats_popularity_but_not_the_active_version_is_rejected(empty, readers, write):
    before, after = readers
    write(before)
    first = train()
    shuffle_users(share=0.4)
    write(after)

    second = train()

    assert second.status == "rejected", second.gate
    assert f"worse than the active version {first.model_version} by more than 5%" in second.gate["reason"]
    assert second.gate["popularity"]["difference"]["ndcg_at_10"]["mean"] > 0
    assert registry.model_store().pointer().version == first.model_version


def test_an_active_version_that_is_damaged_is_not_compared_with_and_the_log_says_so(shop, train, caplog):
    version = train().model_version
    next(registry.versioned_directory().folder(version).glob("*.npy")).write_bytes(b"")

    with caplog.at_level("ERROR"):
        assert gate.incumbent() is None
    assert version in caplog.text


def test_a_run_whose_model_store_does_not_answer_fails_in_words(shop, train, monkeypatch):
    def away():
        raise ModelStoreUnavailableError("s3://models does not answer.")

    monkeypatch.setattr(registry, "model_store", away)

    with pytest.raises(TrainingError, match="s3://models does not answer"):
        gate.incumbent()
