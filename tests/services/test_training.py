"""Training runs: one path, one run under way, and each says how it ended."""

from __future__ import annotations

import io
import json
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from rq import Queue
from sqlalchemy import func, select, update
from sqlalchemy.exc import OperationalError

from recsvc import queues
from recsvc.errors import ConflictError, NotFoundError, QueueUnavailableError, RunEndedError
from recsvc.extensions import db
from recsvc.logs import configure_logging
from recsvc.services import learning, registry, training
from recsvc.services.progress import Progress, heartbeat
from recsvc.services.serving import serving
from recsvc.storage.database import write_transaction
from recsvc.storage.models import Interaction, TrainingRun
from recsvc.storage.queries import training_runs


def ask(**changes):
    return training.request(**({"trigger": "manual", "requested_by": "test"} | changes))


def number_of_runs() -> int:
    return db.session.scalar(select(func.count()).select_from(TrainingRun)) or 0


def age(run_id: str, minutes: float) -> None:
    """Makes a run look as if it had been silent for so long."""
    moment = datetime.now(UTC) - timedelta(minutes=minutes)
    with write_transaction():
        db.session.execute(
            update(TrainingRun)
            .where(TrainingRun.run_id == run_id)
            .values(queued_at=moment, started_at=moment, heartbeat_at=moment)
        )


def start(run_id: str) -> None:
    with write_transaction():
        training_runs.change(run_id, status="running", attempt=1, started_at=datetime.now(UTC))


def test_a_run_is_queued_for_the_worker(context, redis):
    run, already = ask(reason="why not", force=True)

    assert (run.status, run.attempt, run.trigger, run.reason, run.force) == (
        "queued",
        0,
        "manual",
        "why not",
        True,
    )
    assert not already
    assert Queue(queues.TRAINING, connection=redis).job_ids == [queues.training_job_id(run.run_id)]


def test_a_run_under_way_is_answered_to_whoever_asks_again(context, redis):
    first, _ = ask()
    second, already = ask(trigger="schedule", scheduled_for=datetime(2026, 1, 1, tzinfo=UTC))

    assert (second.run_id, already) == (first.run_id, True)
    assert Queue(queues.TRAINING, connection=redis).count == 1


@pytest.mark.parametrize("status", ["succeeded", "rejected", "failed", "cancelled"])
def test_after_a_run_has_ended_another_may_be_asked_for(context, status):
    first, _ = ask()
    with write_transaction():
        training_runs.change(first.run_id, status=status)

    second, already = ask()

    assert second.run_id != first.run_id
    assert not already


def test_fifty_who_ask_at_once_get_one_run(app, redis):
    start_line, answers, failures = threading.Barrier(50), [], []

    def one() -> None:
        try:
            start_line.wait(30)
            with app.app_context():
                run, already = ask()
                answers.append((run.run_id, already))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=one) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    assert len({run_id for run_id, _ in answers}) == 1
    assert sorted(already for _, already in answers) == [False] + [True] * 49
    assert Queue(queues.TRAINING, connection=redis).count == 1


def test_a_scheduled_moment_has_one_run_even_after_that_has_ended(context):
    moment = datetime(2026, 11, 23, tzinfo=UTC)
    first, _ = ask(trigger="schedule", scheduled_for=moment)
    training.cancel(first.run_id)

    second, already = ask(trigger="schedule", scheduled_for=moment)

    assert (second.run_id, already, number_of_runs()) == (first.run_id, True, 1)


def test_the_schedule_asks_for_the_moment_that_was_due(context):
    run, _ = training.request_scheduled()

    assert run.trigger == "schedule"
    assert (run.scheduled_for.hour, run.scheduled_for.minute) == (0, 0)
    assert timedelta(0) <= datetime.now(UTC) - run.scheduled_for < timedelta(days=1)


def test_while_redis_is_away_no_run_is_left(make_app, database_url):
    with make_app(database_url, redis_url="redis://127.0.0.1:1/0").app_context():
        with pytest.raises(QueueUnavailableError):
            ask()

        assert number_of_runs() == 0


def test_where_redis_goes_away_between_asking_and_queueing_no_run_is_left(context, monkeypatch):
    def refuse(run_id: str) -> None:
        raise QueueUnavailableError("gone")

    monkeypatch.setattr(queues, "enqueue_training", refuse)

    with pytest.raises(QueueUnavailableError):
        ask()
    assert number_of_runs() == 0


def test_a_long_name_of_who_asks_is_no_reason_to_fail(context):
    assert ask(requested_by="key " + "x" * 200)[0].requested_by.startswith("key x")


def test_at_start_up_a_first_training_is_asked_for_only_if_wanted(make_app, sqlite_url):
    with make_app(sqlite_url).app_context():
        training.request_on_startup()
        assert number_of_runs() == 0
    with make_app(sqlite_url, auto_train_on_startup=True).app_context():
        training.request_on_startup()
        assert [run.trigger for run in training.page(before=None, limit=9, status=None)] == ["startup"]


@pytest.mark.parametrize(
    ("schedule", "moment", "due"),
    [
        ("0 0 * * *", "2026-11-23T00:00:00", "2026-11-23T00:00:00"),
        ("0 0 * * *", "2026-11-23T00:00:00.999999", "2026-11-23T00:00:00"),
        ("0 0 * * *", "2026-11-22T23:59:59.999999", "2026-11-22T00:00:00"),
        ("*/15 * * * *", "2026-11-23T10:44:59", "2026-11-23T10:30:00"),
        ("*/15 * * * *", "2026-11-23T10:45:00", "2026-11-23T10:45:00"),
        ("30 4 * * 0", "2026-11-23T10:00:00", "2026-11-22T04:30:00"),
        ("30 4 * * 7", "2026-11-23T10:00:00", "2026-11-22T04:30:00"),
        ("0 0 1 * *", "2026-03-01T00:00:00", "2026-03-01T00:00:00"),
        ("0 0 29 2 *", "2026-11-23T00:00:00", "2024-02-29T00:00:00"),
        ("59 23 31 12 *", "2026-01-01T00:00:00", "2025-12-31T23:59:00"),
    ],
)
def test_the_last_due_moment_of_a_cron_line(schedule, moment, due):
    utc = datetime.fromisoformat(moment).replace(tzinfo=UTC)

    assert training.last_due(schedule, utc) == datetime.fromisoformat(due).replace(tzinfo=UTC)


def test_a_cron_line_is_read_in_utc_wherever_the_moment_is_told(context):
    from datetime import timezone

    moment = datetime(2026, 11, 23, 1, 0, tzinfo=timezone(timedelta(hours=3)))  # 22:00 UTC the day before

    assert training.last_due("0 0 * * *", moment) == datetime(2026, 11, 22, tzinfo=UTC)


def test_a_training_ends_in_an_active_version(shop, train):
    run = train()

    assert run.status == "succeeded", run.error
    assert (run.progress, run.attempt, run.error) == (1.0, 1, None)
    assert run.queued_at <= run.started_at <= run.finished_at
    assert {"read", "build", "fit", "publish", "activate"} <= run.seconds.keys()
    version = registry.get(run.model_version)
    assert (version.status, version.run_id) == ("active", run.run_id)
    assert registry.model_store().pointer().version == run.model_version
    assert serving().view().version == run.model_version


def test_a_manifest_tells_what_was_learned_from(shop, train):
    run = train()

    manifest, arrays = registry.open_version(run.model_version)
    rows = db.session.scalar(select(func.count()).select_from(Interaction))
    assert manifest["data"] == run.data
    assert (run.data["interactions"], run.data["users"], run.data["items"]) == (rows, 24, 16)
    assert run.data["watermark"] == db.session.scalar(select(func.max(Interaction.interaction_key)))
    until = db.session.scalar(select(func.max(Interaction.occurred_at)))
    assert datetime.fromisoformat(run.data["until"]) == until
    assert manifest["parameters"] == run.parameters
    assert run.parameters["lightfm"]["components"] == 8  # of 16 items no more can be learned
    assert manifest["run_id"] == run.run_id
    assert set(manifest["libraries"]) == {"python", "lightfm-next", "numpy", "scipy"}
    assert registry.get(run.model_version).manifest == json.loads(json.dumps(manifest))
    assert arrays["lightfm.embeddings"].shape == (16, 8)
    assert all(np.isfinite(array).all() for array in arrays.values())


def test_a_second_training_retires_the_first_version(shop, train):
    first, second = train().model_version, train().model_version

    states = {version.version: version.status for version in registry.everything()}
    assert states == {first: "retired", second: "active"}


@pytest.mark.parametrize(
    ("event", "value", "why"),
    [
        (None, None, "There are no interactions"),
        ("dislike", None, "No interaction speaks for any item"),
        ("rating", 1.0, "No interaction speaks for any item"),
    ],
)
def test_a_run_that_cannot_learn_says_why(do, train, event, value, why):
    if event:
        do("u", "b1", "b2", event=event, value=value)

    run = train()

    assert (run.status, run.model_version) == ("failed", None)
    assert run.error.startswith(why)
    assert registry.model_store().pointer() is None


def test_one_user_and_one_item_are_enough_to_train(do, train):
    do("u", "b1")

    assert train().status == "succeeded"


def test_a_run_cancelled_while_queued_is_left_alone_by_the_worker(shop):
    run, _ = ask()
    assert training.cancel(run.run_id).status == "cancelled"

    training.run(run.run_id)

    assert training.get(run.run_id).status == "cancelled"
    assert registry.everything() == []


@pytest.mark.parametrize("stage", ["read", "build", "evaluate", "gate", "fit", "publish", "activate"])
def test_a_run_cancelled_at_work_stops_and_leaves_nothing_behind(shop, train, monkeypatch, stage):
    before = train().model_version
    run, _ = ask()
    write = Progress.write

    def cancel_at_stage(self, **values):
        # As the stage ends; the last just before it begins, for then it is too late.
        if values.get("stage") == stage == "activate" or (
            stage in values.get("seconds", {}) and list(values["seconds"])[-1] == stage
        ):
            training.cancel(self.run_id)
        write(self, **values)

    monkeypatch.setattr(Progress, "write", cancel_at_stage)
    training.run(run.run_id)

    ended = training.get(run.run_id)
    assert (ended.status, ended.model_version) == ("cancelled", None)
    assert registry.model_store().pointer().version == before
    assert [version.version for version in registry.everything()] == [before]
    root = registry.model_store().root
    assert sorted(path.name for path in root.iterdir()) == sorted(["active.json", before])


def test_what_has_ended_cannot_be_cancelled(context):
    run, _ = ask()
    training.cancel(run.run_id)

    with pytest.raises(ConflictError, match="cancelled"):
        training.cancel(run.run_id)
    with pytest.raises(NotFoundError):
        training.cancel("nope")


def test_a_second_attempt_takes_over_and_the_first_stops(shop):
    run, _ = ask()
    start(run.run_id)
    first = Progress(run.run_id, attempt=1)

    training.run(run.run_id)

    ended = training.get(run.run_id)
    assert (ended.status, ended.attempt) == ("succeeded", 2)
    with pytest.raises(Exception, match="taken it over"):
        first.write(stage="fit")


def test_an_attempt_that_was_taken_over_cannot_fail_the_run(context):
    run, _ = ask()
    with write_transaction():
        training_runs.change(run.run_id, status="running", attempt=2)

    training.fail(run.run_id, "the first attempt woke up", if_attempt=1)
    assert training.get(run.run_id).status == "running"

    training.fail(run.run_id, "x" * 9_000, if_attempt=2)
    assert training.get(run.run_id).error == "x" * 4_000


def test_an_unexpected_error_fails_the_run_and_is_raised(shop, monkeypatch):
    def explode(*_args, **_kwargs):
        raise MemoryError("too large")

    monkeypatch.setattr(learning, "build_matrix", explode)
    run, _ = ask()

    with pytest.raises(MemoryError):
        training.run(run.run_id)
    ended = training.get(run.run_id)
    assert (ended.status, ended.error) == ("failed", "MemoryError: too large")
    assert ended.finished_at is not None


def test_a_store_that_cannot_be_written_fails_the_run_with_the_reason(shop, train):
    registry.model_store().root.write_text("a file where the folder should be")

    run = train()

    assert run.status == "failed"
    assert "cannot be written" in run.error


def test_a_damaged_pointer_is_mended_by_the_next_training(shop, train):
    store = registry.model_store()
    store.root.mkdir(parents=True)
    (store.root / "active.json").write_text("{")
    assert not registry.has_model()

    run = train()

    assert run.status == "succeeded", run.error
    assert store.pointer().version == run.model_version


def test_a_run_whose_worker_died_and_whose_job_is_lost_is_ended(context, redis):
    run, _ = ask()
    start(run.run_id)
    age(run.run_id, minutes=2)
    redis.flushall()

    training.sweep()

    ended = training.get(run.run_id)
    assert (ended.status, ended.error) == ("failed", "The worker died, and the queue lost its job.")


def test_a_queued_run_whose_job_is_lost_is_queued_again(context, redis):
    run, _ = ask()
    age(run.run_id, minutes=2)
    redis.flushall()

    training.sweep()
    training.sweep()

    assert training.get(run.run_id).status == "queued"
    assert Queue(queues.TRAINING, connection=redis).job_ids == [queues.training_job_id(run.run_id)]


def test_a_run_that_shows_signs_of_life_is_left_alone(context, redis):
    run, _ = ask()
    start(run.run_id)
    redis.flushall()
    training.sweep()
    assert training.get(run.run_id).status == "running"

    training.cancel(run.run_id)
    silent, _ = ask()
    age(silent.run_id, minutes=2)
    training.sweep()
    assert training.get(silent.run_id).status == "queued"


def test_whoever_asks_ends_a_lost_run_first(context, redis):
    lost, _ = ask()
    start(lost.run_id)
    age(lost.run_id, minutes=2)
    redis.flushall()

    run, already = ask()

    assert (run.run_id != lost.run_id, already) == (True, False)
    assert training.get(lost.run_id).status == "failed"


def test_runs_are_paged_newest_first_and_by_status(context):
    made = []
    for _ in range(5):
        run, _ = ask()
        training.cancel(run.run_id)
        made.append(run.run_id)
    made.append(ask()[0].run_id)
    seen, before = [], None
    while runs := training.page(before=before, limit=2, status=None):
        seen += [run.run_id for run in runs]
        before = (runs[-1].queued_at, runs[-1].run_id)

    assert seen == made[::-1]
    assert [run.run_id for run in training.page(before=None, limit=9, status="queued")] == made[-1:]


def test_the_database_catches_up_with_the_pointer(shop, train):
    first, second = train().model_version, train().model_version
    registry.model_store().activate(first)

    registry.reconcile()

    assert {version.version: version.status for version in registry.everything()} == {
        first: "active",
        second: "retired",
    }


def test_a_run_whose_version_is_being_activated_cannot_be_cancelled(context):
    run, _ = training.request("manual", requested_by="test")
    with write_transaction():
        training_runs.change(run.run_id, status="running", stage="activate")

    with pytest.raises(ConflictError, match="is being activated"):
        training.cancel(run.run_id)

    assert training.get(run.run_id).status == "running"


def test_a_database_that_is_locked_for_a_moment_costs_a_note_of_progress_and_not_the_run(
    context, monkeypatch
):
    run, _ = training.request("manual", requested_by="test")
    with write_transaction():
        training_runs.change(run.run_id, status="running", attempt=1)
    progress = Progress(run.run_id, attempt=1)

    def locked(*_args, **_values):
        raise OperationalError("UPDATE", {}, Exception("database is locked"))

    with monkeypatch.context() as away:
        away.setattr(training_runs, "change", locked)
        progress.fraction(0.5)
    progress._written_at = 0.0
    progress.fraction(0.75)

    assert training.get(run.run_id).progress == 0.75


def test_a_run_whose_database_went_away_is_left_to_the_next_attempt(shop, monkeypatch):
    def away(*_args, **_kwargs):
        raise OperationalError("SELECT", {}, Exception("connection lost"))

    run, _ = ask()
    with monkeypatch.context() as outage:
        outage.setattr(learning, "build_matrix", away)
        with pytest.raises(OperationalError):
            training.run(run.run_id)
    assert training.get(run.run_id).status == "running"

    training.run(run.run_id)

    ended = training.get(run.run_id)
    assert (ended.status, ended.attempt) == ("succeeded", 2)


def test_a_run_that_was_handed_back_is_queued_again_and_its_first_attempt_stops(shop):
    run, _ = ask()
    start(run.run_id)
    first = Progress(run.run_id, attempt=1)
    first.write(stage="fit", progress=0.5)

    training.hand_back(run.run_id)

    waiting = training.get(run.run_id)
    assert (waiting.status, waiting.stage, waiting.progress, waiting.started_at) == (
        "queued",
        None,
        0.0,
        None,
    )
    assert ask()[0].run_id == run.run_id
    training.run(run.run_id)
    ended = training.get(run.run_id)
    assert (ended.status, ended.attempt) == ("succeeded", 2)
    with pytest.raises(RunEndedError):
        first.write(progress=0.6)


def test_a_run_that_has_ended_is_not_handed_back(context):
    run, _ = ask()
    training.cancel(run.run_id)

    training.hand_back(run.run_id)

    assert training.get(run.run_id).status == "cancelled"


def test_a_version_of_a_run_that_was_taken_over_is_kept_where_it_is_active(shop, train):
    version = train().model_version

    registry.discard(version)

    assert registry.model_store().versions() == [version]
    assert registry.get(version).status == "active"


def test_a_run_that_takes_too_long_fails_in_words_and_stops_at_its_next_step(shop, context, monkeypatch):
    config = context.extensions["recsvc.config"]
    monkeypatch.setitem(context.extensions, "recsvc.config", replace(config, train_timeout=5))
    run, _ = ask()
    choose, went_on = learning.fitting.choose, []

    def wait(*arguments):
        while training.get(run.run_id).status == "running":
            db.session.rollback()
            time.sleep(0.05)
        went_on.append(training.get(run.run_id).status)
        return choose(*arguments)

    monkeypatch.setattr(learning.fitting, "choose", wait)
    training.run(run.run_id)

    ended = training.get(run.run_id)
    assert (went_on, ended.status) == (["failed"], "failed")
    assert ended.error == "The training took longer than TRAIN_TIMEOUT=5 seconds."
    assert ended.finished_at - ended.started_at >= timedelta(seconds=5)
    assert (ended.stage, ended.model_version, registry.everything()) == ("evaluate", None, [])


def test_a_version_that_is_being_activated_is_not_given_up_for_the_time_it_takes(context):
    run, _ = ask()
    with write_transaction():
        training_runs.change(run.run_id, status="running", attempt=1, stage="activate")

    with heartbeat(run.run_id, 1, timeout=0.05):
        time.sleep(0.3)

    assert training.get(run.run_id).status == "running"


def test_a_run_that_takes_too_long_while_the_database_is_away_fails_once_it_is_back(context, monkeypatch):
    monkeypatch.setattr("recsvc.services.progress._BEAT_EVERY", 0.1)
    run, _ = ask()
    start(run.run_id)
    change, tries = training_runs.change, []

    def away_at_first(*args, **values):
        tries.append(values)
        if len(tries) < 4:
            raise OperationalError("UPDATE", {}, Exception("connection refused"))
        return change(*args, **values)

    monkeypatch.setattr(training_runs, "change", away_at_first)
    began = time.monotonic()
    with heartbeat(run.run_id, 1, timeout=0.05):
        while training.get(run.run_id).status == "running" and time.monotonic() - began < 30:
            db.session.rollback()
            time.sleep(0.02)

    assert training.get(run.run_id).error == "The training took longer than TRAIN_TIMEOUT=0.05 seconds."
    assert len(tries) <= 2 + (time.monotonic() - began) / 0.1 + 2


def test_a_run_outlasts_a_database_that_is_away_for_a_while(shop, monkeypatch):
    monkeypatch.setattr("recsvc.storage.database._TRIED_AGAIN_EVERY", 0.0)
    run, _ = ask()
    change, stages = training_runs.change, []

    def away_at_first(*args, **values):
        stages.append(values.get("stage"))
        if values.get("stage") and stages.count(values["stage"]) < 3:
            raise OperationalError("UPDATE", {}, Exception("connection refused"))
        return change(*args, **values)

    monkeypatch.setattr(training_runs, "change", away_at_first)
    training.run(run.run_id)

    done = training.get(run.run_id)
    assert (done.status, done.attempt) == ("succeeded", 1)
    assert stages.count("read") == stages.count("activate") == 3


def test_a_run_tells_its_rows_its_epochs_and_the_seconds_of_each_stage_as_it_goes(shop, monkeypatch, caplog):
    monkeypatch.setattr("recsvc.services.progress._PROGRESS_EVERY", 0.0)
    run, _ = ask()
    seen: list[TrainingRun] = []
    write = Progress._write_once

    def look(self, values):
        write(self, values)
        present = training.get(self.run_id)
        seen.append((present.stage, present.progress, present.epoch, present.rows_read, [*present.seconds]))

    monkeypatch.setattr(Progress, "_write_once", look)
    training.run(run.run_id)

    rows = db.session.scalar(select(func.count()).select_from(Interaction))
    assert training.get(run.run_id).rows_read == rows
    assert {read for stage, _, _, read, _ in seen if stage == "read"} == {None, rows}
    epochs = dict.fromkeys(epoch for stage, _, epoch, *_ in seen if stage == "fit" and epoch)
    assert [*epochs] == [*range(1, training.get(run.run_id).parameters["lightfm"]["epochs"] + 1)]
    assert {epoch for stage, _, epoch, *_ in seen if stage in {"read", "build", "publish"}} == {None}
    for stage in ("evaluate", "fit"):
        fractions = [done for of, done, *_ in seen if of == stage]
        assert fractions == sorted(fractions)
        assert fractions[-1] > 0.5
    stages = ["read", "build", "evaluate", "gate", "fit", "publish", "activate"]
    assert [*dict.fromkeys(stage for stage, *_ in seen)] == stages
    assert sorted(training.get(run.run_id).seconds) == sorted(stages)


def test_the_log_has_one_line_a_stage(shop, train):
    log = io.StringIO()
    configure_logging("INFO", "json", log)
    run = train()
    configure_logging("WARNING", "json")

    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    told = [(line["stage"], line["seconds"]) for line in lines if line["event"] == "training_stage"]
    assert dict(told) == run.seconds
    assert len(told) == 7
    assert [line["decision"] for line in lines if line["event"] == "training_gate"] == ["passed"]


@pytest.mark.parametrize("share", [0.0, 0.9])
def test_a_training_costs_hardly_any_writes_however_often_it_tells_its_progress(context, monkeypatch, share):
    run, _ = ask()
    start(run.run_id)
    progress, written = Progress(run.run_id, attempt=1), []
    change = training_runs.change
    monkeypatch.setattr(
        training_runs, "change", lambda *args, **values: written.append(values) or change(*args, **values)
    )

    began = time.monotonic()
    for step in range(20_000):
        progress.epoch(step)
        progress.fraction(share)

    assert len(written) <= 1 + (time.monotonic() - began) / 0.5
