"""What the endpoints here are sent, where several are sent the same."""

from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from storage.rest.fields import OF_A_CALL, Keyed
from storage.rest.fields import Field as Column
from storage.rest.filter_sql import condition
from storage.rest.filter_tree import OPERATORS, Operator, instant, read
from storage.rest.sql import Sql, all_of, time, value

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


class Nothing(Body):
    """No field."""


def nullable(kind: str, **schema: Any) -> WithJsonSchema:
    """As OpenAPI 3.0 says that a field may be null."""
    return WithJsonSchema({"type": kind, "nullable": True, **schema})


class TimeFilter(Body):
    """From the one instant on, and before the other; ISO 8601, without a zone in UTC."""

    start: Annotated[str | None, nullable("string", format="date-time")] = None
    end: Annotated[str | None, nullable("string", format="date-time")] = None


class Filtered(Body):
    """Calls of a filter, in a span of time."""

    filter: Filter = "all"
    time_filter: TimeFilter = Field(default=TimeFilter(), alias="timeFilter")

    def where(self) -> Sql:
        """The condition that a call must meet. Raises BadFilter."""
        span = within(self.time_filter)
        return all_of([span, condition(read(self.filter, OF_A_CALL), within=span)])


def within(span: TimeFilter, column: str = "created_at") -> Sql:
    """Raises BadFilter."""
    bounds = (("start", ">=", span.start), ("end", "<", span.end))
    return all_of(f"{column} {sign} " + time(instant(said, f"timeFilter.{name}")) for name, sign, said in bounds if said is not None)


class Increment(StrEnum):
    """How wide the steps of a series are; weeks begin on Monday."""

    MINUTE = "min"
    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    YEAR = "year"


UNITS = {each: "minute" if each is Increment.MINUTE else each.value for each in Increment}


class OverTime(Filtered):
    """Such calls, step by step."""

    increment: Increment = Field(default=Increment.HOUR, alias="dbIncrement")
    behind: int = Field(
        default=0,
        alias="timeZoneDifference",
        ge=-1440,
        le=1440,
        description="Minutes that the clock whose days are meant is behind UTC, as JavaScript's `getTimezoneOffset()` tells them.",
    )

    def step(self) -> Sql:
        """When the step began that a call is in, UTC."""
        behind = "to_minutes(" + value(self.behind) + ")"
        return f"date_trunc('{UNITS[self.increment]}', created_at - " + behind + ") + " + behind
