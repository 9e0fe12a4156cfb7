"""`recsvc import`, as it is called."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from flask import Flask

from recsvc.cli.commands import cli

BAD_AND_GOOD = "user_id,item_id\nr1,b1\n,b2\nr1,b3\n"

Call = Callable[..., Result]


@pytest.fixture
def call(sqlite_app: Flask) -> Call:
    runner = sqlite_app.test_cli_runner()
    return lambda *arguments, **options: runner.invoke(cli, ["import", *map(str, arguments)], **options)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "in.csv"
    path.write_text(BAD_AND_GOOD)
    return path


def test_the_summary_counts_and_shows_what_was_rejected(call, file):
    result = call("csv", file)

    assert result.exit_code == 0
    words = [line.split() for line in result.stdout.splitlines()]
    assert words[:5] == [
        ["read", "3"],
        ["stored", "2"],
        ["replaced", "0"],
        ["duplicates", "0"],
        ["rejected", "1"],
    ]
    assert words[5] == ["1", "user_id", "is", "missing"]
    assert f"{file}:3: user_id is missing: ,b2" in result.stdout
    assert "rows/s" in result.stdout


def test_the_summary_as_json_can_be_read_by_programs(call, file):
    summary = json.loads(call("csv", file, "--json").stdout)

    assert (summary["read"], summary["stored"], summary["rejected"]) == (3, 2, 1)
    assert summary["reasons"] == {"user_id is missing": 1}
    assert summary["first_rejected"] == [
        {"file": str(file), "line": 3, "reason": "user_id is missing", "row": ",b2"}
    ]
    assert json.loads(call("csv", file, "--json").stdout)["duplicates"] == 2


def test_rejected_rows_are_written_to_a_file(call, file, tmp_path):
    file.write_bytes(BAD_AND_GOOD.encode() + b'r\xe9,b4\n"r""5",\n')

    call("csv", file, "--errors", tmp_path / "errors.csv")

    rows = list(csv.reader(io.StringIO((tmp_path / "errors.csv").read_text(encoding="utf-8"))))
    assert rows == [
        ["file", "line", "reason", "row"],
        [str(file), "3", "user_id is missing", ",b2"],
        [str(file), "5", "not UTF-8 text", "r\\udce9,b4"],
        [str(file), "6", "item_id is missing", '"r""5",'],
    ]


def test_the_error_file_never_overwrites_the_input(call, file):
    result = call("csv", file, "--errors", file)

    assert (result.exit_code, file.read_text()) == (2, BAD_AND_GOOD)


def test_columns_are_mapped_by_options(call, file):
    file.write_text("customer,sku,stars\nr1,b1,4\n")
    options = (
        "--map",
        "user_id=customer",
        "--map",
        "item_id=sku",
        "--map",
        "value=stars",
        "--event",
        "rating",
    )

    assert json.loads(call("csv", file, *options, "--json").stdout)["stored"] == 1


def test_a_missing_column_is_told_with_those_found_and_exit_code_2(call, file):
    file.write_text("customer,sku\nr1,b1\n")

    result = call("csv", file)

    assert result.exit_code == 2
    assert "has no column user_id, item_id; it has customer, sku." in result.stderr
    assert "--map user_id=COLUMN" in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("csv", "missing.csv"),
        ("xml", "in.csv"),
        ("csv", "in.csv", "--map", "user_id"),
        ("csv", "in.csv", "--event", "gaze"),
        ("pairs", "in.csv", "--kind", "items"),
        ("pairs", "in.csv", "--event", "rating"),
        ("movielens", "-"),
    ],
)
def test_what_cannot_be_meant_ends_with_exit_code_2_and_no_traceback(call, file, monkeypatch, arguments):
    monkeypatch.chdir(file.parent)

    result = call(*arguments)

    assert (result.exit_code, type(result.exception)) == (2, SystemExit)
    assert "Error: " in result.stderr


@pytest.mark.parametrize(
    ("format_", "text"),
    [
        ("csv", "user_id,item_id\nr1,b1\n"),
        ("jsonl", '{"user_id": "r1", "item_id": "b1"}\n'),
        ("pairs", "r1 b1\n"),
    ],
)
def test_standard_input_is_read(call, format_, text):
    result = call(format_, "-", "--json", input=text)

    assert json.loads(result.stdout)["stored"] == 1


def test_help_has_an_example_of_each_format(call):
    result = call("--help")

    for format_ in ("csv", "jsonl", "movielens", "goodbooks", "pairs"):
        assert f"\n    recsvc import {format_} " in result.stdout
