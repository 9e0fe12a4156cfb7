"""Tuning: what is tried is kept, and what is in force is surely better than the settings."""

from __future__ import annotations

import numpy as np
import pytest
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from recsvc.errors import ConflictError
from recsvc.extensions import db
from recsvc.recommender.search import Tried
from recsvc.services import ingestion, training, tuned, tuning
from recsvc.services.ingestion import NewInteraction
from recsvc.storage.database import write_transaction
from recsvc.storage.models import TunedParameters, TuningTrial, now
from recsvc.storage.queries import tuning as queries

VOICES = frozenset({"neighbours", "popularity"})


def write_readers(users: int) -> None:
    random = np.random.default_rng(3)
    rows = [
        NewInteraction(f"u{user}", f"b{user % 2}-{item}", "purchase")
        for user in range(users)
        for item in random.permutation(20)[:10].tolist()
    ]
    assert ingestion.record_batch(enumerate(rows)).accepted == len(rows)


def rows(table) -> list:
    db.session.rollback()
    return list(db.session.scalars(select(table)).all())


def in_force() -> dict:
    db.session.rollback()
    found = queries.in_force()
    return found.parameters if found else {}


def tried(ground, parameters, limits, ndcg) -> Tried:
    """A trial whose model is known by its NDCG with every user alone."""
    return Tried(parameters, limits, ground, {}, 0.0, ndcg, ndcg[ground.compared.user_indexes])


def judge(trial) -> np.ndarray:
    return trial.model[trial.ground.judged.user_indexes]


@pytest.fixture
def readers(make_app, database_url):
    with make_app(database_url, voices=VOICES).app_context():
        write_readers(60)
        yield


@pytest.fixture
def shop(make_app, sqlite_url):
    """The same on SQLite, where the kind of database makes no difference."""
    app = make_app(sqlite_url, voices=VOICES)
    with app.app_context():
        write_readers(60)
        yield app


@pytest.fixture
def worth(monkeypatch):
    """Lets parameters be worth what a test says; the others are worth as much as the settings."""
    gains: dict[tuple, float] = {}

    def try_out(ground, parameters, limits, _like, on_progress):
        on_progress()
        gain = sum(gains.get(parameter, 0.0) for parameter in parameters.items())
        if not np.isfinite(gain):
            raise ValueError("it diverged")
        users = ground.matrix.strengths.shape[0]
        ndcg = 0.3 + gain + np.random.default_rng(1).uniform(-0.001, 0.001, users) * bool(gain)
        return tried(ground, parameters, limits, ndcg)

    monkeypatch.setattr(tuning, "try_out", try_out)
    monkeypatch.setattr(tuning, "judge", judge)
    return gains


@pytest.fixture
def luck(monkeypatch):
    """Lets every trial be as good as the settings, but for the luck that it has with each user."""
    random = np.random.default_rng(5)

    def try_out(ground, parameters, limits, _like, _on_progress):
        ndcg = 0.3 + random.normal(0, 0.05, ground.matrix.strengths.shape[0])
        return tried(ground, parameters, limits, ndcg)

    monkeypatch.setattr(tuning, "try_out", try_out)
    monkeypatch.setattr(tuning, "judge", judge)


def test_the_settings_are_tried_first_and_every_trial_is_kept(readers):
    outcome = tuning.tune(1, max_trials=4)

    trials = rows(TuningTrial)
    assert (outcome.trials, outcome.earlier, outcome.users) == (4, 0, 20)
    assert [(trial.turn, trial.parameters) for trial in trials[:1]] == [("defaults", {})]
    assert [trial.turn for trial in trials[1:]] == ["neighbours", "half_life", "neighbours"]
    assert outcome.gain == pytest.approx(outcome.ndcg - outcome.default_ndcg, abs=2e-5)
    assert outcome.low <= outcome.gain <= outcome.high
    assert outcome.kept == (outcome.low > 0) == bool(in_force())


def test_what_is_better_for_sure_is_trained_with(readers, worth):
    worth["neighbours", 400] = 0.02
    worth["half_life_days", 90.0] = 0.01

    outcome = tuning.tune(1)

    best = {"neighbours": 400, "half_life_days": 90.0}
    assert (outcome.kept, outcome.in_force) == (True, best)
    assert outcome.changed == {"neighbours": (200, 400), "half_life_days": (0.0, 90.0)}
    assert 0 < outcome.low < outcome.gain < outcome.high
    assert in_force() == best
    run, _ = training.request("manual", requested_by="test")
    training.run(run.run_id)
    ended = training.get(run.run_id)
    assert (ended.status, ended.parameters["neighbours"]["neighbours"]) == ("succeeded", 400)
    assert ended.data["half_life_days"] == 90.0


def test_the_luckiest_of_many_trials_that_are_no_better_is_put_in_force_as_seldom_as_promised(
    make_app, sqlite_url, luck
):
    app = make_app(sqlite_url, voices=frozenset({"als", "popularity"}), half_life_days=90.0)
    with app.app_context():
        write_readers(60)
        outcomes = []
        for _ in range(40):
            outcomes.append(tuning.tune(1, max_trials=13))
            tuning.reset()

    assert {outcome.trials for outcome in outcomes} == {13}
    # Above a 95 % interval is 1 of 40: that more than 4 are has a chance of 0.3 %. Judged by the users that
    # chose them, 1 - 0.975 ** 12 would be, 10 of 40.
    assert sum(outcome.kept for outcome in outcomes) <= 4


def test_what_was_best_by_luck_alone_is_not_put_in_force(shop, monkeypatch):
    """One choice is surely better for those that choose alone, another for all but those."""
    gains = {400: (0.1, 0.0), 800: (-0.1, 0.1)}

    def try_out(ground, parameters, limits, _like, _on_progress):
        chosen, others = gains.get(parameters.get("neighbours"), (0.0, 0.0))
        ndcg = np.full(ground.matrix.strengths.shape[0], 0.3 + others)
        ndcg[ground.compared.user_indexes] = 0.3 + chosen
        return tried(ground, parameters, limits, ndcg)

    monkeypatch.setattr(tuning, "try_out", try_out)
    monkeypatch.setattr(tuning, "judge", judge)

    outcome = tuning.tune(1)

    assert max(trial.gain for trial in rows(TuningTrial)) == pytest.approx(0.1)
    assert (outcome.changed, outcome.users) == ({"neighbours": (200, 400)}, 20)
    assert (outcome.gain, outcome.low, outcome.high) == (0.0, 0.0, 0.0)
    assert (outcome.kept, outcome.in_force, in_force()) == (False, {}, {})


def test_what_is_better_on_average_and_not_for_sure_is_not_put_in_force(shop, monkeypatch):
    def try_out(ground, parameters, limits, _like, _on_progress):
        ndcg = np.full(ground.matrix.strengths.shape[0], 0.3 + 0.1 * bool(parameters))
        ndcg[ground.judged.user_indexes] = 0.3 + np.where(np.arange(20) % 2, 0.11, -0.1) * bool(parameters)
        return tried(ground, parameters, limits, ndcg)

    monkeypatch.setattr(tuning, "try_out", try_out)
    monkeypatch.setattr(tuning, "judge", judge)

    outcome = tuning.tune(1, max_trials=3)

    assert outcome.low < 0 < outcome.gain == pytest.approx(0.005)
    assert (outcome.kept, outcome.in_force, in_force()) == (False, {}, {})


def test_a_search_ends_when_nothing_is_left_to_try_and_tries_nothing_twice(shop, worth):
    assert tuning.tune(60).trials == 1 + 4 + 4  # the settings, and other choices for each of two dimensions


def test_a_tuning_goes_on_from_earlier_ones(shop, worth):
    worth["neighbours", 800] = 0.02
    first = tuning.tune(1, max_trials=9)
    earlier = rows(TuningTrial)

    second = tuning.tune(1, max_trials=3)

    assert (first.trials, second.earlier) == (9, 8)
    again = rows(TuningTrial)[9:]
    assert [trial.turn for trial in again[:2]] == ["defaults", "again"]
    assert again[1].parameters == max(earlier, key=lambda trial: trial.gain).parameters
    assert second.ndcg == first.ndcg


def test_a_tuning_goes_on_with_the_turn_that_is_next_however_many_trials_it_remembers(
    make_app, sqlite_url, worth, monkeypatch
):
    """ALS has two dimensions to try, so a turn of two trials; LightFM three, where embeddings are short."""
    monkeypatch.setattr(tuning, "_MOST_EARLIER", 2)
    app = make_app(sqlite_url, voices=frozenset({"als", "lightfm", "popularity"}), half_life_days=90.0)
    with app.app_context():
        write_readers(60)
        for most in (2, 5, 4):
            tuning.tune(1, max_trials=most)

        turns = [trial.turn for trial in rows(TuningTrial)]

    assert turns[:2] == ["defaults", "als"]
    assert turns[2:7] == ["defaults", "again", "als", "lightfm", "lightfm"]
    assert turns[7:] == ["defaults", "again", "lightfm", "als"]


def test_a_tuning_that_dies_loses_the_trial_under_way(shop, worth):
    def die(status):
        if status.trials == 3:
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError):
        tuning.tune(1, on_progress=die)

    assert len(rows(TuningTrial)) == 3
    assert tuning.tune(1, max_trials=2).earlier == 2


def test_ctrl_c_keeps_what_was_found(shop, worth):
    worth["neighbours", 50] = worth["neighbours", 100] = worth["neighbours", 400] = 0.02
    worth["neighbours", 800] = 0.02

    def interrupt(status):
        if status.gain > 0:
            raise KeyboardInterrupt

    outcome = tuning.tune(1, on_progress=interrupt)

    assert (outcome.kept, outcome.in_force) == (True, in_force())


def test_parameters_that_cannot_be_fitted_with_are_passed_over(shop, worth):
    for choice in (30.0, 90.0, 365.0, 1000.0):
        worth["half_life_days", choice] = float("nan")

    outcome = tuning.tune(1)

    assert {trial.gain for trial in rows(TuningTrial)} == {0.0, None}
    assert outcome.gain == 0


def test_what_is_worse_now_is_taken_out_of_force_and_what_is_as_good_stays(shop, worth):
    worth["neighbours", 400] = 0.02
    assert tuning.tune(1).kept

    worth["neighbours", 400] = 0.0
    assert tuning.tune(1, max_trials=2).in_force["neighbours"] == 400
    worth["neighbours", 400] = -0.02
    outcome = tuning.tune(1, max_trials=2)

    assert (outcome.kept, outcome.in_force, in_force()) == (False, {}, {})


def test_what_is_no_better_any_more_does_not_wait_until_it_is_worse_for_sure(shop, worth, monkeypatch):
    worth["neighbours", 400] = 0.02
    assert tuning.tune(1).kept

    def judge(trial):
        return 0.3 + np.where(np.arange(20) % 2, 0.1, -0.11) * bool(trial.parameters)

    monkeypatch.setattr(tuning, "judge", judge)
    outcome = tuning.tune(1, max_trials=2)

    assert outcome.gain == pytest.approx(-0.005)
    assert outcome.low < 0 < outcome.high
    assert (outcome.kept, outcome.in_force, in_force()) == (False, {}, {})


def test_a_setting_that_is_not_at_its_default_wins(shop, worth, make_app, sqlite_url):
    worth["neighbours", 400] = 0.02
    worth["half_life_days", 90.0] = 0.02
    assert tuning.tune(1).in_force == {"neighbours": 400, "half_life_days": 90.0}

    config = make_app(sqlite_url, voices=VOICES, model_neighbours=70).extensions["recsvc.config"]

    limits, half_life = tuned.in_force(config, {"neighbours": {"neighbours": 70}})
    assert (limits, half_life) == ({"neighbours": {"neighbours": 70}}, 90.0)
    assert [entry.name for entry in tuned.open_space(config)] == ["half_life_days"]


@pytest.mark.parametrize(("most", "choices"), [(128, (32, 64, 128)), (64, (32, 64)), (8, None)])
def test_no_more_components_than_the_setting_allows(make_app, sqlite_url, most, choices):
    config = make_app(sqlite_url, model_components=most).extensions["recsvc.config"]

    found = {entry.name: entry.choices for entry in tuned.open_space(config)}

    assert found.get("components") == choices


@pytest.mark.parametrize(("found", "trained_with"), [(32, 32), (128, 64)])
def test_less_than_the_most_components_is_tuned_though_that_is_not_the_default(
    make_app, sqlite_url, found, trained_with
):
    app = make_app(sqlite_url, model_components=64)
    with app.app_context(), write_transaction():
        figures = dict.fromkeys(("ndcg", "default_ndcg", "gain_low", "gain_high"), 0.1)
        queries.put_in_force({"parameters": {"components": found}, "users": 20, "found_at": now(), **figures})
        limits, _ = tuned.in_force(app.extensions["recsvc.config"], {"lightfm": {"components": 64}})

    assert limits == {"lightfm": {"components": trained_with}}


def test_a_reset_forgets_everything(readers, worth):
    worth["neighbours", 400] = 0.02
    tuning.tune(1)

    tuning.reset()

    assert (in_force(), rows(TuningTrial), rows(TunedParameters)) == ({}, [], [])


def test_too_little_data_is_told(make_app, sqlite_url):
    with make_app(sqlite_url, voices=VOICES).app_context():
        with pytest.raises(ConflictError, match="too little data"):
            tuning.tune(1)
        write_readers(59)
        with pytest.raises(ConflictError, match="of 59 users something can be held out"):
            tuning.tune(1)


def test_too_little_time_is_told(shop):
    with pytest.raises(ConflictError, match="longer than 1e-06 minutes"):
        tuning.tune(1e-6)
    assert rows(TuningTrial) == []


def test_settings_that_cannot_be_fitted_with_are_told(shop, monkeypatch):
    def diverge(*_):
        raise ValueError("it diverged")

    monkeypatch.setattr(tuning, "try_out", diverge)
    with pytest.raises(ConflictError, match="cannot be fitted with: it diverged"):
        tuning.tune(1)


def test_a_training_that_waits_ends_a_tuning(shop, worth, monkeypatch):
    monkeypatch.setattr(tuning, "_LOOK_EVERY", 0.0)
    assert not tuning.training_waits()
    training.request("manual", requested_by="test")
    assert tuning.training_waits()

    with pytest.raises(ConflictError, match="a training went first"):
        tuning.tune(1, stop=tuning.training_waits)


def test_a_database_that_is_locked_for_a_moment_costs_a_note_and_not_the_tuning(shop, worth, monkeypatch):
    def locked(_values):
        raise OperationalError("INSERT", {}, Exception("database is locked"))

    with monkeypatch.context() as away:
        away.setattr(queries, "insert_trial", locked)
        assert tuning.tune(1, max_trials=3).trials == 3
    assert rows(TuningTrial) == []
