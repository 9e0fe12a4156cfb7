"""What the guides tell people to type exists: settings, commands and options, routes, units, files."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from dataclasses import fields
from pathlib import Path

import click
import pytest
from flask import Flask

from docs import drawn
from recsvc.cli.commands import cli
from recsvc.config import Config
from recsvc.services.importing import Request, import_path

ROOT = Path(__file__).parents[2]
# Not ours: a platform's, gunicorn's, an S3 client's, and what stands for something of the reader's.
OTHERS = {
    "WEB_CONCURRENCY",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_REGION",
    "AWS_ENDPOINT_URL",
    "PROMETHEUS_MULTIPROC_DIR",
    "ITEM_ID",
    "RECOMMENDATION_ID",
}

TYPED = r"(?:(?:^(?:[A-Z_]+=\S+ )*|[|&;(] *)recsvc|python -m recsvc\.cli) ([a-z][^\n|#)]*)"


def code(text: str) -> str:
    """What is set as code on a page, inline and fenced."""
    fenced = re.findall(r"^```(?:sh|text|ini)[^\n]*\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    bare = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    return "\n".join([*fenced, *re.findall(r"`([^`\n]+)`", bare)]).replace("\\\n", " ")


def documents(pages: dict[str, str]) -> dict[str, str]:
    """The code of the pages that tell how things are, not how they came to be."""
    return {
        name: code(text) for name, text in pages.items() if "/adr/" not in name and name != "CHANGELOG.md"
    }


def test_every_setting_that_is_named_exists(pages):
    known = {entry.name.upper() for entry in fields(Config)} | OTHERS
    named = {
        (name, word)
        for name, text in documents(pages).items()
        for word in re.findall(r"^([A-Z][A-Z0-9]*_[A-Z0-9_]+)(?:=|$)", text, re.MULTILINE)
        if not re.search(rf"\${{?{word}\b", pages[name])  # a variable of the shell
    }

    assert {pair for pair in named if pair[1] not in known} == set()
    assert len({word for _, word in named}) > 25


def find_command(words: list[str]) -> tuple[click.Command, list[str]]:
    command: click.Command = cli
    while isinstance(command, click.Group) and words and words[0] in command.commands:
        command, words = command.commands[words[0]], words[1:]
    return command, words


def test_every_command_that_is_to_be_typed_exists_with_its_options(pages):
    wrong, found = [], 0
    for name, text in documents(pages).items():
        for line in re.findall(TYPED, text, re.MULTILINE):
            words = re.split(" [<>]", line)[0].split()
            found += 1
            command, rest = find_command(words)
            options = {option for parameter in command.params for option in parameter.opts} | {"--help"}
            if isinstance(command, click.Group) and rest and re.fullmatch("[a-z-]+", rest[0]):
                wrong.append((name, line))
            wrong += [
                (name, line, word)
                for word in rest
                if word.startswith("--") and word.partition("=")[0] not in options
            ]
    assert wrong == []
    assert found > 40


def test_every_address_that_is_called_exists(pages, sqlite_app: Flask):
    adapter = sqlite_app.url_map.bind("localhost")
    wrong, found = [], 0
    for name, text in documents(pages).items():
        for line in text.splitlines():
            called = re.search(r"\bcurl\b.*?\$URL(/[^\"'? ]*)", line)
            if called is None:
                continue
            found += 1
            method = re.search(r"-X (\w+)", line)
            path = re.sub(r"VERSION", "1", called[1])
            if not adapter.test(f"/api/v1{path}", method[1] if method else "GET"):
                wrong.append((name, line))
    assert wrong == []
    assert found > 15


def test_the_guide_for_heroku_has_the_recipe_of_the_readme(pages):
    def recipe(name: str) -> list[str]:
        return re.findall(r"^heroku (?:addons|config:set|ps:scale).*$", pages[name], re.MULTILINE)

    assert recipe("docs/guides/heroku.md") == recipe("README.md") == recipe("README.pt-BR.md")
    assert len(recipe("README.md")) == 5


def test_every_benchmark_that_is_named_exists(pages):
    named = {module for text in pages.values() for module in re.findall(r"python -m (benchmarks\.\w+)", text)}

    assert {name for name in named if not (ROOT / f"{name.replace('.', '/')}.py").is_file()} == set()


def test_every_path_that_contributing_names_exists(pages):
    path = r"`((?:recsvc|jobs|tests|docs|benchmarks)/[^`…]*|[\w.]+\.(?:md|cfg|yml|txt))`"
    named = set(re.findall(path, pages["CONTRIBUTING.md"]))

    assert {name for name in named if not (ROOT / name).exists()} == set()
    assert len(named) > 30


@pytest.fixture
def units(tmp_path: Path, pages) -> list[Path]:
    """The guide's unit files; what they start is there, in a folder of ours."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not here")
    written = []
    for name, text in re.findall(
        r'^```ini title="([^"]+)"\n(.*?)^```$', pages["docs/guides/vps.md"], re.MULTILINE | re.DOTALL
    ):
        for executable in ("python", "gunicorn"):
            file = tmp_path / "opt" / executable
            file.parent.mkdir(exist_ok=True)
            file.write_text("#!/bin/sh\n")
            file.chmod(0o755)
        unit = tmp_path / name
        unit.write_text(text.replace("/opt/recsvc/.venv/bin", str(tmp_path / "opt")))
        written.append(unit)
    return written


def test_systemd_finds_nothing_wrong_with_the_units(units):
    ended = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *map(str, units)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"SYSTEMD_LOG_LEVEL": "warning"},
    )

    ours = [line for line in (ended.stdout + ended.stderr).splitlines() if "recsvc" in line]
    assert ours == []
    assert len(units) == 5


def test_what_the_units_start_is_what_the_procfile_starts(units):
    started = {
        unit.name: re.search(r"^ExecStart=\S+/(.+)$", unit.read_text(), re.MULTILINE) for unit in units
    }
    lines = (ROOT / "Procfile").read_text().splitlines()
    procfile = {name: command.strip() for name, _, command in (line.partition(":") for line in lines)}

    assert started["recsvc-worker.service"][1] == procfile["worker"]
    assert started["recsvc-scheduler.service"][1] == procfile["scheduler"]
    assert started["recsvc-migrate.service"][1] == procfile["release"]
    assert started["recsvc-web.service"][1] == procfile["web"].replace(
        "gunicorn", "gunicorn --bind 127.0.0.1:8000"
    )


GORSE_ITEMS = [
    {
        "ItemId": "book-1",
        "IsHidden": False,
        "Categories": ["Novels"],
        "Timestamp": "2026-01-02T03:04:05Z",
        "Labels": {"author": "Lem", "topics": ["space", "memory"]},
        "Comment": "Solaris",
    },
    {
        "ItemId": "book-2",
        "IsHidden": True,
        "Categories": None,
        "Timestamp": "2026-01-03T00:00:00Z",
        "Labels": None,
        "Comment": "",
    },
]
GORSE_FEEDBACK = [
    {
        "FeedbackType": "like",
        "UserId": "ana",
        "ItemId": "book-1",
        "Value": 1,
        "Timestamp": "2026-02-01T00:00:00Z",
        "Updated": "2026-02-01T00:00:00Z",
        "Comment": "",
    },
]


def test_an_export_of_gorse_is_taken_after_the_two_commands_of_the_guide(pages, context, admin, tmp_path):
    if shutil.which("jq") is None:
        pytest.skip("jq is not here")
    (tmp_path / "items.jsonl").write_text("\n".join(map(json.dumps, GORSE_ITEMS)))
    (tmp_path / "feedback.jsonl").write_text("\n".join(map(json.dumps, GORSE_FEEDBACK)))
    guide = pages["docs/guides/moving.md"]
    commands = re.search(r"^```text\n(jq .*?)^recsvc", guide, re.MULTILINE | re.DOTALL)

    subprocess.run(["bash", "-ec", commands[1]], cwd=tmp_path, check=True)
    catalogue = import_path(Request("jsonl", str(tmp_path / "catalogue.jsonl"), "items"))
    interactions = import_path(Request("jsonl", str(tmp_path / "interactions.jsonl")))

    assert (catalogue.stored, catalogue.rejected) == (2, 0)
    assert (interactions.stored, interactions.rejected) == (1, 0)
    first = admin.get("/api/v1/items/book-1").json
    assert first["features"] == {"author": ["Lem"], "topics": ["memory", "space"]}
    assert admin.get("/api/v1/items/book-2").json["hidden"] is True


def test_the_drawn_pages_say_that_they_are_drawn(pages):
    for name in drawn.DRAWINGS:
        assert sum(f"<!-- {name} -->" in text for text in pages.values()) == 1
