"""The smallest value that fits a JSON schema of the everyday kind: what the demo provider says when asked for structured output.

Understood: types, `properties`, `$ref`, `enum`, `const`, `anyOf`, `oneOf`, `allOf`, and lower bounds. Formats and patterns are not.
"""

from typing import Any

Schema = Any
DEEPEST = 24
"""A schema may contain itself without an end; no request means that many levels."""


def minimal(schema: Schema) -> Any:
    return _value(schema, schema, 0)


def _value(schema: Schema, root: Schema, depth: int) -> Any:
    if not isinstance(schema, dict) or depth > DEEPEST:
        return None
    if "$ref" in schema:
        return _value(_referred(root, schema["$ref"]), root, depth + 1)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][0]
    if "allOf" in schema:
        return _value({name: value for part in schema["allOf"] for name, value in _resolved(part, root).items()}, root, depth + 1)
    for choice in ("anyOf", "oneOf"):
        if choice in schema:
            return _value(_smallest(schema[choice]), root, depth + 1)
    return _of_type(schema, root, depth)


def _of_type(schema: Schema, root: Schema, depth: int) -> Any:
    kind = schema.get("type", "object" if "properties" in schema else "string")
    if isinstance(kind, list):
        kind = "null" if "null" in kind else kind[0]
    match kind:
        case "object":
            return {name: _value(inner, root, depth + 1) for name, inner in schema.get("properties", {}).items()}
        case "array":
            return [_value(schema.get("items"), root, depth + 1)] * schema.get("minItems", 0)
        case "integer" | "number":
            return _least_number(schema)
        case "boolean":
            return False
        case "null":
            return None
        case _:
            return "demo".ljust(schema.get("minLength", 0), ".")[: schema.get("maxLength")]


def _least_number(schema: Schema) -> Any:
    least = schema.get("minimum", schema.get("exclusiveMinimum", -1) + 1)
    return min(max(0, least), schema.get("maximum", max(0, least)))


def _smallest(choices: list[Schema]) -> Schema:
    """Nothing, where that is a choice: it also ends what refers to itself."""
    return next((choice for choice in choices if choice.get("type") == "null"), choices[0])


def _resolved(schema: Schema, root: Schema) -> Schema:
    return _referred(root, schema["$ref"]) if "$ref" in schema else schema


def _referred(root: Schema, pointer: str) -> Schema:
    """What `#/$defs/Name` points to."""
    found = root
    for step in pointer.removeprefix("#").strip("/").split("/"):
        found = found[step.replace("~1", "/").replace("~0", "~")] if step else found
    return found
