"""The reference is complete: every setting, command, route, error code and array is on its page."""

from __future__ import annotations

import html
import re
from dataclasses import fields
from pathlib import Path

import click
from flask import Flask

from documents import drawn
from recsvc import errors
from recsvc.cli import cli
from recsvc.config import Config
from recsvc.recommender.blend import Blend
from recsvc.recommender.model import Model
from recsvc.recommender.relations import Relations
from recsvc.recommender.voice import Voice
from recsvc.recommender.voices import voices
from recsvc.storage.artifacts import FORMAT

ROOT = Path(__file__).parents[2]


def shown(site: Path, page: str) -> str:
    """A page's text, as it is read."""
    return html.unescape(re.sub(r"<[^>]+>", "", (site / "reference" / page).read_text(encoding="utf-8")))


def test_every_setting_is_there_with_its_default_and_its_meaning(site):
    page = shown(site, "settings.html")

    for entry in fields(Config):
        assert entry.name.upper() in page
        assert entry.metadata["meaning"].replace("`", "") in page
    assert re.search(r"TRAIN_SCHEDULE\s+0 0 \* \* \*\s", page)
    assert re.search(r"TRAIN_THREADS\s+the machine's cores\s", page)
    assert re.search(r"SECRET_KEY\s+—\s", page)


def test_every_command_is_there_with_each_of_its_options(site):
    page = shown(site, "cli.html")

    paths = [path for path, _ in drawn.walk_commands()]
    assert {("train",), ("keys", "create"), ("models", "activate"), ("import",)} <= set(paths)
    assert {path[0] for path in paths} == set(cli.commands)
    for path, command in drawn.walk_commands():
        assert f"Usage: recsvc {' '.join(path)}" in page
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                assert parameter.opts[0] in page, (path, parameter.opts)


def test_every_route_is_there_with_who_may_call_it_and_examples(site, pages, sqlite_app: Flask):
    page, written = shown(site, "api.html"), "".join(pages.values())

    for rule in sqlite_app.url_map.iter_rules():
        path = re.sub(r"<(?:[^:<>]+:)?([^<>]+)>", r"{\1}", rule.rule)
        if path.startswith(("/api/v1/docs", "/static")):
            continue
        if not path.startswith("/api/v1/"):
            assert f"/{path.split('/')[1]}`" in written, rule
            continue
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            if path != "/api/v1/openapi.json":
                assert f"{method} {path}¶" in page, rule
    assert "May be called by: admin, service, user token." in page
    assert '"event_id"' in page


def every_error() -> list[type[errors.RecsvcError]]:
    kinds = [errors.RecsvcError]
    for kind in kinds:
        kinds += [inner for inner in kind.__subclasses__() if inner.__module__.startswith("recsvc.")]
    return kinds[1:]


def test_every_error_code_is_there_with_its_meaning(site):
    page = shown(site, "errors.html")

    assert len(every_error()) > 10
    for kind in every_error():
        assert re.search(rf"\b{kind.code}\b", page), kind
    for code in ("item_not_found", "user_not_found", "training_run_not_found", "model_version_not_found"):
        assert re.search(rf"{code}\s+404\s", page), code
    for code, status in (("unauthorized", 401), ("queue_unavailable", 503), ("too_many_requests", 429)):
        assert re.search(rf"{code}\s+{status}\s", page), code


def arrays_of(voice: type[Voice]) -> set[str]:
    names = {entry.name for entry in fields(voice)}  # type: ignore[arg-type]
    return {entry.name for entry in fields(Relations)} if "relations" in names else names - {"estimator"}


def test_every_array_of_a_version_is_there():
    page = (ROOT / "docs" / "reference" / "model-format.md").read_text(encoding="utf-8")

    own = {entry.name for entry in fields(Model)} - {"voices", "blend"}
    assert {name for name in own if f"`{name}`" not in page} == set()
    for part, names in {
        "blend": {entry.name for entry in fields(Blend)},
        **{name: arrays_of(voice) for name, voice in voices().items()},
    }.items():
        assert {name for name in names if f"`{part}.{name}`" not in page} == set()
    assert f"What is written here is format {FORMAT};" in page


def test_every_voice_is_explained(pages):
    page = pages["docs/explanation/how-it-recommends.md"].lower()

    headings = re.findall(r"^### (.+)$", page, re.MULTILINE)
    assert {name.replace("_", " ") for name in voices()} <= set(headings)
