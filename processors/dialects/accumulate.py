"""Deltas added up to the message they are parts of.

Text is gathered in lists and joined once at the end: adding to a string again and again would cost the square of its length.
"""

from typing import Any

REPLACED = frozenset({"id", "type", "role", "index", "name", "finish_reason", "stop_reason", "status"})
"""Text fields that are said whole, though perhaps more than once."""

DEPTH = 32
"""Deltas are three levels deep. What is deeper is taken as it is."""


class Text:
    """A text that is still arriving."""

    __slots__ = ("parts",)

    def __init__(self, first: str) -> None:
        self.parts = [first]


def add(total: dict[str, Any], delta: dict[str, Any], depth: int = 0) -> None:
    """Texts are appended, objects merged, list items merged by their `index`; what else there is replaces what was there."""
    for name, value in delta.items():
        known = total.get(name)
        if isinstance(value, str) and name not in REPLACED:
            _add_text(total, name, known, value)
        elif isinstance(value, dict) and depth < DEPTH:
            if not isinstance(known, dict):
                known = total[name] = {}
            add(known, value, depth + 1)
        elif isinstance(value, list):
            total[name] = _add_items(known if isinstance(known, list) else [], value, depth)
        elif value is not None and (value != "" or not known):
            total[name] = value
        else:
            total.setdefault(name, value)


def _add_text(total: dict[str, Any], name: str, known: object, value: str) -> None:
    if isinstance(known, Text):
        known.parts.append(value)
    else:
        total[name] = Text(value)


def _add_items(known: list[Any], items: list[Any], depth: int) -> list[Any]:
    for item in items:
        index = item.get("index") if isinstance(item, dict) else None
        if not isinstance(index, int) or depth >= DEPTH:
            known.append(item)
            continue
        place = next((other for other in known if isinstance(other, dict) and other.get("index") == index), None)
        if place is None:
            place = {}
            known.append(place)
        add(place, item, depth + 1)
    return known


def finished(value: Any, depth: int = 0) -> Any:
    """The same with every text joined. None is so deep that `add` put it there."""
    if depth > 2 * DEPTH + 2:
        return value
    match value:
        case Text():
            return "".join(value.parts)
        case dict():
            return {name: finished(inner, depth + 1) for name, inner in value.items()}
        case list():
            return [finished(inner, depth + 1) for inner in value]
        case _:
            return value


def without_index(items: Any) -> Any:
    """Parts of a stream are numbered; in the answer of one piece they are not."""
    if not isinstance(items, list):
        return items
    return [{name: value for name, value in item.items() if name != "index"} if isinstance(item, dict) else item for item in items]
