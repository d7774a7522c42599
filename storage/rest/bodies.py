"""What the endpoints here are sent, where several are sent the same."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from storage.rest.fields import OF_A_CALL, Keyed
from storage.rest.fields import Field as Column
from storage.rest.filter_tree import OPERATORS, Operator

_PATHS = f"Tables: {', '.join(OF_A_CALL)}. Operators: {', '.join(list(Operator)[:10])}."


def _schema_of(column: object) -> dict[str, Any]:
    if isinstance(column, Keyed):
        return {"type": "object", "additionalProperties": _operators(column.kind)}
    return _operators(column.kind) if isinstance(column, Column) else {"type": "object", "properties": {"equals": {"type": "string"}}}


def _operators(kind: Any) -> dict[str, Any]:
    said = {"text": {"type": "string"}, "number": {"type": "number"}, "boolean": {"type": "boolean"}}
    value = said.get(kind, {"type": "string", "format": "date-time"})
    return {"type": "object", "properties": dict.fromkeys(sorted(OPERATORS[kind]), value), "additionalProperties": False}


_LEAF = {
    "type": "object",
    "properties": {
        table: {"type": "object", "properties": {name: _schema_of(column) for name, column in columns.items() if name != "*"}}
        for table, columns in OF_A_CALL.items()
    },
    "additionalProperties": False,
}
_BRANCH = {
    "type": "object",
    "required": ["left", "operator", "right"],
    "properties": {"left": {}, "operator": {"type": "string", "enum": ["and", "or"]}, "right": {}},
}

Filter = Annotated[
    Any,
    WithJsonSchema(
        {
            "description": 'Which calls: "all", a leaf {table: {column: {operator: value}}}, or a branch of two filters. ' + _PATHS,
            "anyOf": [{"type": "string", "enum": ["all"]}, _LEAF, _BRANCH],
            "default": "all",
        }
    ),
]


class Body(BaseModel):
    """Fields that nobody reads are refused: whoever sends one means something by it."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)


def nullable(kind: str, **schema: Any) -> WithJsonSchema:
    """As OpenAPI 3.0 says that a field may be null."""
    return WithJsonSchema({"type": kind, "nullable": True, **schema})


class Filtered(Body):
    filter: Filter = Field(default="all")
