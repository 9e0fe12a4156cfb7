"""Rules about the routes: who may call each, and what the document says of it."""

from __future__ import annotations

import json
import re

# As the contract's table has it: what keys of each role, and user tokens, may do.
EVERYBODY: tuple[str, ...] = ()
READERS = ("admin", "service", "read")
LISTS = ("admin", "service", "read", "user")
WRITERS = ("admin", "service")
OWN = ("admin", "service", "user")
ADMINS = ("admin",)
TABLE = {
    "get /healthz": EVERYBODY,
    "get /readyz": EVERYBODY,
    "get /metrics": EVERYBODY,
    "get /items": READERS,
    "get /items/{item_id}": READERS,
    "get /items/{item_id}/similar": LISTS,
    "get /recommendations": LISTS,
    "get /recommendations/popular": LISTS,
    "get /recommendations/trending": LISTS,
    "get /recommendations/latest": LISTS,
    "post /recommendations/session": READERS,
    "post /recommendations/batch": READERS,
    "put /items/{item_id}": WRITERS,
    "patch /items/{item_id}": WRITERS,
    "delete /items/{item_id}": WRITERS,
    "post /items/batch": WRITERS,
    "post /tokens": WRITERS,
    "get /users": WRITERS,
    "get /users/{user_id}": OWN,
    "put /users/{user_id}": OWN,
    "patch /users/{user_id}": OWN,
    "delete /users/{user_id}": OWN,
    "get /users/{user_id}/export": OWN,
    "get /users/{user_id}/interactions": OWN,
    "post /users/{user_id}/merge": WRITERS,
    "post /users/batch": WRITERS,
    "post /interactions": OWN,
    "post /interactions/batch": OWN,
    "delete /interactions/{interaction_key}": OWN,
    "post /recommendations/train": ADMINS,
    "get /training-runs": ADMINS,
    "get /training-runs/{run_id}": ADMINS,
    "post /training-runs/{run_id}/cancel": ADMINS,
    "get /model-versions": ADMINS,
    "get /model-versions/{version}": ADMINS,
    "post /model-versions/{version}/activate": ADMINS,
    "get /status": ADMINS,
}
DOCUMENTATION = {"api-docs.openapi_json", "api-docs.openapi_swagger_ui"}


def test_every_route_declares_who_may_call_it(sqlite_app):
    undeclared = {
        endpoint
        for endpoint, view in sqlite_app.view_functions.items()
        if not hasattr(view, "allowed_roles") and endpoint not in DOCUMENTATION
    }

    assert undeclared == set()


def test_every_operation_is_in_the_table_of_the_contract(operations):
    said = {name: tuple(operation.get("x-roles", ())) for name, operation in operations.items()}

    assert said == TABLE


def test_every_request_and_answer_has_an_example(operations):
    bare = []
    for name, operation in operations.items():
        contents = [operation["requestBody"]["content"]] if "requestBody" in operation else []
        contents += [answer.get("content", {}) for answer in operation["responses"].values()]
        bare += [name for content in contents for media in content.values() if "example" not in media]
        bare += [
            f"{name} {parameter['name']}"
            for parameter in operation["parameters"]
            if "example" not in parameter | parameter["schema"]
        ]
    assert bare == []


def test_every_answer_that_is_no_success_is_a_problem_document(operations):
    wrong = [
        (name, status)
        for name, operation in operations.items()
        for status, answer in operation["responses"].items()
        if not status.startswith("2")
        and name != "get /readyz"
        and list(answer.get("content", {})) != ["application/problem+json"]
    ]
    assert wrong == []


def test_every_guarded_operation_tells_how_it_refuses(operations):
    for name, operation in operations.items():
        if operation.get("x-roles"):
            assert {"401", "403", "422", "429", "503"} <= operation["responses"].keys(), name
        if "{" in name:
            assert "404" in operation["responses"], name
        if not name.startswith("get"):
            assert {"400", "413", "415"} <= operation["responses"].keys(), name


def test_no_operation_passes_over_what_it_does_not_know(operations, sqlite_app):
    from recsvc.services import keys

    with sqlite_app.app_context():
        headers = {"Authorization": f"Bearer {keys.create('admin', 'x')[1]}"}
    unknown = {"no_such_field": "1"}
    for name, operation in operations.items():
        if not operation.get("x-roles"):
            continue
        method, path = name.split(" ")
        url = "/api/v1" + re.sub("{[^}]*}", "1", path)
        ways = [{"query_string": unknown}] + ([{"json": unknown}] if method != "get" else [])
        for way in ways:
            answer = sqlite_app.test_client().open(url, method=method, headers=headers, **way)
            assert (answer.status_code, "no_such_field" in answer.json["errors"]) == (422, True), (name, way)


def test_every_reference_leads_somewhere_and_nothing_is_there_that_nobody_needs(document):
    text = json.dumps(document)
    references = set(re.findall(r'"\$ref": "#/components/(\w+)/(\w+)"', text))

    assert [name for kind, name in references if name not in document["components"].get(kind, {})] == []
    assert "PaginationMetadata" not in text


def test_the_document_is_of_version_3_1_and_every_operation_is_summed_up(document, operations):
    assert document["openapi"].startswith("3.1")
    assert [name for name, operation in operations.items() if not operation.get("summary")] == []
    assert [name for name, operation in operations.items() if not operation.get("tags")] == []


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
