"""`recsvc evaluate`, as it is called."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from click.testing import Result
from flask import Flask

from recsvc.cli.commands import cli
from recsvc.services import ingestion
from recsvc.services.catalogue import ItemContent, put_items
from recsvc.services.ingestion import NewInteraction

Call = Callable[..., Result]


@pytest.fixture
def call(sqlite_app: Flask) -> Call:
    runner = sqlite_app.test_cli_runner()
    return lambda *arguments: runner.invoke(cli, ["evaluate", *arguments])


@pytest.fixture
def readers(sqlite_app: Flask) -> None:
    """Sixty readers of two tastes."""
    begin = datetime(2025, 1, 1, tzinfo=UTC)
    rows = [
        NewInteraction(f"r{reader}", f"{reader % 2}-{number}", "view", None, begin + timedelta(hours=hour))
        for reader in range(60)
        for hour, number in enumerate(
            sorted(range(12), key=lambda number: (reader + 1) * number * 7 % 13)[:8]
        )
    ]
    with sqlite_app.app_context():
        put_items(
            (f"{taste}-{number}", ItemContent(features={"taste": [str(taste)]}))
            for taste in range(2)
            for number in range(12)
        )
        assert ingestion.record_batch(enumerate(rows)).accepted == len(rows)


def test_a_table_tells_of_every_model_and_the_difference(call, readers):
    result = call("--split", "latest", "--seed", "3")

    assert (result.exit_code, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert lines[0].startswith("latest: 120 likes of 60 users held out, learned from 360 likes; ")
    for heading in ("Recall@20", "NDCG@10", "NDCG@20", "MAP@20", "MRR@20", "Hit@20", "coverage", "novelty"):
        assert heading in result.stdout
    for model in ("blend", "lightfm", "neighbours", "plain popularity", "plain item–item"):
        (line,) = [line for line in lines if line.startswith(f"│ {model} ")]
        assert "…" not in line
        assert line.count("(") == 2
    assert any(line.startswith("NDCG@10, blend − ") for line in lines)


def test_of_cold_items_it_is_told_what_else_counts(call, readers):
    result = call("--split", "items")

    assert result.exit_code == 0
    assert (
        "2 items were made cold and ranked among themselves; the model knows features of 2" in result.stdout
    )
    assert "In the blend's lists of all items, " in result.stdout
    assert "Nothing is said of cold items by " in result.stdout


def test_programs_read_json_of_the_same(call, readers):
    result = call("--json")

    told = json.loads(result.stdout, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert (result.exit_code, told["split"], told["held_out"]) == (0, "latest", {"users": 60, "likes": 120})
    blend = told["models"][0]
    assert (blend["name"], blend["kind"]) == ("blend", "blend")
    assert blend["recall_at_20"].keys() == {"mean", "low", "high"}


def test_too_little_data_ends_with_one_line_and_exit_code_1(call, readers):
    nothing = call("--split", "users")

    assert (nothing.exit_code, nothing.stdout) == (1, "")
    assert nothing.stderr.startswith("Error: There is too little data for the split users: ")
    assert len(nothing.stderr.splitlines()) == 1


def test_an_empty_database_ends_with_one_line_and_exit_code_1(call):
    result = call()

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("Error: There are no interactions to learn from")


@pytest.mark.parametrize("arguments", [("--split", "random"), ("--users", "0"), ("--seed", "-1")])
def test_what_cannot_be_meant_ends_with_exit_code_2(call, arguments):
    result = call(*arguments)

    assert (result.exit_code, type(result.exception)) == (2, SystemExit)
