"""What is wrong is said, the worst first, and nothing that is not; so is what would help."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from recsvc.queues import QueueState, Waiting
from recsvc.services import diagnosis
from recsvc.services.diagnosis import Look, improvements, problems, verdict_on
from recsvc.services.stock import Audience, Stock
from recsvc.storage.models import ModelVersion, TrainingRun
from recsvc.storage.queries.stock import ItemStock
from recsvc.storage.queries.totals import Recent, Totals

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def ago(**span: float) -> datetime:
    return NOW - timedelta(**span)


@pytest.fixture(autouse=True)
def noon(monkeypatch):
    monkeypatch.setattr(diagnosis, "now", lambda: NOW)


def version(**values: Any) -> ModelVersion:
    return ModelVersion(**{"version": "v1", "created_at": ago(hours=12), **values})


def run(status: str, **values: Any) -> TrainingRun:
    return TrainingRun(run_id="1", status=status, **values)


NOTHING_WAITS = {"maintenance": Waiting(0, None), "training": Waiting(0, None)}
WELL = Look(
    totals=Totals(20_000, 900, 500, 480, ago(minutes=1)),
    stock=Stock(NOW, 0.1, 800, ItemStock(400, 20, 10, 1), Audience(700, 50, 10, 140), [], []),
    recent=Recent({"view": 800, "purchase": 200}, naming_a_list=30),
    active=version(),
    refused=None,
    last_run=run("succeeded"),
    queue=QueueState(NOTHING_WAITS, workers=1, scheduler_seen_at=ago(seconds=5)),
    is_compiled=True,
)


def changed(**values: Any) -> Look:
    """The shop that is well, but for what is given; `queue__…`, `totals__…`, `stock__…` are of a part."""
    look = WELL
    for name, value in values.items():
        part, _, inner = name.partition("__")
        if not inner:
            look = replace(look, **{part: value})
            continue
        whole = getattr(look, part)
        fresh = (
            whole._replace(**{inner: value})
            if hasattr(whole, "_replace")
            else replace(whole, **{inner: value})
        )
        look = replace(look, **{part: fresh})
    return look


def test_a_shop_that_is_well_has_no_problem_and_nothing_to_improve():
    assert problems(WELL) == []
    assert improvements(WELL) == []


@pytest.mark.parametrize(
    ("changes", "code", "said"),
    [
        ({"refused": "v2: item_keys.npy is cut short."}, "model_refused", "v2: item_keys.npy is cut short."),
        ({"totals__interactions": 0, "totals__newest_interaction_at": None}, "no_interactions", "nobody"),
        ({"active": None}, "no_model", "everybody gets what is popular"),
        ({"totals__recommendable_items": 0}, "nothing_recommendable", "every list is empty"),
        ({"queue": None}, "redis_away", "nothing can be trained"),
        ({"queue__workers": 0}, "no_worker", "No worker"),
        ({"queue__scheduler_seen_at": None}, "scheduler_silent", "never"),
        ({"queue__scheduler_seen_at": ago(minutes=16)}, "scheduler_silent", "silent for 16 minutes"),
        ({"queue__waiting": {"training": Waiting(2, ago(minutes=20))}}, "queue_stuck", "for 20 minutes"),
        ({"last_run": run("failed", error="no space left")}, "last_run_failed", "no space left"),
        ({"active": version(created_at=ago(hours=37))}, "model_old", "37 hours old"),
        ({"totals__newest_interaction_at": ago(days=3)}, "nothing_comes_in", "for 3 days"),
        ({"is_compiled": False}, "not_compiled", "not compiled here"),
    ],
)
def test_each_problem_is_told_alone_with_what_to_do(changes, code, said):
    (found,) = problems(changed(**changes))

    assert found.code == code
    assert said in str(found.what)
    assert len(str(found.advice)) > 20


NO_PROBLEM: dict[str, dict[str, Any]] = {
    "a scheduler that looks every five minutes": {"queue__scheduler_seen_at": ago(minutes=14)},
    "a job that waits for a while": {"queue__waiting": {"training": Waiting(1, ago(minutes=14))}},
    "jobs that wait for a training": {
        "queue__waiting": {"maintenance": Waiting(9, ago(minutes=50))},
        "last_run": run("running"),
    },
    "a model of yesterday": {"active": version(created_at=ago(hours=35))},
    "a run that the gate rejected": {"last_run": run("rejected", gate={"reason": "It is worse."})},
    "a run that was cancelled": {"last_run": run("cancelled")},
    "no run yet": {"last_run": None},
    "a quiet day": {"totals__newest_interaction_at": ago(hours=47)},
    "a shop that was not counted yet": {"stock": None},
}


@pytest.mark.parametrize("changes", NO_PROBLEM.values(), ids=NO_PROBLEM)
def test_what_is_no_problem_is_not_told_as_one(changes):
    assert problems(changed(**changes)) == []


def test_the_worst_comes_first():
    look = changed(
        refused="v2 is damaged.",
        queue__workers=0,
        last_run=run("failed", error="x"),
        totals__newest_interaction_at=ago(days=9),
    )

    assert [found.code for found in problems(look)] == [
        "model_refused",
        "no_worker",
        "last_run_failed",
        "nothing_comes_in",
    ]


def test_an_old_model_that_the_gate_keeps_is_told_with_the_gates_reason():
    rejected = run("rejected", gate={"reason": "It does not surely beat popularity."})
    (found,) = problems(changed(active=version(created_at=ago(days=4)), last_run=rejected))

    assert "It does not surely beat popularity." in str(found.advice)


@pytest.mark.parametrize(
    ("changes", "code", "said"),
    [
        (
            {"stock__items": ItemStock(300, 40, 205, 30)},
            "items_without_features",
            "41% of the items have no feature; of 30 nothing is known at all.",
        ),
        ({"stock__users_with_enough": 225}, "users_with_little", "75% of the users have fewer than 2"),
        (
            {"recent": Recent({"purchase": 1_000}, naming_a_list=10)},
            "one_event",
            "all are of one event: purchase.",
        ),
        (
            {"recent": Recent({"view": 500, "cart": 500}, naming_a_list=0)},
            "nothing_attributed",
            "None of the last 1,000 interactions says which list it came from.",
        ),
    ],
)
def test_what_would_help_is_told_with_what_to_do(context, changes, code, said):
    (found,) = improvements(changed(**changes))

    assert found.code == code
    assert said in str(found.what)
    assert len(str(found.advice)) > 20


def test_what_concerns_more_of_the_shop_comes_first(context):
    look = changed(
        stock__items=ItemStock(300, 40, 75, 0),
        stock__users_with_enough=225,
        recent=Recent({"view": 1_000}, naming_a_list=0),
    )

    assert [found.code for found in improvements(look)] == [
        "users_with_little",
        "one_event",
        "items_without_features",
        "nothing_attributed",
    ]


def test_of_next_to_nothing_nothing_is_said_in_general(context):
    look = changed(
        totals=Totals(5, 5, 2, 2, NOW),
        stock__users_with_enough=0,
        recent=Recent({"view": 5}, naming_a_list=0),
    )

    assert [found.code for found in improvements(look)] == ["items_without_features"]


@pytest.mark.parametrize(
    ("interactions", "users", "with_enough", "verdict"),
    [
        (0, 0, 0, "none"),
        (1, 1, 0, "little"),
        (999, 100, 100, "little"),
        (1_000, 100, 24, "little"),
        (1_000, 25, 25, "enough"),
        (1_000, 25, None, "enough"),
        (1_000, 24, None, "little"),
    ],
)
def test_whether_the_data_suffices(interactions, users, with_enough, verdict):
    assert verdict_on(Totals(interactions, users, 9, 9, NOW), with_enough)[0] == verdict
