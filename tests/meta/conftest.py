"""The OpenAPI document, and what is in it."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask


@pytest.fixture
def document(sqlite_app: Flask) -> dict[str, Any]:
    """The document as it is served."""
    return sqlite_app.test_client().get("/api/v1/openapi.json").json


@pytest.fixture
def operations(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Each operation by its method and path, with all of its parameters, its answers looked up."""
    answers = document["components"]["responses"]

    def looked_up(answer: dict[str, Any]) -> dict[str, Any]:
        return answers[answer["$ref"].rpartition("/")[2]] if "$ref" in answer else answer

    return {
        f"{method} {path.removeprefix('/api/v1')}": operation
        | {
            "parameters": methods.get("parameters", []) + operation.get("parameters", []),
            "responses": {status: looked_up(told) for status, told in operation["responses"].items()},
        }
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if method in {"get", "put", "post", "patch", "delete"}
    }
