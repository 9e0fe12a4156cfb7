"""Rules about the routes: who may call each, and what the document says of it."""

from __future__ import annotations

import re

import pytest
from flask import Flask

# As the contract's table has it: what none, read, service and admin may do.
EVERYBODY, READERS, WRITERS, ADMINS = 3, 2, 1, 0
ROLES = {
    EVERYBODY: (),
    READERS: ("admin", "service", "read"),
    WRITERS: ("admin", "service"),
    ADMINS: ("admin",),
}
TABLE = {
    "get /healthz": EVERYBODY,
    "get /readyz": EVERYBODY,
    "get /items": READERS,
    "get /items/{item_id}": READERS,
    "get /items/{item_id}/similar": READERS,
    "get /recommendations": READERS,
    "get /recommendations/popular": READERS,
    "post /recommendations/session": READERS,
    "put /items/{item_id}": WRITERS,
    "patch /items/{item_id}": WRITERS,
    "delete /items/{item_id}": WRITERS,
    "post /items/batch": WRITERS,
    "get /users": WRITERS,
    "get /users/{user_id}": WRITERS,
    "put /users/{user_id}": WRITERS,
    "patch /users/{user_id}": WRITERS,
    "delete /users/{user_id}": WRITERS,
    "post /users/batch": WRITERS,
    "get /users/{user_id}/interactions": WRITERS,
    "post /interactions": WRITERS,
    "post /interactions/batch": WRITERS,
    "delete /interactions/{interaction_key}": WRITERS,
    "post /recommendations/train": ADMINS,
    "get /training-runs": ADMINS,
    "get /training-runs/{run_id}": ADMINS,
    "post /training-runs/{run_id}/cancel": ADMINS,
    "get /model-versions": ADMINS,
    "get /model-versions/{version}": ADMINS,
    "post /model-versions/{version}/activate": ADMINS,
}
DOCUMENTATION = {"api-docs.openapi_json", "api-docs.openapi_swagger_ui"}


@pytest.fixture
def document(sqlite_app: Flask) -> dict:
    return sqlite_app.test_client().get("/api/v1/openapi.json").json


def operations(document: dict) -> dict[str, dict]:
    return {
        f"{method} {path.removeprefix('/api/v1')}": operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if method in {"get", "put", "post", "patch", "delete"}
    }


def test_every_route_declares_who_may_call_it(sqlite_app):
    undeclared = {
        endpoint
        for endpoint, view in sqlite_app.view_functions.items()
        if not hasattr(view, "allowed_roles") and endpoint not in DOCUMENTATION
    }

    assert undeclared == set()


def test_every_operation_is_in_the_table_of_the_contract(document):
    said = {name: tuple(operation.get("x-roles", ())) for name, operation in operations(document).items()}

    assert {name: said.get(name) for name in TABLE} == {name: ROLES[who] for name, who in TABLE.items()}
    # A route that is not in the table yet is at least not open to everybody.
    assert [name for name in said.keys() - TABLE.keys() if not said[name]] == []


def test_every_operation_lets_in_whom_it_says_and_nobody_else(document, sqlite_app):
    from recsvc.services import keys

    client = sqlite_app.test_client()
    with sqlite_app.app_context():
        headers = {
            role: {"Authorization": f"Bearer {keys.create(role, role)[1]}"}
            for role in ("read", "service", "admin")
        }
    wrong = []
    for name, operation in operations(document).items():
        method, path = name.split(" ")
        prefix = "" if path in {"/healthz", "/readyz", "/metrics"} else "/api/v1"
        url = prefix + re.sub(r"\{[^}]*\}", "7", path)
        roles = operation.get("x-roles", [])
        if not roles:
            continue
        answers = {"none": getattr(client, method)(url).status_code} | {
            role: getattr(client, method)(url, headers=header).status_code for role, header in headers.items()
        }
        expected = {"none": 401} | dict.fromkeys(set(headers) - set(roles), 403)
        refused = {role: status for role, status in answers.items() if status in {401, 403}}
        if refused != expected:
            wrong.append((name, roles, answers))
    assert wrong == []


def test_the_document_is_of_version_3_1_and_every_operation_is_summed_up(document):
    assert document["openapi"].startswith("3.1")
    assert [name for name, operation in operations(document).items() if not operation.get("summary")] == []
    assert [name for name, operation in operations(document).items() if not operation.get("tags")] == []


def test_the_documentation_is_served_by_us_alone(sqlite_app):
    client = sqlite_app.test_client()
    page = client.get("/api/v1/docs").get_data(as_text=True)
    assert not re.search(r"""(src|href)\s*=\s*["'](https?:)?//""", page)

    assets = re.findall(r"""(?:src|href)\s*=\s*["']([^"']+)["']""", page)
    assert any(asset.endswith(".js") for asset in assets)
    assert any(asset.endswith(".css") for asset in assets)
    for asset in assets:
        with client.get(asset) as answer:
            assert answer.status_code == 200, asset
    assert "/api/v1/openapi.json" in page


def test_no_file_but_the_assets_can_be_had_where_assets_are(sqlite_app):
    client = sqlite_app.test_client()

    for name in ("../__init__.py", "..%2f__init__.py", "%2e%2e/__init__.py"):
        assert client.get(f"/api/v1/docs/assets/{name}").status_code == 404
