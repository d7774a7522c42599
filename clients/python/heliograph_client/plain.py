"""Any object as JSON. It is read by what it can do, never by the package it is of; nothing that it does can raise here."""

from __future__ import annotations

import dataclasses
import json
import math
from datetime import date, datetime
from enum import Enum
from typing import Any, Callable, Mapping

DEEPEST = 100
"""Levels that are told. Beyond it, and in a circle, there is a name in the place of a value."""
LONGEST_NUMBER_BITS = 10_000
_LISTS = (list, tuple, set, frozenset)


def json_of(value: object) -> str:
    """Compact, in one line, and always JSON: what has no place in it is null, or the name of its type in angle brackets."""
    try:
        return _dumps(value, default=_one_level)
    except Exception:  # noqa: BLE001 a number that is none, a circle, a key that is no text, an attribute that raises
        return _dumps(_plain(value, ()))


def fields_of(value: object) -> dict[str, Any] | None:
    """An object's fields by their names on the wire; None where it has no way to tell them."""
    if isinstance(value, type):
        return None
    for read in (_itself,) if isinstance(value, Mapping) else _WAYS:
        try:
            found = read(value)
        except Exception:  # noqa: BLE001, S112 the next way may do; what an object's own code raises is not known
            continue
        if isinstance(found, Mapping):
            return found if type(found) is dict else dict(found)
    return _of_dataclass(value) if dataclasses.is_dataclass(value) else None


def _dumps(value: object, default: Callable[[object], object] | None = None) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=default)


def _itself(value: Any) -> object:
    return dict(value)


def _pydantic(value: Any) -> object:
    """What the provider sent, as it named it. Source: pydantic 2, `BaseModel.model_dump`; openai and anthropic have its arguments."""
    return value.model_dump(mode="json", by_alias=True, exclude_unset=True, warnings=False)


def _of_dataclass(value: Any) -> dict[str, Any] | None:
    try:
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    except Exception:  # noqa: BLE001 a property of its own
        return None


def _said(name: str) -> Callable[[Any], object]:
    def read(value: Any) -> object:
        return getattr(value, name)()

    return read


_WAYS = (_pydantic, _said("model_dump"), _said("to_dict"))


def _one_level(value: object) -> object:
    """What JSON has, or another object nearer to it."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, (bytes, bytearray, memoryview)):
        return f"<{len(value)} bytes>"
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    if isinstance(value, (set, frozenset)):
        return list(value)
    fields = fields_of(value)
    return _name(value) if fields is None else fields


def _plain(value: Any, above: tuple[int, ...]) -> object:
    """The careful way: `above` are the ids of what this stands in."""
    try:
        if value is None or isinstance(value, (bool, str)):
            return value
        if isinstance(value, int) and not isinstance(value, Enum):
            return int(value) if value.bit_length() <= LONGEST_NUMBER_BITS else None
        if isinstance(value, float) and not isinstance(value, Enum):
            return float(value) if math.isfinite(value) else None
        if id(value) in above or len(above) >= DEEPEST:
            return _name(value)
        within = (*above, id(value))
        if isinstance(value, _LISTS):
            return [_plain(item, within) for item in value]
        if isinstance(value, Mapping):
            return {_key(key): _plain(item, within) for key, item in value.items()}
        return _plain(_one_level(value), within)
    except Exception:  # noqa: BLE001 whatever its own code raises
        return _name(value)


def _key(key: object) -> str:
    return key if isinstance(key, str) else _name(key) if not isinstance(key, (int, float)) else str(key)


def _name(value: object) -> str:
    return f"<{type(value).__name__}>"
