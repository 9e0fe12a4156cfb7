"""`recsvc status`, `db`, `completion`, and what all commands have in common."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from recsvc import queues
from recsvc.api.schemas import StatusSchema
from recsvc.cli import status as command
from recsvc.services import status


def test_the_status_of_an_empty_shop_begins_with_what_is_wrong_and_what_to_do(recsvc, redis):
    code, out, _ = recsvc("status")

    lines = out.splitlines()
    assert code == 0
    assert lines[0].startswith("3 problems. What is popular is served; the next training is in ")
    assert lines[2] == "Problems"
    assert "no interactions yet" in lines[3]
    assert "recsvc import csv FILE" in lines[4]
    assert "No worker" in out
    assert "python worker.py" in out
    assert "\x1b" not in out, "colours are for terminals"


def test_the_status_for_programs_is_that_of_the_api(recsvc, redis):
    code, out, _ = recsvc("status", "--json")

    told = json.loads(out)
    assert code == 0
    assert told.keys() == StatusSchema().fields.keys()
    assert [problem["code"] for problem in told["problems"]] == [
        "no_interactions",
        "no_worker",
        "scheduler_silent",
    ]


def test_a_check_ends_with_a_code_where_there_is_a_problem(recsvc, redis, monkeypatch):
    assert recsvc("status", "--check")[0] == 1
    assert recsvc("status", "--check", "--json")[0] == 1

    monkeypatch.setattr(command.service.diagnosis, "problems", lambda look: [])
    assert recsvc("status", "--check")[0] == 0


def test_the_status_is_told_where_redis_is_away(recsvc):
    code, out, err = recsvc("status", REDIS_URL="redis://127.0.0.1:1/0")

    assert code == 0
    assert "Redis does not answer" in out
    assert "Traceback" not in err


def test_a_shop_that_is_well_says_so(app, redis, monkeypatch):
    monkeypatch.setattr(command, "now", lambda: found.next_training_at)
    with app.app_context():
        queues.note_scheduler(redis)
        found = status.status()
    well = type(found)(**{**vars(found), "problems": []})

    assert next(iter(command._lines(well))).startswith("\x1b[32m\x1b[1mAll is well.\x1b[0m What is popular")


def test_the_tables_are_made_and_their_revision_is_told(recsvc, tmp_path):
    url = f"sqlite:///{tmp_path}/new.db"

    assert recsvc("db", "current", DATABASE_URL=url)[1].startswith("no tables yet (the newest is ")
    assert recsvc("db", "upgrade", DATABASE_URL=url)[:2] == (0, "")
    newest = json.loads(recsvc("db", "current", "--json", DATABASE_URL=url)[1])
    assert newest["up_to_date"] is True
    assert recsvc("db", "downgrade", "0004", DATABASE_URL=url)[1] == "The database is at revision 0004.\n"
    assert "recsvc db upgrade" in recsvc("db", "current", DATABASE_URL=url)[1]


def test_keys_can_be_read_by_a_program(recsvc):
    made = json.loads(recsvc("keys", "create", "--role", "read", "--json")[1])
    assert made["key"].startswith(f"recsvc_{made['key_id']}_")

    (listed,) = json.loads(recsvc("keys", "list", "--json")[1])
    assert listed.items() >= {"key_id": made["key_id"], "role": "read", "revoked_at": None}.items()
    assert made["key"].split("_", 2)[2] not in json.dumps(listed)


def test_a_run_can_be_read_by_a_program(recsvc, redis):
    code, out, _ = recsvc("train", "--json", "--reason", "new catalogue")

    run = json.loads(out)
    assert code == 0
    assert (run["status"], run["already_running"], run["reason"]) == ("queued", False, "new catalogue")
    assert json.loads(recsvc("train", "--json")[1])["run_id"] == run["run_id"]


def test_no_colour_is_printed_where_nobody_wants_it(recsvc, monkeypatch):
    monkeypatch.setattr("click._compat.isatty", lambda _stream: True)
    assert "\x1b[1m" in recsvc("config")[1]

    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in recsvc("config")[1]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_is_told_how_to_complete(recsvc, shell):
    code, out, _ = recsvc("completion", shell)

    assert code == 0
    assert f"_RECSVC_COMPLETE={shell}_complete" in out


def test_commands_options_and_choices_are_completed(tmp_path):
    def complete(*words: str) -> list[str]:
        environment = {
            "PATH": os.environ["PATH"],
            "INSTANCE_DIR": str(tmp_path),
            "_RECSVC_COMPLETE": "bash_complete",
            "COMP_WORDS": " ".join(["recsvc", *words]),
            "COMP_CWORD": str(len(words)),
        }
        ended = subprocess.run(
            [sys.executable, "-m", "recsvc.cli"], env=environment, capture_output=True, text=True, check=False
        )
        return [line.partition(",")[2] for line in ended.stdout.splitlines()]

    assert complete("mo") == ["models"]
    assert set(complete("keys", "create", "--role", "")) == {"admin", "service", "read"}


def test_the_shell_itself_takes_the_completion(recsvc, tmp_path):
    script = tmp_path / "completion.bash"
    script.write_text(recsvc("completion", "bash")[1])

    ended = subprocess.run(
        ["bash", "-c", f"source {script} && complete -p recsvc"], capture_output=True, text=True, check=False
    )

    assert ended.returncode == 0, ended.stderr
    assert "_recsvc_completion" in ended.stdout
