"""Types that DuckDB cannot hand to Arrow as what they are. Cast in time, they are text.

Found by asking DuckDB 2.0 for a value of each type: UHUGEINT wraps around, BIT, BIGNUM and VARIANT come as their inner bytes, a zoned
time of day loses its zone.
"""

from collections.abc import Sequence
from typing import Any

Kind = Any
"""A DuckDB type: `id` names it, `children` are its parts."""

_AS_TEXT = {"bit": "VARCHAR", "bignum": "VARCHAR", "uhugeint": "VARCHAR", "time with time zone": "VARCHAR", "variant": "JSON"}
_NESTED = frozenset({"array", "list", "map", "struct", "tuple", "union"})


def carried(kind: Kind) -> str:
    """The name of the type that carries the values of `kind`: its own, unless there is something in it that must be text."""
    if kind.id not in _NESTED:
        return _AS_TEXT.get(kind.id, str(kind))
    parts = [(name, part) for name, part in kind.children if not isinstance(part, int)]
    if all(carried(part) == str(part) for _, part in parts):
        return str(kind)
    inner = [carried(part) for _, part in parts]
    if kind.id == "list":
        return f"{inner[0]}[]"
    if kind.id == "array":
        return f"{inner[0]}[{dict(kind.children)['size']}]"
    if kind.id == "map":
        return f"MAP({', '.join(inner)})"
    if kind.id == "struct":
        return f"STRUCT({', '.join(f'{quoted(name)} {each}' for (name, _), each in zip(parts, inner, strict=True))})"
    return "VARCHAR"


def projection(kinds: Sequence[Kind]) -> str | None:
    """The columns of a question, in order, each as it can be carried; None when all can be as they are."""
    wanted = [carried(kind) for kind in kinds]
    if wanted == [str(kind) for kind in kinds]:
        return None
    return ", ".join(f"#{place}::{name} AS c{place}" for place, name in enumerate(wanted, 1))


def quoted(name: str) -> str:
    """A name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'
