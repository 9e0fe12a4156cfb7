"""Rules about the client: it has all that the service has, and needs nothing of the service's."""

from __future__ import annotations

import dataclasses
import inspect
import re
import subprocess
import sys
import typing
from pathlib import Path

import pytest
from flask import Flask
from marshmallow import Schema

from recsvc import client
from recsvc.api import schemas
from recsvc.client import Client
from recsvc.client.content import ItemContent, UserOfBatch

ROOT = Path(__file__).parents[2]
# The client walks through pages, and cuts batches, by itself.
DONE_BY_THE_CLIENT = {"limit", "cursor"}

SHOWN = {
    schemas.BatchOutcomeSchema: client.BatchOutcome,
    schemas.ErasureReceiptSchema: client.ErasureReceipt,
    schemas.ExportSchema: client.Export,
    schemas.InteractionBatchOutcome: client.InteractionBatchOutcome,
    schemas.InteractionShown: client.StoredInteraction,
    schemas.InteractionStored: client.Stored,
    schemas.ItemShown: client.Item,
    schemas.MergeOutcome: client.MergeOutcome,
    schemas.ModelVersionSchema: client.ModelVersion,
    schemas.RecommendationsSchema: client.Recommendations,
    schemas.RecommendedItemSchema: client.RecommendedItem,
    schemas.Rejected: client.Rejected,
    schemas.TokenSchema: client.Token,
    schemas.TrainingRequested: client.TrainingRequested,
    schemas.TrainingRunSchema: client.TrainingRun,
    schemas.UserShown: client.User,
}


def parameters(method: object) -> set[str]:
    """Names of what a method takes, those of typed `**content` among them."""
    names = set()
    for parameter in inspect.signature(method, eval_str=True).parameters.values():
        if parameter.kind is parameter.VAR_KEYWORD:
            (content,) = typing.get_args(parameter.annotation)
            names |= set(content.__annotations__)
        else:
            names.add(parameter.name)
    return names - {"self"}


def operations(app: Flask) -> dict[str, set[str]]:
    """Views to the names of all that their requests may hold."""
    document = app.test_client().get("/api/v1/openapi.json").json
    found = {}
    for rule in app.url_map.iter_rules():
        noun, _, view = rule.endpoint.partition(".")
        if not rule.rule.startswith("/api/v1/") or not view or noun == "api-docs":
            continue
        (method,) = (rule.methods or set()) - {"HEAD", "OPTIONS"}
        path = re.sub(r"<(?:[^>]*:)?(\w+)>", r"{\1}", rule.rule)
        operation = document["paths"][path][method.lower()]
        names = {one["name"] for one in operation.get("parameters", []) if "name" in one} | set(
            rule.arguments
        )
        if "requestBody" in operation:
            reference = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"]
            names |= set(document["components"]["schemas"][reference.rpartition("/")[2]]["properties"])
        found[view] = names - DONE_BY_THE_CLIENT
    return found


def test_importing_the_client_imports_nothing_of_the_server():
    script = "import sys, recsvc.client; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    ended = subprocess.run(
        [sys.executable, "-c", f"{script}; print(*sorted(n for n in sys.modules if n.startswith('recsvc')))"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    packages, modules = (set(line.split()) for line in ended.stdout.splitlines())

    assert {"httpx", "recsvc"} <= packages
    servers = {"flask", "werkzeug", "marshmallow", "sqlalchemy", "numpy", "scipy", "redis", "rq", "structlog"}
    assert packages & servers == set()
    assert {name for name in modules if not name.startswith("recsvc.client")} == {"recsvc"}


def test_every_call_of_the_service_is_one_of_the_client_with_all_that_it_takes(sqlite_app):
    lacking = {}
    for view, names in operations(sqlite_app).items():
        method = getattr(Client, view, None)
        missing = names if method is None else names - parameters(method)
        if missing or method is None:
            lacking[view] = missing
    assert len(operations(sqlite_app)) > 30
    assert lacking == {}


@pytest.mark.parametrize(("schema", "result"), SHOWN.items(), ids=lambda kind: kind.__name__)
def test_every_field_of_an_answer_is_one_of_the_result(schema: type[Schema], result: type):
    assert set(schema().fields) == {entry.name for entry in dataclasses.fields(result)}


def test_what_is_sent_has_the_fields_that_are_taken():
    assert set(schemas.ItemContentSchema().fields) == set(ItemContent.__annotations__)
    assert set(schemas.UserOfBatch().fields) == set(UserOfBatch.__annotations__)
    taken = set(schemas.InteractionSchema().fields)
    assert taken == {entry.name for entry in dataclasses.fields(client.Interaction)}
    assert taken == parameters(Client.record_interaction)
