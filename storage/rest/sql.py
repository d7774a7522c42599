"""SQL in pieces, each with the values of its `?` in their order. Only text of ours is ever text; whatever was sent is a value."""

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct

Value = str | int | float | bool | None
Row = Mapping[str, Any]
"""Of an answer, as JSON has it."""


class Sql(Struct, frozen=True):
    """A piece of a statement."""

    text: str
    values: tuple[Value, ...] = ()

    def __add__(self, other: "Sql | str") -> "Sql":
        if isinstance(other, str):
            return Sql(self.text + other, self.values)
        return Sql(self.text + other.text, self.values + other.values)

    def __radd__(self, text: str) -> "Sql":
        return Sql(text + self.text, self.values)


EVERY = Sql("true")
NONE = Sql("false")


def value(of: Value) -> Sql:
    return Sql("?", (of,))


def time(iso: str) -> Sql:
    """An instant, as the lake's columns have it."""
    return Sql("CAST(? AS TIMESTAMP)", (iso,))


def joined(separator: str, pieces: Iterable[Sql]) -> Sql:
    listed = list(pieces)
    return Sql(separator.join(piece.text for piece in listed), tuple(each for piece in listed for each in piece.values))


def values(of: Iterable[Value]) -> Sql:
    """`(?, ?, …)`, for IN. There must be one at least."""
    return "(" + joined(", ", map(value, of)) + ")"


def all_of(conditions: Iterable[Sql]) -> Sql:
    """Those that say something, each in brackets."""
    said = ["(" + condition + ")" for condition in conditions if condition != EVERY]
    return joined(" AND ", said) if said else EVERY
