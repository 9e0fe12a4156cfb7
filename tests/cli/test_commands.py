"""`recsvc …`: what it prints and how it ends."""

from __future__ import annotations

import json
import logging
import threading
import time

import pytest

from recsvc.cli import commands
from recsvc.cli import train as command
from recsvc.services import training
from recsvc.storage.database import write_transaction
from recsvc.storage.models import TrainingRun
from recsvc.storage.queries import training_runs


@pytest.mark.parametrize("arguments", [["config"], ["--help"], ["keys", "list"], ["train"], ["nope"]])
def test_a_wrong_setting_ends_any_command_with_one_line(recsvc, arguments):
    code, out, err = recsvc(*arguments, TRAIN_SEED="x")

    assert code == "recsvc: TRAIN_SEED got 'x'; it takes a whole number from 0 to 2147483647"
    assert "Traceback" not in out + err


def test_an_instance_folder_that_is_a_file_ends_with_one_line(recsvc, tmp_path):
    (tmp_path / "file").touch()

    code, out, err = recsvc("config", INSTANCE_DIR=str(tmp_path / "file"))

    assert code.startswith("recsvc: INSTANCE_DIR got ")
    assert len(code.splitlines()) == 1
    assert "Traceback" not in out + err


def test_config_shows_every_setting_with_secrets_masked(recsvc):
    code, out, _ = recsvc("config", RECSVC_ADMIN_KEY="hunter2-hunter2-hunter2", TRAIN_SEED="7")

    assert code == 0
    assert "TRAIN_SEED=7" in out
    assert "RECSVC_ADMIN_KEY=••••••••" in out
    assert "hunter2" not in out


def test_config_can_be_read_by_a_program(recsvc):
    code, out, _ = recsvc("config", "--json", REDIS_URL="redis://:hunter2@h:1/0")

    settings = {setting["name"]: setting for setting in json.loads(out)}
    assert code == 0
    assert settings["REDIS_URL"]["value"] == "redis://:••••••••@h:1/0"
    assert settings["TRAIN_SCHEDULE"]["takes"].startswith("a cron line")


def test_user_tokens_are_ended_by_a_command(recsvc):
    code, out, _ = recsvc("keys", "rotate-tokens")

    assert code == 0
    assert "within 5 seconds" in out


def test_keys_are_made_listed_and_revoked(recsvc):
    code, key, _ = recsvc("keys", "create", "--role", "read", "--name", "dashboard")
    key_id = key.split("_")[1]
    assert (code, key.startswith("recsvc_")) == (0, True)

    code, listed, _ = recsvc("keys", "list")
    assert code == 0
    assert listed.split() == [key_id, "read", "active", "last", "used", "never", "dashboard"]
    assert key.strip().split("_", 2)[2] not in listed

    assert recsvc("keys", "revoke", key_id)[:2] == (0, f"{key_id} is revoked.\n")
    assert "revoked" in recsvc("keys", "list")[1]


def test_what_cannot_be_done_with_keys_is_said_in_a_line(recsvc):
    for arguments in (
        ["revoke", "nope"],
        ["create", "--role", "owner"],
        ["create", "--role", "read", "--name", "x" * 201],
    ):
        code, _, err = recsvc("keys", *arguments)
        assert code in {1, 2}
        assert "Error: " in err
        assert "Traceback" not in err


def test_a_training_is_asked_for_and_then_is_under_way(recsvc, redis):
    first, second = recsvc("train"), recsvc("train", "--reason", "again")

    assert (first[0], second[0]) == (0, 0)
    assert first[1].endswith("is queued.\n")
    assert second[1] == first[1].replace("is queued", "is under way already")


def test_without_redis_a_training_is_refused_in_a_line(recsvc):
    code, _, err = recsvc("train", REDIS_URL="redis://127.0.0.1:1/0")

    assert code == 1
    assert err == "Error: Redis does not answer, so no training can be queued.\n"


def test_whoever_waits_for_a_run_sees_it_end(app, monkeypatch):
    # On SQLite a reader goes on seeing what was there when its transaction began.
    monkeypatch.setattr(command, "_LOOK_EVERY", 0.01)

    def end_later(run_id: str) -> None:
        time.sleep(0.3)
        with app.app_context():
            training.fail(run_id, "for a reason")

    with app.app_context():
        run, _ = training.request("manual", requested_by="test")
        ender = threading.Thread(target=end_later, args=(run.run_id,))
        ender.start()
        found: list[str] = []

        def follow() -> None:
            with app.app_context():
                found.append(command._follow(run.run_id).status)

        follower = threading.Thread(target=follow, daemon=True)
        follower.start()
        follower.join(10)
        ender.join()

    assert found == ["failed"]


def test_whoever_waits_sees_every_stage_with_its_rows_and_epochs(app, monkeypatch, capsys):
    monkeypatch.setattr(command, "_LOOK_EVERY", 0.0)
    steps = [
        {"status": "running", "attempt": 1, "stage": "read", "progress": 0.5, "rows_read": 12_345},
        {"stage": "fit", "progress": 0.25, "epoch": 7},
        {"attempt": 2},
        {"status": "rejected", "gate": {"decision": "rejected", "reason": "It is bad."}},
    ]

    def go_on(_seconds: float) -> None:
        with write_transaction():
            training_runs.change(run.run_id, **steps.pop(0))

    with app.app_context():
        run, _ = training.request("manual", requested_by="test")
        monkeypatch.setattr(command.time, "sleep", go_on)
        ended = command._follow(run.run_id)

    shown = capsys.readouterr().err
    assert ended.status == "rejected"
    assert [name for name in ("queued", "read", "fit") if name in shown] == ["queued", "read", "fit"]
    assert "epoch 7, attempt 2" in shown


def test_a_rejected_run_ends_the_wait_with_its_reason_and_a_code(recsvc, monkeypatch):
    def reject(run_id: str) -> TrainingRun:
        with write_transaction():
            training_runs.change(
                run_id, status="rejected", gate={"reason": "It does not surely beat popularity."}
            )
        return training.get(run_id)

    monkeypatch.setattr(command, "_follow", reject)

    code, _, err = recsvc("train", "--wait")

    assert code == 1
    assert err.endswith("Error: The run was rejected. It does not surely beat popularity.\n")


def test_a_training_can_be_forced_and_one_under_way_cannot(recsvc):
    assert recsvc("train")[0] == 0

    code, out, err = recsvc("train", "--force")

    assert (code, "is under way already" in out) == (0, True)
    assert err == "It is not forced: ask again when it has ended.\n"


@pytest.mark.parametrize(("asked", "logged"), [("INFO", "WARNING"), ("DEBUG", "DEBUG"), ("ERROR", "ERROR")])
def test_a_command_logs_what_is_wrong_and_more_only_where_all_is_asked_for(
    environment, tmp_path, asked, logged
):
    environment(INSTANCE_DIR=str(tmp_path), LOG_LEVEL=asked)

    commands._create_app()

    assert logging.getLevelName(logging.getLogger().level) == logged
