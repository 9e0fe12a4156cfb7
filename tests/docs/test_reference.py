"""The reference is complete: every setting, command, route, error code and array is on its page."""

from __future__ import annotations

import html
import re
from dataclasses import fields
from pathlib import Path

import click
import numpy as np
import pytest
from flask import Flask
from scipy import sparse

from docs import drawn
from recsvc import errors
from recsvc.cli.commands import cli
from recsvc.config import Config
from recsvc.recommender.blend import Blend
from recsvc.recommender.examples import Examples
from recsvc.recommender.factors import FactorVoice
from recsvc.recommender.features import build_features
from recsvc.recommender.fitting import assemble
from recsvc.recommender.interactions import InteractionMatrix
from recsvc.recommender.model import Model
from recsvc.recommender.relations import RelatedVoice
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


LIMITS = {
    "components": 8,
    "epochs": 1,
    "learning_rate": 0.05,
    "alpha": 1e-5,
    "max_sampled": 10,
    "neighbours": 50,
    "factors": 64,
}


@pytest.fixture(scope="module")
def model() -> Model:
    """Of 260 users who like ten of 270 items each; items have two features, users three."""
    random = np.random.default_rng(1)
    liked = np.stack([random.choice(270, 10, replace=False) for _ in range(260)])
    strengths = sparse.csr_array(
        (np.ones(2600, np.float32), (np.repeat(np.arange(260), 10), liked.ravel())), shape=(260, 270)
    )
    items, users = np.arange(270, dtype=np.int32), np.arange(260, dtype=np.int32)
    examples = Examples(
        strengths=strengths,
        ages=np.zeros(2600, np.float32),
        item_features=build_features(items, items, items % 2),
        user_features=build_features(users, users, users % 3),
        seed=1,
        threads=1,
    )
    found = {
        name: voice.choose(examples, None, LIMITS, lambda done: None) for name, voice in voices().items()
    }
    fitted = {name: chosen[0] for name, chosen in found.items() if chosen is not None}
    assert fitted.keys() == voices().keys()
    ones = np.ones(len(fitted), np.float32)
    blend = Blend(np.array([1, 3], np.float32), np.stack([ones, ones]), ones, ones, recency=0.5)
    matrix = InteractionMatrix(users, items, strengths, examples.ages)
    return assemble(matrix, examples, fitted, blend)


def documented_arrays(page: str) -> dict[str, tuple[str, str]]:
    """Names of arrays to dtype and shape, as the page's table has them."""
    told = {}
    for names, dtype, shapes in re.findall(r"^\| (`[^|]+`) \| (\w+) (\(.+?\)) \|", page, re.MULTILINE):
        of_row = re.findall(r"\(([^)]+)\)", shapes)
        listed = re.findall(r"`([^`]+)`", names)
        for place, name in enumerate(listed):
            told[name] = dtype, of_row[place] if len(of_row) == len(listed) else of_row[0]
    return told


def test_every_array_of_a_version_is_there_with_its_type_and_shape(model: Model, pages):
    page = pages["docs/reference/model-format.md"]
    told, arrays = documented_arrays(page), model.arrays()

    assert told.keys() == arrays.keys()
    for name, array in arrays.items():
        dtype, shape = told[name]
        voice = model.voices.get(name.partition(".")[0])
        sizes = {"1": 1, "n": 270, "f": 2, "g": 3, "k": 2, "voices": len(model.voices)}
        sizes |= {"d": voice.embeddings.shape[1]} if isinstance(voice, FactorVoice) else {}
        sizes |= {"e": len(voice.relations.items)} if isinstance(voice, RelatedVoice) else {}
        expected = []
        for part in shape.split(", "):
            symbol, _, more = part.partition(" + ")
            expected.append(sizes[symbol] + int(more or 0))
        assert (array.dtype.name, list(array.shape)) == (dtype, expected), name
    assert f"What is written here is format {FORMAT};" in page


def test_every_voice_is_explained(pages):
    page = pages["docs/explanation/how-it-recommends.md"].lower()

    headings = re.findall(r"^### (.+)$", page, re.MULTILINE)
    assert {name.replace("_", " ") for name in voices()} <= set(headings)
