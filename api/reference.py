"""The HTTP reference as Markdown, made from the OpenAPI description; ``/docs`` and ``docs/http.md`` show it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

Schema = Mapping[str, Any]


def markdown(openapi: Schema) -> str:
    lines = [f"# {openapi['info']['title']}: the HTTP API", "", str(openapi["info"]["description"]), ""]
    for path, operations in openapi["paths"].items():
        for method, operation in operations.items():
            lines += _operation(method.upper(), path, operation, openapi)
    lines += ["## The objects", ""]
    for name, schema in openapi["components"]["schemas"].items():
        if not name.startswith(("Body_", "HTTPValidationError", "ValidationError")):
            lines += _object(name, schema)
    return "\n".join(lines).rstrip() + "\n"


def _operation(method: str, path: str, operation: Schema, openapi: Schema) -> Iterator[str]:
    yield from (f"## `{method} {path}`", "", str(operation.get("summary", "")), "")
    if text := operation.get("description"):
        yield from (str(text), "")
    rows = [
        (f"`{one['name']}` ({one['in']})", _type(one["schema"]), one.get("description", ""))
        for one in operation.get("parameters", [])
    ]
    if rows:
        yield from _table(("parameter", "type", ""), rows)
    for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
        shown = "parts named `files`" if media_type == "multipart/form-data" else _type(content["schema"])
        yield from (f"Body: {shown} (`{media_type}`)", "")
        for example in _resolve(content["schema"], openapi).get("examples", []):
            yield from ("```json", json.dumps(example, ensure_ascii=False, indent=2), "```", "")
    for status, response in operation["responses"].items():
        if status == "default":
            continue
        kinds = ", ".join(
            f"{_type(content.get('schema', {}))} (`{kind}`)"
            for kind, content in response.get("content", {}).items()
        )
        yield f"- {status}: {kinds}"
    yield ""


def _object(name: str, schema: Schema) -> Iterator[str]:
    yield from (f"### {name}", "")
    if text := schema.get("description"):
        yield from (str(text), "")
    required = schema.get("required", ())
    rows = [
        (f"`{field}`{'' if field in required else '?'}", _type(kind), kind.get("description", ""))
        for field, kind in schema.get("properties", {}).items()
    ]
    yield from _table(("field", "type", ""), rows)


def _table(header: tuple[str, str, str], rows: list[tuple[str, str, str]]) -> Iterator[str]:
    yield f"| {' | '.join(header)} |"
    yield "|---|---|---|"
    for row in rows:
        yield "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in row) + " |"
    yield ""


def _type(schema: Schema) -> str:
    if "$ref" in schema:
        return str(schema["$ref"]).rsplit("/", 1)[-1]
    if "anyOf" in schema:
        return " or ".join(_type(one) for one in schema["anyOf"])
    if "enum" in schema:
        return " or ".join(f"`{json.dumps(value)}`" for value in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    if schema.get("type") == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"object of {_type(schema['additionalProperties'])}"
    return str(schema.get("type", "any"))


def _resolve(schema: Schema, openapi: Schema) -> Schema:
    if "$ref" not in schema:
        return schema
    found: Schema = openapi["components"]["schemas"][str(schema["$ref"]).rsplit("/", 1)[-1]]
    return found
