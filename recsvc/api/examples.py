"""Examples of requests and answers, put together from those of their fields."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, fields


def example_of(schema: Schema | type[Schema]) -> dict[str, Any]:
    """An example of what a schema describes.

    Raises:
        ValueError: A field has no example.
    """
    instance = schema if isinstance(schema, Schema) else schema()
    return {
        name: _example_of_field(field, f"{type(instance).__name__}.{name}")
        for name, field in instance.fields.items()
    }


def _example_of_field(field: fields.Field[Any], name: str) -> Any:
    if "example" in field.metadata:
        return field.metadata["example"]
    if isinstance(field, fields.Nested):
        return example_of(field.schema)
    if isinstance(field, fields.List):
        return [_example_of_field(field.inner, name)]
    raise ValueError(f"{name} has no example")
