"""Which events somebody wants to see: `outcome!=completed`, `status>=400`, `call.properties.feature=chat`, `error~timeout`.

A name is a path into the event, or the end of one: `user_id` is found in the call that an event tells of.
"""

import operator
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from decimal import Decimal, InvalidOperation
from difflib import get_close_matches
from enum import Enum
from typing import Any

from msgspec import Struct

from eventlog.events import (
    CallFacts,
    CallPriced,
    CallScored,
    DeadLetter,
    Event,
    FeedbackGiven,
    RequestReceived,
    ResponseCompleted,
    TokenUsage,
)

INSIDE = ((), ("call",), ("call", "call"), ("feedback",), ("usage",))
"""Where a name is looked for, nearest first."""
MAPS = ("properties", "scores")
SHAPE = re.compile(r"([\w.-]+?)\s*(!=|>=|<=|=|~|>|<)\s*(.*)", re.DOTALL)
KINDS = (RequestReceived, ResponseCompleted, FeedbackGiven, CallPriced, CallScored, DeadLetter, CallFacts, TokenUsage)
NAMES = sorted({name for kind in KINDS for name in kind.__struct_fields__})

_ORDER: dict[str, Callable[[Any, Any], bool]] = {">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le}


class BadFilter(ValueError):
    """The message says what a filter looks like, or which name was meant."""

    retryable = False


class Filter(Struct, frozen=True):
    """One condition."""

    path: tuple[str, ...]
    compare: str
    value: str

    def matches(self, event: Event) -> bool:
        found = [_said(value) for value in _values(event, self.path)]
        match self.compare:
            case "=":
                return self.value in found
            case "!=":
                return self.value not in found
            case "~":
                return any(self.value.lower() in text.lower() for text in found)
            case _:
                wanted = _number(self.value)
                return any(
                    wanted is not None and number is not None and _ORDER[self.compare](number, wanted) for number in map(_number, found)
                )


def parse_filter(text: str) -> Filter:
    """Raises BadFilter."""
    shape = SHAPE.fullmatch(text.strip())
    if shape is None:
        raise BadFilter(f"{text!r} is no filter: write NAME=VALUE, with =, !=, ~ (contains), >, >=, < or <=.")
    name, compare, value = shape.groups()
    path = tuple(name.split("."))
    if path[0] not in NAMES:
        close = get_close_matches(path[0], NAMES, n=1)
        raise BadFilter(f"No event has a field {path[0]!r}." + (f" Did you mean {close[0]}?" if close else " docs/events.md lists them."))
    if compare in _ORDER and _number(value) is None:
        raise BadFilter(f"{text!r}: {compare} compares numbers, and {value!r} is none.")
    return Filter(path, compare, value)


def all_match(filters: Sequence[Filter], event: Event) -> bool:
    return all(each.matches(event) for each in filters)


def _values(event: Event, path: tuple[str, ...]) -> Iterator[Any]:
    """The value at `path`, seen from the nearest place that has its first name; none when no place has it."""
    for before in INSIDE:
        place: Any = event
        for step in before:
            place = getattr(place, step, None)
        if isinstance(place, Struct) and path[0] in place.__struct_fields__:
            yield _at(place, path)
            return


def _at(place: Any, path: tuple[str, ...]) -> Any:
    for number, step in enumerate(path):
        if isinstance(place, dict):
            return place.get(".".join(path[number:]))  # a property's name may have dots
        place = getattr(place, step, None)
    return place


def _said(value: Any) -> str:
    """A value as it stands in the event."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case Enum():
            return str(value.value)
        case datetime():
            return value.isoformat().replace("+00:00", "Z")
        case _:
            return str(value)


def _number(text: str) -> Decimal | None:
    try:
        found = Decimal(text)
    except InvalidOperation:
        return None
    return found if found.is_finite() else None
