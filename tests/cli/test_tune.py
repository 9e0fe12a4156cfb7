"""`recsvc tune`, run as a person runs it."""

from __future__ import annotations

import json

import numpy as np
import pytest

from recsvc.services import tuning

VOICES = {"VOICES": "neighbours,popularity", "TRAIN_THREADS": "1"}


@pytest.fixture
def readers(recsvc, tmp_path):
    random = np.random.default_rng(3)
    file = tmp_path / "interactions.csv"
    lines = [f"u{user},b{item}" for user in range(60) for item in random.permutation(20)[:10].tolist()]
    file.write_text("\n".join(["user_id,item_id", *lines]))
    assert recsvc("import", "csv", str(file))[0] == 0


def test_what_was_gained_is_told(recsvc, readers):
    code, out, err = recsvc("tune", "--minutes", "0.05", **VOICES)

    assert code == 0, err
    assert "after 0 of earlier tunings" in out
    assert "NDCG@20 among 20 users" in out
    assert "95 % interval" in out
    assert "trial" in err


def test_it_goes_on_and_begins_anew_when_told_to(recsvc, readers):
    first = json.loads(recsvc("tune", "--minutes", "0.05", "--json", **VOICES)[1])
    second = json.loads(recsvc("tune", "--minutes", "0.05", "--json", **VOICES)[1])
    third = json.loads(recsvc("tune", "--minutes", "0.05", "--json", "--reset", **VOICES)[1])

    assert first["trials"] > 1
    assert (second["earlier"], third["earlier"]) == (first["trials"] - 1, 0)


def test_a_reset_alone_tries_nothing(recsvc):
    assert recsvc("tune", "--reset")[:2] == (0, "Trainings take the settings alone again.\n")


def test_too_little_data_is_told(recsvc):
    code, out, err = recsvc("tune", "--minutes", "1")

    assert (code, out) == (1, "")
    assert "Error: There is too little data to tune with" in err


@pytest.mark.parametrize("minutes", ["0", "-1", "soon"])
def test_minutes_that_are_none_are_refused(recsvc, minutes):
    assert recsvc("tune", "--minutes", minutes)[0] == 2


@pytest.mark.parametrize(
    ("kept", "told"), [(True, "in force from the next training on"), (False, "not above 0 for sure")]
)
def test_whether_it_is_in_force_is_told(recsvc, monkeypatch, kept, told):
    outcome = tuning.Outcome(
        default_ndcg=0.2,
        ndcg=0.21,
        gain=0.01,
        low=0.001,
        high=0.02,
        users=300,
        trials=9,
        earlier=4,
        changed={"penalty": (None, 30.5), "neighbours": (200, 400)},
        kept=kept,
        in_force={"neighbours": 400},
        seconds=60.0,
    )
    monkeypatch.setattr(tuning, "tune", lambda *_args, **_kwargs: outcome)

    out = recsvc("tune")[1]

    assert told in out
    assert "penalty: chosen by training → 30.5" in out
    assert "neighbours: 200 → 400" in out
